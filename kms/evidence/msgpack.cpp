#include "kms/evidence/msgpack.hpp"

namespace kms::msgpack {
namespace {

constexpr unsigned kDeepest = 64;

bool within(std::uint8_t marker, std::uint8_t first, std::uint8_t last) {
    return marker >= first && marker <= last;
}

void append_big_endian(Bytes& out, std::uint64_t value, std::size_t size) {
    while (size-- > 0) out.push_back(static_cast<std::uint8_t>(value >> (8 * size)));
}

}  // namespace

Error Reader::error(std::string_view what) const {
    return Error{ErrorCode::invalid_argument,
                 std::string(what) + " at offset " + std::to_string(reader_.offset())};
}

bool Reader::next_is_map() const {
    return within(marker(), 0x80, 0x8f) || within(marker(), 0xde, 0xdf);
}
bool Reader::next_is_array() const {
    return within(marker(), 0x90, 0x9f) || within(marker(), 0xdc, 0xdd);
}
bool Reader::next_is_nil() const {
    return marker() == 0xc0;
}

Result<std::uint64_t> Reader::big_endian(std::size_t size) {
    TRY(const ByteView bytes, reader_.take(size));
    std::uint64_t value = 0;
    for (const std::uint8_t byte : bytes) value = value << 8 | byte;
    return value;
}

Result<std::size_t> Reader::bounded_count(std::uint64_t count, std::size_t item_size) {
    if (count > reader_.left() / item_size)
        return error("more items than the bytes that follow can hold");
    return static_cast<std::size_t>(count);
}

Result<std::size_t> Reader::map() {
    if (!next_is_map()) return error("expected a map");
    TRY(const std::uint8_t found, reader_.u8());
    if (found < 0x90) return bounded_count(found & 0x0fU, 2);
    TRY(const std::uint64_t count, big_endian(found == 0xde ? 2 : 4));
    return bounded_count(count, 2);
}

Result<std::size_t> Reader::array() {
    if (!next_is_array()) return error("expected an array");
    TRY(const std::uint8_t found, reader_.u8());
    if (found < 0xa0) return bounded_count(found & 0x0fU, 1);
    TRY(const std::uint64_t count, big_endian(found == 0xdc ? 2 : 4));
    return bounded_count(count, 1);
}

Result<void> Reader::nil() {
    if (!next_is_nil()) return error("expected nil");
    TRY_VOID(reader_.u8());
    return {};
}

Result<std::uint64_t> Reader::unsigned_integer(std::uint64_t largest) {
    const std::uint8_t found = marker();
    std::uint64_t value = found;
    if (found <= 0x7f) {
        TRY_VOID(reader_.u8());
    } else if (within(found, 0xcc, 0xd3)) {
        TRY_VOID(reader_.u8());
        const std::size_t size = std::size_t{1} << (found & 3U);  // cc..cf unsigned, d0..d3 signed
        TRY(value, big_endian(size));
        if (found >= 0xd0 && (value >> (8 * size - 1) & 1U) != 0) return error("a negative number");
    } else {
        return error("expected an integer");
    }
    if (value > largest) return error("integer out of range");
    return value;
}

Result<std::size_t> Reader::text_or_binary() {
    const std::uint8_t found = marker();
    std::uint64_t size = 0;
    if (within(found, 0xa0, 0xbf)) {
        TRY_VOID(reader_.u8());
        size = found & 0x1fU;
    } else if (within(found, 0xd9, 0xdb) || within(found, 0xc4, 0xc6)) {
        TRY_VOID(reader_.u8());
        TRY(size, big_endian(std::size_t{1} << (found >= 0xd9 ? found - 0xd9 : found - 0xc4)));
    } else {
        return error("expected a string or a binary");
    }
    return bounded_count(size, 1);
}

Result<std::string_view> Reader::text() {
    TRY(const std::size_t size, text_or_binary());
    TRY(const ByteView bytes, reader_.take(size));
    if (!runtime::is_utf8(runtime::as_text(bytes))) return error("string found to be invalid utf8");
    return runtime::as_text(bytes);
}

Result<Bytes> Reader::bytes() {
    Bytes out;
    if (!next_is_array()) {
        TRY(const std::size_t size, text_or_binary());
        TRY(const ByteView found, reader_.take(size));
        out.assign(found.begin(), found.end());
        return out;
    }
    TRY(const std::size_t count, array());
    out.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        TRY(const std::uint64_t byte, unsigned_integer(255));
        out.push_back(static_cast<std::uint8_t>(byte));
    }
    return out;
}

