// A reader for one flat JSON message that gives the protocol's error texts with their line and
// column. An error found by looking at a character counts that character; one found after reading
// counts what was read: `ahead` and `here`.
#include "kms/rpc/decode.hpp"
#include "kms/rpc/rust_words.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace kms {
namespace {

using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

struct Number {
    enum class Kind { natural, negative, real } kind = Kind::natural;
    std::uint64_t natural = 0;
    std::int64_t negative = 0;
    double real = 0;

    std::string describe() const {
        switch (kind) {
            case Kind::natural:
                return "integer `" + std::to_string(natural) + "`";
            case Kind::negative:
                return "integer `" + std::to_string(negative) + "`";
            case Kind::real:
                return "floating point `" + real_text(real) + "`";
        }
        return {};
    }
};

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

class JsonReader {
  public:
    explicit JsonReader(std::string_view text) : text_(text) {}

    Error here(std::string what) const { return at(next_, std::move(what)); }
    Error ahead(std::string what) const {
        return at(std::min(text_.size(), next_ + 1), std::move(what));
    }

    /// The next character that is no white space, not yet taken; nothing at the end.
    std::optional<char> token() {
        while (next_ < text_.size() &&
               std::string_view(" \n\t\r").find(text_[next_]) != std::string_view::npos)
            ++next_;
        return peek();
    }
    std::optional<char> peek() const {
        return next_ < text_.size() ? std::optional<char>(text_[next_]) : std::nullopt;
    }
    void take() { ++next_; }

    /// A string whose opening quote was taken.
    Result<std::string> text();
    Result<void> skip_text();
    /// A number at whose first character, sign or digit, the reader stands.
    Result<Number> number();
    /// Any value, read over. Nesting is kept in a list, so depth costs memory in proportion to the
    /// input only.
    Result<void> skip_value();
    /// The error for a value of another type than `expected`; reads over the value as far as its
    /// description needs.
    Error wrong_type(std::string_view expected);

  private:
    Error at(std::size_t index, std::string what) const {
        const std::string_view before = text_.substr(0, index);
        const auto line = 1 + std::count(before.begin(), before.end(), '\n');
        const std::size_t line_start =
            before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
        return {ErrorCode::invalid_argument, std::move(what) + " at line " + std::to_string(line) +
                                                 " column " + std::to_string(index - line_start)};
    }

    Result<void> word(std::string_view rest);
    Result<void> escape(std::string* out);
    Result<std::uint32_t> four_hex_digits();
    Result<std::uint32_t> code_point();
    Result<void> digits_of_number();
    Result<void> skip_scalar(char first, bool& opened);
    Result<void> skip_key();

