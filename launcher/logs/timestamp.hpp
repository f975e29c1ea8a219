/// Calendar time as text and back. Pure. Source: RFC 3339; spec "launcher" section 3.7 (UTC,
/// microseconds).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace launcher::logs {

using WallTime = std::chrono::system_clock::time_point;

struct ParsedTime {
    WallTime time{};
    std::size_t size = 0;  ///< bytes used
};
/// Reads "2026-11-22T20:49:30.754812Z" at the front of `text`; the fraction may have 0 to 9 digits,
/// the zone may be
/// "+hh:mm", and a blank may stand for the T.
std::optional<ParsedTime> parse_timestamp(std::string_view text);

/// Writes times; consecutive ones within the same second cost next to nothing.
class TimestampWriter {
  public:
    static constexpr std::size_t kMicroseconds = 27;  ///< length of "2026-11-22T20:49:30.754812Z"
    static constexpr std::size_t kMilliseconds = 24;  ///< length of "2026-11-22T20:49:30.754Z"
    /// Both write exactly that many bytes.
    void write_microseconds(WallTime time, char* out);
    void write_milliseconds(WallTime time, char* out);

  private:
    std::int64_t prepare(
        WallTime time);  ///< fills text_ and returns the microseconds within the second
    std::int64_t second_ = -1;
    char text_[20] = {};  ///< "2026-11-22T20:49:30."
};

}  // namespace launcher::logs
