/// Byte strings: hexadecimal text, and the one bounded reader for binary formats.
#pragma once

#include "launcher/runtime/result.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace runtime {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Lower-case, without 0x.
std::string to_hex(ByteView bytes);
/// Either case, no prefix. Errors (invalid_argument): "Odd number of digits", "Invalid character
/// 'x' at position n".
Result<Bytes> from_hex(std::string_view text);

/// Whether `text` is well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates).
bool is_utf8(std::string_view text);

/// Reads numbers and byte runs from the front of a borrowed view. Every read checks the length
/// first and fails with invalid_argument and the offset; after a failure nothing was consumed.
class Reader {
  public:
    explicit Reader(ByteView bytes) : bytes_(bytes) {}

    Result<std::uint8_t> u8();
    Result<std::uint16_t> u16_le();
    Result<std::uint32_t> u32_le();
    Result<std::uint64_t> u64_le();
    Result<std::uint16_t> u16_be();
    Result<std::uint32_t> u32_be();
    Result<std::uint64_t> u64_be();
    /// The next `size` bytes, borrowed from the view the reader was made with.
    Result<ByteView> take(std::size_t size);

    std::size_t offset() const { return offset_; }
    std::size_t left() const { return bytes_.size() - offset_; }
    bool at_end() const { return left() == 0; }
    ByteView rest() const { return bytes_.subspan(offset_); }

  private:
    ByteView bytes_;
    std::size_t offset_ = 0;
};

}  // namespace runtime
