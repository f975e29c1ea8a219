// Tables: typed reading of a document, one problem for every value that is not what the reader
// asked for.
#include "launcher/runtime/config_node.hpp"

#include <algorithm>

namespace runtime {

using config_detail::Node;
using config_detail::Place;

namespace {

std::string_view kind_name(const Node& node) {
    switch (node.kind) {
        case Node::Kind::text:
            return "text";
        case Node::Kind::boolean:
            return "true or false";
        case Node::Kind::integer:
            return "an integer";
        case Node::Kind::floating:
            return "a number with a fraction";
        case Node::Kind::date:
            return "a date or time";
        case Node::Kind::list:
            return "a list";
        case Node::Kind::table:
            return "a table";
    }
    return "something else";
}

std::string list_of(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out.append(out.empty() ? "" : ", ").append(word);
    return out;
}

/// The length of an escape sequence, by the letter after its backslash: four digits after u, eight
/// after U.
std::size_t escape_length(char letter) {
    return letter == 'u' ? 6 : letter == 'U' ? 10 : 2;
}

bool starts_character(char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
}

/// The column of character `inside` of the text value that begins (with its quote) at `column` of
/// `line`; the value's own column where a text of several lines makes it uncertain. Characters as
/// in toml++'s columns: code points.
std::uint32_t column_in_text(std::string_view line, std::uint32_t column, std::size_t inside) {
    std::size_t at = 0;
    for (std::uint32_t i = 1; at < line.size(); ++at)
        if (starts_character(line[at]) && i++ == column) break;
    if (at >= line.size() || (line[at] != '"' && line[at] != '\'')) return column;
    const bool escapes = line[at] == '"';
    if (line.substr(at).starts_with("\"\"\"") || line.substr(at).starts_with("'''")) return column;

    std::uint32_t result = column + 1;
    ++at;
    for (std::size_t i = 0; i < inside && at < line.size() && (line[at] != (escapes ? '"' : '\''));
         ++i) {
        std::size_t length = 1;
        if (escapes && line[at] == '\\' && at + 1 < line.size())
            length = escape_length(line[at + 1]);
        at += length;
        result += static_cast<std::uint32_t>(length);
        while (at < line.size() && !starts_character(line[at])) ++at;
    }
    return result;
}

std::size_t count_characters(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), starts_character));
}

/// Adds a problem with as much of its place as is known.
void report(config_detail::Reading& reading, const Place& place, std::string text, std::string hint,
            bool warning, const std::string* shown_value = nullptr,
            std::size_t inside = ConfigTable::kWholeValue) {
    ConfigProblem problem;
    problem.text = std::move(text);
    problem.hint = std::move(hint);
    problem.warning = warning;
    problem.file = place.source ? place.source->name : "configuration";
    problem.line = place.line;
    problem.column = place.column;
    if (place.source && place.line > 0) {
        problem.source_line = place.source->shown_line(place.line);
        if (shown_value != nullptr && inside != ConfigTable::kWholeValue) {
            // Bytes are what parsers count in; columns are characters.
            const std::size_t characters = count_characters(shown_value->substr(0, inside));
            problem.column = column_in_text(problem.source_line, place.column, characters);
        }
    } else if (shown_value != nullptr && inside != ConfigTable::kWholeValue) {
        problem.source_line = *shown_value;
        problem.column =
            static_cast<std::uint32_t>(count_characters(shown_value->substr(0, inside)) + 1);
    }
    reading.problems.add(std::move(problem));
}

using State = ConfigTable::State;

bool is_secret(const State& state, std::string_view key) {
    return config_detail::is_secret_value(config_detail::last_name(state.path), key);
}

/// The value of `key`, which is thereby known; null when it is absent.
const Node* ask(const State& state, std::string_view key) {
    state.reading->asked[state.node].emplace(key);
    const Node::Entry* entry = state.node->find(key);
    return entry == nullptr ? nullptr : &entry->value;
}

void wrong_kind(const State& state, std::string_view key, const Node& node, std::string_view wanted,
                std::string hint = "") {
    const bool untyped = node.untyped && node.kind == Node::Kind::text;
    std::string found =
        untyped && !is_secret(state, key) ? "'" + node.text + "'" : std::string(kind_name(node));
    report(
        *state.reading, node.place,
        "'" + std::string(key) + "' must be " + std::string(wanted) + ", not " + std::move(found),
        std::move(hint), false);
}

void wrong_value(const State& state, std::string_view key, const Node& node, std::string text,
                 std::string hint = "") {
    if (is_secret(state, key))
        text = "the value is not valid (not shown, because its name looks secret)";
    report(*state.reading, node.place, "'" + std::string(key) + "': " + std::move(text),
           std::move(hint), false);
}

