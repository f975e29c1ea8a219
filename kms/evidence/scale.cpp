#include "kms/evidence/scale.hpp"

namespace kms::scale {
namespace {

Error bad(std::string_view what) {
    return Error{ErrorCode::invalid_argument, std::string(what)};
}

}  // namespace

Result<std::uint32_t> compact(runtime::Reader& reader) {
    TRY(const std::uint8_t first, reader.u8());
    const std::uint32_t low = first >> 2;
    switch (first & 3U) {
        case 0:
            return low;
        case 1: {
            TRY(const std::uint8_t second, reader.u8());
            const std::uint32_t value = low | static_cast<std::uint32_t>(second) << 6;
            if (value < 1U << 6)
                return bad("a compact number in a form that is longer than needed");
            return value;
        }
        case 2: {
            TRY(const ByteView rest, reader.take(3));
            const std::uint32_t value = low | static_cast<std::uint32_t>(rest[0]) << 6 |
                                        static_cast<std::uint32_t>(rest[1]) << 14 |
                                        static_cast<std::uint32_t>(rest[2]) << 22;
            if (value < 1U << 14)
                return bad("a compact number in a form that is longer than needed");
            return value;
        }
        default: {
            if (low != 0) return bad("a compact number of more than 32 bits");
            TRY(const std::uint32_t value, reader.u32_le());
            if (value < 1U << 30)
                return bad("a compact number in a form that is longer than needed");
            return value;
        }
    }
}

Result<std::size_t> count(runtime::Reader& reader, std::size_t item_size) {
    TRY(const std::uint32_t items, compact(reader));
    if (items > reader.left() / item_size)
        return bad("a count of " + std::to_string(items) +
                   " items, more than the bytes that follow can hold");
    return std::size_t{items};
}

Result<ByteView> bytes(runtime::Reader& reader) {
    TRY(const std::size_t size, count(reader, 1));
    return reader.take(size);
}

Result<std::string_view> text(runtime::Reader& reader) {
    TRY(const ByteView found, bytes(reader));
    if (!runtime::is_utf8(runtime::as_text(found))) return bad("Invalid UTF-8 string");
    return runtime::as_text(found);
}

void append_u32(Bytes& out, std::uint32_t value) {
    for (unsigned shift = 0; shift < 32; shift += 8)
        out.push_back(static_cast<std::uint8_t>(value >> shift));
}

void append_compact(Bytes& out, std::size_t value) {
    const auto number = static_cast<std::uint32_t>(value);
    if (number < 1U << 6) {
        out.push_back(static_cast<std::uint8_t>(number << 2));
    } else if (number < 1U << 14) {
        out.push_back(static_cast<std::uint8_t>(number << 2 | 1U));
        out.push_back(static_cast<std::uint8_t>(number >> 6));
    } else if (number < 1U << 30) {
        append_u32(out, number << 2 | 2U);
    } else {
        out.push_back(3);
        append_u32(out, number);
    }
}

void append_bytes(Bytes& out, ByteView value) {
    append_compact(out, value.size());
    out.insert(out.end(), value.begin(), value.end());
}

void append_text(Bytes& out, std::string_view value) {
    append_bytes(out, runtime::as_bytes(value));
}

}  // namespace kms::scale
