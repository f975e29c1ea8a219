/// What the decoders know about a request message: its name, and its fields with name, number and
/// kind. All request messages of the protocol are flat, so three kinds are enough.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace google::protobuf {
class MessageLite;
}

namespace kms {

enum class FieldKind {
    text,   ///< UTF-8; a JSON string
    bytes,  ///< a hexadecimal JSON string
    u32,    ///< a JSON number
};

/// A decoded value: `text` for text and bytes (raw), `number` for u32.
struct FieldValue {
    std::string text;
    std::uint32_t number = 0;
};

struct FieldSchema {
    std::string_view name;
    std::uint32_t number;
    FieldKind kind;
    void (*set)(google::protobuf::MessageLite& message, FieldValue&& value);
};

struct MessageSchema {
    std::string_view name;
    std::span<const FieldSchema> fields;  ///< in the order of the JSON form

    const FieldSchema* by_name(std::string_view field) const;
    const FieldSchema* by_number(std::uint32_t number) const;
};

extern const MessageSchema kAppIdSchema;
extern const MessageSchema kGetAppKeyRequestSchema;
extern const MessageSchema kGetKmsKeyRequestSchema;
extern const MessageSchema kSignCertRequestSchema;
extern const MessageSchema kClearImageCacheRequestSchema;
extern const MessageSchema kBootstrapRequestSchema;
extern const MessageSchema kOnboardRequestSchema;
extern const MessageSchema kBootstrapResponseSchema;  ///< as bootstrap-info.json holds it

}  // namespace kms
