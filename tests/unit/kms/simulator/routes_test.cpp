// The simulator's answers: the guest agent in both forms, Intel's paths, the switchboard.
#include "kms/evidence/report_data.hpp"
#include "kms/simulator/mock_collateral.hpp"
#include "kms/simulator/simulator.hpp"
#include "launcher/runtime/http_server.hpp"

#include <algorithm>

#include <boost/json/parse.hpp>
#include <catch2/catch.hpp>

using namespace kms;
using namespace kms::simulator;
namespace json = boost::json;

namespace {

constexpr UnixSeconds kNow = 1'767'225'600;

Simulator made() {
    Seed seed;
    seed.fill(1);
    return {seed, {}};
}

Request request(std::string method, std::string target, std::string body = "") {
    const auto parsed = parse_head(method + " " + target + " HTTP/1.1\r\nHost: x\r\n\r\n");
    REQUIRE(parsed.has_value());
    Request out = *parsed;
    out.body = std::move(body);
    return out;
}

json::value json_of(const Reply& reply) {
    INFO(reply.body);
    REQUIRE(reply.status == 200);
    return json::parse(reply.body);
}

Bytes hex_member_of(const json::value& object, std::string_view name) {
    const auto bytes = runtime::from_hex(std::string_view(object.at(name).as_string()));
    REQUIRE(bytes.has_value());
    return *bytes;
}

}  // namespace

TEST_CASE("heads are read, and refused with a sentence") {
    const auto good = parse_head(
        "POST /Attest?json HTTP/1.1\r\nContent-Type: Application/JSON; "
        "charset=x\r\ncontent-length:  "
        "12\r\n\r\n");
    REQUIRE(good.has_value());
    CHECK(good->method == "POST");
    CHECK(good->path == "/Attest");
    CHECK(good->query == "json");
    CHECK(good->content_type == "application/json");
    CHECK(good->body_size == 12);
    for (const std::string_view bad :
         {"", "GET /\r\n\r\n", "GET / SMTP\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
          "GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
          "GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
          "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
        INFO(bad);
        CHECK(!parse_head(bad).has_value());
    }
}

TEST_CASE("Attest binds what it is asked, in JSON, by query and in protobuf") {
    Simulator simulator = made();
    const ReportData wanted = ratls_report_data(runtime::as_bytes("a key"));
    const std::string hex = runtime::to_hex(wanted);
    const auto by_json = json_of(
        simulator.agent(request("POST", "/Attest?json", R"({"report_data":")" + hex + "\"}")));
    const auto by_query = json_of(simulator.agent(request("GET", "/Attest?report_data=0x" + hex)));
    CHECK(by_json == by_query);
    const auto evidence = decode_attestation(hex_member_of(by_json, "attestation"));
    REQUIRE(evidence.has_value());
    CHECK(std::ranges::equal(evidence->report_data, wanted));

    std::string body = {0x0a, 0x40};
    body.append(runtime::as_text(wanted));
    const Reply binary = simulator.agent(request("POST", "/Attest", body));
    CHECK(binary.content_type == "application/octet-stream");
    const Bytes expected = encode_v0(*evidence);
    REQUIRE(binary.body.size() > expected.size());
    CHECK(binary.body.substr(binary.body.size() - expected.size()) == runtime::as_text(expected));
}

TEST_CASE("short report data is padded, long and broken ones are refused") {
    Simulator simulator = made();
    const auto answer =
        json_of(simulator.agent(request("POST", "/GetQuote?json", R"({"report_data":"0102"})")));
    Bytes padded(64);
    padded[0] = 1;
    padded[1] = 2;
    CHECK(hex_member_of(answer, "report_data") == padded);
    const auto log = parse_event_log(std::string(answer.at("event_log").as_string()));
    REQUIRE(log.has_value());
    CHECK(log->size() > 10);

    struct Row {
        std::string target, body, error;
    };
    const Row rows[] = {
        {"/Attest?json", "{\"report_data\":\"" + std::string(130, '0') + "\"}",
         "Report data is too long"},
        {"/Attest?json", R"({"report_data":"0"})", "Odd number of digits"},
        {"/Attest?json", "{", ""},
        {"/NoSuchMethod?json", "", "Service not found: NoSuchMethod"},
    };
    for (const Row& row : rows) {
        INFO(row.target << " " << row.body);
        const Reply reply = simulator.agent(request("POST", row.target, row.body));
        CHECK(reply.status == 400);
        const auto error = json::parse(reply.body);
        CHECK(std::string(error.at("error").as_string()).find(row.error) != std::string::npos);
    }
    CHECK(simulator.agent(request("POST", "/prpc/Attest?json", "{}")).status == 404);
}

