#include "launcher/logs/parse_json.hpp"

#include "launcher/logs/characters.hpp"
#include "launcher/logs/timestamp.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

namespace launcher::logs {
namespace {

using runtime::LogLevel;

/// One call of parse_json(): the members are looked at one by one, and each ends up in exactly one
/// place.
class Reader {
  public:
    Reader(ParseContext& context, RecordView& record) : context_(context), record_(record) {}

    void pino() {
        bool level = false, time = false, pid = false, message = false;
        for (const JsonMember& member : context_.members) {
            const std::string_view key = member.key;
            const JsonValue& value = member.value;
            if (key == "level" && !level && value.type == JsonType::number) {
                level = true;
                record_.level = pino_level(number(value));
            } else if (key == "time" && !time) {
                time = true;
                if (!take_time(value, 1000.0)) field(member);
            } else if (key == "pid" && !pid) {
                pid = true;
            } else if (key == "msg" && !message && value.type == JsonType::string) {
                message = true;
                record_.message = text(value);
            } else if (key == "reqId") {
                if (value.type == JsonType::string) record_.request_id = text(value);
                field(member);
            } else if (value.type != JsonType::object || !take_known_object(member)) {
                field(member);
            }
        }
    }

    void tracing() {
        const bool has_spans = find("spans") != nullptr;
        for (const JsonMember& member : context_.members) {
            const std::string_view key = member.key;
            const JsonValue& value = member.value;
            const bool string = value.type == JsonType::string;
            if (key == "timestamp" && string) {
                if (!take_time(value, 1.0)) field(member);
            } else if (key == "level" && string) {
                record_.level = level_word(value.raw).value_or(record_.level);
            } else if (key == "target" && string) {
                record_.logger = text(value);
            } else if (key == "fields" && value.type == JsonType::object) {
                read_json_object(value.raw, context_.inner);
                for (const JsonMember& inner : context_.inner) event_field(inner);
            } else if (key == "spans" && value.type == JsonType::array) {
                read_json_array(value.raw, context_.elements);
                for (const JsonValue& element : context_.elements) span(element);
            } else if (key == "span" && value.type == JsonType::object) {
                if (!has_spans) span(value);
            } else if (key == "filename" && string) {
                record_.code_file = text(value);
            } else if (key == "line_number" && value.type == JsonType::number) {
                record_.code_line = static_cast<std::uint32_t>(natural(value));
            } else {
                event_field(member);
            }
        }
    }

    void other() {
        bool level = false, time = false, message = false, logger = false;
        for (const JsonMember& member : context_.members) {
            const std::string_view key = member.key;
            const JsonValue& value = member.value;
            const bool string = value.type == JsonType::string;
            if (!level && string &&
                (key == "level" || key == "severity" || key == "lvl" || key == "log.level")) {
                if (const auto known = level_word(value.raw)) {
                    level = true;
                    record_.level = *known;
                    continue;
                }
            }
            if (!message && string && (key == "message" || key == "msg")) {
                message = true;
                record_.message = text(value);
            } else if (!time &&
                       (key == "time" || key == "timestamp" || key == "@timestamp" ||
                        key == "ts") &&
                       take_time(value, number(value) > 1e11 ? 1000.0 : 1.0)) {
                time = true;
            } else if (!logger && string &&
                       (key == "logger" || key == "target" || key == "log.logger")) {
                logger = true;
                record_.logger = text(value);
            } else {
                field(member);
            }
        }
    }

    const JsonValue* find(std::string_view key) const {
        for (const JsonMember& member : context_.members) {
            if (member.key == key) return &member.value;
        }
        return nullptr;
    }

  private:
    std::string_view text(const JsonValue& value) {
        record_.decoded |= value.escaped;
        return json_text(value.raw, value.escaped, context_.arena);
    }

    static double number(const JsonValue& value) {
        if (value.type != JsonType::number) return 0;
        if (value.raw.size() < 16) {  // levels and times are integers, which are read much faster
            std::int64_t integer = 0;
            const char* const end = value.raw.data() + value.raw.size();
            const auto parsed = std::from_chars(value.raw.data(), end, integer);
            if (parsed.ec == std::errc() && parsed.ptr == end) return static_cast<double>(integer);
        }
        double result = 0;
        std::from_chars(value.raw.data(), value.raw.data() + value.raw.size(), result);
        return std::isfinite(result) ? result : 0;
    }

