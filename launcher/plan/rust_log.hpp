/// RUST_LOG on its way to a service: normalised, and with a warning when the service will not do
/// what was meant. Pure. Source: spec "launcher" section 4.3, "Passing it on".
#pragma once

#include <string>
#include <string_view>

namespace launcher {

struct RustLog {
    std::string text;     ///< without blanks and empty pieces
    std::string warning;  ///< what the service will do with it; empty when that is what it says
};
RustLog normalise_rust_log(std::string_view text);

}  // namespace launcher
