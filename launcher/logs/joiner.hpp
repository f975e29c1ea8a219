/// Joiner: lines of one stream → records of one or several lines. Pure; time comes in as a value.
/// Source: spec "launcher" section 3.5.
#pragma once

#include "launcher/logs/line_start.hpp"
#include "launcher/runtime/deadline.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace launcher::logs {

/// When a line was read: calendar time for the record, monotonic time for the joining.
struct Stamp {
    std::chrono::system_clock::time_point wall{};
    runtime::TimePoint steady{};
};

/// A line on its way through the joiner.
struct JoinLine {
    std::string_view text;
    Stamp stamp;
    std::uint32_t part = 0;
    bool partial = false;
    bool suspicious = false;  ///< may hold a secret; carried along for the redactor
    bool borrowed = true;     ///< text lives until settle(); otherwise only for the call
};

/// What lines were joined to.
struct JoinedText {
    std::string_view text;  ///< lines separated by LF; borrowed for the call
    LineStart start = LineStart::other;
    Stamp stamp;  ///< of the first line
    std::uint32_t lines = 1;
    std::uint32_t part = 0;
    bool partial = false;
    bool suspicious = false;
};

class Joiner {
  public:
    class Output {
      public:
        virtual ~Output() = default;
        virtual void record(const JoinedText& joined) = 0;
    };
    static constexpr std::chrono::milliseconds kOpenFor{50};
    static constexpr std::uint32_t kMaxLines = 64;
    static constexpr std::size_t kMaxBytes = 64 * 1024;

    /// Without `multiline` every line is a record at once.
    Joiner(LogFormat format, bool multiline) : format_(format), multiline_(multiline) {}

    void push(const JoinLine& line, Output& output);
    /// The borrowed texts are about to go: keeps a copy of the open record, if there is one.
    void settle();
    /// When the open record closes by itself; nothing when none is open.
    std::optional<runtime::TimePoint> closes_at() const;
    void expire(runtime::TimePoint now, Output& output);
    /// Closes the open record, if there is one.
    void close(Output& output);

  private:
    bool continues(const JoinLine& line, LineStart start) const;

    LogFormat format_;
    bool multiline_;
    bool open_ = false;
    bool owned_ = false;  ///< open_text_ stands in storage_
    bool block_ = false;  ///< a panic whose end was not seen
    JoinedText open_text_;
    runtime::TimePoint last_{};
    std::string storage_;
};

}  // namespace launcher::logs
