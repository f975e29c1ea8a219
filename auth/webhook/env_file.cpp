#include "auth/webhook/env_file.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace auth {
namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
    return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

bool is_name(std::string_view text) {
    const auto is_part = [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               c == '_';
    };
    return !text.empty() && std::all_of(text.begin(), text.end(), is_part);
}

/// Nothing for a quote that is not closed, or that something other than a comment follows.
std::optional<std::string_view> value_in(std::string_view text) {
    if (text.empty() || std::string_view("\"'`").find(text.front()) == std::string_view::npos) {
        // The # of a URL's fragment has no blank before it.
        for (std::size_t i = 0; i < text.size(); ++i)
            if (text[i] == '#' && (i == 0 || kBlanks.find(text[i - 1]) != std::string_view::npos))
                return trimmed(text.substr(0, i));
        return text;
    }
    const auto end = text.find(text.front(), 1);
    if (end == std::string_view::npos) return std::nullopt;
    const auto rest = trimmed(text.substr(end + 1));
    if (!rest.empty() && !rest.starts_with('#')) return std::nullopt;
    return text.substr(1, end - 1);
}

std::optional<std::pair<std::string_view, std::string_view>> variable_in(std::string_view line) {
    constexpr std::string_view kExport = "export ";
    if (line.starts_with(kExport)) line.remove_prefix(kExport.size());
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const auto name = trimmed(line.substr(0, equals));
    const auto value = value_in(trimmed(line.substr(equals + 1)));
    if (!is_name(name) || !value) return std::nullopt;
    return std::pair(name, *value);
}

}  // namespace

void add_env_file(std::string_view text, const std::string& file, Environment& environment,
                  runtime::ConfigProblems& problems) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    Environment found;
    for (std::uint32_t number = 1; !text.empty(); ++number) {
        const auto end = std::min(text.find('\n'), text.size());
        const auto line = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.empty() || line.starts_with('#')) continue;
        if (const auto variable = variable_in(line)) {
            found.insert_or_assign(std::string(variable->first), std::string(variable->second));
            continue;
        }
        runtime::ConfigProblem problem;
        problem.file = file;
        problem.line = number;
        problem.column = 1;
        problem.text = "this line is not of the form NAME=VALUE, and is passed over";
        problem.warning = true;
        problems.add(std::move(problem));
    }
    environment.merge(found);
}

}  // namespace auth