/// The text of a text node, or nothing and a problem.
std::optional<std::string> expect_text(const State& state, std::string_view key,
                                       std::string_view wanted, std::string hint = "") {
    const Node* node = ask(state, key);
    if (node == nullptr) return std::nullopt;
    // What came as text from a variable is that text, whatever it replaced.
    if (node->kind == Node::Kind::text || node->untyped) return node->text;
    wrong_kind(state, key, *node, wanted, std::move(hint));
    return std::nullopt;
}

std::optional<std::int64_t> integer_of(const Node& node) {
    if (node.kind == Node::Kind::integer) return node.integer;
    if (node.untyped && node.kind == Node::Kind::text)
        return config_detail::parse_integer(node.text);
    return std::nullopt;
}

bool check_range(const State& state, std::string_view key, const Node& node, std::int64_t value,
                 std::int64_t min, std::int64_t max) {
    if (value >= min && value <= max) return true;
    wrong_value(state, key, node,
                std::to_string(value) + " is out of range: " + std::to_string(min) + " to " +
                    std::to_string(max) + " is allowed");
    return false;
}

/// The items of a list; those of a variable's comma-separated text too.
std::optional<std::vector<Node>> expect_list(const State& state, std::string_view key,
                                             std::string_view wanted) {
    const Node* node = ask(state, key);
    if (node == nullptr) return std::nullopt;
    if (node->kind == Node::Kind::list) return node->items;
    if (node->untyped) {
        std::vector<Node> items;
        for (const std::string& text : config_detail::split_list(node->text)) {
            Node item;
            item.kind = Node::Kind::text;
            item.text = text;
            item.untyped = true;
            item.place = node->place;
            items.push_back(std::move(item));
        }
        return items;
    }
    wrong_kind(state, key, *node, wanted, "put the value into square brackets");
    return std::nullopt;
}

std::shared_ptr<State> child(const State& parent, const Node& node, std::string path,
                             const Place& key_place) {
    auto state = std::make_shared<State>();
    state->reading = parent.reading;
    state->node = &node;
    state->path = std::move(path);
    // A table made by dotted keys has no place of its own; its key has.
    state->place = node.place.line > 0 || !key_place.source ? node.place : key_place;
    if (!state->place.source) state->place = parent.place;
    return state;
}

}  // namespace

std::optional<std::string> ConfigTable::text(std::string_view key) {
    return expect_text(*state_, key, "text");
}

std::optional<bool> ConfigTable::boolean(std::string_view key) {
    const Node* node = ask(*state_, key);
    if (node == nullptr) return std::nullopt;
    if (node->kind == Node::Kind::boolean) return node->boolean;
    if (node->untyped && node->kind == Node::Kind::text)
        if (const auto parsed = config_detail::parse_boolean(node->text)) return parsed;
    wrong_kind(*state_, key, *node, "true or false",
               node->kind == Node::Kind::text && !node->untyped ? "write it without quotes" : "");
    return std::nullopt;
}

std::optional<std::int64_t> ConfigTable::integer(std::string_view key, std::int64_t min,
                                                 std::int64_t max) {
    const Node* node = ask(*state_, key);
    if (node == nullptr) return std::nullopt;
    const auto value = integer_of(*node);
    if (!value) {
        const bool digits =
            node->kind == Node::Kind::text && config_detail::parse_integer(node->text);
        wrong_kind(*state_, key, *node, "an integer", digits ? "write it without quotes" : "");
        return std::nullopt;
    }
    if (!check_range(*state_, key, *node, *value, min, max)) return std::nullopt;
    return value;
}

std::optional<std::chrono::milliseconds> ConfigTable::duration(std::string_view key) {
    const auto given = expect_text(*state_, key, "a duration",
                                   "write a number and a unit in quotes, as in \"5s\"");
    if (!given) return std::nullopt;
    const auto parsed = parse_duration(*given);
    if (parsed) return *parsed;
    wrong_value(*state_, key, *ask(*state_, key), parsed.error().context);
    return std::nullopt;
}

std::optional<std::uint64_t> ConfigTable::size(std::string_view key) {
    const Node* node = ask(*state_, key);
    if (node == nullptr) return std::nullopt;
    if (node->kind == Node::Kind::integer && node->integer >= 0)
        return static_cast<std::uint64_t>(node->integer);
    if (node->kind != Node::Kind::text) {
        wrong_kind(*state_, key, *node, "a size",
                   "write a number and a unit in quotes, as in \"4MiB\"");
        return std::nullopt;
    }
    const auto parsed = parse_size(node->text);
    if (parsed) return *parsed;
    wrong_value(*state_, key, *node, parsed.error().context);
    return std::nullopt;
}

