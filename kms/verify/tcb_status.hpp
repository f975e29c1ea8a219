/// TCB states and how two of them become one. Source: spec "attestation" sections 2.6 and 3.12.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kms {

/// In order of severity.
enum class TcbStatus {
    up_to_date,
    sw_hardening_needed,
    configuration_needed,
    configuration_and_sw_hardening_needed,
    out_of_date,
    out_of_date_configuration_needed,
    revoked,
};

/// Intel's spelling: "UpToDate" and so on.
std::string_view to_string(TcbStatus status);
std::optional<TcbStatus> tcb_status_of(std::string_view text);

struct TcbState {
    TcbStatus status = TcbStatus::up_to_date;
    std::vector<std::string> advisory_ids;
    friend bool operator==(const TcbState&, const TcbState&) = default;
};

/// The more severe status (of equals `first`'s), and the advisories of both, each once, `first`'s
/// in front.
TcbState merged(TcbState first, const TcbState& second);

}  // namespace kms
