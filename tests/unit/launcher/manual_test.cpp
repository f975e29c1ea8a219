// The manual, the help and the completions tell of every command, option, key and exit status that
// there is, and of no other.
#include "launcher/control/cli_help.hpp"
#include "launcher/plan/plan_fields.hpp"
#include "launcher/runtime/config.hpp"
#include "launcher/supervise/exit_status.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

using namespace launcher;

namespace {

using Words = std::set<std::string>;

std::string file_of_repository(const std::string& path) {
    const auto text = runtime::read_file(std::string(TEST_VECTORS) + "/../../" + path, 1 << 20);
    REQUIRE(text);
    return *text;
}

/// Lists every key of launcher.toml, whatever table it is in.
class KeyLister final : public PlanFields {
  public:
    Words keys;

    void visit_duration(std::string_view key, std::optional<milliseconds>&, milliseconds) override {
        add(key);
    }
    void visit_size(std::string_view key, std::optional<std::uint64_t>&, std::uint64_t,
                    std::uint64_t) override {
        add(key);
    }
    void visit_text(std::string_view key, std::optional<std::string>&) override { add(key); }
    void visit_boolean(std::string_view key, std::optional<bool>&) override { add(key); }
    void visit_integer(std::string_view key, std::optional<std::int64_t>&, std::int64_t,
                       std::int64_t) override {
        add(key);
    }
    void visit_word(std::string_view key, const std::vector<std::string>& words,
                    std::optional<std::size_t>&) override {
        add(key);
        values.insert(words.begin(), words.end());
    }
    void visit_texts(std::string_view key, std::vector<std::string>&) override { add(key); }
    void visit_integers(std::string_view key, std::vector<std::int64_t>&, std::int64_t,
                        std::int64_t) override {
        add(key);
    }
    void visit_text_map(std::string_view key, TextPairs&) override { add(key); }
    void visit_secrets(std::string_view key, SecretPairs&) override {
        add(key);
        keys.insert({"env", "credential", "file"});
    }
    bool enter(std::string_view key, bool) override {
        tables.emplace_back(key);
        return true;
    }
    void leave() override {}
    std::vector<std::string> names(const std::vector<std::string>&) override { return {"NAME"}; }
    std::size_t items(std::string_view key, std::size_t) override {
        if (key == "probes") add(key);  // holds probes in turn
        return key == "sink" ? 1 : 0;
    }
    void enter_item(std::string_view, std::size_t) override {}

    std::vector<std::string> tables;
    Words values;  ///< the words that keys of enumerations take

  private:
    void add(std::string_view key) { keys.emplace(key); }
};

KeyLister every_key() {
    KeyLister lister;
    Plan plan;
    describe_plan(lister, plan);
    return lister;
}

/// The words of a text, cut at everything that cannot be in a key, an option or a value.
Words words_of(const std::string& text) {
    Words words;
    std::string word;
    for (const char c : text + " ") {
        if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.') {
            word += c;
        } else if (!word.empty()) {
            while (word.ends_with('.')) word.pop_back();
            words.insert(std::exchange(word, ""));
        }
    }
    return words;
}

std::string without(std::string text, const std::string& what) {
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at))
        text.erase(at, what.size());
    return text;
}

/// "--config" for each option in the usage texts of all commands.
Words every_option() {
    Words options;
    for (const auto& command : cli_commands())
        for (const auto& word : words_of(std::string(usage_of(command))))
            if (word.starts_with("--")) options.insert(word);
    return options;
}

/// What a man page sets as options: "Fl \-config" is --config.
Words options_in_manual(const std::string& page) {
    Words options;
    std::istringstream stream(page);
    std::string word, before;
    while (stream >> word) {
        if (before == "Fl" && word.starts_with("\\-")) options.insert("--" + word.substr(2));
        before = word;
    }
    return options;
}

/// What a man page sets as keys: the words of lines with Ic.
Words keys_in_manual(const std::string& page, bool headings_only) {
    Words keys;
    std::istringstream stream(page);
    for (std::string line; std::getline(stream, line);)
        if (line.starts_with(".It Ic ") || (!headings_only && line.find("Ic ") != line.npos))
            keys.merge(words_of(line.substr(line.find("Ic ") + 3)));
    return keys;
}

