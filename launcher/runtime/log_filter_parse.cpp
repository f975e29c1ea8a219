// The two languages of filters, from text to directives. Source: spec "launcher" sections 4.1
// to 4.3.
#include "launcher/runtime/config.hpp"
#include "launcher/runtime/log_filter_state.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include <re2/re2.h>

namespace runtime {

using log_filter_detail::Directive;
using log_filter_detail::FieldMatch;

namespace {

constexpr std::string_view kServicePrefix = "service:";
constexpr std::int64_t kPatternMemory = 1024 * 1024;

constexpr std::array<std::pair<std::string_view, LogLevel>, 6> kLevels = {
    {{"trace", LogLevel::trace},
     {"debug", LogLevel::debug},
     {"info", LogLevel::info},
     {"warn", LogLevel::warn},
     {"error", LogLevel::error},
     {"off", LogLevel::off}}};
constexpr std::array<LogLevel, 6> kNumbers = {LogLevel::off,  LogLevel::error, LogLevel::warn,
                                              LogLevel::info, LogLevel::debug, LogLevel::trace};
/// Words that people write for a level and that would silently be targets.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kMistaken = {
    {{"warning", "warn"},
     {"err", "error"},
     {"fatal", "error"},
     {"critical", "error"},
     {"none", "off"}}};

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

std::string quoted(std::string_view text) {
    return "'" + std::string(text) + "'";
}

std::optional<LogLevel> level_of_name(std::string_view word) {
    const std::string name = lower(word);
    for (const auto& [known, level] : kLevels)
        if (name == known) return level;
    return std::nullopt;
}

/// A name, or a digit 0 to 5.
std::optional<LogLevel> level_of(std::string_view word) {
    if (word.size() == 1 && word[0] >= '0' && word[0] <= '5')
        return kNumbers[static_cast<std::size_t>(word[0] - '0')];
    return level_of_name(word);
}

/// The level for which `word` is a well-known wrong name.
std::optional<std::string_view> meant_level(std::string_view word) {
    const std::string name = lower(word);
    for (const auto& [wrong, right] : kMistaken)
        if (name == wrong) return right;
    return std::nullopt;
}

bool is_number(std::string_view word) {
    if (!word.empty() && (word[0] == '+' || word[0] == '-')) word.remove_prefix(1);
    return !word.empty() && std::all_of(word.begin(), word.end(), is_digit);
}

std::string level_hint(std::string_view word) {
    if (const auto meant = meant_level(word)) return "did you mean '" + std::string(*meant) + "'?";
    if (is_number(word)) return "numbers go from 0 (off) to 5 (trace)";
    std::vector<std::string> names;
    for (const auto& known : kLevels) names.emplace_back(known.first);
    std::string hint = did_you_mean(lower(word), names);
    return hint.empty() ? "levels are trace, debug, info, warn, error, off" : hint;
}

/// Takes the part before the next `separator` off the front of `rest`. At the last part `rest`
/// becomes a null view.
std::string_view next_part(std::string_view& rest, char separator) {
    const std::size_t end = rest.find(separator);
    const std::string_view part = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    return part;
}

std::shared_ptr<const re2::RE2> compile(std::string_view pattern, std::string& error) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_never_capture(true);
    options.set_max_mem(kPatternMemory);
    auto compiled =
        std::make_shared<const re2::RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
    if (compiled->ok()) return compiled;
    error = compiled->error();
    return nullptr;
}

/// A directive that is not understood: where, why, and what to write instead.
struct Mistake {
    std::string_view where;  ///< part of the filter's text
    std::string text;
    std::string hint;
};

/// Parses one directive of the tracing language. `mistake` is set when it returns nothing.
class DirectiveParser {
  public:
    std::optional<Directive> parse(std::string_view text) {
        const std::size_t bracket = text.find('[');
        const std::size_t equals = text.find('=');
        const bool ok =
            bracket != std::string_view::npos && bracket < equals
                ? with_span(text, bracket)
                : (equals != std::string_view::npos ? with_level(text, equals) : single_word(text));
        if (!ok) return std::nullopt;
        return std::move(directive_);
    }
    const Mistake& mistake() const { return mistake_; }

