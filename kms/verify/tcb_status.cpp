#include "kms/verify/tcb_status.hpp"

#include <algorithm>

namespace kms {
namespace {

constexpr std::string_view kNames[] = {"UpToDate",
                                       "SWHardeningNeeded",
                                       "ConfigurationNeeded",
                                       "ConfigurationAndSWHardeningNeeded",
                                       "OutOfDate",
                                       "OutOfDateConfigurationNeeded",
                                       "Revoked"};

}  // namespace

std::string_view to_string(TcbStatus status) {
    return kNames[static_cast<std::size_t>(status)];
}

std::optional<TcbStatus> tcb_status_of(std::string_view text) {
    const auto found = std::ranges::find(kNames, text);
    if (found == std::end(kNames)) return std::nullopt;
    return static_cast<TcbStatus>(found - std::begin(kNames));
}

TcbState merged(TcbState first, const TcbState& second) {
    if (second.status > first.status) first.status = second.status;
    for (const std::string& advisory : second.advisory_ids)
        if (std::ranges::find(first.advisory_ids, advisory) == first.advisory_ids.end())
            first.advisory_ids.push_back(advisory);
    return first;
}

}  // namespace kms
