/// JSON, read in one pass over the line and without a tree: log lines are one object each, most of
/// whose members are copied to the output as they are. Pure. Source: RFC 8259.
#pragma once

#include "launcher/logs/text_buffer.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace launcher::logs {

enum class JsonType : std::uint8_t { null, boolean, number, string, object, array };

/// One value, borrowed from the text it was read from.
struct JsonValue {
    JsonType type = JsonType::null;
    std::string_view raw;  ///< of a string: what stands between the quotes
    bool escaped = false;  ///< a string with escapes, or a container with any
    bool simple =
        true;  ///< may be copied as it is: printable ASCII, a container bounded (see below)
};
struct JsonMember {
    std::string_view key;  ///< between the quotes
    bool key_escaped = false;
    bool key_simple = true;  ///< nothing in it that our output would escape
    JsonValue value;
};

inline constexpr int kMaxJsonDepth = 64;  ///< deeper texts count as not well-formed
inline constexpr int kMaxFieldDepth =
    4;  ///< `fields` itself is the first level; what is deeper is left out
inline constexpr std::size_t kMaxEntries = 64;  ///< of one container inside `fields`

/// Reads the object that `text` must be from its first to its last character, blanks at the end
/// aside. False when it is anything else; `members` then holds rubbish.
bool read_json_object(std::string_view text, std::vector<JsonMember>& members);
/// The same for an array's elements.
bool read_json_array(std::string_view text, std::vector<JsonValue>& elements);

/// Whether `text` is a number of JSON's grammar.
bool is_json_number(std::string_view text);

/// Changes a decoded string before it is written again.
class StringFilter {
  public:
    virtual ~StringFilter() = default;
    /// `name` is the member's name, empty in arrays. Returns `text`, or something that lives until
    /// the next call.
    virtual std::string_view apply(std::string_view name, std::string_view text) = 0;
};

struct RewriteCounts {
    std::uint32_t left_out = 0;      ///< values too deep or too many
    std::uint32_t invalid_utf8 = 0;  ///< parts replaced by U+FFFD
};
/// Writes a container again: without blanks, strings escaped afresh, at most `depth` levels and
/// kMaxEntries entries per container. `filter` may be null.
RewriteCounts rewrite_json(const JsonValue& value, int depth, StringFilter* filter,
                           TextBuffer& out);

/// The decoded text of a string's inside; borrowed from `raw` when there is nothing to decode, else
/// put into `arena`. Terminal sequences are removed.
std::string_view json_text(std::string_view raw, bool escaped, TextArena& arena);

}  // namespace launcher::logs
