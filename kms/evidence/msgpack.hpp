/// MessagePack, the encoding of V1 attestations: a bounded pull reader that takes the forms that
/// the field's decoder takes, and a writer of the shortest forms. Source: the MessagePack
/// specification; spec "attestation" section 4.8.
#pragma once

#include "kms/evidence/json_reader.hpp"
#include "kms/evidence/report_body.hpp"

#include <span>
#include <string>
#include <string_view>

namespace kms::msgpack {

/// Reads one value after the other from borrowed bytes. Errors (invalid_argument): another type
/// than asked for, a length beyond the end, invalid UTF-8. Copying a Reader remembers its position.
class Reader {
  public:
    explicit Reader(ByteView bytes) : reader_(bytes) {}

    bool next_is_map() const;
    bool next_is_array() const;
    bool next_is_nil() const;

    /// Number of members; each takes at least two bytes, so it is bounded by what is left.
    Result<std::size_t> map();
    Result<std::size_t> array();
    Result<void> nil();
    /// An integer from 0 to `largest`, in any integer form.
    Result<std::uint64_t> unsigned_integer(std::uint64_t largest);
    /// A string, or a binary of valid UTF-8; borrowed.
    Result<std::string_view> text();
    /// A binary, a string's bytes, or an array of integers up to 255.
    Result<Bytes> bytes();
    /// Any value, passed over; nesting is bounded.
    Result<void> skip();

    std::size_t left() const { return reader_.left(); }
    Error error(std::string_view what) const;

  private:
    /// The next marker, if it is there.
    std::uint8_t marker() const { return reader_.at_end() ? kNoMarker : reader_.rest()[0]; }
    Result<std::uint64_t> big_endian(std::size_t size);
    Result<std::size_t> bounded_count(std::uint64_t count, std::size_t item_size);
    /// Length of a string or binary whose marker is next, or an error.
    Result<std::size_t> text_or_binary();

    static constexpr std::uint8_t kNoMarker = 0xc1;  // the one that the format never uses
    runtime::Reader reader_;
};

/// As read_members() for JSON.
template <class ReadMember>
Result<void> read_members(Reader& reader, std::span<const std::string_view> names,
                          MemberSet required, ReadMember&& read) {
    MemberSet seen = 0;
    const bool positional = reader.next_is_array();
    TRY(const std::size_t count, positional ? reader.array() : reader.map());
    if (positional && count > names.size()) return reader.error("too many items");
    for (std::size_t position = 0; position < count; ++position) {
        std::size_t i = position;
        if (!positional) {
            TRY(const std::string_view name, reader.text());
            i = 0;
            while (i < names.size() && names[i] != name) ++i;
            if (i == names.size()) {
                TRY_VOID(reader.skip());
                continue;
            }
        }
        if ((seen >> i & 1U) != 0)
            return reader.error("duplicate field `" + std::string(names[i]) + "`");
        seen |= MemberSet{1} << i;
        TRY_VOID(read(i));
    }
    for (std::size_t i = 0; i < names.size(); ++i)
        if (((required & ~seen) >> i & 1U) != 0)
            return reader.error("missing field `" + std::string(names[i]) + "`");
    return {};
}

void append_map(Bytes& out, std::size_t members);
void append_array(Bytes& out, std::size_t items);
void append_unsigned(Bytes& out, std::uint64_t value);
void append_text(Bytes& out, std::string_view value);
void append_binary(Bytes& out, ByteView value);
/// As an array with one integer per byte.
void append_integers(Bytes& out, ByteView value);

}  // namespace kms::msgpack