    std::string_view text_;
    std::size_t next_ = 0;
};

Result<void> JsonReader::word(std::string_view rest) {
    for (const char expected : rest) {
        if (next_ == text_.size()) return here("EOF while parsing a value");
        if (text_[next_++] != expected) return here("expected ident");
    }
    return {};
}

Result<std::uint32_t> JsonReader::four_hex_digits() {
    if (text_.size() - next_ < 4) {
        next_ = text_.size();
        return here("EOF while parsing a string");
    }
    const std::string_view digits = text_.substr(next_, 4);
    next_ += 4;
    std::uint32_t value = 0;
    const auto end = std::from_chars(digits.data(), digits.data() + 4, value, 16).ptr;
    if (end != digits.data() + 4) return here("invalid escape");
    return value;
}

/// What follows "\u": one code point, from one or two escapes.
Result<std::uint32_t> JsonReader::code_point() {
    TRY(const std::uint32_t first, four_hex_digits());
    if (first >= 0xDC00 && first <= 0xDFFF) return here("lone leading surrogate in hex escape");
    if (first < 0xD800 || first > 0xDFFF) return first;
    for (const char expected : {'\\', 'u'}) {
        if (next_ == text_.size()) return here("EOF while parsing a string");
        if (text_[next_++] != expected) return here("unexpected end of hex escape");
    }
    TRY(const std::uint32_t second, four_hex_digits());
    if (second < 0xDC00 || second > 0xDFFF) return here("lone leading surrogate in hex escape");
    return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
}

void append_utf8(std::string& out, std::uint32_t point) {
    const auto tail = [&](unsigned shift) {
        out += static_cast<char>(0x80 | ((point >> shift) & 0x3F));
    };
    if (point < 0x80) {
        out += static_cast<char>(point);
    } else if (point < 0x800) {
        out += static_cast<char>(0xC0 | (point >> 6));
        tail(0);
    } else if (point < 0x10000) {
        out += static_cast<char>(0xE0 | (point >> 12));
        tail(6);
        tail(0);
    } else {
        out += static_cast<char>(0xF0 | (point >> 18));
        tail(12);
        tail(6);
        tail(0);
    }
}

/// One escape after its backslash; with `out` null it is checked as far as skipped text is.
Result<void> JsonReader::escape(std::string* out) {
    if (next_ == text_.size()) return here("EOF while parsing a string");
    const char c = text_[next_++];
    if (c == 'u') {
        if (out == nullptr) {
            TRY_VOID(four_hex_digits());
        } else {
            TRY(const std::uint32_t point, code_point());
            append_utf8(*out, point);
        }
        return {};
    }
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const std::size_t place = kLetters.find(c);
    if (place == std::string_view::npos) return here("invalid escape");
    if (out != nullptr) *out += kMeanings[place];
    return {};
}

Result<std::string> JsonReader::text() {
    std::string out;
    while (true) {
        std::size_t end = next_;
        while (end < text_.size() && text_[end] != '"' && text_[end] != '\\' &&
               static_cast<unsigned char>(text_[end]) >= 0x20)
            ++end;
        out.append(text_.substr(next_, end - next_));
        next_ = end;
        if (next_ == text_.size()) return here("EOF while parsing a string");
        const char c = text_[next_++];
        if (c == '"') break;
        if (c != '\\')
            return here("control character (\\u0000-\\u001F) found while parsing a string");
        TRY_VOID(escape(&out));
    }
    if (find_utf8_fault(out)) return here("invalid unicode code point");
    return out;
}

Result<void> JsonReader::skip_text() {
    while (next_ < text_.size()) {
        const char c = text_[next_++];
        if (c == '"') return {};
        if (c == '\\') {
            TRY_VOID(escape(nullptr));
        } else if (static_cast<unsigned char>(c) < 0x20) {
            return here("control character (\\u0000-\\u001F) found while parsing a string");
        }
    }
    return here("EOF while parsing a string");
}

/// Takes the characters of a number and checks their form, not their range.
Result<void> JsonReader::digits_of_number() {
    if (peek() == '-') take();
    const auto first = peek();
    if (!first) return here("EOF while parsing a value");
    take();
    if (!is_digit(*first)) return here("invalid number");
    const auto take_digits = [this] {
        while (peek() && is_digit(*peek())) take();
    };
    if (*first == '0') {
        if (peek() && is_digit(*peek())) return ahead("invalid number");
    } else {
        take_digits();
    }
    if (peek() == '.') {
        take();
        if (!peek()) return ahead("EOF while parsing a value");
        if (!is_digit(*peek())) return ahead("invalid number");
        take_digits();
    }
    if (peek() == 'e' || peek() == 'E') {
        take();
        if (peek() == '+' || peek() == '-') take();
        const auto digit = peek();
        if (!digit) return here("EOF while parsing a value");
        take();
        if (!is_digit(*digit)) return here("invalid number");
        take_digits();
    }
    return {};
}

Result<Number> JsonReader::number() {
    const std::size_t start = next_;
    TRY_VOID(digits_of_number());
    const std::string_view lexeme = text_.substr(start, next_ - start);
    Number number;
    const char* const begin = lexeme.data();
    const char* const end = begin + lexeme.size();
    if (lexeme.find_first_of(".eE") == std::string_view::npos) {
        if (lexeme.front() != '-') {
            if (std::from_chars(begin, end, number.natural).ec == std::errc()) return number;
        } else if (lexeme != "-0" &&
                   std::from_chars(begin, end, number.negative).ec == std::errc()) {
            number.kind = Number::Kind::negative;
            return number;
        }
    }
    number.kind = Number::Kind::real;
    if (std::from_chars(begin, end, number.real).ec == std::errc::result_out_of_range) {
        // Too small is zero, too large is an error; from_chars does not tell them apart.
        const auto exponent = lexeme.find_first_of("eE");
        const bool small = exponent == std::string_view::npos ? lexeme.find("0.") <= 1
                                                              : lexeme[exponent + 1] == '-';
        if (!small) return here("number out of range");
        number.real = 0;
    }
    return number;
}

Error JsonReader::wrong_type(std::string_view expected) {
    const auto not_expected = [&](const std::string& found) {
        return here("invalid type: " + found + ", expected " + std::string(expected));
    };
    const auto literal = [&](std::string_view rest, const std::string& found) {
        take();
        auto read = word(rest);
        return read ? not_expected(found) : std::move(read.error());
    };
    const char c = peek().value_or('\0');
    switch (c) {
        case 'n':
            return literal("ull", "null");
        case 't':
            return literal("rue", "boolean `true`");
        case 'f':
            return literal("alse", "boolean `false`");
        case '[':
            return not_expected("sequence");
        case '{':
            return not_expected("map");
        case '"': {
            take();
            auto read = text();
            return read ? not_expected("string " + debug_text(*read)) : std::move(read.error());
        }
        default:
            break;
    }
    if (c != '-' && !is_digit(c)) return ahead("expected value");
    auto read = number();
    return read ? not_expected(read->describe()) : std::move(read.error());
}

/// Reads over a value without parts; for '[' and '{' only takes the character and sets `opened`.
Result<void> JsonReader::skip_scalar(char first, bool& opened) {
    opened = first == '[' || first == '{';
    if (first == '-' || is_digit(first)) return digits_of_number();
    switch (first) {
        case 'n':
            take();
            return word("ull");
        case 't':
            take();
            return word("rue");
        case 'f':
            take();
            return word("alse");
        case '"':
            take();
            return skip_text();
        case '[':
        case '{':
            take();
            return {};
        default:
            return ahead("expected value");
    }
}

/// The key of the next member of an object and its colon.
Result<void> JsonReader::skip_key() {
    const auto quote = token();
    if (!quote) return ahead("EOF while parsing an object");
    if (*quote != '"') return ahead("key must be a string");
    take();
    TRY_VOID(skip_text());
    const auto colon = token();
    if (!colon) return ahead("EOF while parsing an object");
    if (*colon != ':') return ahead("expected `:`");
    take();
    return {};
}

Result<void> JsonReader::skip_value() {
    std::vector<char> open;
    while (true) {
        const auto first = token();
        if (!first) return ahead("EOF while parsing a value");
        bool opened = false;
        TRY_VOID(skip_scalar(*first, opened));
        if (opened) open.push_back(*first);
        bool after_value = !opened;
        // Close what ends here, then stand before the next value.
        while (true) {
            if (open.empty()) return {};
            const bool list = open.back() == '[';
            const auto c = token();
            if (!c) return ahead(list ? "EOF while parsing a list" : "EOF while parsing an object");
            if (*c == (list ? ']' : '}')) {
                take();
                open.pop_back();
                after_value = true;
                continue;
            }
            if (after_value) {
                if (*c != ',') return ahead(list ? "expected `,` or `]`" : "expected `,` or `}`");
                take();
            }
            break;
        }
        if (open.back() == '{') TRY_VOID(skip_key());
    }
}

/// The message level: fields by name (object) or by place (array).
class MessageReader {
  public:
    MessageReader(const MessageSchema& schema, std::string_view text,
                  google::protobuf::MessageLite& message)
        : schema_(schema), reader_(text), message_(message) {}

