/// Redactor: takes secrets out of records and texts before they leave. Source: spec "launcher"
/// section 3.9.
#pragma once

#include "launcher/logs/known_secret.hpp"
#include "launcher/logs/multi_pattern.hpp"
#include "launcher/logs/record_view.hpp"
#include "launcher/logs/secret_shapes.hpp"
#include "launcher/logs/text_buffer.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace launcher::logs {

inline constexpr std::string_view kRedacted = "[redacted]";

/// A PEM private key that is being written line by line.
struct KeyBlock {
    static constexpr int kMaxLines = 200;
    bool open = false;
    int lines = 0;
};

/// Immutable but for its counters; any thread may use it.
class Redactor {
  public:
    explicit Redactor(const std::vector<KnownSecret>& secrets);

    /// Names of secrets that are too short to look for.
    const std::vector<std::string>& refused() const { return refused_; }

    /// False when `line` holds nothing to redact. Quick; true only means that a closer look is due.
    bool suspicious(std::string_view line) const;
    /// Cleans every text of the record. `suspicious` is what was said of the line it was made from;
    /// texts that arose by decoding are looked at anyway. New texts are put into `arena`. True when
    /// something was removed.
    bool redact(RecordView& record, bool suspicious, TextArena& arena) const;
    /// Cleans a text that is no record: an error of exec, evidence, a status.
    std::string redact(std::string text) const;

    /// Follows a private key over several lines. Returns the line, or what may be shown of it, then
    /// put into `scratch`. `has_header` tells that the line is a record by itself (tracing, JSON):
    /// only its key material goes.
    std::string_view follow_key(KeyBlock& block, std::string_view line, bool has_header,
                                std::string& scratch) const;

    /// How many bytes at the end of a part of a line may be the beginning of a secret that ends in
    /// the next part.
    std::size_t unfinished(std::string_view part) const;

    /// What was removed so far, by rule; every rule is listed.
    std::vector<std::pair<std::string, std::uint64_t>> counts() const;

  private:
    class Cleaner;
    void count(RedactionRule rule) const {
        counts_[static_cast<std::size_t>(rule)].fetch_add(1, std::memory_order_relaxed);
    }

    WindowFilter filter_;
    MultiPattern known_;
    std::vector<std::string> refused_;
    mutable std::array<std::atomic<std::uint64_t>, kRedactionRules> counts_{};
};

}  // namespace launcher::logs
