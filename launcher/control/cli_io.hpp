/// What the subcommands share: where they write, how they read options, how they write spans, sizes
/// and tables.
#pragma once

#include "launcher/runtime/result.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <ostream>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace launcher {

/// Results go to `out`, diagnostics and progress to `err`. Borrowed.
struct CliIo {
    std::ostream& out;
    std::ostream& err;
    bool err_is_terminal = false;  ///< then progress may rewrite its line
};

inline constexpr int kCliOk = 0;
inline constexpr int kCliFailed = 1;
inline constexpr int kCliUsage = 64;

/// Which options a subcommand knows.
struct CliOptionNames {
    std::set<std::string_view> flags;   ///< without a value
    std::set<std::string_view> valued;  ///< "--for 10m" or "--for=10m"
};

class CliOptions {
  public:
    /// Errors (invalid_argument): unknown options, missing values, values for flags.
    static runtime::Result<CliOptions> parse(std::span<const std::string_view> args,
                                             const CliOptionNames& names);

    bool has(std::string_view flag) const { return flags_.contains(flag); }
    std::optional<std::string> value(std::string_view name) const;
    /// A span such as 250ms or 10m; `fallback` when the option is absent. Errors name the option.
    runtime::Result<std::chrono::milliseconds> duration(std::string_view name,
                                                        std::chrono::milliseconds fallback) const;
    /// A number from `min` to `max`.
    runtime::Result<std::optional<std::uint64_t>> number(std::string_view name, std::uint64_t min,
                                                         std::uint64_t max) const;
    const std::vector<std::string>& positional() const { return positional_; }

  private:
    std::set<std::string, std::less<>> flags_;
    std::map<std::string, std::string, std::less<>> values_;
    std::vector<std::string> positional_;
};

/// "0.42 ms", "12.3 ms", "1.25 s", "2 min 5 s", "1 h 2 min".
std::string short_span(std::chrono::nanoseconds span);
/// "40.0 MiB".
std::string size_text(std::uint64_t bytes);
/// Rows under each other, two blanks between the columns, each line indented by `indent`.
std::string cli_table(const std::vector<std::vector<std::string>>& rows, std::size_t indent = 0);

}  // namespace launcher