    /// A number from 0 to 2³²−1; 0 for any other.
    static std::uint64_t natural(const JsonValue& value) {
        std::uint64_t result = 0;
        if (value.type != JsonType::number) return 0;
        std::from_chars(value.raw.data(), value.raw.data() + value.raw.size(), result);
        return result <= 0xFFFFFFFF ? result : 0;
    }

    static LogLevel pino_level(double level) {
        if (level < 20) return LogLevel::trace;
        if (level < 30) return LogLevel::debug;
        if (level < 40) return LogLevel::info;
        if (level < 50) return LogLevel::warn;
        if (level < 60) return LogLevel::error;
        return LogLevel::fatal;
    }

    static std::optional<LogLevel> level_word(std::string_view word) {
        struct Row {
            std::string_view name;
            LogLevel level;
        };
        static constexpr Row kRows[] = {
            {"info", LogLevel::info},        {"warn", LogLevel::warn},
            {"error", LogLevel::error},      {"debug", LogLevel::debug},
            {"trace", LogLevel::trace},      {"warning", LogLevel::warn},
            {"err", LogLevel::error},        {"notice", LogLevel::info},
            {"fatal", LogLevel::fatal},      {"critical", LogLevel::fatal},
            {"crit", LogLevel::fatal},       {"panic", LogLevel::fatal},
            {"alert", LogLevel::fatal},      {"emerg", LogLevel::fatal},
            {"information", LogLevel::info},
        };
        const auto lower = [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
        };
        for (const Row& row : kRows) {
            if (std::equal(word.begin(), word.end(), row.name.begin(), row.name.end(),
                           [&](char a, char b) { return lower(a) == b; })) {
                return row.level;
            }
        }
        return std::nullopt;
    }

    /// Seconds (or whatever there are `per_second` of) since 1970, or RFC 3339 text.
    bool take_time(const JsonValue& value, double per_second) {
        if (value.type == JsonType::string) {
            const auto time = parse_timestamp(value.raw);
            if (!time || time->size != value.raw.size()) return false;
            record_.service_time = time->time;
            return true;
        }
        const double seconds = number(value) / per_second;
        if (seconds < 1 || seconds > 9e9) return false;
        record_.service_time = WallTime(std::chrono::microseconds(std::llround(seconds * 1e6)));
        return true;
    }

    std::string_view name_of(const JsonMember& member) {
        record_.decoded |= member.key_escaped;
        return json_text(member.key, member.key_escaped, context_.arena);
    }

    struct Rendered {
        std::string_view value;
        FieldKind kind;
    };
    Rendered render(const JsonValue& value) {
        if (value.type == JsonType::string) return {text(value), FieldKind::text};
        if (value.type != JsonType::object && value.type != JsonType::array)
            return {value.raw, FieldKind::literal};
        if (value.simple) return {value.raw, FieldKind::json};
        record_.decoded |= value.escaped;
        context_.scratch.clear();
        count(rewrite_json(value, kMaxFieldDepth - 1, nullptr, context_.scratch));
        return {context_.arena.copy(context_.scratch.view()), FieldKind::json};
    }
    void count(RewriteCounts counts) {
        record_.fields_dropped += counts.left_out;
        record_.invalid_utf8 += counts.invalid_utf8;
    }

    void field(const JsonMember& member) {
        const Rendered rendered = render(member.value);
        const bool plain =
            member.key_simple && (rendered.kind != FieldKind::text || member.value.simple);
        record_.add_field(name_of(member), rendered.value, rendered.kind, plain);
    }

    /// A member of tracing's `fields`, or of the top level when they are flattened.
    void event_field(const JsonMember& member) {
        if (member.key == "message" && member.value.type == JsonType::string) {
            record_.message = text(member.value);
        } else if (member.key == "log.file" && member.value.type == JsonType::string) {
            record_.code_file = text(member.value);  // a record of the `log` crate
        } else if (member.key == "log.line" && member.value.type == JsonType::number) {
            record_.code_line = static_cast<std::uint32_t>(natural(member.value));
        } else {
            field(member);
        }
    }