  private:
    bool fail(std::string_view where, std::string text, std::string hint = "") {
        mistake_ = {where, std::move(text), std::move(hint)};
        return false;
    }

    bool single_word(std::string_view word) {
        if (const auto level = level_of(word)) {
            directive_.level = *level;
            return true;
        }
        if (meant_level(word) || is_number(word))
            return fail(word, quoted(word) + " is not a level", level_hint(word));
        return target(word);
    }

    bool with_level(std::string_view text, std::size_t equals) {
        const std::string_view name = trimmed(text.substr(0, equals));
        if (name.empty())
            return fail(text, "a target is missing in front of '='",
                        "write the level alone to set it for all targets");
        return target(name) && level(trimmed(text.substr(equals + 1)));
    }

    bool with_span(std::string_view text, std::size_t bracket) {
        const std::string_view name = trimmed(text.substr(0, bracket));
        if (!name.empty() && !target(name)) return false;
        const std::size_t fields_start = text.find_first_of("{]", bracket);
        std::size_t close = fields_start;
        if (close != std::string_view::npos && text[close] == '{') {
            close = closing_brace(text, fields_start);
            if (close == std::string_view::npos)
                return fail(text.substr(fields_start, 1), "'{' is never closed",
                            "close it with '}' and then ']'");
            if (!fields(text.substr(fields_start + 1, close - fields_start - 1))) return false;
            ++close;
            while (close < text.size() && is_blank(text[close])) ++close;
            if (close < text.size() && text[close] != ']')
                return fail(text.substr(close), "']' is expected after the fields");
        }
        if (close >= text.size())
            return fail(text.substr(bracket, 1), "'[' is never closed", "close it with ']'");
        directive_.span_name = trimmed(text.substr(bracket + 1, fields_start - bracket - 1));
        const std::string_view after = trimmed(text.substr(close + 1));
        if (after.empty()) return true;
        if (after.front() != '=') return fail(after, "'=' and a level are expected after ']'");
        return level(trimmed(after.substr(1)));
    }

    /// Patterns may contain braces of their own; a backslash takes the meaning from the next
    /// character.
    static std::size_t closing_brace(std::string_view text, std::size_t open) {
        int depth = 0;
        for (std::size_t i = open; i < text.size(); ++i) {
            if (text[i] == '\\')
                ++i;
            else if (text[i] == '{')
                ++depth;
            else if (text[i] == '}' && --depth == 0)
                return i;
        }
        return std::string_view::npos;
    }

