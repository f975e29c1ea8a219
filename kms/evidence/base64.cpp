#include "kms/evidence/base64.hpp"

#include <array>

namespace kms {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kOther = 0xff;
constexpr std::uint8_t kSpace = 0xfe;

constexpr std::array<std::uint8_t, 256> kValues = [] {
    std::array<std::uint8_t, 256> values{};
    values.fill(kOther);
    for (std::size_t i = 0; i < kAlphabet.size(); ++i)
        values[static_cast<std::uint8_t>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
    for (const char c : {' ', '\t', '\r', '\n'}) values[static_cast<std::uint8_t>(c)] = kSpace;
    return values;
}();

enum class Spaces { refused, skipped };

Error bad(std::string_view what) {
    return Error{ErrorCode::invalid_argument, "bad base64: " + std::string(what)};
}

Result<void> append_decoded(std::string_view text, Spaces spaces, Bytes& out) {
    std::uint32_t group = 0;
    unsigned digits = 0;
    unsigned padding = 0;
    out.reserve(out.size() + text.size() / 4 * 3 + 3);
    for (const char c : text) {
        const std::uint8_t value = kValues[static_cast<std::uint8_t>(c)];
        if (value == kSpace && spaces == Spaces::skipped) continue;
        if (c == '=') {
            if (digits + ++padding > 4 || digits < 2) return bad("padding where none belongs");
            continue;
        }
        if (value >= kSpace) return bad("a character that is not base64");
        if (padding != 0) return bad("text after the padding");
        group = group << 6 | value;
        if (++digits < 4) continue;
        out.push_back(static_cast<std::uint8_t>(group >> 16));
        out.push_back(static_cast<std::uint8_t>(group >> 8));
        out.push_back(static_cast<std::uint8_t>(group));
        digits = 0;
        group = 0;
    }
    if (digits == 1 || (padding != 0 && digits + padding != 4)) return bad("it is cut off");
    if (digits == 0) return {};
    const unsigned unused = digits == 2 ? 4 : 2;
    if ((group & ((1U << unused) - 1)) != 0) return bad("bits after the end");
    group >>= unused;
    if (digits == 3) out.push_back(static_cast<std::uint8_t>(group >> 8));
    out.push_back(static_cast<std::uint8_t>(group));
    return {};
}

}  // namespace

Result<Bytes> from_base64(std::string_view text) {
    Bytes out;
    TRY_VOID(append_decoded(text, Spaces::refused, out));
    return out;
}

Result<void> append_base64_lines(std::string_view text, Bytes& out) {
    return append_decoded(text, Spaces::skipped, out);
}

std::string to_base64(ByteView bytes) {
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
        std::uint32_t group = 0;
        for (std::size_t i = 0; i < 3; ++i) group = group << 8 | (i < count ? bytes[at + i] : 0U);
        for (std::size_t i = 0; i < 4; ++i)
            out += i <= count ? kAlphabet[group >> (18 - 6 * i) & 63U] : '=';
    }
    return out;
}

}  // namespace kms
