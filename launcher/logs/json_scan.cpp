#include "launcher/logs/json_scan.hpp"

#include "launcher/logs/characters.hpp"

#include <algorithm>
#include <utility>

namespace launcher::logs {
namespace {

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// What a scan learns about a container on its way.
struct Traits {
    bool escaped = false;
    bool ascii = true;    ///< printable only
    bool bounded = true;  ///< no container has too many entries
    int depth = 0;        ///< levels below, the container itself included
};

class Scanner {
  public:
    explicit Scanner(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

    void skip_blanks() {
        while (at_ != end_ && is_blank(*at_)) odd_blanks_ |= *at_++ != ' ';
    }
    bool take(char c) {
        if (at_ == end_ || *at_ != c) return false;
        ++at_;
        return true;
    }
    bool at_end() const { return at_ == end_; }

    /// A string, the quote at its front included; `raw` is its inside.
    bool string(std::string_view& raw, bool& escaped, bool& ascii) {
        if (!take('"')) return false;
        const char* const begin = at_;
        while (true) {
            at_ += plain_prefix({at_, static_cast<std::size_t>(end_ - at_)});
            if (at_ == end_) return false;
            const char c = *at_;
            if (c == '"') {
                raw = {begin, static_cast<std::size_t>(at_ - begin)};
                ++at_;
                return true;
            }
            if (c == '\\') {
                escaped = true;
                if (!escape()) return false;
            } else if (static_cast<unsigned char>(c) < 0x20) {
                return false;
            } else {
                ascii = false;
                ++at_;
            }
        }
    }

    bool value(JsonValue& value, int levels, Traits& around) {
        if (at_ == end_) return false;
        const char* const begin = at_;
        switch (*at_) {
            case '"': {
                value.type = JsonType::string;
                bool escaped = false, ascii = true;
                if (!string(value.raw, escaped, ascii)) return false;
                value.escaped = escaped;
                value.simple = !escaped && ascii;
                around.escaped |= escaped;
                around.ascii &= ascii;
                return true;
            }
            case '{':
            case '[': {
                if (levels == 0) return false;
                value.type = *at_ == '{' ? JsonType::object : JsonType::array;
                Traits traits;
                const bool odd_before = std::exchange(odd_blanks_, false);
                if (!container(levels - 1, traits)) return false;
                traits.ascii &= !odd_blanks_;
                odd_blanks_ |= odd_before;
                value.escaped = traits.escaped;
                value.simple = !traits.escaped && traits.ascii && traits.bounded &&
                               traits.depth + 1 < kMaxFieldDepth;
                around.escaped |= traits.escaped;
                around.ascii &= traits.ascii;
                around.bounded &= traits.bounded;
                around.depth = std::max(around.depth, traits.depth + 1);
                break;
            }
            case 't':
                value.type = JsonType::boolean;
                if (!word("true")) return false;
                break;
            case 'f':
                value.type = JsonType::boolean;
                if (!word("false")) return false;
                break;
            case 'n':
                value.type = JsonType::null;
                if (!word("null")) return false;
                break;
            default:
                value.type = JsonType::number;
                if (!number()) return false;
                break;
        }
        value.raw = {begin, static_cast<std::size_t>(at_ - begin)};
        return true;
    }

    bool number() {
        take('-');
        if (!take('0') && !digits()) return false;
        if (take('.') && !digits()) return false;
        if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
            ++at_;
            if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
            return digits();
        }
        return true;
    }

  private:
    bool digits() {
        const char* const begin = at_;
        while (at_ != end_ && is_digit(*at_)) ++at_;
        return at_ != begin;
    }
    bool word(std::string_view expected) {
        if (std::string_view(at_, static_cast<std::size_t>(end_ - at_))
                .substr(0, expected.size()) != expected) {
            return false;
        }
        at_ += expected.size();
        return true;
    }
    bool escape() {
        if (end_ - at_ < 2) return false;
        const char kind = at_[1];
        if (kind == 'u') {
            if (end_ - at_ < 6 || !std::all_of(at_ + 2, at_ + 6, is_hex)) return false;
            at_ += 6;
            return true;
        }
        if (std::string_view("\"\\/bfnrt").find(kind) == std::string_view::npos) return false;
        at_ += 2;
        return true;
    }
    bool container(int levels, Traits& traits) {
        const char close = *at_ == '{' ? '}' : ']';
        ++at_;
        skip_blanks();
        if (take(close)) return true;
        for (std::size_t entries = 1;; ++entries) {
            if (entries > kMaxEntries) traits.bounded = false;
            if (close == '}') {
                std::string_view key;
                if (!string(key, traits.escaped, traits.ascii)) return false;
                skip_blanks();
                if (!take(':')) return false;
                skip_blanks();
            }
            JsonValue inner;
            if (!value(inner, levels, traits)) return false;
            skip_blanks();
            if (take(close)) return true;
            if (!take(',')) return false;
            skip_blanks();
        }
    }

