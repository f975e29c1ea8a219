/// The evidence as a JSON document of bounded size. Pure. Source: spec "launcher" sections 6.1, 6.2
/// and 6.4.
#pragma once

#include "launcher/evidence/facts.hpp"
#include "launcher/evidence/rules.hpp"

#include <chrono>
#include <functional>
#include <string>

namespace launcher::evidence {

inline constexpr std::size_t kMaxDocument = 256 * 1024;

struct Heading {
    std::string id;            ///< "evidence-kms-20261122T204920Z-3"
    std::string reason;        ///< suspect, frozen, scheduled, freeze-end, manual, stop
    std::string freeze_class;  ///< "http_headers_timeout"; empty when the service is not frozen
    std::chrono::system_clock::time_point taken{};
    std::chrono::microseconds took{0}, cpu{0};  ///< of the launcher
};

/// "20261122T204920Z".
std::string compact_utc(std::chrono::system_clock::time_point time);

/// One JSON object, at most kMaxDocument bytes: when it would be longer the most common kinds of
/// threads are left out first, then descriptors, then log lines, and the document says how many.
/// Every text goes through `redact`.
std::string evidence_json(const Heading& heading, const Facts& facts, const Finding& finding,
                          const std::function<std::string(std::string)>& redact);

}  // namespace launcher::evidence
