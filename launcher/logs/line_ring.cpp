#include "launcher/logs/line_ring.hpp"

#include "launcher/logs/characters.hpp"

#include <algorithm>

namespace launcher::logs {

void LineRing::add(std::string_view line) {
    const std::lock_guard lock(mutex_);
    lines_[added_++ % kLines].assign(line.substr(0, utf8_cut(line, kMaxBytes)));
}

std::vector<std::string> LineRing::last(std::size_t count) const {
    const std::lock_guard lock(mutex_);
    count = std::min({count, kLines, added_});
    std::vector<std::string> lines;
    for (std::size_t i = added_ - count; i < added_; ++i) {
        TextBuffer text;
        append_text_escaped(text, lines_[i % kLines], "    ");
        lines.emplace_back(text.view());
    }
    return lines;
}

}  // namespace launcher::logs
