// The recorded exchanges with onboarding nodes of two versions of the original, played to ours: as
// the node, and as the source that another node fetches keys from.
#include "kms/crypto/keccak.hpp"
#include "kms/crypto/leaf_certificate.hpp"
#include "kms/crypto/pem.hpp"
#include "kms/evidence/report_data.hpp"
#include "kms/onboard/key_evidence.hpp"
#include "kms/onboard/onboard_service.hpp"
#include "tests/support/kms_node.hpp"
#include "tests/support/recorded_exchange.hpp"

#include <algorithm>
#include <map>

using namespace kms;
using test_support::body_text;
using test_support::KmsNode;
using test_support::must;
using test_support::request_of;
using test_support::text_at;
using Reply = test::FakeHttpClient::Reply;
namespace json = boost::json;

namespace {

const std::string kImage(64, '5');

json::value recorded(const std::string& text, std::string_view name) {
    const json::value file = json::parse(text);
    for (const auto& one : file.at("cases").as_array())
        if (one.at("name").as_string() == name) return one;
    FAIL("no such case: " << name);
    return {};
}

/// The evidence of the machine of the recordings.
const Bytes& recorded_evidence() {
    static const Bytes evidence = [] {
        const auto text = test_support::shared_kms_text("peer/onboard_N.json");
        REQUIRE(text.has_value());
        const json::value bootstrap = recorded(*text, "Bootstrap/ok");
        return test_support::hex_at(json::parse(body_text(bootstrap.at("response").at("body"))),
                                    "attestation");
    }();
    return evidence;
}

/// What the recorded guest agent answered: a machine whose image is known.
Reply recorded_agent(const runtime::HttpClientRequest& request) {
    if (request.url.ends_with("/Attest?json"))
        return Reply::ok(test_support::attest_answer(
            recorded_evidence(), test_support::asked_report_data(request.body)));
    return Reply::ok(R"({"vm_config":"{\"os_image_hash\":\")" + kImage + R"(\"}"})");
}

/// What the recorded webhook answered.
Reply recorded_webhook(const runtime::HttpClientRequest& request, const std::string& refusal) {
    if (request.url.find("/bootAuth/") == std::string::npos)
        return Reply::ok(
            R"({"status":"ok","kmsContractAddr":"0x1234567890123456789012345678901234567890",)"
            R"("gatewayAppId":"0xabcdefabcdefabcdefabcdefabcdefabcdefabcd","chainId":31337,)"
            R"("appAuthImplementation":"0x00","ethRpcUrl":"",)"
            R"("appImplementation":"0x5678567856785678567856785678567856785678"})");
    const std::string allowed = refusal.empty() ? "true" : "false";
    return Reply::ok(R"({"isAllowed":)" + allowed + R"(,"gatewayAppId":"0x","reason":")" + refusal +
                     "\"}");
}

/// A node that waits for an operator, and its listener.
struct Listener {
    explicit Listener(KmsNode::Setup setup)
        : node(io, clock, setup), service(node.onboarding, {}, [this] { ++finished; }) {
        node.agent_http.handle(recorded_agent);
        node.webhook_http.handle(
            [this](const auto& request) { return recorded_webhook(request, refusal); });
    }
    runtime::HttpServerReply answer(const json::value& request) {
        return test::run(io, service.handle(request_of(request), node.soon()));
    }

    boost::asio::io_context io;
    test::ManualClock clock;
    std::string refusal{};
    int finished = 0;
    KmsNode node;
    OnboardService service;
};

/// How far our answer is to be the recorded one.
enum class Rule {
    same,       ///< status, type, body
    same_page,  ///< status and type: the text of pages is ours
    outermost,  ///< and the outermost sentence of the error; the causes are told in our words
    shape,      ///< a 200 with the same members: keys are new each time
    differs,    ///< on purpose; `words` are in our answer
};
struct Expected {
    Rule rule;
    unsigned status = 0;     ///< of `differs`
    const char* words = "";  ///< of `differs`
};

std::string outermost(const std::string& body) {
    const std::string text = text_at(json::parse(body), "error");
    return text.substr(0, std::min(text.find("\n\nCaused by:"), text.find(": ")));
}

std::vector<std::string> members(const std::string& body) {
    std::vector<std::string> names;
    const json::value document = json::parse(body);
    for (const auto& member : document.as_object()) names.emplace_back(member.key());
    return names;
}