    const char* at_;
    const char* end_;
    bool odd_blanks_ = false;  ///< a TAB or another control character stood between values
};

class Rewriter {
  public:
    Rewriter(StringFilter* filter, TextBuffer& out) : filter_(filter), out_(out) {}

    void value(std::string_view name, const JsonValue& value, int depth) {
        switch (value.type) {
            case JsonType::string:
                string(name, value.raw, value.escaped);
                break;
            case JsonType::object:
                object(value, depth);
                break;
            case JsonType::array:
                array(value, depth);
                break;
            default:
                out_.append(value.raw);
                break;
        }
    }
    RewriteCounts counts() const { return counts_; }

  private:
    static bool too_deep(const JsonValue& value, int depth) {
        return depth == 0 && (value.type == JsonType::object || value.type == JsonType::array);
    }
    void string(std::string_view name, std::string_view raw, bool escaped) {
        scratch_.clear();
        std::string_view text = json_text(raw, escaped, scratch_);
        if (filter_ != nullptr) text = filter_->apply(name, text);
        out_.append('"');
        counts_.invalid_utf8 += append_json_escaped(out_, text);
        out_.append('"');
    }
    void object(const JsonValue& value, int depth) {
        std::vector<JsonMember> members;
        read_json_object(value.raw, members);
        out_.append('{');
        std::size_t written = 0;
        for (const JsonMember& member : members) {
            if (written >= kMaxEntries || too_deep(member.value, depth - 1)) {
                ++counts_.left_out;
                continue;
            }
            if (written++ != 0) out_.append(',');
            TextArena names;
            string({}, member.key, member.key_escaped);
            out_.append(':');
            this->value(json_text(member.key, member.key_escaped, names), member.value, depth - 1);
        }
        out_.append('}');
    }
    void array(const JsonValue& value, int depth) {
        std::vector<JsonValue> elements;
        read_json_array(value.raw, elements);
        out_.append('[');
        std::size_t written = 0;
        for (const JsonValue& element : elements) {
            if (written >= kMaxEntries || too_deep(element, depth - 1)) {
                ++counts_.left_out;
                continue;
            }
            if (written++ != 0) out_.append(',');
            this->value({}, element, depth - 1);
        }
        out_.append(']');
    }

    StringFilter* filter_;
    TextBuffer& out_;
    TextArena scratch_;
    RewriteCounts counts_;
};

}  // namespace

bool read_json_object(std::string_view text, std::vector<JsonMember>& members) {
    members.clear();
    Scanner scanner(text);
    if (!scanner.take('{')) return false;
    scanner.skip_blanks();
    Traits traits;
    if (!scanner.take('}')) {
        while (true) {
            JsonMember& member = members.emplace_back();
            bool ascii = true;
            if (!scanner.string(member.key, member.key_escaped, ascii)) return false;
            member.key_simple = ascii && !member.key_escaped;
            scanner.skip_blanks();
            if (!scanner.take(':')) return false;
            scanner.skip_blanks();
            if (!scanner.value(member.value, kMaxJsonDepth - 1, traits)) return false;
            scanner.skip_blanks();
            if (scanner.take('}')) break;
            if (!scanner.take(',')) return false;
            scanner.skip_blanks();
        }
    }
    scanner.skip_blanks();
    return scanner.at_end();
}

bool read_json_array(std::string_view text, std::vector<JsonValue>& elements) {
    elements.clear();
    Scanner scanner(text);
    if (!scanner.take('[')) return false;
    scanner.skip_blanks();
    Traits traits;
    if (!scanner.take(']')) {
        while (true) {
            if (!scanner.value(elements.emplace_back(), kMaxJsonDepth - 1, traits)) return false;
            scanner.skip_blanks();
            if (scanner.take(']')) break;
            if (!scanner.take(',')) return false;
            scanner.skip_blanks();
        }
    }
    scanner.skip_blanks();
    return scanner.at_end();
}

bool is_json_number(std::string_view text) {
    if (text.empty() || (!is_digit(text[0]) && text[0] != '-')) return false;
    Scanner scanner(text);
    return scanner.number() && scanner.at_end();
}

RewriteCounts rewrite_json(const JsonValue& value, int depth, StringFilter* filter,
                           TextBuffer& out) {
    Rewriter rewriter(filter, out);
    rewriter.value({}, value, depth);
    return rewriter.counts();
}

std::string_view json_text(std::string_view raw, bool escaped, TextArena& arena) {
    if (!escaped) return raw;
    char* const room = arena.allocate(raw.size());
    std::size_t size = decode_json_string(raw, room);
    if (has_escape({room, size})) size = strip_ansi({room, size}, room);
    arena.give_back(raw.size() - size);
    return {room, size};
}

}  // namespace launcher::logs
