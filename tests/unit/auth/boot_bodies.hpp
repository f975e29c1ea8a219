/// Request bodies for tests: a good one, with members replaced or left out.
#pragma once

#include "auth/policy/boot_request.hpp"

#include <map>
#include <string>
#include <string_view>

namespace test {

/// `n` times the two digits.
inline std::string repeat(std::string_view digits, std::size_t n) {
    std::string out;
    for (std::size_t i = 0; i < n; ++i) out += digits;
    return out;
}

/// Raw JSON by member name; an empty text leaves the member out.
using Members = std::map<std::string, std::string>;

inline std::string boot_body(const Members& changes = {}) {
    Members members = {{"mrAggregated", '"' + repeat("b1", 32) + '"'},
                       {"osImageHash", '"' + repeat("a1", 32) + '"'},
                       {"appId", '"' + repeat("75", 20) + '"'},
                       {"composeHash", '"' + repeat("d1", 32) + '"'},
                       {"instanceId", '"' + repeat("44", 20) + '"'},
                       {"deviceId", '"' + repeat("e1", 32) + '"'},
                       {"mrSystem", '"' + repeat("f1", 32) + '"'},
                       {"tcbStatus", "\"UpToDate\""},
                       {"advisoryIds", "[]"}};
    for (const auto& [name, value] : changes) members[name] = value;
    std::string out = "{";
    for (const auto& [name, value] : members)
        if (!value.empty())
            out.append(out.size() > 1 ? "," : "").append("\"" + name + "\":" + value);
    return out + "}";
}

inline auth::BootRequest boot_request() {
    return {.mr_aggregated = repeat("b1", 32),
            .os_image_hash = repeat("a1", 32),
            .app_id = repeat("75", 20),
            .compose_hash = repeat("d1", 32),
            .instance_id = repeat("44", 20),
            .device_id = repeat("e1", 32),
            .mr_system = repeat("f1", 32),
            .tcb_status = "UpToDate",
            .advisory_ids = {}};
}

}  // namespace test
