/// LineSplitter: bytes of one stream → lines. Pure; time comes in as a value. Source: spec
/// "launcher" section 3.3.
#pragma once

#include "launcher/runtime/deadline.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace launcher::logs {

/// One line, or one part of a line, as it was read.
struct LineView {
    std::string_view text;   ///< without its LF or CR LF; borrowed for the call
    std::uint32_t part = 0;  ///< 1, 2, … for a line that comes in parts; 0 = whole
    bool partial = false;    ///< more of this line follows, or it ended without LF
    bool last = true;        ///< nothing of this line follows
};

class LineSplitter {
  public:
    /// What receives the lines, called from feed(), expire() and finish().
    class Output {
      public:
        virtual ~Output() = default;
        virtual void line(const LineView& line) = 0;
    };
    /// An unterminated line is given out after this long without a byte.
    static constexpr std::chrono::seconds kSilence{2};

    /// Lines longer than `max_line` bytes (at least 16) come in parts; characters are not cut in
    /// two.
    explicit LineSplitter(std::size_t max_line) : max_line_(max_line < 16 ? 16 : max_line) {}

    void feed(std::string_view bytes, runtime::TimePoint now, Output& output);
    /// When expire() has something to do; nothing while no unterminated line waits.
    std::optional<runtime::TimePoint> expires_at() const;
    /// Gives out the unterminated line when its time has come.
    void expire(runtime::TimePoint now, Output& output);
    /// End of the stream: gives out what is left.
    void finish(Output& output);

    std::uint64_t empty_lines() const { return empty_lines_; }

  private:
    void give(std::string_view line, Output& output);
    void give_part(std::string_view part, Output& output);
    std::string_view give_parts(std::string_view line, Output& output);

    std::size_t max_line_;
    std::string
        pending_;  ///< the unterminated line, never more than max_line_ + 1 bytes between calls
    std::uint32_t parts_ = 0;   ///< parts of the current line that were given out
    runtime::TimePoint fed_{};  ///< when pending_ last grew
    std::uint64_t empty_lines_ = 0;
};

}  // namespace launcher::logs
