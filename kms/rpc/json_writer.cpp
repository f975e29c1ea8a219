#include "kms/rpc/json_writer.hpp"

#include "launcher/runtime/bytes.hpp"

namespace kms {
namespace {

/// The escape of one character, or nothing when it stands for itself.
std::string_view short_escape(char c) {
    switch (c) {
        case '"':
            return "\\\"";
        case '\\':
            return "\\\\";
        case '\b':
            return "\\b";
        case '\f':
            return "\\f";
        case '\n':
            return "\\n";
        case '\r':
            return "\\r";
        case '\t':
            return "\\t";
        default:
            return {};
    }
}

}  // namespace

void append_json_text(std::string& out, std::string_view text) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    out += '"';
    for (const char c : text) {
        if (const auto escape = short_escape(c); !escape.empty()) {
            out += escape;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            out += "\\u00";
            out += kDigits[static_cast<unsigned char>(c) >> 4];
            out += kDigits[static_cast<unsigned char>(c) & 0xF];
        } else {
            out += c;
        }
    }
    out += '"';
}

JsonObject& JsonObject::member(std::string_view name) {
    if (!first_) out_ += ',';
    first_ = false;
    append_json_text(out_, name);
    out_ += ':';
    return *this;
}

JsonObject& JsonObject::text(std::string_view name, std::string_view value) {
    append_json_text(member(name).out_, value);
    return *this;
}

JsonObject& JsonObject::bytes(std::string_view name, std::string_view value) {
    member(name).out_ += '"';
    out_ += runtime::to_hex(runtime::as_bytes(value));
    out_ += '"';
    return *this;
}

JsonObject& JsonObject::number(std::string_view name, std::uint64_t value) {
    member(name).out_ += std::to_string(value);
    return *this;
}

JsonObject& JsonObject::boolean(std::string_view name, bool value) {
    member(name).out_ += value ? "true" : "false";
    return *this;
}

JsonObject& JsonObject::null(std::string_view name) {
    member(name).out_ += "null";
    return *this;
}

}  // namespace kms
