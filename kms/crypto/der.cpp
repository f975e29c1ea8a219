#include "kms/crypto/der.hpp"

namespace kms::crypto::der {
namespace {

constexpr std::uint8_t kLongForm = 0x80;
constexpr std::size_t kMaxLengthBytes = 4;

void append_length(Bytes& out, std::size_t length) {
    if (length < kLongForm) {
        out.push_back(static_cast<std::uint8_t>(length));
        return;
    }
    std::size_t count = 1;
    while (length >> (8 * count) != 0) ++count;
    out.push_back(static_cast<std::uint8_t>(kLongForm | count));
    while (count-- > 0) out.push_back(static_cast<std::uint8_t>(length >> (8 * count)));
}

Error bad(std::string_view what) {
    return Error{ErrorCode::invalid_argument, "bad DER: " + std::string(what)};
}

Result<std::size_t> take_length(runtime::Reader& reader) {
    TRY(const std::uint8_t first, reader.u8());
    if (first < kLongForm) return std::size_t{first};
    const std::size_t count = first & 0x7fU;
    if (count == 0 || count > kMaxLengthBytes)
        return bad("a length in a form that DER does not know, or too large");
    TRY(const ByteView bytes, reader.take(count));
    std::size_t length = 0;
    for (const std::uint8_t byte : bytes) length = length << 8 | byte;
    if (bytes[0] == 0 || length < kLongForm) return bad("a length that is not minimal");
    return length;
}

}  // namespace

Bytes element(std::uint8_t identifier, std::initializer_list<ByteView> contents) {
    std::size_t length = 0;
    for (const ByteView part : contents) length += part.size();
    Bytes out;
    out.reserve(length + 6);
    out.push_back(identifier);
    append_length(out, length);
    for (const ByteView part : contents) out.insert(out.end(), part.begin(), part.end());
    return out;
}

Bytes unsigned_integer(ByteView big_endian) {
    while (!big_endian.empty() && big_endian[0] == 0) big_endian = big_endian.subspan(1);
    constexpr std::uint8_t kZero[] = {0};
    const bool needs_zero = big_endian.empty() || (big_endian[0] & 0x80U) != 0;
    return element(kInteger, {needs_zero ? ByteView(kZero) : ByteView(), big_endian});
}

Result<ByteView> Peeler::take(std::uint8_t identifier) {
    if (bytes_.empty()) return bad("it ends too early");
    if (bytes_[0] != identifier) return bad("something else was expected here");
    runtime::Reader reader(bytes_.subspan(1));
    TRY(const std::size_t length, take_length(reader));
    TRY(const ByteView contents, reader.take(length));
    bytes_ = reader.rest();
    return contents;
}

Result<ByteView> Peeler::take_whole(std::uint8_t identifier) {
    const ByteView before = bytes_;
    TRY_VOID(take(identifier));
    return before.first(before.size() - bytes_.size());
}

Result<ByteView> Peeler::take_any() {
    if (bytes_.empty()) return bad("it ends too early");
    return take_whole(bytes_[0]);
}

}  // namespace kms::crypto::der
