#include "launcher/logs/characters.hpp"
#include "launcher/logs/encode.hpp"

#include <charconv>

namespace launcher::logs {
namespace {

constexpr std::string_view kNextLine = "    | ";
constexpr std::size_t kServiceColumn = 8;  // "launcher", "auth-eth"

struct LevelText {
    std::string_view name, colour;
};
LevelText level_text(runtime::LogLevel level) {
    switch (level) {
        case runtime::LogLevel::trace:
            return {"TRACE", "\x1B[35m"};
        case runtime::LogLevel::debug:
            return {"DEBUG", "\x1B[34m"};
        case runtime::LogLevel::info:
            return {"INFO ", "\x1B[32m"};
        case runtime::LogLevel::warn:
            return {"WARN ", "\x1B[33m"};
        case runtime::LogLevel::error:
            return {"ERROR", "\x1B[31m"};
        default:
            return {"FATAL", "\x1B[1;31m"};
    }
}

/// Whether a value can stand behind "name=" without quotes and still be read as one.
bool is_bare(std::string_view value) {
    return !value.empty() && plain_prefix(value) == value.size() &&
           value.find(' ') == std::string_view::npos;
}

/// A text on one line, in quotes when it would be misread without.
void append_value(TextBuffer& out, const FieldView& field) {
    if (field.kind == FieldKind::json || is_bare(field.value)) {
        out.append(field.value);
        return;
    }
    out.append('"');
    append_json_escaped(out, field.value);
    out.append('"');
}

void append_fields(TextBuffer& out, const FieldView* fields, std::size_t count, bool separator) {
    for (std::size_t i = 0; i < count; ++i) {
        if (separator) out.append(' ');
        separator = true;
        append_json_escaped(out, fields[i].name);
        out.append('=');
        append_value(out, fields[i]);
    }
}

}  // namespace

void TextEncoder::encode(const RecordView& record, TextBuffer& out) {
    constexpr std::string_view kDim = "\x1B[2m", kPlain = "\x1B[0m";
    const auto colour = [&](std::string_view sequence) {
        if (colour_) out.append(sequence);
    };
    colour(kDim);
    times_.write_milliseconds(record.timestamp, out.reserve(TimestampWriter::kMilliseconds));
    out.commit(TimestampWriter::kMilliseconds);
    colour(kPlain);
    out.append(' ');
    const LevelText level = level_text(record.level);
    colour(level.colour);
    out.append(level.name);
    colour(kPlain);
    out.append(' ');
    append_text_escaped(out, record.service);
    for (std::size_t i = record.service.size(); i < kServiceColumn; ++i) out.append(' ');
    out.append(' ');
    for (const SpanView& span : record.spans) {
        append_text_escaped(out, span.name);
        if (span.fields != 0) {
            out.append('{');
            append_fields(out, record.span_fields.data() + span.first_field, span.fields, false);
            out.append('}');
        }
        out.append(':');
    }
    if (!record.spans.empty()) out.append(' ');
    if (!record.logger.empty()) {
        colour(kDim);
        append_text_escaped(out, record.logger);
        out.append(':');
        colour(kPlain);
        out.append(' ');
    }
    append_text_escaped(out, record.message, kNextLine);
    const bool separator = !record.message.empty();
    append_fields(out, record.fields.data(), record.fields.size(), separator);
    if (record.http_status || !record.http_method.empty()) {
        out.append(" http=");
        append_text_escaped(out, record.http_method);
        out.append(record.url_path.empty() ? "" : " ");
        append_text_escaped(out, record.url_path);
        if (record.http_status) {
            char digits[12];
            const auto end = std::to_chars(digits, digits + sizeof digits, *record.http_status).ptr;
            if (!record.http_method.empty()) out.append(' ');
            out.append({digits, static_cast<std::size_t>(end - digits)});
        }
    }
    // The stack of a plain error is its message already.
    if (!record.error_stack.empty() &&
        record.message.find(record.error_stack) == std::string_view::npos) {
        out.append('\n');
        out.append(kNextLine);
        append_text_escaped(out, record.error_stack, kNextLine);
    } else if (!record.error_message.empty() && record.error_stack.empty() &&
               record.message.find(record.error_message) == std::string_view::npos) {
        out.append(" error=");
        append_value(out, {"", record.error_message, FieldKind::text});
    }
    if (record.partial) out.append(" [continues]");
    out.append('\n');
}

std::string to_text_line(const Record& record, bool colour) {
    TextArena arena;
    RecordView view;
    view_of(record, arena, view);
    TextBuffer out;
    TextEncoder(colour).encode(view, out);
    return std::string(out.view());
}

}  // namespace launcher::logs