void compare(const runtime::HttpServerReply& ours, const json::value& recorded,
             const Expected& expected) {
    const std::string body = body_text(recorded.at("body"));
    if (expected.rule == Rule::differs) {
        CHECK(ours.status == expected.status);
        CHECK_THAT(ours.body, Catch::Contains(expected.words));
        return;
    }
    CHECK(ours.status == recorded.at("status").as_int64());
    std::string type;
    for (const auto& header : recorded.at("headers").as_array())
        if (header.at(0).as_string() == "content-type") type = header.at(1).as_string();
    CHECK(ours.content_type == type);
    if (expected.rule == Rule::same) CHECK(ours.body == body);
    if (expected.rule == Rule::outermost) CHECK(outermost(ours.body) == outermost(body));
    if (expected.rule == Rule::shape) CHECK(members(ours.body) == members(body));
}

std::vector<std::string> agent_paths(const json::value& one) {
    std::vector<std::string> paths;
    for (const auto& asked : one.at("agent_requests").as_array())
        paths.push_back(text_at(asked, "path"));
    return paths;
}
std::vector<std::string> agent_paths(const KmsNode& node) {
    std::vector<std::string> paths;
    for (const auto& asked : node.agent_http.asked())
        paths.push_back(asked.request.url.substr(asked.request.url.rfind('/')));
    return paths;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    if (const auto at = text.find(from); at != std::string::npos) text.replace(at, from.size(), to);
    return text;
}

runtime::Bytes report_data(const json::value& one, std::size_t index) {
    return test_support::asked_report_data(
        text_at(one.at("agent_requests").as_array()[index], "body"));
}

}  // namespace

TEST_CASE("the recorded exchanges with an onboarding node, version E") {
    const auto text = test_support::shared_kms_text("peer/onboard_E.json");
    if (!text) return;
    const std::map<std::string, Expected> rules = {
        {"GET /", {Rule::same_page}},
        {"name/Onboard.Nope", {Rule::same}},
        {"name/KMS.GetMeta", {Rule::same}},
        {"name/GetMeta", {Rule::same}},
        {"name/GetAttestationInfo", {Rule::differs, 200, "device_id"}},  // later versions have it
        {"name/Onboard.GetAttestationInfo", {Rule::differs, 200, "device_id"}},
        {"path/health", {Rule::differs, 200, "OK"}},  // version N has it
        {"path/metrics", {Rule::same_page}},
        {"path/prpc/", {Rule::same_page}},
        {"path/prpc", {Rule::same_page}},
        {"path/finish/", {Rule::same_page}},
        {"path/nope", {Rule::same_page}},
        {"finish-by-POST", {Rule::same_page}},
        {"Bootstrap/bad-json", {Rule::same}},
        {"Onboard/no-source", {Rule::outermost}},
        {"Onboard/refused", {Rule::outermost}},
        {"Onboard/refused/protobuf", {Rule::differs, 400, "Failed to onboard"}},
        {"Bootstrap/non-ascii-domain", {Rule::outermost}},
        // A certificate without a name is of no use to any client.
        {"Bootstrap/empty-domain", {Rule::differs, 400, "Failed to generate keys"}},
        {"Bootstrap/json", {Rule::shape}},
        // Keys are never replaced.
        {"Bootstrap/protobuf-again", {Rule::differs, 400, "KMS has already been bootstrapped"}},
        {"Bootstrap/get", {Rule::differs, 400, "KMS has already been bootstrapped"}},
        {"GET /finish", {Rule::same}},
    };
    Listener listener({.quotes = false});
    const json::value file = json::parse(*text);
    std::size_t played = 0;
    for (const auto& one : file.at("cases").as_array()) {
        const auto rule = rules.find(text_at(one, "name"));
        if (rule == rules.end()) continue;
        INFO(rule->first);
        const auto ours = listener.answer(one.at("request"));
        compare(ours, one.at("response"), rule->second);
        ++played;
        if (rule->first != "Bootstrap/json") continue;
        CHECK(must(listener.node.directory.bootstrap_info()) == ours.body);
        CHECK(listener.node.stored().domain == text_at(one, "rpc_domain"));
        std::vector<std::string> files;
        for (const auto& entry : one.at("files_after").as_array())
            files.emplace_back(entry.at(0).as_string());
        auto stored = must(listener.node.real_files.list(listener.node.directory.path()));
        std::ranges::sort(stored);
        CHECK(stored == files);
    }
    CHECK(played == rules.size());
    CHECK(listener.finished == 1);

    // The original ends its process here without an answer; ours answers and goes on.
    const json::value finish = recorded(*text, "Finish/rpc-before-bootstrap");
    CHECK(listener.answer(finish.at("request")).body == "null");
    CHECK(listener.finished == 2);
}

