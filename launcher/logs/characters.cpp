#include "launcher/logs/characters.hpp"

#include <array>
#include <bit>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace launcher::logs {
namespace {

constexpr char kHex[] = "0123456789abcdef";

std::uint8_t byte_at(std::string_view text, std::size_t i) {
    return static_cast<std::uint8_t>(text[i]);
}

/// What cannot be copied into a JSON string as it is.
constexpr std::array<bool, 256> kSpecial = [] {
    std::array<bool, 256> table{};
    for (std::size_t c = 0; c < 256; ++c) table[c] = c < 0x20 || c >= 0x7F || c == '"' || c == '\\';
    return table;
}();
bool is_special(std::uint8_t c) {
    return kSpecial[c];
}

bool is_continuation(std::uint8_t c) {
    return (c & 0xC0) == 0x80;
}

void append_u_escape(TextBuffer& out, unsigned code) {
    const char text[] = {'\\', 'u', '0', '0', kHex[(code >> 4) & 15], kHex[code & 15]};
    out.append({text, sizeof text});
}

void append_x_escape(TextBuffer& out, unsigned code) {
    const char text[] = {'\\', 'x', kHex[(code >> 4) & 15], kHex[code & 15]};
    out.append({text, sizeof text});
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// Four hexadecimal digits; the caller has checked that they are there.
char32_t four_digits(std::string_view text, std::size_t at) {
    char32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        value = value * 16 + static_cast<char32_t>(hex_digit(text[at + i]));
    }
    return value;
}

/// Length of the terminal sequence that starts with the ESC at `at`; 0 when there is none or it
/// does not end.
std::size_t sequence_length(std::string_view text, std::size_t at) {
    if (at + 1 >= text.size()) return 0;
    const char kind = text[at + 1];
    std::size_t i = at + 2;
    if (kind == '[') {
        while (i < text.size() && text[i] >= 0x20 && text[i] <= 0x3F) ++i;
        return i < text.size() && text[i] >= 0x40 && text[i] <= 0x7E ? i + 1 - at : 0;
    }
    if (kind != ']' && kind != 'P' && kind != '^' && kind != '_' && kind != 'X') return 0;
    for (; i < text.size(); ++i) {
        if (text[i] == '\a' && kind == ']') return i + 1 - at;
        if (text[i] == '\x1B') return i + 1 < text.size() && text[i + 1] == '\\' ? i + 2 - at : 0;
        if (byte_at(text, i) < 0x20) return 0;
    }
    return 0;
}

}  // namespace

Utf8Step utf8_step(std::string_view text) {
    if (text.empty()) return {};
    const std::uint8_t first = byte_at(text, 0);
    if (first < 0x80) return {first, 1, true};
    std::size_t size = 0;
    std::uint8_t low = 0x80, high = 0xBF;  // what the second byte may be
    if (first >= 0xC2 && first <= 0xDF) size = 2;
    if (first >= 0xE0 && first <= 0xEF) {
        size = 3;
        if (first == 0xE0) low = 0xA0;
        if (first == 0xED) high = 0x9F;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        size = 4;
        if (first == 0xF0) low = 0x90;
        if (first == 0xF4) high = 0x8F;
    }
    if (size == 0) return {0, 1, false};
    char32_t code = first & (0x7Fu >> size);
    for (std::size_t i = 1; i < size; ++i) {
        if (i >= text.size()) return {0, i, false};
        const std::uint8_t c = byte_at(text, i);
        if (c < low || c > high) return {0, i, false};
        low = 0x80;
        high = 0xBF;
        code = (code << 6) | (c & 0x3Fu);
    }
    return {code, size, true};
}

std::size_t utf8_cut(std::string_view text, std::size_t limit) {
    if (text.size() <= limit) return text.size();
    std::size_t cut = limit;
    while (cut > 0 && limit - cut < 3 && is_continuation(byte_at(text, cut))) --cut;
    const Utf8Step step = utf8_step(text.substr(cut));
    return cut > 0 && step.valid && cut + step.size > limit ? cut : limit;
}

std::size_t plain_prefix(std::string_view text) {
    std::size_t i = 0;
#ifdef __SSE2__
    // Sixteen bytes at a time. Bytes from 0x80 on are negative, so one signed comparison finds them
    // and the control characters.
    for (; i + 16 <= text.size(); i += 16) {
        const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + i));
        const __m128i special =
            _mm_or_si128(_mm_or_si128(_mm_cmplt_epi8(block, _mm_set1_epi8(0x20)),
                                      _mm_cmpeq_epi8(block, _mm_set1_epi8(0x7F))),
                         _mm_or_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8('"')),
                                      _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'))));
        const auto mask = static_cast<unsigned>(_mm_movemask_epi8(special));
        if (mask != 0) return i + static_cast<std::size_t>(std::countr_zero(mask));
    }
#endif
    while (i < text.size() && !is_special(byte_at(text, i))) ++i;
    return i;
}

std::size_t find_url_mark(std::string_view text, std::size_t from) {
    std::size_t i = from;
#ifdef __SSE2__
    for (; i + 16 <= text.size(); i += 16) {
        const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + i));
        const __m128i mark = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8('@')),
                                                       _mm_cmpeq_epi8(block, _mm_set1_epi8('?'))),
                                          _mm_cmpeq_epi8(block, _mm_set1_epi8('&')));
        const auto mask = static_cast<unsigned>(_mm_movemask_epi8(mark));
        if (mask != 0) return i + static_cast<std::size_t>(std::countr_zero(mask));
    }
#endif
    while (i < text.size() && text[i] != '@' && text[i] != '?' && text[i] != '&') ++i;
    return i;
}

