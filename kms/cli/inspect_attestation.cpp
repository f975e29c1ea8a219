// dstack-kms inspect-attestation: what an attestation says, and whether it holds together.
#include "kms/cli/input.hpp"
#include "kms/cli/subcommand.hpp"
#include "kms/evidence/app_info.hpp"
#include "kms/evidence/scale.hpp"
#include "kms/verify/attestation.hpp"
#include "kms/verify/x509.hpp"

#include <algorithm>

namespace kms::cli {
namespace {

constexpr std::string_view kHelp =
    R"(Usage: dstack-kms inspect-attestation FILE [--collateral FILE | --pccs URL] [--root FILE]
                                      [--at UNIX_SECONDS] [--vm-config FILE] [--json]

Shows an attestation (V0 or V1, binary or hex), the attestation inside of a certificate (PEM or DER), or a bare quote: its
kind, events, what the events replay to, and the app info; and whether all that agrees with the quote. With collateral, the
quote is verified, too.

      --vm-config FILE     use this VM configuration instead of the attestation's own
      the other options    as for verify-quote

Exit status: 0 accepted (or, without collateral, nothing disagrees), 1 refused, 2 something that was given cannot be read.
)";

// 1.3.6.1.4.1.62397.1.n
constexpr std::uint8_t kOidPrefix[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xe7, 0x3d, 0x01};

struct Found {
    Attestation attestation;
    std::optional<Bytes> spki;  // of the certificate that it came in
    std::string source;
};

std::optional<ByteView> extension(ByteView certificate, std::uint8_t n) {
    Bytes oid(std::begin(kOidPrefix), std::end(kOidPrefix));
    oid.push_back(n);
    return x509::find_wrapped_extension(certificate, oid);
}

Result<Found> from_certificate(ByteView der) {
    TRY(const auto certificate, x509::parse_certificate(der));
    Found found;
    found.spki = Bytes(certificate.key.spki.begin(), certificate.key.spki.end());
    if (const auto attestation = extension(der, 8)) {
        found.source = "certificate, attestation extension";
        TRY(found.attestation, decode_attestation(*attestation)
                                   .within("Failed to decode attestation from cert extension"));
        return found;
    }
    const auto quote = extension(der, 1);
    const auto log = extension(der, 2);
    if (!quote) return Error{ErrorCode::invalid_argument, "the certificate carries no attestation"};
    if (!log) return Error{ErrorCode::invalid_argument, "TDX event log missing"};
    found.source = "certificate, quote and event log extensions";
    TRY(found.attestation, attestation_of_quote_and_log(*quote, runtime::as_text(*log)));
    return found;
}

bool is_pem(std::string_view text) {
    // A quote holds PEM text, too, between bytes that no text has.
    return text.find("-----BEGIN CERTIFICATE") != std::string_view::npos &&
           text.find('\0') == std::string_view::npos;
}

Result<Found> find_attestation(const Bytes& content) {
    const std::string_view text = runtime::as_text(content);
    if (is_pem(text)) {
        TRY(const auto chain, x509::PemChain::parse(text));
        return from_certificate(chain[0]);
    }
    if (!content.empty() && content[0] == 0x30) return from_certificate(content);
    Found found;
    if (parse_quote(content)) {
        found.source = "quote";
        TRY(found.attestation, attestation_of_quote_and_log(content, "[]"));
        return found;
    }
    TRY(found.attestation, decode_attestation(content));
    found.source = found.attestation.form == AttestationForm::v1 ? "V1" : "V0";
    return found;
}

void report_events(Report& report, const Attestation& attestation) {
    report.section("Events");
    std::string list = "[";
    for (const RuntimeEvent& event : attestation.runtime_events) {
        // Payloads in hex here: a person compares them with measurements.
        TdxEvent shown{.imr = 3,
                       .event_type = kRuntimeEventType,
                       .digest = {},
                       .event = event.event,
                       .event_payload = event.payload,
                       .version = event.version,
                       .preimage = {}};
        const Sha384 digest = event_digest_sha384(event);
        shown.digest.assign(digest.begin(), digest.end());
        list += (list.size() > 1 ? "," : "") + to_json(shown);
    }
    report.json("runtime_events", list + "]");
    const Sha384 replayed = replay_runtime_events(attestation.runtime_events, ReplayUntil::end);
    report.hex("rtmr3_replayed", replayed);
    if (const auto* tdx = std::get_if<TdxEvidence>(&attestation.platform))
        for (std::uint32_t imr = 0; imr < 3; ++imr)
            if (std::ranges::any_of(tdx->event_log,
                                    [&](const TdxEvent& event) { return event.imr == imr; }))
                report.hex("rtmr" + std::to_string(imr) + "_replayed",
                           replay_event_log(tdx->event_log, imr));
}

Verdict<QuoteReport> verdict_of(const Input& input, const Found& found) {
    const Attestation& attestation = found.attestation;
    if (found.spki)
        if (auto binding = check_key_binding(attestation, *found.spki); !binding)
            return tl::unexpected(std::move(binding.error()));
    if (auto payload = check_report_data_payload(attestation); !payload)
        return tl::unexpected(std::move(payload.error()));
    const auto quote = quote_of(attestation);
    if (!quote) return tl::unexpected(quote.error());
    QuoteReport report;
    if (input.collateral) {
        auto verified = kms::verify_quote(*quote, *input.collateral, input.anchor, input.at);
        if (!verified) return verified;
        report = std::move(*verified);
    }
    if (found.source == "quote") {
        // A bare quote has no events to compare with.
        if (auto policy = check_dstack_policy(*parse_quote(*quote)); !policy)
            return tl::unexpected(std::move(policy.error()));
    } else if (auto content = check_quote_content(attestation); !content) {
        return tl::unexpected(std::move(content.error()));
    }
    return report;
}

}  // namespace

int inspect_attestation(std::span<char*> words) {
    constexpr std::string_view kName = "inspect-attestation";
    auto input = read_input(words);
    if (!input) return fail(kName, input.error());
    if (input->help) {
        print(kHelp);
        return 0;
    }
    const auto found = find_attestation(input->content);
    if (!found) return fail(kName, found.error());
    const Attestation& attestation = found->attestation;
    if (const auto quote = quote_of(attestation))
        if (auto fetched = fetch_collateral_of(*input, *quote); !fetched)
            return fail(kName, fetched.error());
    Report report;
    const auto verdict = verdict_of(*input, *found);
    report_verdict(report, verdict, input->collateral.has_value());
    report.section("Attestation");
    report.text("source", found->source);
    report.text("mode", attestation_mode(attestation.platform));
    report.hex("attested_report_data", attestation.report_data);
    report.text("config", attestation.config);
    if (attestation.report_data_payload)
        report.text("report_data_payload", *attestation.report_data_payload);
    if (const auto quote = quote_of(attestation))
        if (const auto parsed = parse_quote(*quote)) report_quote(report, *parsed);
    report_events(report, attestation);
    report.section("App info");
    const ByteView device = verdict ? ByteView(verdict->ppid) : ByteView();
    for (const auto& [name, at] : {std::pair("app_info", AppInfoAt::run_time),
                                   std::pair("app_info_at_boot", AppInfoAt::boot_time)}) {
        const auto info = decode_app_info(attestation, at, device, input->vm_config);
        report.json(name, info ? to_json(*info) : "null");
        if (!info) report.text(std::string(name) + "_problem", info.error().context);
    }
    print(std::move(report).take(input->as_json));
    return verdict ? 0 : 1;
}

}  // namespace kms::cli
