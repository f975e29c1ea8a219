#include "launcher/logs/characters.hpp"
#include "launcher/logs/encode.hpp"

#include <charconv>

namespace launcher::logs {
namespace {

/// The name of a member and its colon are constants, so they go out as one piece: ,"name":
template <std::size_t N>
void append_piece(TextBuffer& out, const char (&piece)[N]) {
    char* const at = out.reserve(N - 1);
    std::memcpy(at, piece, N - 1);
    out.commit(N - 1);
}

std::uint32_t append_string(TextBuffer& out, std::string_view text) {
    const std::size_t plain = plain_prefix(text);
    // Most strings need no escape: both quotes and the text go out as one piece.
    char* const at = out.reserve(text.size() + 2);
    *at = '"';
    if (plain != 0) std::memcpy(at + 1, text.data(), plain);
    out.commit(plain + 1);
    const std::uint32_t invalid =
        plain == text.size() ? 0 : append_json_escaped(out, text.substr(plain));
    out.append('"');
    return invalid;
}

template <class Number>
void append_number(TextBuffer& out, Number number) {
    constexpr std::size_t kRoom = 24;
    char* const at = out.reserve(kRoom);
    out.commit(static_cast<std::size_t>(std::to_chars(at, at + kRoom, number).ptr - at));
}

std::uint32_t append_field(TextBuffer& out, const FieldView& field) {
    if (field.plain) {
        const bool text = field.kind == FieldKind::text;
        char* at = out.reserve(field.name.size() + field.value.size() + 5);
        char* const begin = at;
        const auto put = [&at](std::string_view piece) {
            if (!piece.empty()) std::memcpy(at, piece.data(), piece.size());
            at += piece.size();
        };
        *at++ = '"';
        put(field.name);
        *at++ = '"';
        *at++ = ':';
        if (text) *at++ = '"';
        put(field.value);
        if (text) *at++ = '"';
        out.commit(static_cast<std::size_t>(at - begin));
        return 0;
    }
    std::uint32_t invalid = append_string(out, field.name);
    out.append(':');
    if (field.kind == FieldKind::text) {
        invalid += append_string(out, field.value);
    } else {
        out.append(field.value);
    }
    return invalid;
}

}  // namespace

void JsonEncoder::encode(const RecordView& record, TextBuffer& out) {
    std::uint32_t invalid = record.invalid_utf8;
    const auto time = [&](std::chrono::system_clock::time_point at) {
        times_.write_microseconds(at, out.reserve(TimestampWriter::kMicroseconds));
        out.commit(TimestampWriter::kMicroseconds);
    };
    const auto optional_string = [&](auto& piece, std::string_view text) {
        if (text.empty()) return;
        append_piece(out, piece);
        invalid += append_string(out, text);
    };
    append_piece(out, "{\"@timestamp\":\"");
    time(record.timestamp);
    append_piece(out, "\",\"log.level\":\"");
    out.append(runtime::to_string(record.level));
    append_piece(out, "\",\"message\":");
    invalid += append_string(out, record.message);
    append_piece(out, ",\"ecs.version\":\"8.11\",\"service.name\":");
    append_string(out, record.service);
    optional_string(",\"log.logger\":", record.logger);
    if (record.stream == Stream::out) append_piece(out, ",\"log.iostream\":\"stdout\"");
    if (record.stream == Stream::err) append_piece(out, ",\"log.iostream\":\"stderr\"");
    if (record.pid != 0) {
        append_piece(out, ",\"process.pid\":");
        append_number(out, record.pid);
    }
    const auto apart = record.received - record.timestamp;
    if (apart > std::chrono::milliseconds(1) || apart < std::chrono::milliseconds(-1)) {
        append_piece(out, ",\"event.created\":\"");
        time(record.received);
        out.append('"');
    }
    append_piece(out, ",\"event.sequence\":");
    append_number(out, record.sequence);
    optional_string(",\"event.action\":", record.action);
    if (!record.spans.empty()) {
        append_piece(out, ",\"spans\":[");
        for (const SpanView& span : record.spans) {
            if (&span != record.spans.data()) out.append(',');
            append_piece(out, "{\"name\":");
            invalid += append_string(out, span.name);
            for (std::uint32_t i = 0; i < span.fields; ++i) {
                out.append(',');
                invalid += append_field(out, record.span_fields[span.first_field + i]);
            }
            out.append('}');
        }
        out.append(']');
    }
    if (!record.fields.empty()) {
        append_piece(out, ",\"fields\":");
        char separator = '{';
        for (const FieldView& field : record.fields) {
            out.append(separator);
            separator = ',';
            invalid += append_field(out, field);
        }
        out.append('}');
    }
    if (record.fields_dropped != 0) {
        append_piece(out, ",\"fields_dropped\":");
        append_number(out, record.fields_dropped);
    }
    optional_string(",\"error.type\":", record.error_type);
    optional_string(",\"error.message\":", record.error_message);
    optional_string(",\"error.stack_trace\":", record.error_stack);
    optional_string(",\"http.request.method\":", record.http_method);
    optional_string(",\"url.path\":", record.url_path);
    if (record.http_status) {
        append_piece(out, ",\"http.response.status_code\":");
        append_number(out, *record.http_status);
    }
    if (!record.code_file.empty()) {
        optional_string(",\"log.origin.file.name\":", record.code_file);
        if (record.code_line != 0) {
            append_piece(out, ",\"log.origin.file.line\":");
            append_number(out, record.code_line);
        }
    }
    if (record.partial) append_piece(out, ",\"log.partial\":true");
    if (record.part != 0) {
        append_piece(out, ",\"log.part\":");
        append_number(out, record.part);
    }
    if (invalid != 0) {
        append_piece(out, ",\"log.invalid_utf8\":");
        append_number(out, invalid);
    }
    optional_string(",\"event.original\":", record.original);
    append_piece(out, "}\n");
}

std::string to_json_line(const Record& record) {
    TextArena arena;
    RecordView view;
    view_of(record, arena, view);
    TextBuffer out;
    JsonEncoder().encode(view, out);
    return std::string(out.view());
}

}  // namespace launcher::logs
