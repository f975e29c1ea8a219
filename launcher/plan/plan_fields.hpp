/// The one description of every table and key of launcher.toml. It is visited three times: to read
/// a file, to list the known keys and their types (for LAUNCHER_ variables), and to print the
/// effective configuration.
#pragma once

#include "launcher/plan/plan.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace launcher {

using TextPairs = std::vector<std::pair<std::string, std::string>>;
using SecretPairs = std::vector<std::pair<std::string, SecretSource>>;

/// A visitor of keys. A reading visitor changes the values, others only look at them; a value that
/// is absent stays as it is.
class PlanFields {
  public:
    virtual ~PlanFields() = default;

    virtual void visit_duration(std::string_view key, std::optional<milliseconds>& value,
                                milliseconds min) = 0;
    virtual void visit_size(std::string_view key, std::optional<std::uint64_t>& value,
                            std::uint64_t min, std::uint64_t max) = 0;
    virtual void visit_text(std::string_view key, std::optional<std::string>& value) = 0;
    virtual void visit_boolean(std::string_view key, std::optional<bool>& value) = 0;
    virtual void visit_integer(std::string_view key, std::optional<std::int64_t>& value,
                               std::int64_t min, std::int64_t max) = 0;
    virtual void visit_word(std::string_view key, const std::vector<std::string>& words,
                            std::optional<std::size_t>& index) = 0;
    virtual void visit_texts(std::string_view key, std::vector<std::string>& values) = 0;
    virtual void visit_integers(std::string_view key, std::vector<std::int64_t>& values,
                                std::int64_t min, std::int64_t max) = 0;
    virtual void visit_text_map(std::string_view key, TextPairs& values) = 0;
    virtual void visit_secrets(std::string_view key, SecretPairs& values) = 0;

    /// Goes down into a table; false when it is absent (then leave() is not called).
    virtual bool enter(std::string_view key, bool present) = 0;
    virtual void leave() = 0;
    /// The names of the tables below the current one, such as those of services.
    virtual std::vector<std::string> names(const std::vector<std::string>& present) = 0;
    /// The number of tables in the array `key`; then enter_item() for each.
    virtual std::size_t items(std::string_view key, std::size_t present) = 0;
    virtual void enter_item(std::string_view key, std::size_t index) = 0;
    /// A value that has the right type and still means nothing.
    virtual void problem(std::string_view /*key*/, std::string /*text*/, std::string /*hint*/) {}

    // The same for members that always have a value.
    void duration(std::string_view key, milliseconds& value, milliseconds min = milliseconds(1));
    void size(std::string_view key, std::size_t& value, std::uint64_t min, std::uint64_t max);
    void text(std::string_view key, std::string& value);
    void boolean(std::string_view key, bool& value);
    void integer(std::string_view key, int& value, int min, int max);
    void maybe_integer(std::string_view key, std::optional<int>& value, int min, int max);
    /// `words` in the order of the enumeration's values, which start with 0.
    template <class Enum>
    void word(std::string_view key, const std::vector<std::string>& words, Enum& value) {
        std::optional<std::size_t> index = static_cast<std::size_t>(value);
        visit_word(key, words, index);
        if (index) value = static_cast<Enum>(*index);
    }
};

/// Words of the enumerations, in the order of their values.
const std::vector<std::string>& probe_kind_words();
const std::vector<std::string>& probe_role_words();
const std::vector<std::string>& log_format_words();

/// Visits every key of the configuration. Plan::services is filled by names().
void describe_plan(PlanFields& fields, Plan& plan);

}  // namespace launcher
