/// The question of a key management service, as the webhook reads it: "may this machine have keys?"
///
/// Bytes in, value out; no clock, no socket, no log. Source: spec "auth-api" sections 1.2 and 1.4.
#pragma once

#include "launcher/runtime/result.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace auth {

enum class BootKind {
    app,  ///< may this application instance have keys
    kms,  ///< may this KMS instance have the root keys, or go on serving
};
std::string_view constexpr to_string(BootKind kind) {
    return kind == BootKind::app ? "app" : "kms";
}

/// What identifies the machine that asks. Texts are as sent: hexadecimal members may carry 0x, be
/// of either letter case and be shorter than their full length.
struct BootRequest {
    std::string mr_aggregated;
    std::string os_image_hash;
    std::string app_id;
    std::string compose_hash;
    std::string instance_id;
    std::string device_id;
    std::string mr_system;
    std::string tcb_status;
    std::vector<std::string> advisory_ids;
};

/// How much of a request is checked beyond the types of its members.
struct RequestRules {
    /// Digits and lengths of the hexadecimal members. Off only for the mock backend, which takes
    /// any text.
    bool check_hex = true;
    /// The ids and hashes that a decision rests on must be empty or of full length (20 or 32
    /// bytes): with padding on the left, a 31-byte value would stand for a 32-byte one.
    bool full_lengths = false;
};

inline constexpr std::size_t kMaxRequestBytes = 1024 * 1024;
inline constexpr std::size_t kMaxJsonDepth = 32;
inline constexpr std::size_t kMaxTcbStatus = 128;   ///< code points
inline constexpr std::size_t kMaxAdvisories = 128;  ///< items
inline constexpr std::size_t kMaxAdvisoryId = 256;  ///< code points

/// Reads one request body. Unknown members are ignored, of duplicate members the last counts, null
/// stands for absence of the three optional members, a byte-order mark is skipped. Errors
/// (invalid_argument): one sentence that names the member and never repeats what was sent.
runtime::Result<BootRequest> parse_boot_request(std::string_view body, const RequestRules& rules);

}  // namespace auth