    bool target(std::string_view name) {
        if (name.starts_with(kServicePrefix)) {
            const std::string_view service = trimmed(name.substr(kServicePrefix.size()));
            if (service.empty())
                return fail(name, "the name of a service is missing after 'service:'");
            directive_.service = service;
            return true;
        }
        const char first = name.front();
        const auto byte = static_cast<unsigned char>(first);
        const bool letter =
            (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') || byte >= 0x80;
        if (!letter && !is_digit(first) && first != '_' && first != ':' && first != '-')
            return fail(
                name, quoted(name) + " is not a target",
                first == '*'
                    ? "there are no wildcards; a target matches everything that starts with it"
                    : "");
        if (const std::size_t slash = name.find('/'); slash != std::string_view::npos)
            return fail(name.substr(slash), "'/' cannot be part of a target",
                        "searching messages needs log.syntax = \"env_logger\"");
        directive_.target = name;
        return true;
    }

    bool level(std::string_view word) {
        if (word.empty()) return true;  // trace
        const auto known = level_of(word);
        if (!known) return fail(word, quoted(word) + " is not a level", level_hint(word));
        directive_.level = *known;
        return true;
    }

    bool fields(std::string_view text) {
        if (trimmed(text).empty()) return fail(text, "a field is missing between '{' and '}'");
        int depth = 0;
        std::size_t start = 0;
        for (std::size_t i = 0; i <= text.size(); ++i) {
            if (i < text.size() && text[i] == '\\') {
                ++i;
            } else if (i < text.size() && text[i] == '{') {
                ++depth;
            } else if (i < text.size() && text[i] == '}') {
                --depth;
            } else if (i == text.size() || (text[i] == ',' && depth == 0)) {
                if (!field(text.substr(start, i - start))) return false;
                start = i + 1;
            }
        }
        return true;
    }

    bool field(std::string_view text) {
        std::string_view rest = text;
        FieldMatch match;
        match.name = trimmed(next_part(rest, '='));
        if (match.name.empty()) return fail(text, "the name of a field is missing");
        // As upstream: a second '=' ends the value.
        const std::string_view value = trimmed(next_part(rest, '='));
        if (!value.empty() && !field_value(match, value)) return false;
        directive_.fields.push_back(std::move(match));
        return true;
    }

    bool field_value(FieldMatch& match, std::string_view value) {
        const char* const end = value.data() + value.size();
        if (is_number(value)) {
            // Leading zeros and a plus are not in what a service prints.
            std::string_view digits = value;
            const bool minus = digits.front() == '-';
            if (minus || digits.front() == '+') digits.remove_prefix(1);
            while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
            match.kind = FieldMatch::Kind::literal;
            match.literal = (minus && digits != "0" ? "-" : "") + std::string(digits);
            return true;
        }
        const bool may_be_number =
            is_digit(value.front()) || value.front() == '-' || value.front() == '.';
        const auto number = std::from_chars(value.data(), end, match.number);
        if (may_be_number && number.ec == std::errc{} && number.ptr == end) {
            match.kind = FieldMatch::Kind::number;
            return true;
        }
        std::string error;
        match.pattern = compile(value, error);
        if (!match.pattern)
            return fail(value, quoted(value) + " is not a regular expression: " + error);
        const bool plain = value.find_first_of("\\.+*?()|[]{}^$") == std::string_view::npos;
        match.kind = plain ? FieldMatch::Kind::literal : FieldMatch::Kind::pattern;
        if (plain) match.literal = value;
        return true;
    }

    Directive directive_;
    Mistake mistake_;
};

/// Takes one directive off the front: up to a comma that is not inside the braces of a span.
std::string_view next_directive(std::string_view& rest) {
    bool in_span = false;
    int depth = 0;
    std::size_t i = 0;
    for (; i < rest.size(); ++i) {
        const char c = rest[i];
        if (c == ',' && depth == 0) break;
        if (c == '\\' && depth > 0)
            ++i;
        else if (c == '[')
            in_span = true;
        else if (c == '{' && in_span)
            ++depth;
        else if (c == '}' && depth > 0)
            --depth;
    }
    const std::string_view directive = rest.substr(0, i);
    rest = i >= rest.size() ? std::string_view{} : rest.substr(i + 1);
    return trimmed(directive);
}

void add(std::vector<Directive>& list, Directive directive) {
    for (Directive& present : list)
        if (present.same_condition(directive)) {
            present = std::move(directive);
            return;
        }
    list.push_back(std::move(directive));
}

void add_problem(std::vector<LogFilterProblem>& problems, std::string_view whole, Mistake mistake) {
    const auto column = static_cast<std::size_t>(mistake.where.data() - whole.data());
    problems.push_back({column, std::move(mistake.text), std::move(mistake.hint)});
}

void parse_tracing(std::string_view text, LogFilter::State& state,
                   std::vector<LogFilterProblem>& problems) {
    std::string_view rest = text;
    while (!rest.empty()) {
        const std::string_view piece = next_directive(rest);
        if (piece.empty()) continue;
        DirectiveParser parser;
        auto directive = parser.parse(piece);
        if (!directive) {
            add_problem(problems, text, parser.mistake());
            continue;
        }
        const bool dynamic = directive->has_span() || !directive->fields.empty();
        const bool decides = !directive->has_span() && !directive->has_values();
        if (dynamic && decides) add(state.enabling, *directive);
        if (decides)
            add(state.decisive, std::move(*directive));
        else
            add(state.enabling, std::move(*directive));
    }
    // An empty filter, or one of which nothing is left, must not silence a service.
    if (state.decisive.empty() && state.enabling.empty()) {
        Directive info;
        info.level = LogLevel::info;
        state.decisive.push_back(std::move(info));
    }
}

std::optional<Directive> parse_env_logger_item(std::string_view item, Mistake& mistake) {
    Directive directive;
    std::string_view rest = item;
    const std::string_view name = next_part(rest, '=');
    if (rest.data() == nullptr) {
        if (const auto level = level_of_name(item))
            directive.level = *level;
        else
            directive.target = item;
        return directive;
    }
    if (const std::size_t second = rest.find('='); second != std::string_view::npos) {
        mistake = {rest.substr(second), "a second '=' in " + quoted(item),
                   "write one level for each target"};
        return std::nullopt;
    }
    directive.target = name;  // blanks at its end belong to it, as upstream has it
    const std::string_view word = trimmed(rest);
    if (word.empty()) return directive;
    const auto level = level_of_name(word);
    if (!level) {
        mistake = {word, quoted(word) + " is not a level", level_hint(word)};
        return std::nullopt;
    }
    directive.level = *level;
    return directive;
}

void parse_env_logger(std::string_view text, LogFilter::State& state,
                      std::vector<LogFilterProblem>& problems) {
    std::string_view rest = text;
    std::string_view items = next_part(rest, '/');
    const std::string_view pattern = rest;
    if (const std::size_t second = pattern.find('/'); second != std::string_view::npos) {
        add_problem(problems, text,
                    {pattern.substr(second), "a second '/'",
                     "everything after the first '/' is one regular expression"});
        items = {};
    } else if (!pattern.empty()) {
        std::string error;
        state.message = compile(pattern, error);
        if (!state.message)
            add_problem(problems, text,
                        {pattern, quoted(pattern) + " is not a regular expression: " + error, ""});
    }
    while (!items.empty()) {
        const std::string_view item = trimmed(next_part(items, ','));
        if (item.empty()) continue;
        Mistake mistake;
        if (auto directive = parse_env_logger_item(item, mistake))
            add(state.decisive, std::move(*directive));
        else
            add_problem(problems, text, std::move(mistake));
    }
    if (state.decisive.empty()) {
        Directive error;
        error.level = LogLevel::error;
        state.decisive.push_back(std::move(error));
    }
}

/// More specific: a service, then the longer target, then more fields.
bool more_specific(const Directive& a, const Directive& b) {
    if (a.service.empty() != b.service.empty()) return b.service.empty();
    if (a.target.size() != b.target.size()) return a.target.size() > b.target.size();
    return a.fields.size() > b.fields.size();
}

}  // namespace