std::optional<std::string> ConfigTable::word(std::string_view key,
                                             const std::vector<std::string>& words) {
    const auto given = expect_text(*state_, key, "text");
    if (!given) return std::nullopt;
    if (std::find(words.begin(), words.end(), *given) != words.end()) return given;
    std::string hint = did_you_mean(*given, words);
    if (hint.empty()) hint = "one of " + list_of(words);
    wrong_value(*state_, key, *ask(*state_, key), "'" + *given + "' is not known here",
                std::move(hint));
    return std::nullopt;
}

std::optional<std::vector<std::string>> ConfigTable::texts(std::string_view key) {
    const auto items = expect_list(*state_, key, "a list of texts");
    if (!items) return std::nullopt;
    std::vector<std::string> values;
    bool good = true;
    for (const Node& item : *items) {
        if (item.kind == Node::Kind::text || item.untyped) {
            values.push_back(item.text);
            continue;
        }
        good = false;
        wrong_kind(*state_, key, item, "a list of texts");
    }
    if (!good) return std::nullopt;
    return values;
}

std::optional<std::vector<std::int64_t>> ConfigTable::integers(std::string_view key,
                                                               std::int64_t min, std::int64_t max) {
    const auto items = expect_list(*state_, key, "a list of integers");
    if (!items) return std::nullopt;
    std::vector<std::int64_t> values;
    bool good = true;
    for (const Node& item : *items) {
        const auto value = integer_of(item);
        if (!value) wrong_kind(*state_, key, item, "a list of integers");
        if (!value || !check_range(*state_, key, item, *value, min, max))
            good = false;
        else
            values.push_back(*value);
    }
    if (!good) return std::nullopt;
    return values;
}

std::optional<ConfigTable> ConfigTable::table(std::string_view key) {
    const Node* node = ask(*state_, key);
    if (node == nullptr) return std::nullopt;
    if (node->kind != Node::Kind::table) {
        wrong_kind(*state_, key, *node, "a table");
        return std::nullopt;
    }
    return ConfigTable(child(*state_, *node, config_detail::join_path(state_->path, key),
                             state_->node->find(key)->key_place));
}

std::vector<ConfigTable> ConfigTable::tables(std::string_view key) {
    const Node* node = ask(*state_, key);
    if (node == nullptr) return {};
    const std::string path = config_detail::join_path(state_->path, key);
    if (node->kind != Node::Kind::list) {
        wrong_kind(*state_, key, *node, "a list of tables",
                   node->kind == Node::Kind::table ? "write [[" + path + "]]" : "");
        return {};
    }
    std::vector<ConfigTable> found;
    for (std::size_t i = 0; i < node->items.size(); ++i) {
        const Node& item = node->items[i];
        if (item.kind == Node::Kind::table)
            found.emplace_back(child(*state_, item, path + "[" + std::to_string(i) + "]", {}));
        else
            wrong_kind(*state_, key, item, "a list of tables");
    }
    return found;
}

std::vector<std::string> ConfigTable::keys() const {
    std::vector<std::string> names;
    for (const Node::Entry& entry : state_->node->entries) names.push_back(entry.key);
    return names;
}

void ConfigTable::accept(std::string_view key) {
    ask(*state_, key);
}

bool ConfigTable::has(std::string_view key) const {
    return state_->node->find(key) != nullptr;
}

void ConfigTable::problem(std::string_view key, std::string text, std::string hint,
                          std::size_t column_inside, bool warning) {
    const Node::Entry* entry = state_->node->find(key);
    if (entry == nullptr) {
        report(*state_->reading, state_->place, std::move(text), std::move(hint), warning);
        return;
    }
    const Node& value = entry->value;
    const bool show = value.kind == Node::Kind::text && !is_secret(*state_, key);
    report(*state_->reading, value.place.source ? value.place : entry->key_place, std::move(text),
           std::move(hint), warning, show ? &value.text : nullptr, column_inside);
}

void ConfigTable::finish(bool unknown_is_warning) {
    const auto& asked = state_->reading->asked[state_->node];
    const std::vector<std::string> known(asked.begin(), asked.end());
    for (const Node::Entry& entry : state_->node->entries) {
        if (asked.contains(entry.key)) continue;
        std::string hint = did_you_mean(entry.key, known);
        if (hint.empty() && !known.empty()) hint = "known here: " + list_of(known);
        const std::string where = state_->path.empty() ? "" : " in '" + state_->path + "'";
        report(*state_->reading, entry.key_place, "unknown key '" + entry.key + "'" + where,
               std::move(hint), unknown_is_warning);
    }
}

const std::string& ConfigTable::path() const {
    return state_->path;
}

}  // namespace runtime
