#include "launcher/plan/rust_log.hpp"

#include "launcher/runtime/log_filter.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace launcher {
namespace {

std::string lower(std::string_view text) {
    std::string word(text);
    std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) {
        return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    });
    return word;
}

bool is_level(std::string_view word) {
    constexpr std::array<std::string_view, 12> kLevels = {
        "off", "error", "warn", "info", "debug", "trace", "0", "1", "2", "3", "4", "5"};
    return std::find(kLevels.begin(), kLevels.end(), lower(word)) != kLevels.end();
}

bool is_known_target(std::string_view word) {
    constexpr std::array<std::string_view, 9> kTargets = {
        "dstack", "rocket", "ra_", "hyper", "reqwest", "rustls", "tokio", "h2", "tower"};
    return std::any_of(kTargets.begin(), kTargets.end(),
                       [&](auto target) { return word.starts_with(target); });
}

/// Whether the filter is one word that is taken for a module, so that everything else falls silent.
bool is_lone_target(std::string_view text) {
    return text.find_first_of(",=[") == std::string_view::npos && !is_level(text) &&
           !is_known_target(text);
}

}  // namespace

RustLog normalise_rust_log(std::string_view text) {
    RustLog result;
    std::string piece;
    const auto add = [&] {
        if (!piece.empty()) result.text += (result.text.empty() ? "" : ",") + piece;
        piece.clear();
    };
    for (const char c : text) {
        if (c == ',')
            add();
        else if (c != ' ' && c != '\t')
            piece.push_back(c);
    }
    add();

    std::vector<runtime::LogFilterProblem> problems;
    const auto filter =
        runtime::LogFilter::parse(result.text, runtime::LogFilterSyntax::tracing, problems);
    if (result.text.empty())
        result.warning = "an empty RUST_LOG silences the service; leave it unset to get level info";
    else if (is_lone_target(result.text))
        result.warning = "RUST_LOG '" + result.text +
                         "' names a module, not a level: the service will be silent otherwise";
    else if (!problems.empty())
        result.warning = "RUST_LOG '" + result.text + "' is invalid (" + problems.front().text +
                         "): the service will use plain info, without a message";
    else if (!filter.may_enable(runtime::LogLevel::error))
        result.warning =
            "RUST_LOG '" + result.text + "' lets nothing pass: the service will be silent";
    return result;
}

}  // namespace launcher
