#include "launcher/logs/line_splitter.hpp"

#include "launcher/logs/characters.hpp"

#include <cstring>

namespace launcher::logs {

void LineSplitter::feed(std::string_view bytes, runtime::TimePoint now, Output& output) {
    while (!bytes.empty()) {
        const void* const found = std::memchr(bytes.data(), '\n', bytes.size());
        if (found == nullptr) {
            pending_.append(bytes);
            fed_ = now;
            const std::string_view rest = give_parts(pending_, output);
            pending_.erase(0, pending_.size() - rest.size());
            return;
        }
        const auto size = static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data());
        if (pending_.empty()) {
            give(bytes.substr(0, size), output);
        } else {
            pending_.append(bytes.substr(0, size));
            give(pending_, output);
            pending_.clear();
        }
        bytes.remove_prefix(size + 1);
    }
}

std::optional<runtime::TimePoint> LineSplitter::expires_at() const {
    if (pending_.empty() || pending_ == "\r") return std::nullopt;
    return fed_ + kSilence;
}

void LineSplitter::expire(runtime::TimePoint now, Output& output) {
    if (pending_.empty() || now < fed_ + kSilence) return;
    // A line that ends in CR may be one whose LF is still to come: the CR is not text, and waits
    // for it.
    const bool carriage_return = pending_.back() == '\r';
    const std::string_view text =
        std::string_view(pending_).substr(0, pending_.size() - carriage_return);
    if (text.empty()) {
        fed_ = now;
        return;
    }
    give_part(text, output);
    pending_.erase(0, text.size());
    fed_ = now;
}

void LineSplitter::finish(Output& output) {
    if (!pending_.empty()) {
        const std::string_view rest = give_parts(pending_, output);
        output.line({rest, parts_ == 0 ? 0 : parts_ + 1, true});
    }
    pending_.clear();
    pending_.shrink_to_fit();
    parts_ = 0;
}

/// Gives out a line whose LF was seen.
void LineSplitter::give(std::string_view line, Output& output) {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.size() > max_line_) line = give_parts(line, output);
    if (parts_ != 0) {
        output.line({line, parts_ + 1, false});
        parts_ = 0;
    } else if (line.empty()) {
        ++empty_lines_;
    } else {
        output.line({line, 0, false});
    }
}

void LineSplitter::give_part(std::string_view part, Output& output) {
    output.line({part, ++parts_, true, false});
}

/// Gives out whole parts from the front; returns the rest, which may be as long as a part and a CR.
std::string_view LineSplitter::give_parts(std::string_view line, Output& output) {
    while (line.size() > max_line_ + 1 || (line.size() == max_line_ + 1 && line.back() != '\r')) {
        const std::size_t cut = utf8_cut(line, max_line_);
        give_part(line.substr(0, cut), output);
        line.remove_prefix(cut);
    }
    return line;
}

}  // namespace launcher::logs
