#include "launcher/plan/effective_config.hpp"

#include "launcher/plan/plan_fields.hpp"

#include <algorithm>
#include <cctype>

#include <unistd.h>

namespace launcher {
namespace {

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out.push_back('\\');
        if (c == '\n')
            out += "\\n";
        else if (c == '\t')
            out += "\\t";
        else
            out.push_back(c);
    }
    return out + "\"";
}

bool is_bare(std::string_view key) {
    return !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_' || c == '-';
    });
}

std::string duration_text(milliseconds span) {
    const auto count = span.count();
    if (count != 0 && count % 3'600'000 == 0) return std::to_string(count / 3'600'000) + "h";
    if (count != 0 && count % 60'000 == 0) return std::to_string(count / 60'000) + "m";
    if (count % 1000 == 0) return std::to_string(count / 1000) + "s";
    return std::to_string(count) + "ms";
}

class Printer final : public PlanFields {
  public:
    Printer(const Environment& environment, std::vector<EffectiveValue>& out)
        : environment_(environment), out_(out) {}

    void visit_duration(std::string_view key, std::optional<milliseconds>& value,
                        milliseconds) override {
        if (value) add(key, quoted(duration_text(*value)));
    }
    void visit_size(std::string_view key, std::optional<std::uint64_t>& value, std::uint64_t,
                    std::uint64_t) override {
        if (value) add(key, std::to_string(*value));
    }
    void visit_text(std::string_view key, std::optional<std::string>& value) override {
        if (value && !value->empty()) add(key, quoted(*value));
    }
    void visit_boolean(std::string_view key, std::optional<bool>& value) override {
        if (value) add(key, *value ? "true" : "false");
    }
    void visit_integer(std::string_view key, std::optional<std::int64_t>& value, std::int64_t min,
                       std::int64_t) override {
        if (value && *value >= min)
            add(key, std::to_string(*value));  // below: not set, such as a port of 0
    }
    void visit_word(std::string_view key, const std::vector<std::string>& words,
                    std::optional<std::size_t>& index) override {
        if (index) add(key, quoted(words[*index]));
    }
    void visit_texts(std::string_view key, std::vector<std::string>& values) override {
        if (values.empty()) return;
        std::string text;
        for (const auto& value : values) text += (text.empty() ? "" : ", ") + quoted(value);
        add(key, "[" + text + "]");
    }
    void visit_integers(std::string_view key, std::vector<std::int64_t>& values, std::int64_t,
                        std::int64_t) override {
        if (values.empty()) return;
        std::string text;
        for (const auto value : values) text += (text.empty() ? "" : ", ") + std::to_string(value);
        add(key, "[" + text + "]");
    }
    void visit_text_map(std::string_view key, TextPairs& values) override {
        for (const auto& [name, value] : values) {
            const bool hide = key == "env" && is_secret_name(name);
            add(std::string(key) + "." + piece(name),
                hide ? (value.empty() ? "[unset]" : "[set]") : quoted(value));
        }
    }
    void visit_secrets(std::string_view key, SecretPairs& values) override {
        for (const auto& [name, source] : values)
            add(std::string(key) + "." + piece(name), is_set(source) ? "[set]" : "[unset]");
    }
    bool enter(std::string_view key, bool present) override {
        if (!present) return false;
        prefixes_.push_back(prefix() + piece(key) + ".");
        return true;
    }
    void leave() override { prefixes_.pop_back(); }
    std::vector<std::string> names(const std::vector<std::string>& present) override {
        return present;
    }
    std::size_t items(std::string_view, std::size_t present) override { return present; }
    void enter_item(std::string_view key, std::size_t index) override {
        prefixes_.push_back(prefix() + piece(key) + "[" + std::to_string(index) + "].");
    }

  private:
    static std::string piece(std::string_view key) {
        return is_bare(key) ? std::string(key) : quoted(key);
    }
    std::string prefix() const { return prefixes_.empty() ? "" : prefixes_.back(); }
    void add(std::string_view key, std::string value) {
        out_.push_back({prefix() + std::string(key), std::move(value), ""});
    }
    bool is_set(const SecretSource& source) const {
        switch (source.from) {
            case SecretSource::From::environment:
                return environment_.contains(source.name);
            case SecretSource::From::file:
                return ::access(source.name.c_str(), R_OK) == 0;
            case SecretSource::From::credential: {
                const auto directory = environment_.find("CREDENTIALS_DIRECTORY");
                return directory != environment_.end() &&
                       ::access((directory->second + "/" + source.name).c_str(), R_OK) == 0;
            }
        }
        return false;
    }

    const Environment& environment_;
    std::vector<EffectiveValue>& out_;
    std::vector<std::string> prefixes_;
};

std::string without_quotes(std::string path) {
    std::erase(path, '"');
    return path;
}

/// The origin of a key, or of the nearest key below it: the leaf of "command" is "command[0]" in
/// some documents.
std::string origin_of(const std::string& path,
                      const std::vector<runtime::ConfigDocument::Leaf>& leaves) {
    const auto wanted = without_quotes(path);
    for (const auto& leaf : leaves) {
        const auto have = without_quotes(leaf.path);
        if (have == wanted) return leaf.origin;
        if (have.starts_with(wanted) && have.size() > wanted.size() &&
            (have[wanted.size()] == '[' || have[wanted.size()] == '.'))
            return leaf.origin;
    }
    return "default";
}

}  // namespace

std::vector<EffectiveValue> effective_config(const Plan& plan,
                                             const runtime::ConfigDocument& document,
                                             const Environment& environment) {
    std::vector<EffectiveValue> values;
    auto copy = plan;  // a visitor may change what it visits; this one only looks
    Printer printer(environment, values);
    describe_plan(printer, copy);
    const auto leaves = document.leaves();
    for (auto& value : values) {
        value.origin = origin_of(value.path, leaves);
        if (value.path == "log.filter" && value.origin == "default" &&
            environment.contains("RUST_LOG"))
            value.origin = "RUST_LOG";
    }
    return values;
}

}  // namespace launcher
