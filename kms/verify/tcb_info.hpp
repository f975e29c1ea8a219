/// Intel's signed statements about platforms and about its quoting enclaves, read from their JSON.
/// Source: spec "attestation" section 2.6.
#pragma once

#include "kms/evidence/report_body.hpp"
#include "kms/verify/tcb_status.hpp"
#include "kms/verify/x509.hpp"

#include <array>
#include <optional>
#include <string_view>
#include <vector>

namespace kms {

/// A status with its advisories, which are read only when a level is chosen: a TCB info lists
/// hundreds of them.
struct TcbVerdictText {
    TcbStatus status = TcbStatus::up_to_date;
    std::string_view
        advisory_ids_json;  ///< an array of strings, found well-formed; empty when absent

    TcbState state() const;
};

/// SVNs of a list of components. Any number can be listed; only 16 mean something.
struct ComponentSvns {
    std::size_t count = 0;
    std::array<std::uint8_t, 16> svn{};  ///< the first 16
};

struct TcbLevel {
    ComponentSvns sgx;
    ComponentSvns tdx;  ///< count 0 when absent
    std::uint16_t pce_svn = 0;
    TcbVerdictText verdict;
};

/// Of the TDX module or of a quoting enclave: a minimum SVN.
struct SvnLevel {
    std::uint16_t isv_svn = 0;
    TcbVerdictText verdict;
};

/// Hex texts, not decoded: a wrong length is an error only when the module is looked at.
struct TdxModule {
    std::string_view id;  ///< "TDX_03"; empty for the one without levels
    std::string_view mr_signer;
    std::string_view attributes;
    std::string_view attributes_mask;
    std::vector<SvnLevel> levels;
};

/// From when to when a statement holds, both ends included.
struct StatementDates {
    std::string_view issued_text;
    std::string_view next_update_text;
};

/// Borrows its text.
struct TcbInfo {
    std::string_view id;
    std::uint8_t version = 0;
    StatementDates dates;
    std::string_view fmspc;  ///< hex
    std::vector<TcbLevel> levels;
    std::optional<TdxModule> module;
    std::vector<TdxModule> module_identities;

    bool is_tdx() const { return version >= 3 && id == "TDX"; }
    bool is_sgx() const { return version >= 2 && id == "SGX"; }
    /// Greatest first: by SGX components, then PCESVN, then (TDX) TDX components; equal ones stay
    /// in order.
    void sort_levels();
};

/// Errors (invalid_argument): a member missing, doubled or of another type, or a status that is not
/// known.
Result<TcbInfo> parse_tcb_info(std::string_view json);

struct QeIdentity {
    std::string_view id;
    std::uint8_t version = 0;
    StatementDates dates;
    std::array<std::uint8_t, 4> misc_select{};  ///< little-endian
    std::array<std::uint8_t, 4> misc_select_mask{};
    std::array<std::uint8_t, 16> attributes{};
    std::array<std::uint8_t, 16> attributes_mask{};
    std::array<std::uint8_t, 32> mr_signer{};
    std::uint16_t isv_prod_id = 0;
    std::vector<SvnLevel> levels;  ///< in the document's order
};

/// The same rules; hex members must have their length.
Result<QeIdentity> parse_qe_identity(std::string_view json);

}  // namespace kms