TEST_CASE("Info tells the machine, EmitEvent changes it, Version is there") {
    Simulator simulator = made();
    const auto before = json_of(simulator.agent(request("POST", "/Info?json", "null")));
    CHECK(hex_member_of(before, "app_id").size() == 20);
    CHECK(std::string(before.at("vm_config").as_string()) == simulator.machine().vm_config());
    CHECK(simulator.agent(request("POST", "/EmitEvent?json", R"({"event":"x","payload":"00"})"))
              .status == 200);
    const auto after = json_of(simulator.agent(request("POST", "/Info?json")));
    CHECK(after.at("mr_aggregated") != before.at("mr_aggregated"));
    CHECK(json_of(simulator.agent(request("GET", "/Version"))).as_object().contains("version"));
}

TEST_CASE("Intel's paths serve the collateral that the machine needs") {
    Simulator simulator = made();
    const Machine& machine = simulator.machine();
    const Collateral wanted = make_collateral(machine.seed(), machine.platform({}), {}, kNow);
    const auto get = [&](const std::string& target) {
        return simulator.pccs(request("GET", target), kNow);
    };
    const Reply list = get("/sgx/certification/v4/pckcrl?ca=platform&encoding=der");
    CHECK(list.body == runtime::as_text(wanted.pck_crl));
    REQUIRE(list.headers.size() == 1);
    CHECK(runtime::percent_decode(list.headers[0].second) == wanted.pck_crl_issuer_chain);
    CHECK(get("/sgx/certification/v4/rootcacrl").body == runtime::to_hex(wanted.root_ca_crl));
    const auto tcb = json_of(get("/tdx/certification/v4/tcb?fmspc=53494D000001"));
    CHECK(std::string(tcb.at("signature").as_string()) ==
          runtime::to_hex(wanted.tcb_info_signature));
    CHECK(json_of(get("/tdx/certification/v4/qe/identity?update=standard"))
              .as_object()
              .contains("enclaveIdentity"));
    CHECK(get("/tdx/certification/v4/rootcacrl").status == 404);
    CHECK(get("/other").status == 404);
    CHECK(simulator.pccs(request("POST", "/sgx/certification/v4/rootcacrl"), kNow).status == 404);
}

TEST_CASE("switches are set, read back, counted and refused") {
    Simulator simulator = made();
    const std::string all =
        R"({"faults":["pck-revoked","debug"],"agent":"silent","pccs":"html","form":"v1"})";
    const auto set = simulator.switchboard(request("PUT", "/simulator/switches", all));
    REQUIRE(set.has_value());
    CHECK(json::parse(set->body) == json::parse(R"({"faults":["debug","pck-revoked"],)"
                                                R"("agent":"silent","pccs":"html","form":"v1"})"));
    CHECK(simulator.switches().faults.has(Fault::td_debug));
    CHECK(simulator.switches().pccs == WireFault::html);
    for (const char* bad : {"", "[]", R"({"faults":["nonsense"]})", R"({"pccs":"nonsense"})",
                            R"({"nonsense":1})", R"({"form":"v2"})"}) {
        INFO(bad);
        const auto refused = simulator.switchboard(request("PUT", "/simulator/switches", bad));
        REQUIRE(refused.has_value());
        CHECK(refused->status == 400);
        CHECK(simulator.switches().pccs == WireFault::html);
    }
    simulator.agent(request("GET", "/Version"));
    CHECK(simulator.switchboard(request("GET", "/simulator/requests"))->body ==
          R"({"agent":1,"pccs":0})");
    CHECK(!simulator.switchboard(request("GET", "/sgx/certification/v4/rootcacrl")));
    CHECK(simulator.switchboard(request("GET", "/simulator/nothing"))->status == 404);
}

TEST_CASE("wire faults have names, and spoil what can be spoiled without a socket") {
    for (const auto fault :
         {WireFault::none, WireFault::reset, WireFault::silent, WireFault::dribble, WireFault::cut,
          WireFault::unavailable, WireFault::html, WireFault::huge, WireFault::no_headers})
        CHECK(wire_fault_of(to_string(fault)) == fault);
    CHECK(!wire_fault_of("nonsense"));
    const Reply reply{200, "text/plain", "body", {{"X-Chain", "value"}}};
    CHECK(spoiled(reply, WireFault::none).body == "body");
    CHECK(spoiled(reply, WireFault::unavailable).status == 503);
    CHECK(spoiled(reply, WireFault::html).content_type == "text/html");
    CHECK(spoiled(reply, WireFault::no_headers).headers.empty());
}
