#include "launcher/logs/parse_tracing.hpp"

#include "launcher/logs/characters.hpp"
#include "launcher/logs/line_start.hpp"
#include "launcher/logs/timestamp.hpp"

#include <array>
#include <charconv>
#include <cstring>

namespace launcher::logs {
namespace {

constexpr auto kNone = std::string_view::npos;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_alpha(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_separator(char c) {
    return c == ' ' || c == '\n';
}

/// Characters of a field's name, and of the names of spans and targets.
constexpr std::array<std::uint8_t, 256> kClasses = [] {
    std::array<std::uint8_t, 256> table{};
    for (int c = 0; c < 256; ++c) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        const bool word = letter || (c >= '0' && c <= '9') || c == '.' || c == '-';
        const bool path =
            word || c == '/' || c == '<' || c == '>' || c == '$' || c == '#' || c == '&';
        table[static_cast<std::size_t>(c)] =
            static_cast<std::uint8_t>((word ? 1 : 0) | (path ? 2 : 0));
    }
    return table;
}();
bool is_name(char c) {
    return (kClasses[static_cast<unsigned char>(c)] & 1) != 0;
}
bool is_path(char c) {
    return (kClasses[static_cast<unsigned char>(c)] & 2) != 0;
}

/// The position after the quote that closes the string which begins at `at`; kNone when nothing
/// closes it.
std::size_t string_end(std::string_view text, std::size_t at) {
    for (++at; at < text.size(); ++at) {
        const char* const begin = text.data() + at;
        const std::size_t left = text.size() - at;
        at += plain_prefix({begin, left});
        if (at >= text.size()) return kNone;
        if (text[at] == '"') return at + 1;
        if (text[at] == '\\') ++at;
    }
    return kNone;
}

/// The position after the bracket that closes the one at `at`; kNone when brackets or quotes do not
/// match.
std::size_t bracket_end(std::string_view text, std::size_t at) {
    std::array<char, 64> expected;
    std::size_t depth = 0;
    while (at < text.size()) {
        switch (const char c = text[at]) {
            case '(':
            case '[':
            case '{':
                if (depth == expected.size()) return kNone;
                expected[depth++] = c == '(' ? ')' : c == '[' ? ']' : '}';
                break;
            case ')':
            case ']':
            case '}':
                if (depth == 0 || expected[--depth] != c) return kNone;
                if (depth == 0) return at + 1;
                break;
            case '"':
                at = string_end(text, at);
                if (at == kNone) return kNone;
                continue;
            default:
                break;
        }
        ++at;
    }
    return kNone;
}

/// Where the bare value that begins at `at` ends: at a blank outside of brackets and quotes.
/// Debug's "Name { … }" is one value. kNone when brackets or quotes do not match.
std::size_t bare_end(std::string_view text, std::size_t at) {
    const std::size_t begin = at;
    bool path = true;  // so far it could be the name of a struct
    while (at < text.size()) {
        const char c = text[at];
        if (is_separator(c)) {
            if (!path || at == begin || !text.substr(at).starts_with(" {")) return at;
            ++at;
            path = false;
            continue;
        }
        if (c == '(' || c == '[' || c == '{') {
            at = bracket_end(text, at);
            path = false;
        } else if (c == '"') {
            at = string_end(text, at);
            path = false;
        } else if (c == ')' || c == ']' || c == '}') {
            return kNone;
        } else {
            path = path && (is_path(c) || c == ':') && (at != begin || is_alpha(c));
            ++at;
        }
        if (at == kNone) return kNone;
    }
    return at;
}

/// A number that every reader understands alike: no exponent (a hexadecimal digest may look like
/// one), and no more digits than a double and a 64-bit integer hold.
bool is_plain_number(std::string_view text) {
    return text.size() <= 16 && text.find_first_of("eE") == kNone && is_json_number(text);
}

FieldView typed_field(std::string_view name, std::string_view value) {
    const bool number =
        !value.empty() && (is_digit(value[0]) || value[0] == '-') && is_plain_number(value);
    const bool literal = number || value == "true" || value == "false";
    return {name, value, literal ? FieldKind::literal : FieldKind::text};
}

FieldView quoted_field(std::string_view name, std::string_view inside, TextArena& arena,
                       bool& decoded) {
    if (inside.find('\\') == kNone) return {name, inside, FieldKind::text};
    decoded = true;
    char* const room = arena.allocate(inside.size());
    std::size_t size = decode_rust_string(inside, room);
    if (has_escape({room, size})) size = strip_ansi({room, size}, room);
    arena.give_back(inside.size() - size);
    return {name, {room, size}, FieldKind::text};
}

/// The length of a field's name at the front of `text`, which '=' follows; 0 when there is none.
std::size_t field_name_size(std::string_view text) {
    std::size_t at = text.starts_with("r#") ? 2 : 0;
    if (at >= text.size() || !is_alpha(text[at])) return 0;
    while (at < text.size() && is_name(text[at])) ++at;
    return at < text.size() && text[at] == '=' ? at : 0;
}

struct FieldEnd {
    std::size_t at = kNone;   ///< the position after the field; kNone when it is none
    bool unbalanced = false;  ///< the search for its end went to the end of the text
};

/// Reads name=value at `at`, up to a blank or the end.
FieldEnd read_field(std::string_view text, std::size_t at, TextArena& arena, FieldView& field,
                    bool& decoded) {
    const std::size_t name_size = field_name_size(text.substr(at));
    if (name_size == 0) return {};
    const std::string_view name = text.substr(at, name_size);
    const std::size_t value_at = at + name_size + 1;
    if (value_at < text.size() && text[value_at] == '=') return {};
    if (value_at < text.size() && text[value_at] == '"') {
        const std::size_t end = string_end(text, value_at);
        if (end == kNone) return {kNone, true};
        if (end == text.size() || is_separator(text[end])) {
            field =
                quoted_field(name, text.substr(value_at + 1, end - value_at - 2), arena, decoded);
            return {end, false};
        }
    }
    const std::size_t end = bare_end(text, value_at);
    if (end == kNone) return {kNone, true};
    field = typed_field(name, text.substr(value_at, end - value_at));
    return {end, false};
}

/// The fields between a span's braces. A value may hold blanks there: everything up to the next "
/// name=" is its own.
void read_span_fields(std::string_view text, ParseContext& context, RecordView& record) {
    std::size_t at = 0;
    while (at < text.size()) {
        FieldView field;
        FieldEnd end = read_field(text, at, context.arena, field, record.decoded);
        if (end.at == kNone) {
            const std::size_t name_size = field_name_size(text.substr(at));
            field.name = name_size == 0 ? std::string_view("text") : text.substr(at, name_size);
            field.value = text.substr(name_size == 0 ? at : at + name_size + 1);
            record.add_span_field(field.name, field.value, FieldKind::text);
            return;
        }
        std::size_t next = end.at;
        while (next < text.size() && field_name_size(text.substr(next + 1)) == 0) {
            next = text.find(' ', next + 1);
            if (next == kNone) next = text.size();
            const std::size_t value_at = at + field.name.size() + 1;
            field.value = text.substr(value_at, next - value_at);
            field.kind = FieldKind::text;
        }
        record.add_span_field(field.name, field.value, field.kind);
        at = next + 1;
    }
}

/// The end of a name of a span or target at `at`; `at` itself when there is none. "::" is a part of
/// a name.
std::size_t token_end(std::string_view text, std::size_t at) {
    if (at >= text.size() || !is_alpha(text[at])) return at;
    while (at < text.size()) {
        if (is_path(text[at])) {
            ++at;
        } else if (text[at] == ':' && at + 2 < text.size() && text[at + 1] == ':' &&
                   is_path(text[at + 2])) {
            at += 2;
        } else {
            break;
        }
    }
    return at;
}

/// The end of a name followed by ": " at `at`; kNone when there is none.
std::size_t titled(std::string_view text, std::size_t at) {
    const std::size_t end = token_end(text, at);
    return end != at && end + 1 < text.size() && text[end] == ':' && text[end + 1] == ' ' ? end
                                                                                          : kNone;
}

struct SpanText {
    std::string_view name, fields;
};
/// Names joined by ':' without blanks, each perhaps with {fields}, up to ": ".
struct Group {
    std::array<SpanText, RecordView::kMaxSpans> spans;
    std::size_t count = 0;
    bool braces = false;
    std::size_t end = kNone;  ///< the position after ": "; kNone when this is no group
};
Group read_group(std::string_view text, std::size_t at) {
    Group group;
    while (true) {
        const std::size_t name_end = token_end(text, at);
        if (name_end == at || name_end >= text.size() || group.count == group.spans.size())
            return group;
        SpanText& span = group.spans[group.count++];
        span.name = text.substr(at, name_end - at);
        std::size_t end = name_end;
        if (text[end] == '{') {
            end = bracket_end(text, end);
            if (end == kNone || end >= text.size()) return group;
            span.fields = text.substr(name_end + 1, end - name_end - 2);
            group.braces = true;
        }
        if (text[end] != ':' || end + 1 >= text.size()) return group;
        at = end + 1;
        if (text[at] == ' ') {
            group.end = at + 1;
            return group;
        }
    }
}

/// Skips "name ThreadId(02) ". Thread names alone cannot be told from a message, so they stay in
/// it.
std::size_t skip_thread(std::string_view text, std::size_t at, RecordView& record) {
    constexpr std::string_view kId = "ThreadId(";
    std::size_t id = at;
    while (id < text.size() && text[id] == ' ') ++id;  // names are padded to a column
    if (!text.substr(id).starts_with(kId)) {
        const std::size_t end = token_end(text, id);
        if (end == id || end >= text.size() || text[end] != ' ' ||
            !text.substr(end + 1).starts_with(kId))
            return at;
        record.add_field("threadName", text.substr(id, end - id), FieldKind::text);
        id = end + 1;
    }
    std::size_t end = id + kId.size();
    while (end < text.size() && is_digit(text[end])) ++end;
    if (!text.substr(end).starts_with(") ")) return at;
    record.add_field("threadId", text.substr(id, end + 1 - id), FieldKind::text);
    return end + 2;
}

/// Skips "src/main.rs:10: ".
std::size_t skip_source(std::string_view text, std::size_t at, RecordView& record) {
    const std::size_t blank = text.find(' ', at);
    if (blank == kNone || blank == at || text[blank - 1] != ':') return at;
    std::string_view file = text.substr(at, blank - 1 - at);
    std::uint32_t line = 0;
    if (const std::size_t colon = file.rfind(':'); colon != kNone) {
        const char* const end = file.data() + file.size();
        const auto parsed = std::from_chars(file.data() + colon + 1, end, line);
        if (parsed.ec != std::errc() || parsed.ptr != end) return at;
        file = file.substr(0, colon);
    }
    if (!file.ends_with(".rs")) return at;
    record.code_file = file;
    record.code_line = line;
    return blank + 1;
}

/// Reads spans and target at `at` and returns where the rest begins.
std::size_t read_origin(std::string_view text, std::size_t at, ParseContext& context,
                        RecordView& record) {
    std::size_t end = titled(text, at);
    if (end != kNone) {
        const std::string_view first = text.substr(at, end - at);
        end += 2;
        const std::size_t second = titled(text, end);
        if (second == kNone || !context.targets.contains(text.substr(end, second - end))) {
            record.logger = first;
            if (second == kNone) context.targets.learn(first);
            return end;
        }
        record.add_span(first);
    } else {
        const Group group = read_group(text, at);
        if (group.end == kNone) return at;
        for (std::size_t i = 0; i < group.count; ++i) {
            record.add_span(group.spans[i].name);
            read_span_fields(group.spans[i].fields, context, record);
        }
        end = group.end;
    }
    const std::size_t target_end = titled(text, end);
    if (target_end == kNone) return end;
    record.logger = text.substr(end, target_end - end);
    context.targets.learn(record.logger);
    return target_end + 2;
}

/// `pretty` puts the place on its own line, "    at src/main.rs:10". Returns false when it is not
/// there.
bool read_pretty_place(std::string_view text, RecordView& record) {
    constexpr std::string_view kPlace = "\n    at ";
    const std::size_t found = text.find(kPlace);
    if (found == kNone) return false;
    std::string_view place = text.substr(found + kPlace.size());
    place = place.substr(0, place.find('\n'));
    place = place.substr(0, place.find(" on "));
    const std::size_t colon = place.rfind(':');
    if (colon == kNone) return false;
    const char* const end = place.data() + place.size();
    std::uint32_t line = 0;
    const auto parsed = std::from_chars(place.data() + colon + 1, end, line);
    if (parsed.ec != std::errc() || parsed.ptr != end) return false;
    record.code_file = place.substr(0, colon);
    record.code_line = line;
    return true;
}

}  // namespace

std::string_view split_fields(std::string_view text, TextArena& arena,
                              std::vector<FieldView>& fields, bool& decoded) {
    constexpr int kMaxLongSearches =
        8;  // each may read the whole text, so their number is what bounds the work
    const std::size_t before = fields.size();
    int long_searches = 0;
    std::size_t at = 0;  // always where a word begins
    while (at < text.size()) {
        const void* const found = std::memchr(text.data() + at, '=', text.size() - at);
        if (found == nullptr) break;
        std::size_t begin = static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
        while (begin > at && !is_separator(text[begin - 1])) --begin;
        std::size_t next = begin;
        FieldEnd end;
        bool escapes = false;
        while (next < text.size()) {
            FieldView field;
            end = read_field(text, next, arena, field, escapes);
            if (end.at == kNone) break;
            fields.push_back(field);
            next = end.at;
            while (next < text.size() && is_separator(text[next])) ++next;
        }
        if (end.at != kNone) {
            decoded |= escapes;
            return text.substr(0, begin == 0 ? 0 : begin - 1);
        }
        fields.resize(before);
        if (end.unbalanced && ++long_searches == kMaxLongSearches) break;
        while (next < text.size() && !is_separator(text[next])) ++next;
        at = next + 1;
    }
    return text;
}

bool parse_tracing(std::string_view text, ParseContext& context, RecordView& record) {
    const auto header = tracing_header(text);
    if (!header) return false;
    std::optional<ParsedTime> time;
    if (header->time_size != 0) {
        time = parse_timestamp(text.substr(header->time_at, header->time_size));
        if (!time) return false;
    }
    if (header->pretty && !read_pretty_place(text, record)) return false;
    if (time) record.service_time = time->time;
    record.level = header->level;
    std::size_t at = skip_thread(text, header->size, record);
    at = read_origin(text, at, context, record);
    at = skip_source(text, at, record);
    record.message = text.substr(at);
    if (!context.extract_fields) return true;
    context.fields.clear();
    record.message = split_fields(record.message, context.arena, context.fields, record.decoded);
    for (const FieldView& field : context.fields)
        record.add_field(field.name, field.value, field.kind);
    return true;
}

}  // namespace launcher::logs
