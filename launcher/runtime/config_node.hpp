/// The parts that config.cpp (which fills them) and config_table.cpp (which reads them) share. Not
/// for others.
#pragma once

#include "launcher/runtime/config.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace runtime::config_detail {

/// A source of values: a file, a variable, the built-in text.
struct Source {
    std::string name;
    std::string text;                ///< empty when values have no places (JSON, the environment)
    std::set<std::uint32_t> secret;  ///< lines that must not be shown

    /// Line `line` (from 1) without its LF; empty when it must not be shown or does not exist.
    std::string shown_line(std::uint32_t line) const;
};

struct Place {
    std::shared_ptr<const Source> source;
    std::uint32_t line = 0;
    std::uint32_t column = 0;
};

/// A value of a document, or a table or list of them.
struct Node {
    enum class Kind { text, boolean, integer, floating, date, list, table };
    struct Entry;

    Kind kind = Kind::table;
    std::string text;  ///< a text; the digits of a floating or date
    bool boolean = false;
    std::int64_t integer = 0;
    std::vector<Node> items;
    std::vector<Entry> entries;
    Place place;
    /// From a variable: has no type of its own, `text` is what was given.
    bool untyped = false;

    const Entry* find(std::string_view key) const;
    Entry* find(std::string_view key);
};

struct Node::Entry {
    std::string key;
    Place key_place;
    Node value;
};

/// The items of a comma-separated value, without blanks around them; none for an empty text.
std::vector<std::string> split_list(std::string_view text);
/// "true" or "false".
std::optional<bool> parse_boolean(std::string_view text);
std::optional<std::int64_t> parse_integer(std::string_view text);
/// Whether the value under `key` in a table named `parent` is a secret. A reference to one (env,
/// file, credential) is not.
bool is_secret_value(std::string_view parent, std::string_view key);
/// "service.kms", "log.sink[0]"; keys that are not bare are quoted.
std::string join_path(const std::string& path, std::string_view key);
/// The last name of a path made by join_path(), without an index.
std::string_view last_name(std::string_view path);

/// One walk over a document by a loader.
struct Reading {
    ConfigProblems& problems;
    std::map<const Node*, std::set<std::string, std::less<>>> asked;
};

}  // namespace runtime::config_detail

namespace runtime {

struct ConfigTable::State {
    std::shared_ptr<config_detail::Reading> reading;
    const config_detail::Node* node = nullptr;
    std::string path;
    config_detail::Place place;  ///< of the table, or of the nearest table around it that has one
};

struct ConfigDocument::State {
    config_detail::Node root;
};

}  // namespace runtime
