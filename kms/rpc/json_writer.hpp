/// Compact JSON in the form of the protocol: members in the order of the calls, bytes as lower-case
/// hexadecimal, only quotes, backslashes and control characters escaped. Pure. Source: spec
/// "kms-protocol" section 1.5.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kms {

/// Appends a quoted text, which must be UTF-8.
void append_json_text(std::string& out, std::string_view text);

/// One object, appended to `out` member by member; the destructor closes nothing, finish() does.
class JsonObject {
  public:
    explicit JsonObject(std::string& out) : out_(out) { out_ += '{'; }

    JsonObject& text(std::string_view name, std::string_view value);
    JsonObject& bytes(std::string_view name, std::string_view value);
    JsonObject& number(std::string_view name, std::uint64_t value);
    JsonObject& boolean(std::string_view name, bool value);
    JsonObject& null(std::string_view name);
    /// Stands before a value that the caller appends to the text.
    JsonObject& member(std::string_view name);
    void finish() { out_ += '}'; }

  private:
    std::string& out_;
    bool first_ = true;
};

}  // namespace kms