    void span(const JsonValue& value) {
        if (value.type != JsonType::object) return;
        read_json_object(value.raw, context_.innermost);
        std::string_view name;
        for (const JsonMember& member : context_.innermost) {
            if (member.key == "name" && member.value.type == JsonType::string)
                name = text(member.value);
        }
        record_.add_span(name);
        for (const JsonMember& member : context_.innermost) {
            if (member.key == "name") continue;
            const Rendered rendered = render(member.value);
            record_.add_span_field(name_of(member), rendered.value, rendered.kind);
        }
    }

    /// fastify's req, res and err: the members that our records have names for move there, the
    /// others stay together as a field. False when the member is none of these.
    bool take_known_object(const JsonMember& member) {
        const bool request = member.key == "req", response = member.key == "res",
                   error = member.key == "err";
        if (!request && !response && !error) return false;
        read_json_object(member.value.raw, context_.inner);
        std::size_t kept = 0;
        bool loopback = false;
        std::uint16_t port = 0;
        for (const JsonMember& inner : context_.inner) {
            const bool taken = request    ? take_request(inner, loopback, port)
                               : response ? take_response(inner)
                                          : take_error(inner);
            if (!taken) context_.inner[kept++] = inner;
        }
        if (loopback) record_.remote_port = port;
        if (kept == 0) return true;
        context_.inner.resize(kept);
        keep_rest(member.key);
        return true;
    }

    bool take_request(const JsonMember& member, bool& loopback, std::uint16_t& port) {
        const JsonValue& value = member.value;
        if (member.key == "remotePort" && value.type == JsonType::number) {
            port = static_cast<std::uint16_t>(natural(value) & 0xFFFF);
            return false;
        }
        if (value.type != JsonType::string) return false;
        if (member.key == "remoteAddress") {
            loopback = value.raw.starts_with("127.") || value.raw == "::1" ||
                       value.raw.starts_with("::ffff:127.");
            return false;
        }
        if (member.key == "method") {
            record_.http_method = text(value);
            return true;
        }
        if (member.key != "url") return false;
        const std::string_view url = text(value);
        const std::size_t query = url.find('?');
        record_.url_path = url.substr(0, query);
        return query == std::string_view::npos;  // with a query the whole stays as a field, too
    }

    bool take_response(const JsonMember& member) {
        if (member.key != "statusCode" || member.value.type != JsonType::number) return false;
        record_.http_status = static_cast<unsigned>(natural(member.value));
        return true;
    }

    bool take_error(const JsonMember& member) {
        if (member.value.type != JsonType::string) return false;
        if (member.key == "type") {
            record_.error_type = text(member.value);
        } else if (member.key == "message") {
            record_.error_message = text(member.value);
        } else if (member.key == "stack") {
            record_.error_stack = text(member.value);
        } else {
            return false;
        }
        return true;
    }

    /// Writes the members left in context_.inner as one object.
    void keep_rest(std::string_view name) {
        TextBuffer& out = context_.scratch;
        out.clear();
        char separator = '{';
        for (const JsonMember& member : context_.inner) {
            out.append(separator);
            separator = ',';
            record_.decoded |= member.value.escaped;
            out.append('"');
            record_.invalid_utf8 += append_json_escaped(out, name_of(member));
            out.append("\":");
            if (member.value.type == JsonType::object || member.value.type == JsonType::array) {
                count(rewrite_json(member.value, kMaxFieldDepth - 2, nullptr, out));
            } else if (member.value.type == JsonType::string) {
                out.append('"');
                record_.invalid_utf8 += append_json_escaped(out, text(member.value));
                out.append('"');
            } else {
                out.append(member.value.raw);
            }
        }
        out.append('}');
        record_.add_field(name, context_.arena.copy(out.view()), FieldKind::json);
    }

    ParseContext& context_;
    RecordView& record_;
};

}  // namespace

bool parse_json(std::string_view line, ParseContext& context, RecordView& record) {
    if (!read_json_object(line, context.members)) return false;
    Reader reader(context, record);
    const JsonValue* const level = reader.find("level");
    const JsonValue* const timestamp = reader.find("timestamp");
    if (level != nullptr && level->type == JsonType::number) {
        reader.pino();
    } else if (level != nullptr && level->type == JsonType::string && timestamp != nullptr &&
               timestamp->type == JsonType::string &&
               (reader.find("fields") != nullptr || reader.find("message") != nullptr)) {
        reader.tracing();
    } else {
        reader.other();
    }
    return true;
}

}  // namespace launcher::logs
