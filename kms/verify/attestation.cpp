#include "kms/verify/attestation.hpp"

#include "kms/evidence/report_data.hpp"
#include "kms/verify/rules.hpp"

#include <algorithm>

namespace kms {
namespace {

tl::unexpected<Refusal> refused(Stage stage, std::string reason) {
    return tl::unexpected(Refusal{stage, std::move(reason)});
}

bool is_report_data(ByteView bytes, const ReportData& expected) {
    return std::ranges::equal(bytes, expected);
}

Verdict<void> check_rtmr3(const TdReport& td, std::span<const RuntimeEvent> events) {
    if (!applies(Rule::rtmr3)) return {};
    const Sha384 replayed = replay_runtime_events(events, ReplayUntil::end);
    if (std::ranges::equal(td.rtmr(3), replayed)) return {};
    return refused(Stage::rtmr3, "RTMR3 mismatch, quoted: " + runtime::to_hex(td.rtmr(3)) +
                                     ", replayed: " + runtime::to_hex(replayed));
}

/// Events of version 2 say what was hashed. A stripped log may say less than the whole, but nothing
/// that is wrong.
Verdict<void> check_preimages(std::span<const TdxEvent> log) {
    for (std::size_t i = 0; i < log.size(); ++i) {
        const TdxEvent& event = log[i];
        if (!event.is_runtime() || event.version != EventVersion::v2) continue;
        const std::string expected =
            event_preimage(event.event, event.event_payload, event.version);
        const std::string name =
            "Failed to validate TDX V2 event digest preimages: V2 runtime event " +
            std::to_string(i);
        if (applies(Rule::event_preimage_text) && event.preimage) {
            const auto preimage = runtime::from_hex(*event.preimage);
            if (!preimage || runtime::as_text(*preimage) != expected) {
                const bool other_digest = preimage && !event.digest.empty() &&
                                          !std::ranges::equal(event.digest, sha384({*preimage}));
                return refused(Stage::preimage,
                               name + (other_digest ? " digest does not match its preimage"
                                                    : " preimage does not match its event"));
            }
        }
        if (applies(Rule::event_preimage_digest) && !event.digest.empty() &&
            !std::ranges::equal(event.digest, sha384({runtime::as_bytes(expected)})))
            return refused(Stage::preimage, name + " digest does not match its preimage");
    }
    return {};
}

}  // namespace

Verdict<void> check_report_data_payload(const Attestation& attestation) {
    if (!applies(Rule::report_data_payload) || fits_payload(attestation)) return {};
    return refused(Stage::report_data_payload, "report_data does not match report_data_payload");
}

Verdict<void> check_key_binding(const Attestation& attestation, ByteView spki_der) {
    if (auto payload = check_report_data_payload(attestation); !payload) return payload;
    if (!applies(Rule::key_binding) ||
        is_report_data(attestation.report_data, ratls_report_data(spki_der)))
        return {};
    return refused(Stage::key_binding, "report data mismatch");
}

Verdict<ByteView> quote_of(const Attestation& attestation) {
    if (const auto* tdx = std::get_if<TdxEvidence>(&attestation.platform))
        return ByteView(tdx->quote);
    return refused(Stage::platform, "evidence of kind " +
                                        std::string(attestation_mode(attestation.platform)) +
                                        " cannot be verified by this build");
}

Verdict<void> check_quote_content(const Attestation& attestation) {
    const auto bytes = quote_of(attestation);
    if (!bytes) return tl::unexpected(bytes.error());
    const auto quote = parse_quote(*bytes);
    if (!quote) return refused(Stage::quote, "Failed to decode quote: " + quote.error().context);
    if (auto policy = check_dstack_policy(*quote); !policy) return policy;
    const TdReport* td = quote->td_report();
    if (td == nullptr) return refused(Stage::dstack_policy, "Invalid TDX report");
    if (auto replayed = check_rtmr3(*td, attestation.runtime_events); !replayed) return replayed;
    if (applies(Rule::report_data) &&
        !std::ranges::equal(td->report_data(), attestation.report_data))
        return refused(Stage::report_data, "tdx report_data mismatch");
    return check_preimages(std::get<TdxEvidence>(attestation.platform).event_log);
}

Verdict<VerifiedAttestation> verify_attestation(const Attestation& attestation,
                                                const VerifiedCollateral& collateral,
                                                UnixSeconds now, PlatformCache* cache,
                                                const VerifyOptions& options) {
    const auto quote = quote_of(attestation);
    if (!quote) return tl::unexpected(quote.error());
    auto report = verify_quote(*quote, collateral, now, cache, options);
    if (!report) return tl::unexpected(std::move(report.error()));
    if (auto content = check_quote_content(attestation); !content)
        return tl::unexpected(std::move(content.error()));
    return VerifiedAttestation{std::move(*report)};
}

}  // namespace kms
