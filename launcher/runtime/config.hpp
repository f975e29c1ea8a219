/// Typed configuration from TOML (and JSON): every mistake of a file in one report, each with
/// file:line:column.
///
/// A program's configuration is one plain struct with defaults. Its loader opens a ConfigTable,
/// asks it for each key by type, and calls finish(): keys nobody asked for are problems too.
/// Nothing throws and nothing stops at the first mistake; a key that is absent or wrong leaves the
/// struct's default in place.
#pragma once

#include "launcher/runtime/result.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace runtime {

/// One mistake. line and column count from 1, columns in characters; line 0 means that there is no
/// line (a value from the environment; column and source_line then refer to the value itself, if
/// given).
struct ConfigProblem {
    std::string file;
    std::uint32_t line = 0;
    std::uint32_t column = 0;
    std::string text;         ///< "unknown key 'prot'"
    std::string hint;         ///< "did you mean 'port'?", or empty
    std::string source_line;  ///< the line of the file, for the caret; empty when not known. Never
                              ///< printed for secrets.
    bool warning = false;     ///< reported, but does not make the configuration invalid

    /// "file:line:column: error: text", then the source line with a caret and the hint, each on a
    /// line of its own; no LF at the end.
    std::string to_string() const;
};

/// Collects problems in the order in which they are found.
class ConfigProblems {
  public:
    void add(ConfigProblem problem) { list_.push_back(std::move(problem)); }
    const std::vector<ConfigProblem>& list() const { return list_; }
    bool has_errors() const;
    /// All problems, one after the other, each as ConfigProblem::to_string() and LF.
    std::string to_string() const;

  private:
    std::vector<ConfigProblem> list_;
};

/// The nearest of `known` to `word` by edit distance (two swapped letters count as one edit), if
/// the distance is at most 2 and less than the length of the word.
std::optional<std::string> nearest_word(std::string_view word,
                                        const std::vector<std::string>& known);
/// "did you mean 'word'?", or empty when nothing is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known);

/// Whether a variable or key of this name holds a secret: contains KEY, TOKEN, SECRET, PASS,
/// PRIVATE, CREDENTIAL, MNEMONIC or DSN in either case, or ends in _URL. Source: spec "launcher"
/// section 3.9.
bool looks_secret(std::string_view name);

/// "250ms", "5s", "2m", "1h": an unsigned decimal integer directly followed by the unit.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);
/// "512B", "64KiB", "4MiB"; also a bare number of bytes.
Result<std::uint64_t> parse_size(std::string_view text);

/// One table of a document; remembers which keys were asked for. Valid as long as the document and
/// the problems that it was made with.
class ConfigTable {
  public:
    static constexpr std::size_t kWholeValue = static_cast<std::size_t>(-1);

    /// The value of `key`, or nothing when it is absent or wrong (then a problem was added). A
    /// dotted path is not understood; use table() to go down.
    std::optional<std::string> text(std::string_view key);
    std::optional<bool> boolean(std::string_view key);
    std::optional<std::int64_t> integer(std::string_view key, std::int64_t min, std::int64_t max);
    std::optional<std::chrono::milliseconds> duration(std::string_view key);
    std::optional<std::uint64_t> size(std::string_view key);
    /// One of `words`.
    std::optional<std::string> word(std::string_view key, const std::vector<std::string>& words);
    std::optional<std::vector<std::string>> texts(std::string_view key);
    std::optional<std::vector<std::int64_t>> integers(std::string_view key, std::int64_t min,
                                                      std::int64_t max);
    /// A sub-table. Valid as long as the document.
    std::optional<ConfigTable> table(std::string_view key);
    /// An array of tables ([[key]]).
    std::vector<ConfigTable> tables(std::string_view key);
    /// The keys of this table in the order in which the sources first named them.
    std::vector<std::string> keys() const;
    bool has(std::string_view key) const;
    /// Counts `key` as known whatever it holds: for keys that are allowed and have no effect.
    void accept(std::string_view key);

    /// Adds a problem at the place of `key`'s value (or of the table when it is absent or empty).
    /// `column_inside` moves the column into a text value, counted from 0 at its first character.
    void problem(std::string_view key, std::string text, std::string hint = "",
                 std::size_t column_inside = kWholeValue, bool warning = false);
    /// Reports every key that nobody asked for: as an error, or as a warning.
    void finish(bool unknown_is_warning = false);
    /// Path of this table for messages, such as "service.kms"; empty for the root.
    const std::string& path() const;

    struct State;  // toml++ stays in config.cpp
    explicit ConfigTable(std::shared_ptr<State> state) : state_(std::move(state)) {}

  private:
    std::shared_ptr<State> state_;
};

/// A parsed document, or several merged ones.
class ConfigDocument {
  public:
    ConfigDocument();
    ~ConfigDocument();
    ConfigDocument(ConfigDocument&&) noexcept;
    ConfigDocument& operator=(ConfigDocument&&) noexcept;

    /// Merges TOML text over what is there: later wins key by key, tables merge deeply, arrays are
    /// replaced. Syntax errors are added to `problems`, and nothing is merged then. `file` names
    /// the source in messages.
    void merge_toml(std::string_view text, const std::string& file, ConfigProblems& problems);
    /// The same for a JSON object; places are not known for its values. null means absent.
    void merge_json(std::string_view text, const std::string& file, ConfigProblems& problems);
    /// Sets one value by path, as from LAUNCHER_SERVICE__KMS__STOP_TIMEOUT. The text becomes a
    /// boolean, integer, list (comma-separated) or text, whichever the value it replaces is; when
    /// it replaces nothing, whichever the reader asks for. `-` and `_` are equal in the names of
    /// `path`. `origin` takes the place of the file name in messages.
    void set(const std::vector<std::string>& path, const std::string& value,
             const std::string& origin);

    /// The root table; problems found while reading it go to `problems`, which must outlive it.
    ConfigTable root(ConfigProblems& problems);

    /// Every leaf as "path = value" with the file (or other origin) it came from, sorted by path.
    /// The file name "built-in" stands without a line. Values that look secret read [set] or
    /// [unset].
    struct Leaf {
        std::string path;
        std::string value;   ///< as TOML
        std::string origin;  ///< "launcher.toml:12", "LAUNCHER_LOG", "built-in"
    };
    std::vector<Leaf> leaves() const;

    struct State;

  private:
    std::unique_ptr<State> state_;
};

/// Reads a whole file of at most `max_size` bytes. Errors: not_found, invalid_argument (too large),
/// unavailable; the text names the path and the reason.
Result<std::string> read_file(const std::string& path, std::size_t max_size);

}  // namespace runtime
