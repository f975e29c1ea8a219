/// Evidence for tests: a recorded TDX attestation of a mock machine, with the report data that a
/// test wants. Nothing signed it, so only test_support::AcceptingQuoteVerifier takes it.
#pragma once

#include "kms/evidence/evidence.hpp"
#include "tests/support/kms_vectors.hpp"

#include <algorithm>
#include <string>

namespace test_support {

/// The TDX attestation `original` with other report data.
inline kms::Attestation evidence_about(runtime::ByteView original, runtime::ByteView report_data) {
    kms::Attestation evidence = must(kms::decode_attestation(original));
    evidence.report_data.assign(report_data.begin(), report_data.end());
    constexpr std::ptrdiff_t kReportData = 568;  // of a version 4 quote
    auto& quote = std::get<kms::TdxEvidence>(evidence.platform).quote;
    std::ranges::copy(report_data, quote.begin() + kReportData);
    return evidence;
}

inline kms::Attestation mock_evidence(runtime::ByteView report_data) {
    static const runtime::Bytes kRecorded =
        hex_at(kms_vectors("encodings_N.json").at("attestations").at("mock-tdx"), "input");
    return evidence_about(kRecorded, report_data);
}

/// The same as the guest agent answers it: {"attestation":"<hex>"}.
inline std::string attest_answer(runtime::ByteView original, runtime::ByteView report_data) {
    return R"({"attestation":")" +
           runtime::to_hex(kms::encode_v0(evidence_about(original, report_data))) + "\"}";
}
inline std::string mock_attest_answer(runtime::ByteView report_data) {
    return R"({"attestation":")" + runtime::to_hex(kms::encode_v0(mock_evidence(report_data))) +
           "\"}";
}

/// The report data in a request body of Attest.
inline runtime::Bytes asked_report_data(const std::string& body) {
    return hex_at(boost::json::parse(body), "report_data");
}

}  // namespace test_support
