#include "kms/onboard/key_evidence.hpp"

#include "kms/crypto/keccak.hpp"
#include "kms/evidence/report_data.hpp"
#include "kms/rpc/app_certificate.hpp"

#include <algorithm>

namespace kms {
namespace {

using runtime::Deadline;
using runtime::Task;

/// Asks, and looks at the answer: an agent that answers with stored evidence would make a
/// certificate that every guest refuses.
Task<Result<Bytes>> ask(GuestAgent& agent, ReportData report_data, Deadline deadline) {
    auto answer = co_await agent.attest(report_data, deadline);
    if (!answer) co_return std::move(answer.error()).within("Failed to get quote");
    const auto evidence = decode_attestation(*answer);
    if (!evidence) co_return Error(evidence.error()).within("Invalid attestation");
    if (!std::ranges::equal(evidence->report_data, report_data))
        co_return Error{ErrorCode::invalid_argument,
                        "Invalid attestation: the guest agent at " + agent.address() +
                            " answered another question; its report data is not the one that was "
                            "asked for"};
    co_return std::move(*answer);
}

}  // namespace

Task<Result<crypto::AttestationExtension>> certificate_evidence(GuestAgent& agent,
                                                                crypto::P256Point key,
                                                                Deadline deadline) {
    const auto spki = crypto::spki_der(key);
    CO_TRY(const Bytes bytes, co_await ask(agent, ratls_report_data(spki), deadline));
    CO_TRY(const Attestation evidence, decode_attestation(bytes).within("Invalid attestation"));
    co_return attestation_extension(evidence);
}

std::string bootstrap_statement(const crypto::P256Point& ca_key,
                                const crypto::K256PublicKey& k256_key) {
    // The spelling is part of the protocol.
    return "dstack-kms-genereted-keys-v1:" + runtime::to_hex(crypto::spki_der(ca_key)) + ";" +
           runtime::to_hex(k256_key) + ";";
}

Task<Result<Bytes>> bootstrap_evidence(GuestAgent& agent, crypto::P256Point ca_key,
                                       crypto::K256PublicKey k256_key, Deadline deadline) {
    const std::string statement = bootstrap_statement(ca_key, k256_key);
    const crypto::Hash hash = crypto::keccak256({runtime::as_bytes(statement)});
    ReportData report_data{};
    std::ranges::copy(hash, report_data.begin());
    co_return co_await ask(agent, report_data, deadline);
}

}  // namespace kms
