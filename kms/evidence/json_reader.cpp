#include "kms/evidence/json_reader.hpp"

#include <algorithm>
#include <array>

namespace kms {
namespace {

constexpr bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}
constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// Bytes that end a run of plain text inside of a string, or need a second look.
constexpr std::array<bool, 256> kNotPlain = [] {
    std::array<bool, 256> table{};
    for (unsigned c = 0; c < 0x20; ++c) table[c] = true;
    table['"'] = table['\\'] = true;
    return table;
}();

void append_utf8(std::string& out, std::uint32_t code) {
    const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xc0 | code >> 6);
        put(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        put(0xe0 | code >> 12);
        put(0x80 | (code >> 6 & 0x3f));
        put(0x80 | (code & 0x3f));
    } else {
        put(0xf0 | code >> 18);
        put(0x80 | (code >> 12 & 0x3f));
        put(0x80 | (code >> 6 & 0x3f));
        put(0x80 | (code & 0x3f));
    }
}

}  // namespace

Error JsonReader::position(std::string_view what, std::size_t at) const {
    const std::string_view before = text_.substr(0, std::min(at_, text_.size()));
    const auto line = 1 + std::ranges::count(before, '\n');
    const std::size_t newline = before.rfind('\n');
    const std::size_t line_start = newline == std::string_view::npos ? 0 : newline + 1;
    return Error{ErrorCode::invalid_argument, std::string(what) + " at line " +
                                                  std::to_string(line) + " column " +
                                                  std::to_string(at - line_start)};
}

Error JsonReader::error(std::string_view what) const {
    return position(what, at_);
}

Error JsonReader::peek_error(std::string_view what) const {
    if (at_ < text_.size()) return position(what, at_ + 1);
    if (depth_ == 0) return error("EOF while parsing a value");
    return error(is_array_[depth_ - 1] ? "EOF while parsing a list"
                                       : "EOF while parsing an object");
}

Error JsonReader::invalid_type(std::string_view expected) {
    const std::size_t start = at_;
    std::string found;
    switch (peek()) {
        case Kind::object:
            found = "map";
            break;
        case Kind::array:
            found = "sequence";
            break;
        case Kind::string: {
            const auto content = text();
            if (!content) return content.error();
            found = "string \"" + std::string(*content) + "\"";
            break;
        }
        case Kind::number: {
            peek_char();
            const std::size_t digits = at_;
            if (auto good = number_syntax(); !good) return good.error();
            const std::string_view number = text_.substr(digits, at_ - digits);
            const bool is_integer = number.find_first_of(".eE") == std::string_view::npos;
            found = (is_integer ? "integer `" : "floating point `") + std::string(number) + "`";
            break;
        }
        case Kind::boolean: {
            const auto value = boolean();
            if (!value) return value.error();
            found = *value ? "boolean `true`" : "boolean `false`";
            break;
        }
        case Kind::null:
            if (auto good = null(); !good) return good.error();
            found = "null";
            break;
        case Kind::end:
            return peek_error("expected value");
    }
    if (found == "map" || found == "sequence") at_ = start;
    return error("invalid type: " + found + ", expected " + std::string(expected));
}

char JsonReader::peek_char() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
}

JsonReader::Kind JsonReader::peek() {
    const char c = peek_char();
    switch (c) {
        case '{':
            return Kind::object;
        case '[':
            return Kind::array;
        case '"':
            return Kind::string;
        case 't':
        case 'f':
            return Kind::boolean;
        case 'n':
            return Kind::null;
        default:
            return c == '-' || is_digit(c) ? Kind::number : Kind::end;
    }
}

Result<void> JsonReader::expect(char c, std::string_view what) {
    if (peek_char() != c || at_ >= text_.size()) return peek_error("expected " + std::string(what));
    ++at_;
    return {};
}

Result<void> JsonReader::enter(char open) {
    const Kind wanted = open == '{' ? Kind::object : Kind::array;
    if (peek() != wanted) return invalid_type(open == '{' ? "a map" : "a sequence");
    ++at_;
    if (depth_ == kDeepest) return error("recursion limit exceeded");
    is_array_[depth_] = open == '[';
    is_first_[depth_] = true;
    ++depth_;
    return {};
}
Result<void> JsonReader::enter_object() {
    return enter('{');
}
Result<void> JsonReader::enter_array() {
    return enter('[');
}

Result<bool> JsonReader::next() {
    const bool in_array = is_array_[depth_ - 1];
    if (peek_char() == (in_array ? ']' : '}')) {
        ++at_;
        --depth_;
        return false;
    }
    if (is_first_[depth_ - 1]) {
        is_first_[depth_ - 1] = false;
        return true;
    }
    TRY_VOID(expect(',', in_array ? "`,` or `]`" : "`,` or `}`"));
    const char after = peek_char();
    if (after == ']' || after == '}') return peek_error("trailing comma");
    return true;
}

Result<std::string_view> JsonReader::name() {
    if (peek() != Kind::string) return peek_error("key must be a string");
    TRY(const std::string_view found, string_content());
    TRY_VOID(expect(':', "`:`"));
    return found;
}

Result<std::string_view> JsonReader::text() {
    if (peek() != Kind::string) return invalid_type("a string");
    return string_content();
}

Result<std::string_view> JsonReader::string_content() {
    ++at_;  // the quote
    const auto plain_end = [this] {
        std::size_t end = at_;
        while (end < text_.size() && !kNotPlain[static_cast<std::uint8_t>(text_[end])]) ++end;
        return end;
    };
    const std::size_t start = at_;
    at_ = plain_end();
    std::string_view found = text_.substr(start, at_ - start);
    if (at_ < text_.size() && text_[at_] == '\\') {
        unescaped_.assign(found);
        while (at_ < text_.size() && text_[at_] == '\\') {
            TRY_VOID(append_escape());
            const std::size_t run = at_;
            at_ = plain_end();
            unescaped_.append(text_.substr(run, at_ - run));
        }
        found = unescaped_;
    }
    if (at_ >= text_.size()) return error("EOF while parsing a string");
    if (text_[at_] != '"') return error("control character found while parsing a string");
    ++at_;
    if (!runtime::is_utf8(found)) return error("invalid UTF-8 in a string");
    return found;
}