    Result<void> read() {
        const auto first = reader_.token();
        if (!first) return reader_.ahead("EOF while parsing a value");
        if (*first == '{' || *first == '[') {
            reader_.take();
            TRY_VOID(*first == '{' ? members() : elements());
            TRY_VOID(*first == '{' ? close_object() : close_list());
        } else {
            return reader_.wrong_type("struct " + std::string(schema_.name));
        }
        if (reader_.token()) return reader_.ahead("trailing characters");
        return {};
    }

  private:
    /// A mistake in what a value means, not in its form, is placed after the closing bracket when
    /// that follows.
    Error meaning(std::string what, bool object) {
        const auto ignored = object ? close_object() : close_list();
        static_cast<void>(ignored.has_value());
        return reader_.here(std::move(what));
    }

    Result<void> close_object() {
        const auto c = reader_.token();
        if (!c) return reader_.ahead("EOF while parsing an object");
        if (*c != '}') return reader_.ahead(*c == ',' ? "trailing comma" : "trailing characters");
        reader_.take();
        return {};
    }

    Result<void> close_list() {
        const auto c = reader_.token();
        if (!c) return reader_.ahead("EOF while parsing a list");
        if (*c == ',') {
            reader_.take();
            return reader_.ahead(reader_.token() == ']' ? "trailing comma" : "trailing characters");
        }
        if (*c != ']') return reader_.ahead("trailing characters");
        reader_.take();
        return {};
    }

