/// A parsed filter, as log_filter_parse.cpp makes it and log_filter.cpp reads it. Not for others.
#pragma once

#include "launcher/runtime/log_filter.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace re2 {
class RE2;
}

namespace runtime::log_filter_detail {

/// A condition on one field: that it is there, or what its value is.
struct FieldMatch {
    enum class Kind { present, literal, number, pattern };
    std::string name;
    Kind kind = Kind::present;
    std::string literal;  ///< the text of the value: words, booleans, whole numbers
    double number = 0;    ///< a number with a fraction
    std::shared_ptr<const re2::RE2> pattern;  ///< matches the whole value

    bool accepts(std::string_view value) const;
    std::string_view pattern_text() const;
};

struct Directive {
    std::string service;    ///< of "service:NAME"; then `target` is empty
    std::string target;     ///< prefix of the event's target; empty matches all
    std::string span_name;  ///< empty = any
    std::vector<FieldMatch> fields;
    LogLevel level = LogLevel::trace;

    bool has_span() const { return !span_name.empty(); }
    bool has_values() const;
    /// The same condition, whatever the level.
    bool same_condition(const Directive& other) const;
};

}  // namespace runtime::log_filter_detail

namespace runtime {

struct LogFilter::State {
    std::string text;
    /// The first that matches decides. Most specific first.
    std::vector<log_filter_detail::Directive> decisive;
    /// Any that matches enables, before the others are asked.
    std::vector<log_filter_detail::Directive> enabling;
    std::shared_ptr<const re2::RE2> message;  ///< must be found in the message; null = any message
    LogLevel least = LogLevel::off;           ///< the lowest level that any directive lets pass
};

}  // namespace runtime
