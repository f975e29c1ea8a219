#include "launcher/logs/record_view.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>
#include <type_traits>

namespace launcher::logs {
namespace {

struct FieldText {
    std::string_view value;
    FieldKind kind;
};

template <class Number>
FieldText number_text(Number value, TextArena& arena) {
    char* const room = arena.allocate(32);
    const auto end = std::to_chars(room, room + 32, value).ptr;
    const auto size = static_cast<std::size_t>(end - room);
    arena.give_back(32 - size);
    return {{room, size}, FieldKind::literal};
}

FieldText field_text(const FieldValue& value, TextArena& arena) {
    struct Visitor {
        TextArena& arena;
        FieldText operator()(const std::string& text) const { return {text, FieldKind::text}; }
        FieldText operator()(std::int64_t number) const { return number_text(number, arena); }
        FieldText operator()(std::uint64_t number) const { return number_text(number, arena); }
        FieldText operator()(double number) const {
            FieldText text = number_text(number, arena);
            if (!std::isfinite(number)) text.kind = FieldKind::text;  // JSON has no word for these
            return text;
        }
        FieldText operator()(bool value) const {
            return {value ? "true" : "false", FieldKind::literal};
        }
        FieldText operator()(std::nullptr_t) const { return {"null", FieldKind::literal}; }
        FieldText operator()(const JsonText& json) const { return {json.text, FieldKind::json}; }
    };
    return std::visit(Visitor{arena}, value);
}

FieldValue owned_value(const FieldView& field) {
    if (field.kind == FieldKind::text) return std::string(field.value);
    if (field.kind == FieldKind::json) return JsonText{std::string(field.value)};
    if (field.value == "true" || field.value == "false") return field.value == "true";
    if (field.value == "null") return nullptr;
    const char* const begin = field.value.data();
    const char* const end = begin + field.value.size();
    std::int64_t integer = 0;
    if (const auto [at, error] = std::from_chars(begin, end, integer);
        error == std::errc() && at == end) {
        return integer;
    }
    std::uint64_t natural = 0;
    if (const auto [at, error] = std::from_chars(begin, end, natural);
        error == std::errc() && at == end) {
        return natural;
    }
    double real = 0;
    const bool whole = field.value.find_first_of(".eE") == std::string_view::npos;
    if (const auto [at, error] = std::from_chars(begin, end, real);
        !whole && error == std::errc() && at == end) {
        return real;
    }
    return JsonText{std::string(field.value)};  // a number that no type of ours holds exactly
}

Fields owned_fields(const FieldView* fields, std::size_t count) {
    Fields owned;
    owned.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        owned.emplace_back(std::string(fields[i].name), owned_value(fields[i]));
    }
    return owned;
}

}  // namespace

void RecordView::clear() {
    // Built in its place: a temporary would be filled, and then copied, for every line.
    static_assert(std::is_trivially_destructible_v<RecordValues>);
    std::construct_at(static_cast<RecordValues*>(this));
    spans.clear();
    span_fields.clear();
    fields.clear();
}

void RecordView::add_field(std::string_view name, std::string_view value, FieldKind kind,
                           bool plain) {
    const bool taken = std::any_of(fields.begin(), fields.end(),
                                   [name](const FieldView& field) { return field.name == name; });
    if (taken || fields.size() >= kMaxFields) {
        ++fields_dropped;
        return;
    }
    fields.push_back({name, value, kind, plain});
}

void RecordView::add_span(std::string_view name) {
    if (spans.size() >= kMaxSpans) {
        ++fields_dropped;
        return;
    }
    spans.push_back({name, static_cast<std::uint32_t>(span_fields.size()), 0});
}

void RecordView::add_span_field(std::string_view name, std::string_view value, FieldKind kind) {
    if (spans.empty() || span_fields.size() >= 4 * kMaxFields) {
        ++fields_dropped;
        return;
    }
    const auto first = span_fields.begin() + spans.back().first_field;
    const bool taken = name == "name" ||
                       std::any_of(first, span_fields.end(),
                                   [name](const FieldView& field) { return field.name == name; });
    if (taken) {
        ++fields_dropped;
        return;
    }
    span_fields.push_back({name, value, kind, false});
    ++spans.back().fields;
}

void view_of(const Record& record, TextArena& arena, RecordView& view) {
    view.clear();
    view.timestamp = record.timestamp;
    view.received = record.received;
    view.level = record.level;
    view.stream = record.stream;
    view.partial = record.partial;
    view.part = record.part;
    view.fields_dropped = record.fields_dropped;
    view.invalid_utf8 = record.invalid_utf8;
    view.pid = record.pid;
    view.sequence = record.sequence;
    view.message = record.message;
    view.service = record.service;
    view.logger = view.target = record.logger;
    if (view.target.empty()) view.target = record.service;
    view.action = record.action;
    view.error_type = record.error_type;
    view.error_message = record.error_message;
    view.error_stack = record.error_stack;
    view.http_method = record.http_method;
    view.url_path = record.url_path;
    view.http_status = record.http_status;
    view.original = record.original;
    view.code_file = record.code_file;
    view.code_line = record.code_line;
    for (const Span& span : record.spans) {
        view.add_span(span.name);
        for (const auto& [name, value] : span.fields) {
            const FieldText text = field_text(value, arena);
            view.add_span_field(name, text.value, text.kind);
        }
    }
    for (const auto& [name, value] : record.fields) {
        const FieldText text = field_text(value, arena);
        view.add_field(name, text.value, text.kind);
    }
}

Record to_record(const RecordView& view) {
    Record record;
    record.timestamp = view.timestamp;
    record.received = view.received;
    record.level = view.level;
    record.message = view.message;
    record.service = view.service;
    record.logger = view.logger;
    record.stream = view.stream;
    record.pid = view.pid;
    record.sequence = view.sequence;
    record.action = view.action;
    for (const SpanView& span : view.spans) {
        record.spans.push_back(
            {std::string(span.name),
             owned_fields(view.span_fields.data() + span.first_field, span.fields)});
    }
    record.fields = owned_fields(view.fields.data(), view.fields.size());
    record.fields_dropped = view.fields_dropped;
    record.error_type = view.error_type;
    record.error_message = view.error_message;
    record.error_stack = view.error_stack;
    record.http_method = view.http_method;
    record.url_path = view.url_path;
    record.http_status = view.http_status;
    record.part = view.part;
    record.partial = view.partial;
    record.invalid_utf8 = view.invalid_utf8;
    record.original = view.original;
    record.code_file = view.code_file;
    record.code_line = view.code_line;
    return record;
}

runtime::LogEventView EventBuilder::build(const RecordView& view) {
    fields_.clear();
    spans_.clear();
    span_fields_.clear();
    for (const FieldView& field : view.fields) fields_.push_back({field.name, field.value});
    for (const FieldView& field : view.span_fields)
        span_fields_.push_back({field.name, field.value});
    for (const SpanView& span : view.spans) {
        spans_.push_back(
            {span.name, std::span(span_fields_).subspan(span.first_field, span.fields)});
    }
    return {view.level, view.target, view.service, view.message, spans_, fields_};
}

}  // namespace launcher::logs