TEST_CASE("the recorded exchanges with an onboarding node, version N") {
    const auto text = test_support::shared_kms_text("peer/onboard_N.json");
    if (!text) return;
    struct Row {
        Expected expected;
        bool fresh = true;         ///< on an empty directory
        const char* refusal = "";  ///< of the webhook
        bool same_questions = false;
    };
    const std::map<std::string, Row> rows = {
        {"GetAttestationInfo/protobuf", {.expected = {Rule::same}}},
        {"health", {.expected = {Rule::same}}},
        {"Bootstrap/domain-empty", {.expected = {Rule::differs, 400, "Failed to generate keys"}}},
        {"Bootstrap/domain-ip", {.expected = {Rule::shape}, .same_questions = true}},
        // The older version takes any name that a certificate can have, and so do we.
        {"Bootstrap/domain-underscore", {.expected = {Rule::differs, 200, "ca_pubkey"}}},
        {"Bootstrap/domain-dot-end", {.expected = {Rule::differs, 200, "ca_pubkey"}}},
        {"Bootstrap/domain-long", {.expected = {Rule::differs, 200, "ca_pubkey"}}},
        {"Bootstrap/domain-star", {.expected = {Rule::differs, 200, "ca_pubkey"}}},
        {"Bootstrap/domain-dash", {.expected = {Rule::differs, 200, "ca_pubkey"}}},
        {"Bootstrap/domain-one-label", {.expected = {Rule::shape}, .same_questions = true}},
        {"Bootstrap/domain-upper", {.expected = {Rule::shape}, .same_questions = true}},
        {"Bootstrap/domain-non-ascii",
         {.expected = {Rule::differs, 400, "Failed to generate keys"}}},
        {"Bootstrap/ok", {.expected = {Rule::shape}, .same_questions = true}},
        {"Bootstrap/again", {.expected = {Rule::same}, .fresh = false}},
        {"Onboard/after-bootstrap", {.expected = {Rule::same}, .fresh = false}},
        {"Finish", {.expected = {Rule::same}, .fresh = false}},
        {"Bootstrap/self-denied", {.expected = {Rule::outermost}, .refusal = "nope"}},
    };
    std::optional<Listener> listener;
    const json::value file = json::parse(*text);
    std::size_t played = 0;
    for (const auto& one : file.at("cases").as_array()) {
        const auto found = rows.find(text_at(one, "name"));
        if (found == rows.end()) continue;
        INFO(found->first);
        const Row& row = found->second;
        if (row.fresh) listener.emplace(KmsNode::Setup{.asks_about_itself = true});
        listener->refusal = row.refusal;
        compare(listener->answer(one.at("request")), one.at("response"), row.expected);
        ++played;
        if (!row.same_questions) continue;
        const auto& questions = one.at("webhook_requests").as_array();
        REQUIRE(listener->node.webhook_http.asked().size() == questions.size());
        for (std::size_t i = 0; i < questions.size(); ++i) {
            const auto& ours = listener->node.webhook_http.asked()[i].request;
            CHECK(ours.url == "http://auth:8000" + text_at(questions[i], "path"));
            // The webhook is told the older version's name of this member.
            CHECK(ours.body ==
                  replaced(text_at(questions[i], "body"), "teeVariant", "attestationMode"));
        }
        CHECK(agent_paths(listener->node) == agent_paths(one));
        CHECK(test_support::asked_report_data(listener->node.agent_http.asked()[0].request.body) ==
              report_data(one, 0));
    }
    CHECK(played == rows.size());

    // One member has another name in the older version.
    const json::value info = recorded(*text, "GetAttestationInfo");
    listener.emplace(KmsNode::Setup{});
    CHECK(listener->answer(info.at("request")).body ==
          replaced(body_text(info.at("response").at("body")), "tee_variant", "attestation_mode"));
}

TEST_CASE("what the recorded bootstrap had quoted is what ours would have quoted for its keys") {
    const auto text = test_support::shared_kms_text("peer/onboard_E.json");
    if (!text) return;
    const json::value one = recorded(*text, "Bootstrap/quotes");
    const auto key_of = [&](const char* member) {
        return must(crypto::P256Key::from_pkcs8_pem(text_at(one, member)));
    };
    const auto rpc = ratls_report_data(crypto::spki_der(key_of("rpc_key_pem").public_point()));
    CHECK(report_data(one, 0) == Bytes(rpc.begin(), rpc.end()));
    const auto k256 = must(crypto::K256Key::from_scalar(
        test_support::secret(test_support::hex_at(one, "root_k256_key_hex"))));
    const crypto::Hash hash = crypto::keccak256({runtime::as_bytes(
        bootstrap_statement(key_of("root_ca_key_pem").public_point(), k256.public_key()))});
    Bytes statement(64);
    std::ranges::copy(hash, statement.begin());
    CHECK(report_data(one, 1) == statement);

    // And ours asks in the same order.
    Listener listener({});
    const auto ours = listener.answer(one.at("request"));
    CHECK(members(ours.body) == members(body_text(one.at("response").at("body"))));
    CHECK(agent_paths(listener.node) == agent_paths(one));
}

