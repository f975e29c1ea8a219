/// A pull reader for JSON: the caller asks for what it expects, nothing is built that nobody asked
/// for, and doubled members can be told. Strict (RFC 8259): well-formed UTF-8, no text after the
/// end, depth bounded.
#pragma once

#include "kms/evidence/report_body.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace kms {

/// Each function reads at the current position and fails with invalid_argument, in the words of the
/// parser that the field uses (they travel to clients): what is wrong "at line L column C". The
/// text is borrowed. After a failure the reader is of no further use.
class JsonReader {
  public:
    explicit JsonReader(std::string_view text) : text_(text) {}

    enum class Kind { object, array, string, number, boolean, null, end };
    /// What stands next, white space skipped; `end` also for anything that is not JSON.
    Kind peek();

    Result<void> enter_object();
    Result<void> enter_array();
    /// Whether another member or item follows in the innermost object or array, which is left when
    /// none does. Reads the comma.
    Result<bool> next();
    /// The name of the next member, and its colon. Valid until the next call of a function that
    /// reads text.
    Result<std::string_view> name();

    /// A string with its escapes resolved; valid until the next call of a function that reads text,
    /// or borrowed from the input when it has no escapes.
    Result<std::string_view> text();
    /// A number that is an integer from 0 to `largest`: no fraction, no exponent, no sign.
    Result<std::uint64_t> unsigned_integer(std::uint64_t largest);
    Result<bool> boolean();
    Result<void> null();
    /// Any value, passed over.
    Result<void> skip();
    /// The input's bytes of the value that skip() would pass over.
    Result<std::string_view> raw_value();
    /// Nothing but white space follows.
    Result<void> finish();

    /// An error about what was just read.
    Error error(std::string_view what) const;
    /// "invalid type: ..., expected ...": about the value that comes next.
    Error invalid_type(std::string_view expected);

  private:
    char peek_char();
    /// An error about the next character, or about there being none.
    Error peek_error(std::string_view what) const;
    Error position(std::string_view what, std::size_t at) const;
    Result<void> expect(char c, std::string_view what);
    Result<std::string_view> string_content();
    Result<void> literal(std::string_view word);
    Result<void> number_syntax();
    Result<void> append_escape();
    Result<std::uint32_t> hex4();
    Result<void> enter(char open);

    static constexpr unsigned kDeepest = 32;
    std::string_view text_;
    std::size_t at_ = 0;
    std::string unescaped_;
    bool is_array_[kDeepest] = {};  // of each open level
    bool is_first_[kDeepest] = {};
    unsigned depth_ = 0;
};

/// Bits of the members that must come.
using MemberSet = std::uint32_t;
/// The first `count` members.
constexpr MemberSet first_members(unsigned count) {
    return (MemberSet{1} << count) - 1;
}

/// Reads an object with known members: `read(i)` reads the value of the member `names[i]`; others
/// are passed over. An array stands for the members in their order. Errors: a member that comes
/// twice, a required one that does not come, an array with more items than members.
template <class ReadMember>
Result<void> read_members(JsonReader& reader, std::span<const std::string_view> names,
                          MemberSet required, ReadMember&& read) {
    MemberSet seen = 0;
    const bool positional = reader.peek() == JsonReader::Kind::array;
    TRY_VOID(positional ? reader.enter_array() : reader.enter_object());
    for (std::size_t position = 0;; ++position) {
        TRY(const bool more, reader.next());
        if (!more) break;
        std::size_t i = position;
        if (positional) {
            if (i >= names.size()) return reader.error("too many items");
        } else {
            TRY(const std::string_view name, reader.name());
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

/// Hex text as bytes, either case, no prefix.
Result<Bytes> hex_member(JsonReader& reader);

}  // namespace kms