Words missing(const Words& wanted, const Words& there) {
    Words rest;
    std::set_difference(wanted.begin(), wanted.end(), there.begin(), there.end(),
                        std::inserter(rest, rest.end()));
    return rest;
}

}  // namespace

TEST_CASE("--help fits on a screen and tells of every command") {
    std::istringstream stream{std::string(help_text())};
    std::size_t lines = 0;
    for (std::string line; std::getline(stream, line); ++lines) {
        INFO(line);
        CHECK(line.size() <= 80);
    }
    CHECK(lines <= 24);
    for (const auto& command : cli_commands()) {
        INFO(command);
        CHECK(help_text().find("\n  " + command + " ") != std::string_view::npos);
        CHECK(usage_of(command).find(command) != std::string_view::npos);
    }
    CHECK(usage_of("nonsense").empty());
    CHECK(unknown_command("stauts") == "unknown command 'stauts'; did you mean 'status'?");
    CHECK(unknown_command("x") == "unknown command 'x'; see kms-launcher --help");
}

TEST_CASE("kms-launcher(1) tells of every command, option and exit status") {
    const auto page = file_of_repository("docs/man/kms-launcher.1");
    for (const auto& command : cli_commands()) {
        INFO(command);
        CHECK(page.find("\n.It Cm " + command + "\n") != std::string::npos);
        CHECK((page.find("\n.Cm " + command + "\n") != std::string::npos ||
               page.find("\n.Op Cm " + command + "\n") != std::string::npos));
    }
    const auto told = options_in_manual(page);
    CHECK(missing(every_option(), told) == Words{});
    CHECK(missing(told, every_option()) == Words{"--help", "--version"});
    const auto statuses = page.substr(page.find(".Sh EXIT STATUS"));
    for (const int status : {0, 137, kExitUsage, kExitInternal, kExitStartupDeadline, kExitConfig,
                             kExitUnexpectedSuccess, 126, 127}) {
        INFO(status);
        CHECK(statuses.find("\n.It " + std::to_string(status) + "\n") != std::string::npos);
        // The help names all of them but 137, which is 128 + SIGKILL.
        CHECK(
            (status == 137 || words_of(std::string(help_text())).contains(std::to_string(status))));
    }
    for (const char* signal :
         {"SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGPWR", "SIGRTMIN"})
        CHECK(page.find(signal) != std::string::npos);
}

TEST_CASE("launcher.toml(5) tells of every key of the reader, and of no other") {
    const auto page = file_of_repository("docs/man/launcher.toml.5");
    const auto known = every_key();
    REQUIRE(known.keys.size() > 80);
    CHECK(missing(known.keys, keys_in_manual(page, false)) == Words{});
    auto with_tables = known.keys;
    with_tables.insert(known.tables.begin(), known.tables.end());
    CHECK(missing(keys_in_manual(page, true), with_tables) == Words{});
    // Every word that an enumeration takes is explained.
    CHECK(missing(known.values, words_of(page)) == Words{});
    for (const char* table : {"[launcher]", "[log]", "[[log.sink]]", "[health]", "[service.NAME]",
                              "[service.NAME.limits]", "[service.NAME.log]"})
        CHECK(page.find(std::string("\n.Ss ") + table + "\n") != std::string::npos);
}

TEST_CASE("completions know every command and option") {
    for (const char* file : {"kms-launcher.bash", "_kms-launcher", "kms-launcher.fish"}) {
        INFO(file);
        auto text = file_of_repository(std::string("units/completion/") + file);
        auto words = words_of(text);
        for (const auto& command : cli_commands()) {
            INFO(command);
            CHECK(words.contains(command));
        }
        for (auto option : every_option()) {
            INFO(option);
            // fish spells it "-l config".
            if (std::string_view(file).ends_with("fish"))
                CHECK(text.find(" -l " + option.substr(2) + " ") != std::string::npos);
            else
                CHECK(words_of(without(text, "'")).contains(option));
        }
    }
}
