#include "launcher/logs/timestamp.hpp"

#include <algorithm>
#include <cstring>

namespace launcher::logs {
namespace {

using std::chrono::microseconds;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// The number in `count` digits at `at`, or -1.
int digits(std::string_view text, std::size_t at, std::size_t count) {
    int value = 0;
    for (std::size_t i = at; i < at + count; ++i) {
        if (!is_digit(text[i])) return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

/// Days since 1970-01-01 of a date of the Gregorian calendar, counting years from March so that the
/// leap day is last.
std::int64_t days_from_civil(std::int64_t year, int month, int day) {
    year -= month <= 2 ? 1 : 0;
    const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
    const std::int64_t year_of_era = year - era * 400;
    const std::int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    const std::int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void put_two(char* out, std::int64_t value) {
    out[0] = static_cast<char>('0' + value / 10 % 10);
    out[1] = static_cast<char>('0' + value % 10);
}

}  // namespace

std::optional<ParsedTime> parse_timestamp(std::string_view text) {
    if (text.size() < 20 || text[4] != '-' || text[7] != '-' ||
        (text[10] != 'T' && text[10] != ' ') || text[13] != ':' || text[16] != ':') {
        return std::nullopt;
    }
    const int year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
    const int hour = digits(text, 11, 2), minute = digits(text, 14, 2),
              second = digits(text, 17, 2);
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
        minute < 0 || minute > 59 || second < 0 || second > 60) {
        return std::nullopt;
    }
    std::size_t at = 19;
    std::int64_t nanoseconds = 0;
    if (text[at] == '.') {
        std::int64_t unit = 100'000'000;
        const std::size_t first = ++at;
        for (; at < text.size() && is_digit(text[at]); ++at, unit /= 10)
            nanoseconds += (text[at] - '0') * unit;
        if (at == first || at - first > 9) return std::nullopt;
    }
    if (at >= text.size()) return std::nullopt;
    std::int64_t offset_minutes = 0;
    if (text[at] == 'Z') {
        ++at;
    } else if ((text[at] == '+' || text[at] == '-') && text.size() - at >= 6 &&
               text[at + 3] == ':') {
        const int hours = digits(text, at + 1, 2), minutes = digits(text, at + 4, 2);
        if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return std::nullopt;
        offset_minutes = (hours * 60 + minutes) * (text[at] == '-' ? -1 : 1);
        at += 6;
    } else {
        return std::nullopt;
    }
    const std::int64_t seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 +
                                 minute * 60 + second - offset_minutes * 60;
    if (seconds > 9'000'000'000)
        return std::nullopt;  // beyond what nanoseconds in 64 bits can hold
    return ParsedTime{
        WallTime(std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanoseconds)), at};
}

std::int64_t TimestampWriter::prepare(WallTime time) {
    const std::int64_t total = std::max<std::int64_t>(
        std::chrono::floor<microseconds>(time).time_since_epoch().count(), 0);
    const std::int64_t second = total / 1'000'000;
    if (second != second_) {
        second_ = second;
        const std::chrono::year_month_day date{
            std::chrono::sys_days(std::chrono::days(second / 86400))};
        const int year = static_cast<int>(date.year());
        put_two(text_, year / 100);
        put_two(text_ + 2, year % 100);
        text_[4] = text_[7] = '-';
        put_two(text_ + 5, static_cast<unsigned>(date.month()));
        put_two(text_ + 8, static_cast<unsigned>(date.day()));
        text_[10] = 'T';
        put_two(text_ + 11, second / 3600 % 24);
        put_two(text_ + 14, second / 60 % 60);
        put_two(text_ + 17, second % 60);
        text_[13] = text_[16] = ':';
        text_[19] = '.';
    }
    return total % 1'000'000;
}

void TimestampWriter::write_microseconds(WallTime time, char* out) {
    const std::int64_t micros = prepare(time);
    std::memcpy(out, text_, sizeof text_);
    put_two(out + 20, micros / 10'000);
    put_two(out + 22, micros / 100);
    put_two(out + 24, micros);
    out[26] = 'Z';
}

void TimestampWriter::write_milliseconds(WallTime time, char* out) {
    const std::int64_t millis = prepare(time) / 1000;
    std::memcpy(out, text_, sizeof text_);
    out[20] = static_cast<char>('0' + millis / 100);
    put_two(out + 21, millis);
    out[23] = 'Z';
}

}  // namespace launcher::logs
