#include "launcher/evidence/text.hpp"

#include <algorithm>

namespace launcher::evidence {
namespace {
constexpr std::string_view kBlanks = " \t\n\r";
}

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    while (true) {
        const auto begin = text.find_first_not_of(kBlanks);
        if (begin == std::string_view::npos) return words;
        text.remove_prefix(begin);
        const auto word = text.substr(0, text.find_first_of(kBlanks));
        words.push_back(word);
        text.remove_prefix(word.size());
    }
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const auto line = text.substr(0, text.find('\n'));
        lines.push_back(line);
        text.remove_prefix(std::min(line.size() + 1, text.size()));
    }
    return lines;
}

std::string_view trimmed(std::string_view text) {
    const auto begin = text.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::string_view field_of(std::string_view text, std::string_view name) {
    for (const auto line : lines_of(text))
        if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ':')
            return trimmed(line.substr(name.size() + 1));
    return {};
}

}  // namespace launcher::evidence
