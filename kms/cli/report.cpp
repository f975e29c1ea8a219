#include "kms/cli/input.hpp"
#include "kms/evidence/json_writer.hpp"

namespace kms::cli {
namespace {

std::string quoted(std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
}

std::string list_of(std::span<const std::string> values) {
    std::string out = "[";
    for (const std::string& value : values) out += (out.size() > 1 ? "," : "") + quoted(value);
    return out + "]";
}

void report_enclave(Report& report, const EnclaveReport& enclave) {
    report.hex("cpu_svn", enclave.cpu_svn());
    report.hex("mr_enclave", enclave.mr_enclave());
    report.hex("mr_signer", enclave.mr_signer());
    report.number("isv_prod_id", enclave.isv_prod_id());
    report.number("isv_svn", enclave.isv_svn());
    report.hex("attributes", enclave.attributes());
    report.hex("report_data", enclave.report_data());
}

void report_td(Report& report, const TdReport& td) {
    report.hex("tee_tcb_svn", td.tee_tcb_svn());
    report.hex("mr_seam", td.mr_seam());
    report.hex("mr_signer_seam", td.mr_signer_seam());
    report.hex("td_attributes", td.td_attributes());
    report.hex("xfam", td.xfam());
    report.hex("mr_td", td.mr_td());
    report.hex("mr_config_id", td.mr_config_id());
    report.hex("mr_owner", td.mr_owner());
    report.hex("mr_owner_config", td.mr_owner_config());
    for (std::size_t i = 0; i < 4; ++i) report.hex("rtmr" + std::to_string(i), td.rtmr(i));
    if (td.is_version_15()) report.hex("mr_service_td", td.mr_service_td());
    report.hex("report_data", td.report_data());
}

/// Every stage of a quote's verification with "passed", "refused" or "not reached".
std::string stage_results(const Verdict<QuoteReport>& verdict, std::string& readable) {
    std::string out = "[";
    for (std::size_t i = static_cast<std::size_t>(Stage::root_crl);
         i <= static_cast<std::size_t>(Stage::dstack_policy); ++i) {
        const auto stage = static_cast<Stage>(i);
        const std::string_view result = verdict || stage < verdict.error().stage ? "passed"
                                        : stage == verdict.error().stage         ? "refused"
                                                                                 : "not reached";
        if (out.size() > 1) out += ',';
        out += "{\"stage\":" + quoted(to_string(stage)) + ",\"result\":" + quoted(result) + "}";
        readable += "\n    " + std::string(to_string(stage)) + ": " + std::string(result);
    }
    return out + "]";
}

}  // namespace

void Report::put(std::string_view name, std::string_view json_value, std::string_view text_value) {
    json_ += json_.empty() ? "{" : ",";
    append_json_string(json_, name);
    json_.append(":").append(json_value);
    text_.append("  ").append(name).append(": ").append(text_value).append("\n");
}

void Report::section(std::string_view name) {
    text_.append(name).append("\n");
}
void Report::text(std::string_view name, std::string_view value) {
    put(name, quoted(value), value);
}
void Report::number(std::string_view name, std::int64_t value) {
    put(name, std::to_string(value), std::to_string(value));
}
void Report::hex(std::string_view name, ByteView value) {
    text(name, runtime::to_hex(value));
}
void Report::texts(std::string_view name, std::span<const std::string> values) {
    std::string readable;
    for (const std::string& value : values) readable += (readable.empty() ? "" : ", ") + value;
    put(name, list_of(values), readable.empty() ? "none" : readable);
}
void Report::json(std::string_view name, std::string_view value) {
    put(name, value, value);
}

std::string Report::take(bool as_json) && {
    return as_json ? (json_.empty() ? "{" : json_) + "}\n" : std::move(text_);
}

void report_verdict(Report& report, const Verdict<QuoteReport>& verdict, bool had_collateral) {
    report.section("Verdict");
    if (!verdict) {
        report.text("verdict", "refused");
        report.text("stage", to_string(verdict.error().stage));
        report.text("reason", verdict.error().reason);
    } else {
        report.text("verdict", "accepted");
        report.json("stage", "null");
        report.json("reason", "null");
    }
    if (verdict && had_collateral) {
        report.text("tcb_status", to_string(verdict->tcb.status));
        report.texts("advisory_ids", verdict->tcb.advisory_ids);
        report.text("platform_status", to_string(verdict->platform.status));
        report.texts("platform_advisory_ids", verdict->platform.advisory_ids);
        report.text("qe_status", to_string(verdict->qe.status));
        report.texts("qe_advisory_ids", verdict->qe.advisory_ids);
        report.hex("ppid", verdict->ppid);
        report.hex("fmspc", verdict->fmspc);
    } else {
        report.json("tcb_status", "null");
        report.texts("advisory_ids", {});
    }
    if (!had_collateral) return;
    std::string readable;
    const std::string checks = stage_results(verdict, readable);
    report.checks(checks, readable);
}

void report_quote(Report& report, const Quote& quote) {
    report.section("Quote");
    report.number("version", quote.header.version);
    report.number("tee_type", quote.header.tee_type);
    report.number("attestation_key_type", quote.header.attestation_key_type);
    report.number("certification_type", quote.certification.type);
    report.hex("qe_vendor_id", quote.header.qe_vendor_id);
    if (const TdReport* td = quote.td_report())
        report_td(report, *td);
    else
        report_enclave(report, *quote.enclave_report());
    report.number("qe_isv_svn", quote.qe_report.isv_svn());
}

}  // namespace kms::cli
