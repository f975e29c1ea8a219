#include "kms/rpc/json_writer.hpp"

#include "launcher/runtime/bytes.hpp"

#include <algorithm>

namespace kms {
namespace {

constexpr auto needs_escape = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
};

/// The short escape of a character, or nothing when it has none.
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
    // Appended by runs: most texts are PEM, with an escape once a line.
    for (auto at = text.begin(); at != text.end();) {
        const auto run_end = std::find_if(at, text.end(), needs_escape);
        out.append(at, run_end);
        at = run_end;
        if (at == text.end()) break;
        const char c = *at++;
        if (const auto escape = short_escape(c); !escape.empty()) {
            out += escape;
        } else {
            out += "\\u00";
            out += kDigits[static_cast<unsigned char>(c) >> 4];
            out += kDigits[static_cast<unsigned char>(c) & 0xF];
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
