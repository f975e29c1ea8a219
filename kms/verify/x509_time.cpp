#include "kms/verify/x509_time.hpp"

#include <chrono>

namespace kms::x509 {
namespace {

namespace der = crypto::der;

/// Takes decimal digits from the front of a text.
class Digits {
  public:
    explicit Digits(std::string_view text) : text_(text) {}

    int number(std::size_t count) {
        int value = 0;
        for (std::size_t i = 0; i < count; ++i) {
            if (text_.empty() || text_[0] < '0' || text_[0] > '9') {
                good_ = false;
                return 0;
            }
            value = value * 10 + (text_[0] - '0');
            text_.remove_prefix(1);
        }
        return value;
    }
    /// One of these characters, or the whole is no good.
    char one_of(std::string_view allowed) {
        if (text_.empty() || allowed.find(text_[0]) == std::string_view::npos) {
            good_ = false;
            return '\0';
        }
        const char found = text_[0];
        text_.remove_prefix(1);
        return found;
    }
    void skip_fraction() {
        if (text_.empty() || text_[0] != '.') return;
        text_.remove_prefix(1);
        number(1);
        while (!text_.empty() && text_[0] >= '0' && text_[0] <= '9') text_.remove_prefix(1);
    }
    bool good() const { return good_; }
    bool at_end() const { return text_.empty(); }

  private:
    std::string_view text_;
    bool good_ = true;
};

std::optional<UnixSeconds> seconds_of(int year, int month, int day, int hour, int minute,
                                      int second) {
    const std::chrono::year_month_day date(std::chrono::year(year),
                                           std::chrono::month(static_cast<unsigned>(month)),
                                           std::chrono::day(static_cast<unsigned>(day)));
    if (!date.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
    const auto days = std::chrono::sys_days(date).time_since_epoch();
    return std::chrono::duration_cast<std::chrono::seconds>(days).count() + hour * 3600 +
           minute * 60 + second;
}

}  // namespace

Result<UnixSeconds> take_time(der::Peeler& fields) {
    const bool is_short = fields.next_is(der::kUtcTime);
    TRY(const ByteView content, fields.take(is_short ? der::kUtcTime : der::kGeneralizedTime));
    Digits digits(runtime::as_text(content));
    int year = digits.number(is_short ? 2 : 4);
    if (is_short) year += year >= 50 ? 1900 : 2000;
    const int month = digits.number(2);
    const int day = digits.number(2);
    const int hour = digits.number(2);
    const int minute = digits.number(2);
    const int second = digits.number(2);
    digits.one_of("Z");
    if (digits.good() && digits.at_end())
        if (const auto time = seconds_of(year, month, day, hour, minute, second)) return *time;
    return Error{ErrorCode::invalid_argument, "BadDerTime"};
}

std::optional<UnixSeconds> parse_rfc3339(std::string_view text) {
    Digits digits(text);
    const int year = digits.number(4);
    digits.one_of("-");
    const int month = digits.number(2);
    digits.one_of("-");
    const int day = digits.number(2);
    digits.one_of("Tt ");
    const int hour = digits.number(2);
    digits.one_of(":");
    const int minute = digits.number(2);
    digits.one_of(":");
    int second = digits.number(2);
    if (second == 60) second = 59;  // a leap second is the second before it
    digits.skip_fraction();
    const char zone = digits.one_of("Zz+-");
    UnixSeconds offset = 0;
    if (zone == '+' || zone == '-') {
        const int hours = digits.number(2);
        digits.one_of(":");
        const int minutes = digits.number(2);
        if (hours > 23 || minutes > 59) return std::nullopt;
        offset = (hours * 3600 + minutes * 60) * (zone == '+' ? 1 : -1);
    }
    if (!digits.good() || !digits.at_end()) return std::nullopt;
    const auto time = seconds_of(year, month, day, hour, minute, second);
    return time ? std::optional(*time - offset) : std::nullopt;
}

std::string to_rfc3339(UnixSeconds time) {
    using namespace std::chrono;
    const sys_seconds at{seconds(time)};
    const auto day = floor<days>(at);
    const year_month_day date(day);
    const hh_mm_ss clock(at - day);
    char text[48];
    std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02dZ",
                  static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                  static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                  static_cast<int>(clock.minutes().count()),
                  static_cast<int>(clock.seconds().count()));
    return text;
}

}  // namespace kms::x509
