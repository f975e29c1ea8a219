/// Reads a configuration document into a Plan, and remembers the tables so that later checks can
/// point at a key.
#pragma once

#include "launcher/plan/plan.hpp"
#include "launcher/runtime/config.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace launcher {

/// The tables of a document by path ("service.kms.probe.startup").
class PlanTables {
  public:
    void remember(const std::string& path, runtime::ConfigTable table) {
        tables_.insert_or_assign(path, table);
    }
    /// Adds a problem at `key` of the table `path`; at the nearest table above it when that is
    /// absent.
    void problem(const std::string& path, std::string_view key, std::string text,
                 std::string hint = "") const {
        add(path, key, std::move(text), std::move(hint), runtime::ConfigTable::kWholeValue, false);
    }
    /// The same at a place inside a text value, counted from 0.
    void problem_inside(const std::string& path, std::string_view key, std::size_t column,
                        std::string text, std::string hint) const {
        add(path, key, std::move(text), std::move(hint), column, false);
    }
    /// Something that is worth a look and does not make the configuration invalid.
    void warning(const std::string& path, std::string_view key, std::string text,
                 std::string hint = "") const {
        add(path, key, std::move(text), std::move(hint), runtime::ConfigTable::kWholeValue, true);
    }
    bool has(const std::string& path, std::string_view key) const;

  private:
    void add(const std::string& path, std::string_view key, std::string text, std::string hint,
             std::size_t column_inside, bool warning) const;
    std::map<std::string, runtime::ConfigTable> tables_;
};

/// Types, ranges, words and unknown keys are checked here; what a value means beside others is not.
/// `problems` and `document` must outlive `tables`.
Plan read_plan(runtime::ConfigDocument& document, runtime::ConfigProblems& problems,
               PlanTables& tables);

}  // namespace launcher
