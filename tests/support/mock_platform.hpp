/// A platform that does not exist: certificates, lists, statements and a quote, all consistent,
/// made anew from a specification whose fields a test bends one at a time. Source: spec
/// "attestation" section 7.5.
#pragma once

#include "kms/crypto/p256.hpp"
#include "kms/evidence/evidence.hpp"
#include "kms/verify/verify.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace test_support {

using kms::Bytes;
using kms::ByteView;
using kms::UnixSeconds;
using kms::crypto::P256Key;

inline constexpr UnixSeconds kMockNow = 1767225600;  // 2026-01-01
inline constexpr UnixSeconds kDay = 86400;

struct CertificateSpec {
    std::string subject;
    std::string issuer;
    std::uint8_t serial = 1;
    UnixSeconds not_before = kMockNow - 1000 * kDay;
    UnixSeconds not_after = kMockNow + 1000 * kDay;
    bool is_ca = false;
    std::optional<std::uint8_t> path_length;
    std::optional<std::uint8_t>
        key_usage;  ///< the first byte of the bits; 0x06: certificates and lists
    std::optional<Bytes> extended_key_usage;  ///< OID content
    Bytes sgx_extension;                      ///< left out when empty
    Bytes extra_extension;                    ///< one whole Extension, DER
};

struct ListSpec {
    std::string issuer;
    UnixSeconds this_update = kMockNow - kDay;
    UnixSeconds next_update = kMockNow + 20 * kDay;
    std::vector<std::uint8_t> revoked;
    Bytes extra_extension;
};

struct SvnLevelSpec {
    unsigned isv_svn = 1;
    std::string status = "UpToDate";
    std::vector<std::string> advisories;
};

/// Defaults make a TDX quote of version 4 that is accepted as UpToDate.
struct MockSpec {
    P256Key root_key, pck_ca_key, pck_key, signer_key, attestation_key, stranger_key, upper_key;
    CertificateSpec root, pck_ca, pck, signer;
    std::optional<CertificateSpec>
        upper;  ///< a CA between the root and the PCK CA, which must name it as its issuer
    ListSpec root_list, pck_list;
    // Who really signs; not set: who should.
    const P256Key* root_list_signer = nullptr;
    const P256Key* pck_list_signer = nullptr;
    const P256Key* pck_signer = nullptr;
    const P256Key* tcb_info_signer = nullptr;
    const P256Key* qe_identity_signer = nullptr;
    const P256Key* qe_report_signer = nullptr;
    const P256Key* quote_signer = nullptr;

    std::vector<std::uint8_t> sgx_components, tdx_components;  ///< of the only level
    unsigned level_pce_svn = 5;
    std::string level_status = "UpToDate";
    std::string tcb_info_id = "TDX";
    unsigned tcb_info_version = 3;
    std::string tcb_info_fmspc = "00906ed50000";
    std::string tcb_info_issued = "2025-12-20T00:00:00Z", tcb_info_next = "2026-01-20T00:00:00Z";
    std::optional<std::string> module;  ///< the JSON of tdxModule; not set: none
    std::string module_identities;      ///< JSON; empty: none
    std::string qe_id = "TD_QE";
    unsigned qe_version = 2;
    std::string qe_issued = "2025-12-20T00:00:00Z", qe_next = "2026-01-20T00:00:00Z";
    std::vector<SvnLevelSpec> qe_levels{SvnLevelSpec{}};
    unsigned qe_prod_id = 2;

    unsigned version = 4;
    unsigned key_type = 2;
    std::uint32_t tee_type = 0x81;
    unsigned body_type = 0;  ///< of version 5
    Bytes vendor;
    Bytes body;       ///< TD report or enclave report
    Bytes qe_report;  ///< its report data is filled in unless bind_attestation_key is off
    bool bind_attestation_key = true;
    Bytes qe_authentication;
    unsigned certification_type = 5;

    MockSpec();
};

struct MockEvidence {
    Bytes quote;
    kms::Collateral collateral;
    Bytes root;

    kms::TrustAnchor anchor() const;
};

MockEvidence make_mock(const MockSpec& spec);

/// Offsets into MockSpec::body of a TD report.
inline constexpr std::size_t kTdTcbSvn = 0, kTdMrSignerSeam = 64, kTdSeamAttributes = 112,
                             kTdAttributes = 120, kTdRtmr3 = 472, kTdReportData = 520,
                             kTdMrServiceTd = 600;
/// And into an enclave's report.
inline constexpr std::size_t kEnclaveMiscSelect = 16, kEnclaveAttributes = 48,
                             kEnclaveMrSigner = 128, kEnclaveProdId = 256, kEnclaveIsvSvn = 258,
                             kEnclaveReportData = 320;

/// A SGX quote of version 3 from the same parts.
void make_sgx(MockSpec& spec);

}  // namespace test_support
