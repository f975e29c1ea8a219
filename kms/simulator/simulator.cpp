#include "kms/simulator/simulator.hpp"

#include "kms/crypto/pem.hpp"
#include "kms/evidence/app_info.hpp"
#include "kms/evidence/json_reader.hpp"
#include "kms/evidence/json_writer.hpp"
#include "kms/simulator/agent_message.hpp"
#include "kms/simulator/mock_collateral.hpp"

#include <algorithm>

namespace kms::simulator {
namespace {

using runtime::as_text;
using runtime::to_hex;

Reply text_reply(unsigned status, std::string text) {
    return {status, "text/plain; charset=utf-8", std::move(text), {}};
}
Reply json_reply(std::string text) {
    return {200, "application/json", std::move(text), {}};
}

AgentField text_field(unsigned number, std::string_view name, std::string_view value) {
    return {number, name, std::string(value), false};
}
AgentField bytes_field(unsigned number, std::string_view name, ByteView value) {
    return {number, name, std::string(as_text(value)), true};
}

std::string names_json(const Faults& faults) {
    std::string list = "[";
    for (const FaultRow& row : fault_rows()) {
        if (!faults.has(row.fault)) continue;
        if (list.size() > 1) list += ',';
        append_json_string(list, row.name);
    }
    return list + "]";
}

std::string switches_json(const Switches& switches) {
    return "{\"faults\":" + names_json(switches.faults) + ",\"agent\":\"" +
           std::string(to_string(switches.agent)) + "\",\"pccs\":\"" +
           std::string(to_string(switches.pccs)) + "\",\"form\":\"" + (switches.v1 ? "v1" : "v0") +
           "\"}";
}

Error unknown(std::string_view what, std::string_view name) {
    return Error{ErrorCode::invalid_argument, "no " + std::string(what) + " is called '" +
                                                  std::string(name) +
                                                  "'; tee-simulator --faults lists them"};
}

Result<WireFault> wire_fault(JsonReader& reader) {
    TRY(const std::string_view name, reader.text());
    if (const auto fault = wire_fault_of(name)) return *fault;
    return unknown("fault of the wire", name);
}

Result<Faults> fault_list(JsonReader& reader) {
    Faults faults;
    TRY_VOID(reader.enter_array());
    for (;;) {
        TRY(const bool more, reader.next());
        if (!more) return faults;
        TRY(const std::string_view name, reader.text());
        const auto fault = fault_of(name);
        if (!fault) return unknown("fault", name);
        faults.set(*fault);
    }
}

/// The signed statement inside of the member that names it, as Intel's servers answer.
Reply statement(std::string_view member, const std::string& text, ByteView signature,
                std::string_view header, const std::string& chain) {
    std::string body = "{\"" + std::string(member) + "\":" + text + ",\"signature\":\"" +
                       to_hex(signature) + "\"}";
    return {
        200, "application/json", std::move(body), {{std::string(header), percent_encode(chain)}}};
}

}  // namespace

Result<Switches> parse_switches(std::string_view json) {
    Switches switches;
    JsonReader reader(json);
    TRY_VOID(reader.enter_object());
    for (;;) {
        TRY(const bool more, reader.next());
        if (!more) break;
        TRY(const std::string_view borrowed, reader.name());
        const std::string name(borrowed);
        if (name == "faults") {
            TRY(switches.faults, fault_list(reader));
        } else if (name == "agent") {
            TRY(switches.agent, wire_fault(reader));
        } else if (name == "pccs") {
            TRY(switches.pccs, wire_fault(reader));
        } else if (name == "form") {
            TRY(const std::string_view form, reader.text());
            if (form != "v0" && form != "v1") return unknown("form", form);
            switches.v1 = form == "v1";
        } else {
            return unknown("switch", name);
        }
    }
    TRY_VOID(reader.finish());
    return switches;
}

std::string Simulator::root_pem() const {
    return crypto::to_pem("CERTIFICATE", make_pki(machine_.seed(), {}, {}).root);
}

Reply Simulator::attest(const Request& request, bool whole_quote) const {
    const AgentForm form = form_of(request);
    const auto asked = agent_argument(request, bytes_field(1, "report_data", {}));
    if (!asked) return agent_error(form, asked.error().context);
    ReportData report_data{};
    if (asked->size() > report_data.size()) return agent_error(form, "Report data is too long");
    std::ranges::copy(runtime::as_bytes(*asked), report_data.begin());
    const Attestation evidence = machine_.attest(report_data, switches_.faults);
    if (!whole_quote) {
        const bool v1 = switches_.v1 || switches_.faults.has(Fault::event_preimage);
        return agent_answer(
            form, {bytes_field(1, "attestation", v1 ? encode_v1(evidence) : encode_v0(evidence))});
    }
    const auto& tdx = std::get<TdxEvidence>(evidence.platform);
    return agent_answer(form, {bytes_field(1, "quote", tdx.quote),
                               text_field(2, "event_log", to_json(tdx.event_log)),
                               bytes_field(3, "report_data", evidence.report_data),
                               text_field(4, "vm_config", evidence.config)});
}

Reply Simulator::agent(const Request& request) {
    ++agent_requests_;
    const AgentForm form = form_of(request);
    if (request.method != "GET" && request.method != "POST") return text_reply(404, "Not Found\n");
    if (request.path.size() < 2 || request.path.find('/', 1) != std::string::npos)
        return text_reply(404, "Not Found\n");
    const std::string method = request.path.substr(1);
    const Faults& faults = switches_.faults;
    if (method == "Attest") return attest(request, false);
    if (method == "GetQuote") return attest(request, true);
    if (method == "Version")
        return agent_answer(form, {text_field(1, "version", KMS_LAUNCHER_VERSION),
                                   text_field(2, "rev", "tee-simulator")});
    if (method == "EmitEvent") {
        auto name = agent_argument(request, text_field(1, "event", ""));
        auto payload = agent_argument(request, bytes_field(2, "payload", {}));
        if (!name || !payload)
            return agent_error(form, name ? payload.error().context : name.error().context);
        const ByteView bytes = runtime::as_bytes(*payload);
        const auto emitted = machine_.emit(std::move(*name), Bytes(bytes.begin(), bytes.end()));
        return emitted ? agent_answer(form, {}) : agent_error(form, emitted.error().context);
    }
    if (method != "Info") return agent_error(form, "Service not found: " + method);
    const auto app = decode_app_info(machine_.attest({}, faults), AppInfoAt::run_time, {}, {});
    if (!app) return agent_error(form, app.error().context);
    return agent_answer(
        form,
        {bytes_field(1, "app_id", app->app_id), bytes_field(2, "instance_id", app->instance_id),
         text_field(3, "app_cert", ""), text_field(4, "tcb_info", machine_json()),
         text_field(5, "app_name", machine_.name()), bytes_field(8, "device_id", app->device_id),
         bytes_field(9, "mr_aggregated", app->mr_aggregated),
         bytes_field(10, "os_image_hash", app->os_image_hash),
         text_field(12, "key_provider_info", machine_.key_provider()),
         bytes_field(13, "compose_hash", app->compose_hash),
         text_field(14, "vm_config", machine_.vm_config()),
         text_field(15, "cloud_vendor", "simulator"),
         text_field(16, "cloud_product", "tee-simulator")});
}

std::string Simulator::machine_json() const {
    const Faults& faults = switches_.faults;
    const Platform platform = machine_.platform(faults);
    const Attestation evidence = machine_.attest({}, faults);
    const auto registers = machine_.measurements(faults);
    const auto run = decode_app_info(evidence, AppInfoAt::run_time, platform.ppid, {});
    std::string text = "{\"mrtd\":\"" + to_hex(registers.mr_td) + "\"";
    for (std::size_t i = 0; i < registers.rtmr.size(); ++i)
        text += ",\"rtmr" + std::to_string(i) + "\":\"" + to_hex(registers.rtmr[i]) + "\"";
    text += ",\"app_info\":" + (run ? to_json(*run) : "null");
    text += ",\"event_log\":" + to_json(std::get<TdxEvidence>(evidence.platform).event_log) +
            ",\"app_compose\":";
    append_json_string(text, machine_.app_compose());
    return text + "}";
}

Reply Simulator::pccs(const Request& request, UnixSeconds now) {
    ++pccs_requests_;
    const Collateral all = make_collateral(machine_.seed(), machine_.platform(switches_.faults),
                                           switches_.faults, now);
    constexpr std::string_view kSgx = "/sgx/certification/v4", kTdx = "/tdx/certification/v4";
    std::string_view path = request.path;
    if (request.method != "GET" || (!path.starts_with(kSgx) && !path.starts_with(kTdx)))
        return text_reply(404, "Not Found\n");
    const bool sgx = path.starts_with(kSgx);
    path.remove_prefix(kSgx.size());
    if (sgx && path == "/pckcrl")
        return {200,
                "application/pkix-crl",
                std::string(as_text(all.pck_crl)),
                {{"SGX-PCK-CRL-Issuer-Chain", percent_encode(all.pck_crl_issuer_chain)}}};
    if (sgx && path == "/rootcacrl")
        return {200, "application/pkix-crl", to_hex(all.root_ca_crl), {}};
    if (path == "/tcb")
        return statement("tcbInfo", all.tcb_info, all.tcb_info_signature,
                         sgx ? "SGX-TCB-Info-Issuer-Chain" : "TCB-Info-Issuer-Chain",
                         all.tcb_info_issuer_chain);
    if (path == "/qe/identity")
        return statement("enclaveIdentity", all.qe_identity, all.qe_identity_signature,
                         "SGX-Enclave-Identity-Issuer-Chain", all.qe_identity_issuer_chain);
    return text_reply(404, "Not Found\n");
}

std::optional<Reply> Simulator::switchboard(const Request& request) {
    constexpr std::string_view kPrefix = "/simulator/";
    if (!request.path.starts_with(kPrefix)) return std::nullopt;
    const std::string_view what = std::string_view(request.path).substr(kPrefix.size());
    if (what == "switches" && request.method == "PUT") {
        auto wanted = parse_switches(request.body);
        if (!wanted) return text_reply(400, wanted.error().context + "\n");
        switches_ = std::move(*wanted);
        return json_reply(switches_json(switches_));
    }
    if (request.method != "GET") return text_reply(404, "Not Found\n");
    if (what == "switches") return json_reply(switches_json(switches_));
    if (what == "root.pem") return text_reply(200, root_pem());
    if (what == "machine") return json_reply(machine_json());
    if (what == "requests")
        return json_reply("{\"agent\":" + std::to_string(agent_requests_) +
                          ",\"pccs\":" + std::to_string(pccs_requests_) + "}");
    return text_reply(404, "Not Found\n");
}

}  // namespace kms::simulator
