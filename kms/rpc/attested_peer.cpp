#include "kms/rpc/attested_peer.hpp"

#include "kms/evidence/report_data.hpp"

#include <algorithm>

namespace kms {
namespace {

using crypto::CustomExtension;
using crypto::LeafCertificate;
using runtime::Deadline;
using runtime::Task;
using tl::make_unexpected;

using Payload = tl::expected<std::optional<Bytes>, RpcError>;

Payload payload_of(const LeafCertificate& certificate, CustomExtension extension) {
    auto payload = certificate.payload(extension);
    if (!payload) return make_unexpected(RpcError(std::move(payload.error().context)));
    return std::move(*payload);
}

tl::expected<void, RpcError> check_bound(const Attestation& evidence, ByteView spki) {
    if (!fits_payload(evidence))
        return make_unexpected(RpcError("report_data does not match report_data_payload"));
    if (std::ranges::equal(evidence.report_data, ratls_report_data(spki))) return {};
    return make_unexpected(RpcError("report data mismatch"));
}

SharedAttestation shared(Attestation attestation) {
    return std::make_shared<const Attestation>(std::move(attestation));
}

}  // namespace

tl::expected<SharedAttestation, RpcError> evidence_of(const LeafCertificate& certificate) {
    // The KMS does not use the application ids in a certificate, but a broken one is an error.
    for (const auto unused : {CustomExtension::app_id, CustomExtension::app_info})
        if (auto payload = payload_of(certificate, unused); !payload)
            return make_unexpected(std::move(payload.error()).within("Failed to get extension"));

    auto versioned = payload_of(certificate, CustomExtension::attestation);
    if (!versioned) return make_unexpected(std::move(versioned.error()));
    if (versioned->has_value()) {
        auto decoded = decode_attestation(**versioned);
        if (decoded) return shared(std::move(*decoded));
        return make_unexpected(rpc_error(decoded.error())
                                   .within("Failed to decode VersionedAttestation")
                                   .within("Failed to decode attestation from cert extension"));
    }

    auto quote = payload_of(certificate, CustomExtension::tdx_quote);
    if (!quote) return make_unexpected(std::move(quote.error()));
    if (!quote->has_value()) return SharedAttestation();
    auto log = payload_of(certificate, CustomExtension::tdx_event_log);
    if (!log) return make_unexpected(std::move(log.error()));
    if (!log->has_value()) return make_unexpected(RpcError("TDX event log missing"));
    auto attestation = attestation_of_quote_and_log(**quote, runtime::as_text(**log));
    if (attestation) return shared(std::move(*attestation));
    return make_unexpected(
        rpc_error(attestation.error()).within("Failed to create attestation from TDX quote"));
}

Task<tl::expected<AttestedCaller, RpcError>> verify_evidence(SharedAttestation evidence, Bytes spki,
                                                             QuoteVerifier& verifier,
                                                             std::string asker, Deadline deadline) {
    // Costs one hash, so it goes before everything that costs a look-up.
    if (auto bound = check_bound(*evidence, spki); !bound)
        co_return make_unexpected(std::move(bound.error()));
    auto machine = co_await verifier.verify(evidence, std::move(asker), deadline);
    if (!machine) co_return make_unexpected(rpc_error(machine.error()));
    co_return AttestedCaller{std::move(evidence), std::move(*machine)};
}

Task<tl::expected<std::optional<AttestedCaller>, RpcError>> attested_peer(
    std::string certificate_der, QuoteVerifier& verifier, std::string asker, Deadline deadline) {
    if (certificate_der.empty()) co_return std::nullopt;
    const auto certificate = LeafCertificate::parse(runtime::as_bytes(certificate_der));
    if (!certificate) co_return std::nullopt;
    auto evidence = evidence_of(*certificate);
    if (!evidence) co_return make_unexpected(std::move(evidence.error()));
    if (*evidence == nullptr) co_return std::nullopt;
    Bytes spki(certificate->spki().begin(), certificate->spki().end());
    auto caller = co_await verify_evidence(std::move(*evidence), std::move(spki), verifier,
                                           std::move(asker), deadline);
    if (!caller) co_return make_unexpected(std::move(caller.error()).within("invalid quote"));
    co_return std::optional<AttestedCaller>(std::move(*caller));
}

tl::expected<void, RpcError> check_presented(std::string_view certificate_der) {
    if (certificate_der.empty()) return {};
    const auto certificate = LeafCertificate::parse(runtime::as_bytes(certificate_der));
    if (!certificate) return {};
    auto evidence = evidence_of(*certificate);
    if (!evidence) return make_unexpected(std::move(evidence.error()));
    if (*evidence == nullptr) return {};
    auto bound = check_bound(**evidence, certificate->spki());
    if (!bound) return make_unexpected(std::move(bound.error()).within("invalid quote"));
    return {};
}

}  // namespace kms
