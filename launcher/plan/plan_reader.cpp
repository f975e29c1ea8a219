#include "launcher/plan/plan_reader.hpp"

#include "launcher/plan/plan_fields.hpp"

#include <optional>

namespace launcher {
namespace {

using runtime::ConfigTable;

std::string spelled(milliseconds span) {
    return std::to_string(span.count()) + "ms";
}

class Reader final : public PlanFields {
  public:
    Reader(ConfigTable root, PlanTables& tables) : tables_(tables) { push("", std::move(root)); }

    void finish() { leave(); }

    void visit_duration(std::string_view key, std::optional<milliseconds>& value,
                        milliseconds min) override {
        if (!table()) return;
        const auto found = table()->duration(key);
        if (!found) return;
        if (*found < min)
            table()->problem(key, "'" + std::string(key) + "' is below its minimum",
                             "at least " + spelled(min));
        else
            value = found;
    }
    void visit_size(std::string_view key, std::optional<std::uint64_t>& value, std::uint64_t min,
                    std::uint64_t max) override {
        if (!table()) return;
        const auto found = table()->size(key);
        if (!found) return;
        if (*found < min || *found > max)
            table()->problem(
                key, "'" + std::string(key) + "' is out of range",
                std::to_string(min) + " to " + std::to_string(max) + " bytes or pieces");
        else
            value = found;
    }
    void visit_text(std::string_view key, std::optional<std::string>& value) override {
        if (!table()) return;
        if (auto found = table()->text(key)) value = std::move(found);
    }
    void visit_boolean(std::string_view key, std::optional<bool>& value) override {
        if (!table()) return;
        if (const auto found = table()->boolean(key)) value = found;
    }
    void visit_integer(std::string_view key, std::optional<std::int64_t>& value, std::int64_t min,
                       std::int64_t max) override {
        if (!table()) return;
        if (const auto found = table()->integer(key, min, max)) value = found;
    }
    void visit_word(std::string_view key, const std::vector<std::string>& words,
                    std::optional<std::size_t>& index) override {
        if (!table()) return;
        const auto found = table()->word(key, words);
        if (!found) return;
        for (std::size_t i = 0; i < words.size(); ++i)
            if (words[i] == *found) index = i;
    }
    void visit_texts(std::string_view key, std::vector<std::string>& values) override {
        if (!table()) return;
        auto found = table()->texts(key);
        if (!found) return;
        if (found->empty() && key == "command")
            table()->problem(key, "'command' is an empty list",
                             "command = [\"/usr/local/bin/program\", \"--option\"]");
        values = std::move(*found);
    }
    void visit_integers(std::string_view key, std::vector<std::int64_t>& values, std::int64_t min,
                        std::int64_t max) override {
        if (!table()) return;
        auto found = table()->integers(key, min, max);
        if (!found) return;
        if (found->empty())
            table()->problem(key, "'" + std::string(key) + "' is an empty list",
                             "leave the key out to get its default");
        values = std::move(*found);
    }
    void visit_text_map(std::string_view key, TextPairs& values) override {
        if (!table()) return;
        auto map = table()->table(key);
        if (!map) return;
        values.clear();
        for (const auto& name : map->keys())
            if (auto value = map->text(name)) values.emplace_back(name, std::move(*value));
        tables_.remember(path_of(key), *map);
    }
    void visit_secrets(std::string_view key, SecretPairs& values) override {
        if (!table()) return;
        auto map = table()->table(key);
        if (!map) return;
        values.clear();
        tables_.remember(path_of(key), *map);
        for (const auto& name : map->keys()) {
            auto source = map->table(name);
            if (!source) continue;
            read_secret(*map, name, *source, values);
            source->finish();
        }
    }

    bool enter(std::string_view key, bool /*present*/) override {
        if (!table()) return false;
        auto below = table()->table(key);
        if (!below) return false;
        push(path_of(key), *below);
        return true;
    }
    void leave() override {
        if (levels_.back().table) levels_.back().table->finish();
        levels_.pop_back();
    }
    std::vector<std::string> names(const std::vector<std::string>& /*present*/) override {
        return table() ? table()->keys() : std::vector<std::string>{};
    }
    std::size_t items(std::string_view key, std::size_t present) override {
        std::vector<std::optional<ConfigTable>> list(present);
        if (table() && table()->has(key)) {
            list.clear();
            for (auto& item : table()->tables(key)) list.emplace_back(std::move(item));
        }
        const auto count = list.size();
        if (count != 0) arrays_.push_back(std::move(list));
        return count;
    }
    void enter_item(std::string_view key, std::size_t index) override {
        auto item = arrays_.back()[index];
        if (index + 1 == arrays_.back().size()) arrays_.pop_back();
        push(path_of(key) + "[" + std::to_string(index) + "]", std::move(item));
    }
    void problem(std::string_view key, std::string text, std::string hint) override {
        if (table()) table()->problem(key, std::move(text), std::move(hint));
    }

  private:
    struct Level {
        std::string path;
        std::optional<ConfigTable> table;
    };

    std::optional<ConfigTable>& table() { return levels_.back().table; }
    std::string path_of(std::string_view key) const {
        const auto& above = levels_.back().path;
        return above.empty() ? std::string(key) : above + "." + std::string(key);
    }
    void push(std::string path, std::optional<ConfigTable> table) {
        if (table) tables_.remember(path, *table);
        levels_.push_back({std::move(path), std::move(table)});
    }
    static void read_secret(ConfigTable& map, const std::string& name, ConfigTable& source,
                            SecretPairs& values) {
        const auto variable = source.text("env");
        const auto credential = source.text("credential");
        const auto file = source.text("file");
        if (int(variable.has_value()) + int(credential.has_value()) + int(file.has_value()) != 1) {
            map.problem(name, "a secret has exactly one source",
                        "{ env = \"NAME\" }, { credential = \"name\" } or { file = \"/path\" }");
            return;
        }
        if (variable)
            values.emplace_back(name, SecretSource{SecretSource::From::environment, *variable});
        if (credential)
            values.emplace_back(name, SecretSource{SecretSource::From::credential, *credential});
        if (file) values.emplace_back(name, SecretSource{SecretSource::From::file, *file});
    }

    PlanTables& tables_;
    std::vector<Level> levels_;
    std::vector<std::vector<std::optional<ConfigTable>>>
        arrays_;  ///< arrays of tables that are being visited
};

}  // namespace

void PlanTables::add(const std::string& path, std::string_view key, std::string text,
                     std::string hint, std::size_t column_inside, bool warning) const {
    std::string at = path;
    std::string inside(key);
    while (true) {
        if (const auto found = tables_.find(at); found != tables_.end()) {
            auto table = found->second;
            table.problem(inside, std::move(text), std::move(hint),
                          at == path ? column_inside : ConfigTable::kWholeValue, warning);
            return;
        }
        const auto dot = at.rfind('.');
        if (at.empty()) return;
        inside = dot == std::string::npos ? at : at.substr(dot + 1);
        at = dot == std::string::npos ? "" : at.substr(0, dot);
    }
}

bool PlanTables::has(const std::string& path, std::string_view key) const {
    const auto found = tables_.find(path);
    return found != tables_.end() && found->second.has(key);
}

Plan read_plan(runtime::ConfigDocument& document, runtime::ConfigProblems& problems,
               PlanTables& tables) {
    Plan plan;
    Reader reader(document.root(problems), tables);
    describe_plan(reader, plan);
    reader.finish();
    return plan;
}

}  // namespace launcher
