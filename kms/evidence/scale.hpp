/// SCALE, the encoding of V0 attestations and signing requests. Strict: minimal lengths only, every
/// count bounded by the bytes that are left. Source: spec "kms-protocol" section 4.1.
#pragma once

#include "kms/evidence/report_body.hpp"

#include <string>
#include <string_view>

namespace kms::scale {

/// A compact number of at most 32 bits. Errors (invalid_argument): a form that is longer than
/// needed, or a larger number.
Result<std::uint32_t> compact(runtime::Reader& reader);
/// A count of items of at least `item_size` bytes each (not 0), which must fit into what is left.
Result<std::size_t> count(runtime::Reader& reader, std::size_t item_size);
/// Length and bytes, borrowed.
Result<ByteView> bytes(runtime::Reader& reader);
/// The same as text, which must be UTF-8.
Result<std::string_view> text(runtime::Reader& reader);

void append_u32(Bytes& out, std::uint32_t value);
void append_compact(Bytes& out, std::size_t value);
void append_bytes(Bytes& out, ByteView value);
void append_text(Bytes& out, std::string_view value);

}  // namespace kms::scale
