#include "launcher/runtime/log_filter.hpp"

#include "launcher/runtime/log_filter_state.hpp"

#include <algorithm>
#include <charconv>

#include <re2/re2.h>

namespace runtime {

using log_filter_detail::Directive;
using log_filter_detail::FieldMatch;

namespace {

bool is_joiner(char c) {
    return c == '-' || c == '_';
}

/// Equal, with '-' and '_' as the same character.
bool same_service(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return x == y || (is_joiner(x) && is_joiner(y)); });
}

/// Length of the service's name at the front of the effective target "<service>" or "<service>::…";
/// 0 if the target is one that the service printed.
std::size_t service_prefix(const LogEventView& event) {
    const std::size_t length = event.service.size();
    if (length == 0 || !event.target.starts_with(event.service)) return 0;
    return event.target.size() == length || event.target[length] == ':' ? length : 0;
}

bool target_matches(const Directive& directive, const LogEventView& event) {
    if (!directive.service.empty()) return same_service(directive.service, event.service);
    const std::string_view wanted = directive.target;
    if (event.target.starts_with(wanted)) return true;
    // Only the name of a service may be written in either way, and it is short: the slow comparison
    // is rare.
    const std::size_t length = service_prefix(event);
    if (length == 0 || wanted.size() > event.target.size()) return false;
    const std::size_t loose = std::min(length, wanted.size());
    return same_service(wanted.substr(0, loose), event.target.substr(0, loose)) &&
           event.target.substr(loose).starts_with(wanted.substr(loose));
}

bool has_fields(const Directive& directive, std::span<const LogFieldView> fields) {
    return std::all_of(
        directive.fields.begin(), directive.fields.end(), [&](const FieldMatch& wanted) {
            return std::any_of(fields.begin(), fields.end(), [&](const LogFieldView& field) {
                return field.name == wanted.name && wanted.accepts(field.value);
            });
        });
}

/// Whether the event occurred inside a span of the directive, or carries the fields itself. A line
/// of text does not tell a span's own target; the event's stands in for it.
bool enables(const Directive& directive, const LogEventView& event) {
    if (event.level < directive.level || !target_matches(directive, event)) return false;
    // Fields without a value are decided by the ordered directives, as upstream does.
    if (!directive.has_span() && directive.has_values() && has_fields(directive, event.fields))
        return true;
    return std::any_of(event.spans.begin(), event.spans.end(), [&](const LogSpanView& span) {
        return (!directive.has_span() || span.name == directive.span_name) &&
               has_fields(directive, span.fields);
    });
}

}  // namespace

bool FieldMatch::accepts(std::string_view value) const {
    switch (kind) {
        case Kind::present:
            return true;
        case Kind::literal:
            return value == literal;
        case Kind::number: {
            double parsed = 0;
            const auto end = value.data() + value.size();
            const auto result = std::from_chars(value.data(), end, parsed);
            return result.ec == std::errc{} && result.ptr == end && !(parsed < number) &&
                   !(parsed > number);
        }
        case Kind::pattern:
            return re2::RE2::FullMatch(re2::StringPiece(value.data(), value.size()), *pattern);
    }
    return false;
}

std::string_view to_string(LogLevel level) {
    switch (level) {
        case LogLevel::trace:
            return "trace";
        case LogLevel::debug:
            return "debug";
        case LogLevel::info:
            return "info";
        case LogLevel::warn:
            return "warn";
        case LogLevel::error:
            return "error";
        case LogLevel::fatal:
            return "fatal";
        case LogLevel::off:
            return "off";
    }
    return "off";
}

LogFilter::LogFilter() {
    // Built once: default-constructed filters are everywhere, as members with a default.
    static const std::shared_ptr<const State> info = [] {
        std::vector<LogFilterProblem> problems;
        return parse("info", LogFilterSyntax::tracing, problems).state_;
    }();
    state_ = info;
}

bool LogFilter::enabled(const LogEventView& event) const {
    if (!may_enable(event.level)) return false;
    for (const Directive& directive : state_->enabling)
        if (enables(directive, event)) return true;
    for (const Directive& directive : state_->decisive) {
        if (!target_matches(directive, event) || !has_fields(directive, event.fields)) continue;
        if (event.level < directive.level) return false;
        return !state_->message ||
               re2::RE2::PartialMatch(re2::StringPiece(event.message.data(), event.message.size()),
                                      *state_->message);
    }
    return false;
}

bool LogFilter::may_enable(LogLevel level) const {
    return level >= state_->least && level != LogLevel::off;
}

const std::string& LogFilter::text() const {
    return state_->text;
}

}  // namespace runtime
