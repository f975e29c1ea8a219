/// A request to the simulator and its answer, as values and as bytes. Pure.
#pragma once

#include "launcher/runtime/bytes.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kms::simulator {

struct Request {
    std::string method;
    std::string path;   ///< up to '?'
    std::string query;  ///< behind it
    std::string content_type;
    std::size_t body_size = 0;
    std::string body;
};

/// Reads a head up to and with its empty line. Errors (invalid_argument): not HTTP/1, or a body of
/// more than 1 MiB or in pieces.
runtime::Result<Request> parse_head(std::string_view head);

struct Reply {
    unsigned status = 200;
    std::string content_type;
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
};
/// Head and body; the connection ends behind it.
std::string to_http(const Reply& reply);

/// Every byte that is not a letter, a digit or one of "-._~" as %XX.
std::string percent_encode(std::string_view text);

/// What goes wrong on the wire of a listener, whatever the answer says.
enum class WireFault {
    none,
    reset,        ///< connections are cut as soon as the request is there
    silent,       ///< nothing is answered, and the connection stays
    dribble,      ///< one byte a second
    cut,          ///< half an answer, then the end
    unavailable,  ///< status 503
    html,         ///< 200 with a page of a proxy
    huge,         ///< 200 with 100 MiB
    no_headers,   ///< the answer without its own headers, such as certificate chains
};
std::string_view to_string(WireFault fault);
std::optional<WireFault> wire_fault_of(std::string_view name);

inline constexpr std::size_t kHugeAnswer = 100 * 1024 * 1024;
/// The answer as the fault makes it; `silent`, `dribble`, `reset`, `cut` and `huge` are the
/// listener's to carry out.
Reply spoiled(Reply reply, WireFault fault);

}  // namespace kms::simulator