Result<std::uint32_t> JsonReader::hex4() {
    if (text_.size() - at_ < 4) return error("EOF while parsing a string");
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 4; ++i) {
        const char c = text_[at_];
        const char lower = static_cast<char>(c | 0x20);
        if (is_digit(c))
            value = value << 4 | static_cast<std::uint32_t>(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value << 4 | static_cast<std::uint32_t>(lower - 'a' + 10);
        else
            return error("invalid escape");
        ++at_;
    }
    return value;
}

Result<void> JsonReader::append_escape() {
    ++at_;
    if (at_ >= text_.size()) return error("EOF while parsing a string");
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const char letter = text_[at_++];
    if (const std::size_t index = kLetters.find(letter); index != std::string_view::npos) {
        unescaped_ += kMeanings[index];
        return {};
    }
    if (letter != 'u') return error("invalid escape");
    TRY(std::uint32_t code, hex4());
    if (code >= 0xdc00 && code <= 0xdfff) return error("lone trailing surrogate");
    if (code >= 0xd800 && code <= 0xdbff) {
        if (!text_.substr(at_).starts_with("\\u")) return error("lone leading surrogate");
        at_ += 2;
        TRY(const std::uint32_t low, hex4());
        if (low < 0xdc00 || low > 0xdfff) return error("lone leading surrogate");
        code = 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00));
    }
    append_utf8(unescaped_, code);
    return {};
}

Result<void> JsonReader::number_syntax() {
    const auto digits = [this] {
        const std::size_t start = at_;
        while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
        return at_ - start;
    };
    const auto is_at = [this](char c) { return at_ < text_.size() && text_[at_] == c; };
    if (is_at('-')) ++at_;
    const bool leads_with_zero = is_at('0');
    const std::size_t count = digits();
    if (count == 0 || (leads_with_zero && count > 1)) return error("invalid number");
    if (is_at('.')) {
        ++at_;
        if (digits() == 0) return error("invalid number");
    }
    if (is_at('e') || is_at('E')) {
        ++at_;
        if (is_at('+') || is_at('-')) ++at_;
        if (digits() == 0) return error("invalid number");
    }
    return {};
}

Result<std::uint64_t> JsonReader::unsigned_integer(std::uint64_t largest) {
    const std::string_view name = largest <= 0xff         ? "u8"
                                  : largest <= 0xffff     ? "u16"
                                  : largest <= 0xffffffff ? "u32"
                                                          : "u64";
    if (peek() != Kind::number) return invalid_type(name);
    const std::size_t start = at_;
    TRY_VOID(number_syntax());
    const std::string_view number = text_.substr(start, at_ - start);
    const auto unfit = [&](std::string_view kind) {
        return error(std::string(kind) + " `" + std::string(number) + "`, expected " +
                     std::string(name));
    };
    if (number.find_first_of(".eE") != std::string_view::npos)
        return unfit("invalid type: floating point");
    std::uint64_t value = 0;
    for (const char c : number) {
        if (c == '-') return unfit("invalid value: integer");
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (value > (largest - std::min(largest, digit)) / 10)
            return unfit("invalid value: integer");
        value = value * 10 + digit;
    }
    if (value > largest) return unfit("invalid value: integer");
    return value;
}

Result<void> JsonReader::literal(std::string_view word) {
    for (const char c : word) {
        if (at_ >= text_.size()) return error("EOF while parsing a value");
        if (text_[at_++] != c) return error("expected ident");
    }
    return {};
}

Result<bool> JsonReader::boolean() {
    if (peek() != Kind::boolean) return invalid_type("a boolean");
    const bool value = text_[at_] == 't';
    TRY_VOID(literal(value ? "true" : "false"));
    return value;
}

Result<void> JsonReader::null() {
    if (peek() != Kind::null) return invalid_type("null");
    return literal("null");
}

Result<void> JsonReader::skip() {
    // Not recursive: counts the levels that were entered here.
    const unsigned outside = depth_;
    do {
        switch (peek()) {
            case Kind::object:
                TRY_VOID(enter_object());
                break;
            case Kind::array:
                TRY_VOID(enter_array());
                break;
            case Kind::string:
                TRY_VOID(text());
                break;
            case Kind::number:
                TRY_VOID(number_syntax());
                break;
            case Kind::boolean:
                TRY_VOID(boolean());
                break;
            case Kind::null:
                TRY_VOID(null());
                break;
            case Kind::end:
                return peek_error("expected value");
        }
        while (depth_ > outside) {
            TRY(const bool more, next());
            if (!more) continue;
            if (!is_array_[depth_ - 1]) TRY_VOID(name());
            break;
        }
    } while (depth_ > outside);
    return {};
}

Result<std::string_view> JsonReader::raw_value() {
    peek_char();
    const std::size_t start = at_;
    TRY_VOID(skip());
    return text_.substr(start, at_ - start);
}

Result<void> JsonReader::finish() {
    if (peek_char() != '\0' || at_ < text_.size()) return peek_error("trailing characters");
    return {};
}

Result<Bytes> hex_member(JsonReader& reader) {
    TRY(const std::string_view text, reader.text());
    auto bytes = runtime::from_hex(text);
    if (!bytes) return reader.error(bytes.error().context);
    return std::move(*bytes);
}

}  // namespace kms
