/// DER: writing by nesting, reading by peeling. Only what certificates and keys need. Source: ITU-T
/// X.690.
#pragma once

#include "kms/crypto/sha256.hpp"

#include <initializer_list>
#include <string_view>

namespace kms::crypto::der {

// Identifier octets.
inline constexpr std::uint8_t kBoolean = 0x01;
inline constexpr std::uint8_t kInteger = 0x02;
inline constexpr std::uint8_t kBitString = 0x03;
inline constexpr std::uint8_t kOctetString = 0x04;
inline constexpr std::uint8_t kOid = 0x06;
inline constexpr std::uint8_t kUtf8String = 0x0c;
inline constexpr std::uint8_t kUtcTime = 0x17;
inline constexpr std::uint8_t kGeneralizedTime = 0x18;
inline constexpr std::uint8_t kSequence = 0x30;
inline constexpr std::uint8_t kSet = 0x31;
/// [n], primitive or constructed; n is at most 30.
constexpr std::uint8_t context_primitive(unsigned n) {
    return static_cast<std::uint8_t>(0x80U | n);
}
constexpr std::uint8_t context_constructed(unsigned n) {
    return static_cast<std::uint8_t>(0xa0U | n);
}

/// One element: identifier, minimal length, and the concatenation of `contents`. For public values
/// only.
Bytes element(std::uint8_t identifier, std::initializer_list<ByteView> contents);
/// An INTEGER from a big-endian number that is not negative: leading zeros go, a zero is added
/// before a high bit.
Bytes unsigned_integer(ByteView big_endian);

/// Takes elements from the front of a borrowed view, strictly: one-byte identifiers, minimal
/// lengths of at most four bytes, nothing beyond the end. After a failure nothing was consumed.
class Peeler {
  public:
    explicit Peeler(ByteView bytes) : bytes_(bytes) {}

    /// The contents of the next element, which must have this identifier. Errors (invalid_argument)
    /// say at most that "something else" was found: what is read may be secret.
    Result<ByteView> take(std::uint8_t identifier);
    /// The next element with its identifier and length, which must have this identifier.
    Result<ByteView> take_whole(std::uint8_t identifier);
    /// The next element with its identifier and length, whatever it is.
    Result<ByteView> take_any();
    bool next_is(std::uint8_t identifier) const {
        return !bytes_.empty() && bytes_[0] == identifier;
    }
    bool at_end() const { return bytes_.empty(); }
    /// What was not taken yet.
    ByteView rest() const { return bytes_; }

  private:
    ByteView bytes_;
};

}  // namespace kms::crypto::der
