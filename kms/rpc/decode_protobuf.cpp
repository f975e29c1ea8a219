#include "kms/rpc/decode.hpp"
#include "kms/rpc/rust_words.hpp"

#include <array>
#include <limits>
#include <string>

namespace kms {
namespace {

using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

enum class WireType : std::uint8_t {
    varint,
    sixty_four_bit,
    length_delimited,
    start_group,
    end_group,
    thirty_two_bit
};
constexpr std::array<std::string_view, 6> kWireTypeNames = {
    "Varint", "SixtyFourBit", "LengthDelimited", "StartGroup", "EndGroup", "ThirtyTwoBit"};
constexpr std::size_t kDeepestGroup = 100;

struct Key {
    std::uint32_t number;
    WireType type;
};

Error fault(std::string text) {
    return {ErrorCode::invalid_argument, std::move(text)};
}

class WireReader {
  public:
    explicit WireReader(std::string_view bytes) : bytes_(bytes) {}
    bool at_end() const { return bytes_.empty(); }

    Result<std::uint64_t> varint() {
        std::uint64_t value = 0;
        for (unsigned i = 0; i < 10 && i < bytes_.size(); ++i) {
            const auto byte = static_cast<std::uint8_t>(bytes_[i]);
            if (i == 9 && byte > 1) break;  // more than 64 bits
            value |= static_cast<std::uint64_t>(byte & 0x7F) << (7 * i);
            if (byte < 0x80) {
                bytes_.remove_prefix(i + 1);
                return value;
            }
        }
        return fault("invalid varint");
    }

    Result<Key> key() {
        TRY(const std::uint64_t key, varint());
        if (key > std::numeric_limits<std::uint32_t>::max())
            return fault("invalid key value: " + std::to_string(key));
        const auto type = static_cast<std::uint8_t>(key & 7);
        if (type >= kWireTypeNames.size())
            return fault("invalid wire type value: " + std::to_string(type));
        const auto number = static_cast<std::uint32_t>(key >> 3);
        if (number == 0) return fault("invalid tag value: 0");
        return Key{number, static_cast<WireType>(type)};
    }

    Result<std::string_view> run(std::uint64_t size) {
        if (size > bytes_.size()) return fault("buffer underflow");
        const std::string_view run = bytes_.substr(0, size);
        bytes_.remove_prefix(size);
        return run;
    }

    Result<std::string_view> delimited() {
        TRY(const std::uint64_t size, varint());
        return run(size);
    }

    /// Reads over a field nobody knows. Groups nest; a list of open ones keeps hostile input off
    /// the stack.
    Result<void> skip(Key key) {
        std::array<std::uint32_t, kDeepestGroup> open{};
        std::size_t depth = 0;
        while (true) {
            switch (key.type) {
                case WireType::varint:
                    TRY_VOID(varint());
                    break;
                case WireType::sixty_four_bit:
                    TRY_VOID(run(8));
                    break;
                case WireType::thirty_two_bit:
                    TRY_VOID(run(4));
                    break;
                case WireType::length_delimited:
                    TRY_VOID(delimited());
                    break;
                case WireType::start_group:
                    if (depth == kDeepestGroup) return fault("recursion limit reached");
                    open[depth++] = key.number;
                    break;
                case WireType::end_group:
                    if (depth == 0 || open[--depth] != key.number)
                        return fault("unexpected end group tag");
                    break;
            }
            if (depth == 0) return {};
            TRY(key, this->key());
        }
    }

  private:
    std::string_view bytes_;
};

Result<FieldValue> read_value(WireReader& reader, const FieldSchema& field, WireType type) {
    const WireType expected =
        field.kind == FieldKind::u32 ? WireType::varint : WireType::length_delimited;
    if (type != expected)
        return fault(
            "invalid wire type: " + std::string(kWireTypeNames[static_cast<std::size_t>(type)]) +
            " (expected " + std::string(kWireTypeNames[static_cast<std::size_t>(expected)]) + ")");
    FieldValue value;
    if (field.kind == FieldKind::u32) {
        TRY(const std::uint64_t number, reader.varint());
        value.number =
            static_cast<std::uint32_t>(number & std::numeric_limits<std::uint32_t>::max());
        return value;
    }
    TRY(const std::string_view run, reader.delimited());
    if (field.kind == FieldKind::text && find_utf8_fault(run))
        return fault("invalid string value: data is not UTF-8 encoded");
    value.text = run;
    return value;
}

Result<void> read_fields(const MessageSchema& schema, std::string_view bytes,
                         google::protobuf::MessageLite& message) {
    WireReader reader(bytes);
    while (!reader.at_end()) {
        TRY(const Key key, reader.key());
        const FieldSchema* field = schema.by_number(key.number);
        if (field == nullptr) {
            TRY_VOID(reader.skip(key));
            continue;
        }
        auto value = read_value(reader, *field, key.type);
        if (!value)
            return std::move(value.error())
                .within(std::string(schema.name) + "." + std::string(field->name));
        field->set(message, std::move(*value));
    }
    return {};
}

}  // namespace

Result<void> decode_protobuf(const MessageSchema& schema, std::string_view bytes,
                             google::protobuf::MessageLite& message) {
    return read_fields(schema, bytes, message).within("failed to decode Protobuf message");
}

}  // namespace kms
