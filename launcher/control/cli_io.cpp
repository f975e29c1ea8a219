#include "launcher/control/cli_io.hpp"

#include "launcher/runtime/config.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace launcher {
namespace {

using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

Error usage(std::string text) {
    return {ErrorCode::invalid_argument, std::move(text)};
}

std::string decimal(double value, int digits) {
    char text[32];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}

/// Characters, not bytes, so that columns stay in line behind an ellipsis or a dash.
std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    }));
}

}  // namespace

Result<CliOptions> CliOptions::parse(std::span<const std::string_view> args,
                                     const CliOptionNames& names) {
    CliOptions options;
    for (std::size_t i = 0; i < args.size(); ++i) {
        const std::string_view arg = args[i];
        if (!arg.starts_with('-') || arg == "-") {
            options.positional_.emplace_back(arg);
            continue;
        }
        const auto equals = arg.find('=');
        const std::string_view name = arg.substr(0, equals);
        if (names.flags.contains(name)) {
            if (equals != std::string_view::npos)
                return usage(std::string(name) + " takes no value");
            options.flags_.emplace(name);
        } else if (names.valued.contains(name)) {
            if (equals != std::string_view::npos)
                options.values_[std::string(name)] = arg.substr(equals + 1);
            else if (++i < args.size())
                options.values_[std::string(name)] = args[i];
            else
                return usage(std::string(name) + " needs a value");
        } else {
            std::vector<std::string> known(names.flags.begin(), names.flags.end());
            known.insert(known.end(), names.valued.begin(), names.valued.end());
            const auto hint = runtime::did_you_mean(name, known);
            return usage("unknown option '" + std::string(name) + "'" +
                         (hint.empty() ? "" : "; " + hint));
        }
    }
    return options;
}

std::optional<std::string> CliOptions::value(std::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? std::nullopt : std::optional(found->second);
}

Result<std::chrono::milliseconds> CliOptions::duration(std::string_view name,
                                                       std::chrono::milliseconds fallback) const {
    const auto text = value(name);
    if (!text) return fallback;
    return runtime::parse_duration(*text).within(name);
}

Result<std::optional<std::uint64_t>> CliOptions::number(std::string_view name, std::uint64_t min,
                                                        std::uint64_t max) const {
    const auto text = value(name);
    if (!text) return std::optional<std::uint64_t>{};
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc{} || end != text->data() + text->size() || number < min || number > max)
        return usage(std::string(name) + " must be a number from " + std::to_string(min) + " to " +
                     std::to_string(max));
    return std::optional(number);
}

std::string short_span(std::chrono::nanoseconds span) {
    const double ms = std::chrono::duration<double, std::milli>(span).count();
    if (ms < 10) return decimal(ms, 2) + " ms";
    if (ms < 1000) return decimal(ms, 1) + " ms";
    if (ms < 60'000) return decimal(ms / 1000, ms < 10'000 ? 2 : 1) + " s";
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(span).count();
    if (seconds < 3600)
        return std::to_string(seconds / 60) + " min" +
               (seconds % 60 == 0 ? "" : " " + std::to_string(seconds % 60) + " s");
    if (seconds < 86'400)
        return std::to_string(seconds / 3600) + " h " + std::to_string(seconds / 60 % 60) + " min";
    return std::to_string(seconds / 86'400) + " d " + std::to_string(seconds / 3600 % 24) + " h";
}

std::string size_text(std::uint64_t bytes) {
    constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < std::size(kUnits)) {
        value /= 1024;
        ++unit;
    }
    return decimal(value, unit == 0 ? 0 : 1) + " " + kUnits[unit];
}

std::string cli_table(const std::vector<std::vector<std::string>>& rows, std::size_t indent) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows)
        for (std::size_t column = 0; column < row.size(); ++column) {
            if (column == widths.size()) widths.push_back(0);
            widths[column] = std::max(widths[column], width_of(row[column]));
        }
    std::string text;
    for (const auto& row : rows) {
        std::string line(indent, ' ');
        for (std::size_t column = 0; column < row.size(); ++column) {
            line += row[column];
            if (column + 1 < row.size())
                line.append(widths[column] - width_of(row[column]) + 2, ' ');
        }
        while (line.ends_with(' ')) line.pop_back();
        text += line + "\n";
    }
    return text;
}

}  // namespace launcher