std::string_view FieldMatch::pattern_text() const {
    return pattern ? std::string_view(pattern->pattern()) : "";
}

bool Directive::has_values() const {
    return std::any_of(fields.begin(), fields.end(), [](const FieldMatch& field) {
        return field.kind != FieldMatch::Kind::present;
    });
}

bool Directive::same_condition(const Directive& other) const {
    const auto same_field = [](const FieldMatch& a, const FieldMatch& b) {
        return a.name == b.name && a.kind == b.kind && a.literal == b.literal &&
               !(a.number < b.number) && !(a.number > b.number) &&
               a.pattern_text() == b.pattern_text();
    };
    return service == other.service && target == other.target && span_name == other.span_name &&
           std::equal(fields.begin(), fields.end(), other.fields.begin(), other.fields.end(),
                      same_field);
}

LogFilter LogFilter::parse(std::string_view text, LogFilterSyntax syntax,
                           std::vector<LogFilterProblem>& problems) {
    auto state = std::make_shared<State>();
    if (syntax == LogFilterSyntax::tracing)
        parse_tracing(text, *state, problems);
    else
        parse_env_logger(text, *state, problems);
    std::stable_sort(state->decisive.begin(), state->decisive.end(), more_specific);
    for (const auto* list : {&state->decisive, &state->enabling})
        for (const Directive& directive : *list)
            state->least = std::min(state->least, directive.level);
    state->text = trimmed(text);
    if (state->text.empty()) state->text = syntax == LogFilterSyntax::tracing ? "info" : "error";
    return LogFilter(std::move(state));
}

}  // namespace runtime
