#include "launcher/plan/env_overrides.hpp"

#include "launcher/plan/plan_fields.hpp"

#include <algorithm>
#include <cctype>
#include <set>

namespace launcher {
namespace {

constexpr std::string_view kPrefix = "LAUNCHER_";

/// The neutral value of a key's type as TOML; a value set over it is read as that type.
struct KnownKey {
    std::vector<std::string> path;
    std::string neutral;
    bool free_name = false;  ///< a map: one more piece of the path is the name of an entry
};

/// Lists every key that a single variable can set.
class Lister final : public PlanFields {
  public:
    explicit Lister(std::vector<std::string> services) : services_(std::move(services)) {}
    std::vector<KnownKey> keys;

    void visit_duration(std::string_view key, std::optional<milliseconds>&, milliseconds) override {
        add(key, "\"\"");
    }
    void visit_size(std::string_view key, std::optional<std::uint64_t>&, std::uint64_t,
                    std::uint64_t) override {
        add(key, "\"\"");
    }
    void visit_text(std::string_view key, std::optional<std::string>&) override {
        add(key, "\"\"");
    }
    void visit_boolean(std::string_view key, std::optional<bool>&) override { add(key, "false"); }
    void visit_integer(std::string_view key, std::optional<std::int64_t>&, std::int64_t,
                       std::int64_t) override {
        add(key, "0");
    }
    void visit_word(std::string_view key, const std::vector<std::string>&,
                    std::optional<std::size_t>&) override {
        add(key, "\"\"");
    }
    void visit_texts(std::string_view key, std::vector<std::string>&) override {
        add(key, "[\"\"]");
    }
    void visit_integers(std::string_view key, std::vector<std::int64_t>&, std::int64_t,
                        std::int64_t) override {
        add(key, "[0]");
    }
    void visit_text_map(std::string_view key, TextPairs&) override { add(key, "\"\"", true); }
    void visit_secrets(std::string_view, SecretPairs&) override {
    }  // a source is a table: files only
    bool enter(std::string_view key, bool) override {
        path_.emplace_back(key);
        return true;
    }
    void leave() override { path_.pop_back(); }
    std::vector<std::string> names(const std::vector<std::string>&) override { return services_; }
    std::size_t items(std::string_view, std::size_t) override {
        return 0;
    }  // no variable reaches into an array
    void enter_item(std::string_view, std::size_t) override {}

  private:
    void add(std::string_view key, std::string neutral, bool free_name = false) {
        auto path = path_;
        path.emplace_back(key);
        keys.push_back({std::move(path), std::move(neutral), free_name});
    }
    std::vector<std::string> services_;
    std::vector<std::string> path_;
};

/// A piece of a path as it looks in a variable's name: AUTH_ETH for auth-eth.
std::string in_variable(std::string_view piece) {
    std::string word(piece);
    for (auto& c : word)
        c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return word;
}

std::string variable_of(const std::vector<std::string>& path) {
    std::string name(kPrefix);
    for (std::size_t i = 0; i < path.size(); ++i)
        name += (i == 0 ? "" : "__") + in_variable(path[i]);
    return name;
}

/// The services of the document: the second pieces of "service.NAME…" paths.
std::vector<std::string> services_of(const runtime::ConfigDocument& document) {
    std::set<std::string> names;
    for (const auto& leaf : document.leaves()) {
        constexpr std::string_view kService = "service.";
        if (!leaf.path.starts_with(kService)) continue;
        auto name = leaf.path.substr(kService.size());
        name = name.substr(0, name.find('.'));
        std::erase(name, '"');
        names.insert(name);
    }
    return {names.begin(), names.end()};
}

std::string quoted_path(const std::vector<std::string>& path, std::size_t pieces) {
    std::string text;
    for (std::size_t i = 0; i < pieces; ++i) text += (i == 0 ? "\"" : ".\"") + path[i] + "\"";
    return text;
}

void set_typed(runtime::ConfigDocument& document, const KnownKey& key,
               const std::vector<std::string>& path, const std::string& value,
               const std::string& origin) {
    const auto table = path.size() - 1;
    std::string toml = table == 0 ? "" : "[" + quoted_path(path, table) + "]\n";
    toml += "\"" + path.back() + "\" = " + key.neutral + "\n";
    runtime::ConfigProblems none;
    document.merge_toml(toml, origin, none);
    document.set(path, value, origin);
}

bool apply_one(const std::vector<KnownKey>& keys, const std::string& variable,
               const std::string& value, runtime::ConfigDocument& document) {
    for (const auto& key : keys) {
        const auto name = variable_of(key.path);
        auto path = key.path;
        if (key.free_name) {
            if (!variable.starts_with(name + "__") || variable.size() == name.size() + 2) continue;
            path.push_back(variable.substr(name.size() + 2));
        } else if (variable != name) {
            continue;
        }
        set_typed(document, key, path, value, variable);
        return true;
    }
    return false;
}

}  // namespace

void apply_environment(const Environment& environment, runtime::ConfigDocument& document,
                       runtime::ConfigProblems& problems) {
    Lister lister(services_of(document));
    Plan none;
    describe_plan(lister, none);
    for (const auto& [variable, value] : environment) {
        if (!variable.starts_with(kPrefix) || variable == "LAUNCHER_HEALTH") continue;
        if (variable == "LAUNCHER_LOG") {
            document.set({"log", "filter"}, value, variable);
            continue;
        }
        if (apply_one(lister.keys, variable, value, document)) continue;
        std::vector<std::string> known = {"LAUNCHER_LOG", "LAUNCHER_HEALTH"};
        for (const auto& key : lister.keys) known.push_back(variable_of(key.path));
        runtime::ConfigProblem problem;
        problem.file = "environment";
        problem.text = "unknown variable '" + variable + "'";
        const auto nearest = runtime::nearest_word(variable, known);
        problem.hint = nearest ? "did you mean '" + *nearest + "'?"
                               : "LAUNCHER_ and the path of a key, with __ for each dot, as in "
                                 "LAUNCHER_LAUNCHER__STOP_TOTAL";
        problems.add(std::move(problem));
    }
}

}  // namespace launcher
