/// A PKI like Intel's, made from a seed: root, PCK CA, PCK certificate, signers, revocation lists.
/// Pure. Source: spec "attestation" section 7.5.
#pragma once

#include "kms/evidence/sgx_extension.hpp"
#include "kms/simulator/fault.hpp"
#include "kms/simulator/seed_key.hpp"
#include "kms/verify/unix_time.hpp"

#include <string>

namespace kms::simulator {

/// The platform that the PKI vouches for. The numbers are those of the PCK certificate and of the
/// quote; TCB info and QE identity ask for the same ones.
struct Platform {
    Ppid ppid{};
    Fmspc fmspc{};
    std::uint8_t component_svn = 0;  ///< of all 16 components
    std::uint16_t pce_svn = 0;
    std::uint8_t module_svn = 0;      ///< minor SVN of the TDX module
    std::uint8_t module_version = 0;  ///< major; 0: the TCB info lists no module identities
    std::uint16_t qe_isv_svn = 1;
};

/// Certificates as DER and the keys that are needed to sign with.
struct MockPki {
    crypto::P256Key root_key, pck_ca_key, pck_key, tcb_key, qe_key;
    Bytes root, pck_ca, pck, tcb_signer, qe_signer;

    /// PEM, the end entity first.
    std::string pck_chain() const;
    std::string pck_crl_issuer_chain() const;
    std::string tcb_signer_chain() const;
    std::string qe_signer_chain() const;
};

/// Faults: pck_expired, pck_ca_expired, pck_extension_missing.
MockPki make_pki(const Seed& seed, const Platform& platform, const Faults& faults);
/// The seed of a PKI of the same names that nobody trusts.
Seed foreign_seed(const Seed& seed);

/// The root's list and the PCK CA's, valid until 2100. Faults: those whose names tell of revocation
/// or of a list.
Bytes root_crl(const Seed& seed, const MockPki& pki, const Faults& faults);
Bytes pck_crl(const MockPki& pki, const Faults& faults);

}  // namespace kms::simulator