TEST_CASE("a source of ours gives its keys to the recorded joiners") {
    const auto text = test_support::shared_kms_text("peer/onboard_E.json");
    if (!text) return;
    for (const char* name :
         {"Onboard/quotes-on/client-traffic", "Onboard/quotes-off/client-traffic"}) {
        INFO(name);
        const json::value one = recorded(*text, name);
        const bool quotes = std::string_view(name).find("quotes-on") != std::string_view::npos;
        Listener source({.quotes = quotes});
        REQUIRE(source.node.bootstrap("kms.peer.test").has_value());
        source.node.serve();
        const std::size_t asked_before = source.node.webhook_http.asked().size();
        for (const auto& sent : one.at("source_requests").as_array()) {
            runtime::HttpServerRequest request =
                request_of(json::object{{"head", sent.at("request_head")},
                                        {"body", json::object{{"text", sent.at("request_body")}}}});
            if (const auto& der = sent.at("client_cert_der_hex"); !der.is_null())
                request.client_certificate = std::string(
                    runtime::as_text(test_support::hex(std::string_view(der.as_string()))));
            const auto answer =
                test::run(source.io, source.node.service->handle(request, source.node.soon()));
            CHECK(answer.status == 200);
            if (request.path != "/prpc/GetKmsKey") continue;
            const json::value keys = json::parse(answer.body);
            REQUIRE(keys.at("keys").as_array().size() == 1);
            CHECK(text_at(keys.at("keys").at(0), "ca_key") ==
                  std::string(must(source.node.real_files.read(source.node.directory.path() +
                                                               "/root-ca.key"))
                                  .text()));
            CHECK(answer.secret);
        }
        if (!quotes) continue;
        // The webhook hears of the joiner what it heard from the original.
        const json::value said = recorded(*text, "Onboard/ok");
        REQUIRE(source.node.webhook_http.asked().size() == asked_before + 1);
        CHECK(source.node.webhook_http.asked().back().request.body ==
              text_at(said.at("webhook_requests_of_source").at(0), "body"));
        source.refusal = "no new kms";
    }
}

TEST_CASE("a joiner of ours meets the recorded fates") {
    const auto text = test_support::shared_kms_text("peer/onboard_E.json");
    if (!text) return;
    Listener source({});
    REQUIRE(source.node.bootstrap("kms.peer.test").has_value());
    const std::string url = source.node.serve();
    const auto play = [&](const char* name, KmsNode::Setup setup) {
        INFO(name);
        const json::value one = recorded(*text, name);
        boost::asio::io_context& io = source.io;
        KmsNode joiner(io, source.clock, setup);
        joiner.agent_http.handle(recorded_agent);
        OnboardService service(joiner.onboarding, {}, [] {});
        auto request = request_of(one.at("request"));
        const auto at = request.body.find("https://127.0.0.1:18407");
        if (at != std::string::npos)
            request.body.replace(at, std::string_view("https://127.0.0.1:18407").size(), url);
        const auto reply = test::run(io, service.handle(request, joiner.soon()));
        if (!setup.verify_source) CHECK(agent_paths(joiner) == agent_paths(one));
        return std::pair{reply, one};
    };
    {
        const auto [reply, one] = play("Onboard/ok", {.verify_source = false});
        CHECK(reply.status == 200);
        CHECK_THAT(reply.body, Catch::Contains("k256_pubkey"));  // later versions tell the key
    }
    if (const auto later = test_support::shared_kms_text("peer/onboard_N.json")) {
        // One that looks at its source asks about itself in between, as version N does.
        KmsNode joiner(source.io, source.clock, {});
        joiner.agent_http.handle(recorded_agent);
        REQUIRE(joiner.onboard(url).has_value());
        CHECK(agent_paths(joiner) ==
              agent_paths(recorded(*later, "Onboard/from-E-with-attested-certificate")));
    }
    {
        // Later versions append what is missing of the URL.
        const auto [reply, one] = play("Onboard/source-without-prpc", {});
        CHECK(reply.status == 200);
    }
    for (const char* name : {"Onboard/source-refused", "Onboard/source-http"}) {
        const auto [reply, one] = play(name, {});
        compare(reply, one.at("response"), {Rule::outermost});
        CHECK_THAT(reply.body, Catch::Contains("0: Failed to send request"));
    }
    source.refusal = "no new kms";
    {
        const auto [reply, one] = play("Onboard/denied-by-webhook-of-source", {});
        compare(reply, one.at("response"), {Rule::same});
    }
}