std::uint32_t append_json_escaped(TextBuffer& out, std::string_view text) {
    std::uint32_t invalid = 0;
    while (true) {
        const std::size_t plain = plain_prefix(text);
        out.append(text.substr(0, plain));
        text.remove_prefix(plain);
        if (text.empty()) return invalid;
        const Utf8Step step = utf8_step(text);
        if (!step.valid) {
            out.append(kReplacement);
            ++invalid;
        } else if (step.code >= 0xA0) {
            out.append(text.substr(0, step.size));
        } else {
            switch (step.code) {
                case '"':
                    out.append("\\\"");
                    break;
                case '\\':
                    out.append("\\\\");
                    break;
                case '\n':
                    out.append("\\n");
                    break;
                case '\r':
                    out.append("\\r");
                    break;
                case '\t':
                    out.append("\\t");
                    break;
                default:
                    append_u_escape(out, step.code);
                    break;
            }
        }
        text.remove_prefix(step.size);
    }
}

void append_text_escaped(TextBuffer& out, std::string_view text,
                         std::optional<std::string_view> after_lf) {
    while (true) {
        const std::size_t plain = plain_prefix(text);
        out.append(text.substr(0, plain));
        text.remove_prefix(plain);
        if (text.empty()) return;
        const Utf8Step step = utf8_step(text);
        if (!step.valid) {
            out.append(kReplacement);
        } else if (step.code == '\n' && after_lf) {
            out.append('\n');
            out.append(*after_lf);
        } else if (step.code == '\t' || step.code >= 0xA0 || step.code == '"' ||
                   step.code == '\\') {
            out.append(text.substr(0, step.size));
        } else {
            append_x_escape(out, step.code);
        }
        text.remove_prefix(step.size);
    }
}

bool has_escape(std::string_view text) {
    return !text.empty() && std::memchr(text.data(), 0x1B, text.size()) != nullptr;
}

std::size_t strip_ansi(std::string_view text, char* out) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t skip = text[i] == '\x1B' ? sequence_length(text, i) : 0;
        if (skip != 0) {
            i += skip;
        } else {
            out[kept++] = text[i++];
        }
    }
    return kept;
}

std::size_t encode_utf8(char32_t code, char* out) {
    const auto put = [out](std::size_t i, char32_t value) { out[i] = static_cast<char>(value); };
    if (code < 0x80) {
        put(0, code);
        return 1;
    }
    if (code < 0x800) {
        put(0, 0xC0 | (code >> 6));
        put(1, 0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        put(0, 0xE0 | (code >> 12));
        put(1, 0x80 | ((code >> 6) & 0x3F));
        put(2, 0x80 | (code & 0x3F));
        return 3;
    }
    put(0, 0xF0 | (code >> 18));
    put(1, 0x80 | ((code >> 12) & 0x3F));
    put(2, 0x80 | ((code >> 6) & 0x3F));
    put(3, 0x80 | (code & 0x3F));
    return 4;
}

std::size_t decode_json_string(std::string_view text, char* out) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < text.size();) {
        if (text[i] != '\\' || i + 1 >= text.size()) {
            out[kept++] = text[i++];
            continue;
        }
        const char kind = text[i + 1];
        i += 2;
        switch (kind) {
            case 'b':
                out[kept++] = '\b';
                break;
            case 'f':
                out[kept++] = '\f';
                break;
            case 'n':
                out[kept++] = '\n';
                break;
            case 'r':
                out[kept++] = '\r';
                break;
            case 't':
                out[kept++] = '\t';
                break;
            case 'u': {
                if (i + 4 > text.size()) return kept;
                char32_t code = four_digits(text, i);
                i += 4;
                if (code >= 0xD800 && code <= 0xDBFF && i + 6 <= text.size() && text[i] == '\\' &&
                    text[i + 1] == 'u') {
                    const char32_t second = four_digits(text, i + 2);
                    if (second >= 0xDC00 && second <= 0xDFFF) {
                        code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
                        i += 6;
                    }
                }
                if (code >= 0xD800 && code <= 0xDFFF) code = 0xFFFD;
                kept += encode_utf8(code, out + kept);
                break;
            }
            default:
                out[kept++] = kind;
                break;
        }
    }
    return kept;
}

std::size_t decode_rust_string(std::string_view text, char* out) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < text.size();) {
        if (text[i] != '\\' || i + 1 >= text.size()) {
            out[kept++] = text[i++];
            continue;
        }
        const char kind = text[i + 1];
        i += 2;
        switch (kind) {
            case 'n':
                out[kept++] = '\n';
                break;
            case 'r':
                out[kept++] = '\r';
                break;
            case 't':
                out[kept++] = '\t';
                break;
            case '0':
                out[kept++] = '\0';
                break;
            case '"':
            case '\'':
            case '\\':
                out[kept++] = kind;
                break;
            case 'u': {
                char32_t code = 0;
                std::size_t at = i + 1, digits = 0;
                for (; at < text.size() && digits < 6 && hex_digit(text[at]) >= 0; ++at, ++digits) {
                    code = code * 16 + static_cast<char32_t>(hex_digit(text[at]));
                }
                const bool whole = i < text.size() && text[i] == '{' && digits > 0 &&
                                   at < text.size() && text[at] == '}' && code <= 0x10FFFF;
                if (whole) {
                    if (code >= 0xD800 && code <= 0xDFFF) code = 0xFFFD;
                    kept += encode_utf8(code, out + kept);
                    i = at + 1;
                    break;
                }
                [[fallthrough]];
            }
            default:
                out[kept++] = '\\';
                out[kept++] = kind;
                break;
        }
    }
    return kept;
}

}  // namespace launcher::logs