    Result<void> members() {
        std::vector<const FieldSchema*> seen;
        for (bool first = true;; first = false) {
            auto c = reader_.token();
            if (!c) return reader_.ahead("EOF while parsing an object");
            if (*c == '}') return {};
            if (!first) {
                if (*c != ',') return reader_.ahead("expected `,` or `}`");
                reader_.take();
                c = reader_.token();
                if (!c) return reader_.ahead("EOF while parsing a value");
                if (*c == '}') return reader_.ahead("trailing comma");
            }
            if (*c != '"') return reader_.ahead("key must be a string");
            reader_.take();
            TRY(const std::string key, reader_.text());
            const FieldSchema* field = schema_.by_name(key);
            if (field != nullptr && std::find(seen.begin(), seen.end(), field) != seen.end())
                return meaning("duplicate field `" + key + "`", true);
            seen.push_back(field);
            c = reader_.token();
            if (!c) return reader_.ahead("EOF while parsing an object");
            if (*c != ':') return reader_.ahead("expected `:`");
            reader_.take();
            TRY_VOID(field != nullptr ? value(*field, true) : reader_.skip_value());
        }
    }

    Result<void> elements() {
        bool first = true;
        for (const FieldSchema& field : schema_.fields) {
            auto c = reader_.token();
            if (!c) return reader_.ahead("EOF while parsing a list");
            if (*c == ']') return {};
            if (!first) {
                if (*c != ',') return reader_.ahead("expected `,` or `]`");
                reader_.take();
                c = reader_.token();
                if (!c) return reader_.ahead("EOF while parsing a value");
                if (*c == ']') return reader_.ahead("trailing comma");
            }
            first = false;
            TRY_VOID(value(field, false));
        }
        return {};
    }

    Result<void> value(const FieldSchema& field, bool in_object) {
        const auto c = reader_.token();
        if (!c) return reader_.ahead("EOF while parsing a value");
        FieldValue value;
        if (field.kind == FieldKind::u32) {
            if (*c != '-' && !is_digit(*c)) return reader_.wrong_type("u32");
            TRY(const Number number, reader_.number());
            if (number.kind == Number::Kind::real)
                return reader_.here("invalid type: " + number.describe() + ", expected u32");
            if (number.kind == Number::Kind::negative ||
                number.natural > std::numeric_limits<std::uint32_t>::max())
                return reader_.here("invalid value: " + number.describe() + ", expected u32");
            value.number = static_cast<std::uint32_t>(number.natural);
        } else {
            if (*c != '"') return reader_.wrong_type("a string");
            reader_.take();
            TRY(value.text, reader_.text());
        }
        if (field.kind == FieldKind::bytes) {
            auto bytes = parse_hex(value.text);
            if (!bytes) return meaning(std::move(bytes.error().context), in_object);
            value.text = std::move(*bytes);
        }
        field.set(message_, std::move(value));
        return {};
    }

    const MessageSchema& schema_;
    JsonReader reader_;
    google::protobuf::MessageLite& message_;
};

}  // namespace

Result<void> decode_json(const MessageSchema& schema, std::string_view text,
                         google::protobuf::MessageLite& message) {
    if (text.empty()) return {};
    return MessageReader(schema, text, message).read();
}

}  // namespace kms