Result<void> Reader::skip() {
    // How many values are still to come on each open level.
    std::uint64_t open[kDeepest] = {1};
    unsigned depth = 0;
    for (;;) {
        while (open[depth] == 0) {
            if (depth == 0) return {};
            --depth;
        }
        --open[depth];
        const std::uint8_t found = marker();
        if (next_is_map() || next_is_array()) {
            if (depth + 1 == kDeepest) return error("depth limit exceeded");
            const bool is_map = next_is_map();
            TRY(const std::size_t count, is_map ? map() : array());
            open[++depth] = is_map ? 2 * std::uint64_t{count} : count;
        } else if (within(found, 0xa0, 0xbf) || within(found, 0xd9, 0xdb) ||
                   within(found, 0xc4, 0xc6)) {
            TRY(const std::size_t size, text_or_binary());
            TRY_VOID(reader_.take(size));
        } else if (within(found, 0xc7, 0xc9)) {  // an extension with a length
            TRY_VOID(reader_.u8());
            TRY(const std::uint64_t size, big_endian(std::size_t{1} << (found - 0xc7)));
            TRY(const std::size_t bounded, bounded_count(size, 1));
            TRY_VOID(reader_.take(bounded + 1));
        } else if (within(found, 0xd4, 0xd8)) {  // an extension of fixed size
            TRY_VOID(reader_.take(2 + (std::size_t{1} << (found - 0xd4))));
        } else if (within(found, 0xca, 0xcb)) {
            TRY_VOID(reader_.take(found == 0xca ? 5 : 9));
        } else if (within(found, 0xcc, 0xd3)) {
            TRY_VOID(reader_.take(1 + (std::size_t{1} << (found & 3U))));
        } else if (found != kNoMarker) {  // nil, booleans, small integers
            TRY_VOID(reader_.u8());
        } else {
            return error("expected a value");
        }
    }
}

void append_map(Bytes& out, std::size_t members) {
    if (members < 16) {
        out.push_back(static_cast<std::uint8_t>(0x80U | members));
    } else {
        out.push_back(members < 0x10000 ? 0xde : 0xdf);
        append_big_endian(out, members, members < 0x10000 ? 2 : 4);
    }
}

void append_array(Bytes& out, std::size_t items) {
    if (items < 16) {
        out.push_back(static_cast<std::uint8_t>(0x90U | items));
    } else {
        out.push_back(items < 0x10000 ? 0xdc : 0xdd);
        append_big_endian(out, items, items < 0x10000 ? 2 : 4);
    }
}

void append_unsigned(Bytes& out, std::uint64_t value) {
    if (value < 0x80) {
        out.push_back(static_cast<std::uint8_t>(value));
        return;
    }
    unsigned power = 0;  // of two, of the size
    while (power < 3 && value >> (8U << power) != 0) ++power;
    out.push_back(static_cast<std::uint8_t>(0xccU + power));
    append_big_endian(out, value, std::size_t{1} << power);
}

void append_text(Bytes& out, std::string_view value) {
    const std::size_t size = value.size();
    if (size < 32) {
        out.push_back(static_cast<std::uint8_t>(0xa0U | size));
    } else {
        const unsigned power = size < 0x100 ? 0 : size < 0x10000 ? 1 : 2;
        out.push_back(static_cast<std::uint8_t>(0xd9U + power));
        append_big_endian(out, size, std::size_t{1} << power);
    }
    const ByteView bytes = runtime::as_bytes(value);
    out.insert(out.end(), bytes.begin(), bytes.end());
}

void append_binary(Bytes& out, ByteView value) {
    const std::size_t size = value.size();
    const unsigned power = size < 0x100 ? 0 : size < 0x10000 ? 1 : 2;
    out.push_back(static_cast<std::uint8_t>(0xc4U + power));
    append_big_endian(out, size, std::size_t{1} << power);
    out.insert(out.end(), value.begin(), value.end());
}

void append_integers(Bytes& out, ByteView value) {
    append_array(out, value.size());
    for (const std::uint8_t byte : value) append_unsigned(out, byte);
}

}  // namespace kms::msgpack
