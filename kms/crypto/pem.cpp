#include "kms/crypto/pem.hpp"

#include <algorithm>

#include <openssl/evp.h>

namespace kms::crypto {
namespace {

constexpr std::size_t kLineBytes = 48;  // 64 characters of base64
constexpr std::string_view kBegin = "-----BEGIN ";
constexpr std::string_view kEnd = "-----END ";
constexpr std::string_view kDashes = "-----";

Error bad(std::string_view what) {
    return Error{ErrorCode::invalid_argument, "not a PEM file: " + std::string(what)};
}

constexpr bool is_space(char c) {
    return c == '\n' || c == '\r' || c == ' ' || c == '\t';
}

Result<SecretBytes> decode_base64(std::string_view body) {
    SecretBytes compact(body.size());
    const std::span<std::uint8_t> characters = compact.writable();
    std::size_t length = 0;
    for (const char c : body)
        if (!is_space(c)) characters[length++] = static_cast<std::uint8_t>(c);
    if (length == 0) return bad("the block is empty");
    if (length % 4 != 0) return bad("the base64 text is cut off or damaged");
    std::size_t padding = 0;
    while (padding < 2 && characters[length - 1 - padding] == '=') ++padding;

    // The decoder of OpenSSL takes white space and padding where it should not; a strict alphabet
    // comes first.
    const auto is_digit = [](std::uint8_t c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               c == '+' || c == '/';
    };
    if (!std::ranges::all_of(characters.first(length - padding), is_digit))
        return bad("a character that is not base64");
    SecretBytes decoded(length / 4 * 3);
    if (EVP_DecodeBlock(decoded.writable().data(), characters.data(), static_cast<int>(length)) < 0)
        return bad("the base64 text is cut off or damaged");
    return SecretBytes::copy_of(decoded.view().first(decoded.size() - padding));
}

}  // namespace

Result<SecretBytes> first_pem_block(std::string_view text) {
    const std::size_t begin = text.find(kBegin);
    if (begin == std::string_view::npos) return bad("there is no line -----BEGIN ...-----");
    text.remove_prefix(begin + kBegin.size());
    const std::size_t label_end = text.find(kDashes);
    const std::string_view label = text.substr(0, label_end);
    if (label_end == std::string_view::npos || label.find('\n') != std::string_view::npos)
        return bad("the line -----BEGIN ...----- is broken");
    text.remove_prefix(label_end + kDashes.size());

    const std::size_t end = text.find(kEnd);
    if (end == std::string_view::npos)
        return bad("there is no line -----END ...-----; is the file cut off?");
    const std::string_view closing = text.substr(end + kEnd.size());
    if (!closing.starts_with(label) || !closing.substr(label.size()).starts_with(kDashes))
        return bad("the labels of its first and last line differ");
    return decode_base64(text.substr(0, end));
}

SecretBytes to_pem_secret(std::string_view label, ByteView der) {
    const std::size_t lines = (der.size() + kLineBytes - 1) / kLineBytes;
    const std::size_t characters = (der.size() + 2) / 3 * 4;
    SecretBytes pem(kBegin.size() + kEnd.size() + 2 * (label.size() + kDashes.size() + 1) +
                    characters + lines);
    auto out = pem.writable().begin();
    const auto put = [&out](std::initializer_list<std::string_view> pieces) {
        for (const std::string_view piece : pieces) out = std::ranges::copy(piece, out).out;
    };

    put({kBegin, label, kDashes, "\n"});
    SecretBytes line(kLineBytes / 3 * 4 + 1);  // EVP_EncodeBlock ends its output with a zero byte
    for (std::size_t at = 0; at < der.size(); at += kLineBytes) {
        const ByteView piece = der.subspan(at, std::min(kLineBytes, der.size() - at));
        const int length =
            EVP_EncodeBlock(line.writable().data(), piece.data(), static_cast<int>(piece.size()));
        put({line.text().substr(0, static_cast<std::size_t>(length)), "\n"});
    }
    put({kEnd, label, kDashes, "\n"});
    return pem;
}

std::string to_pem(std::string_view label, ByteView der) {
    return std::string(to_pem_secret(label, der).text());
}

}  // namespace kms::crypto
