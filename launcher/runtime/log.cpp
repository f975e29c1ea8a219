#include "launcher/runtime/log.hpp"

#include "launcher/runtime/bytes.hpp"
#include "launcher/runtime/line_writer.hpp"

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include <spdlog/logger.h>
#include <spdlog/sinks/sink.h>

namespace runtime {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kShortestSecret = 6;
constexpr std::string_view kRedacted = "[redacted]";
constexpr std::string_view kHexDigits = "0123456789abcdef";

// --- the text of a line
// ---------------------------------------------------------------------------------------------

void append_digits(std::string& out, long value, int width) {
    std::array<char, 20> digits{};
    int n = 0;
    do {
        digits[static_cast<std::size_t>(n++)] = static_cast<char>('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (int i = n; i < width; ++i) out += '0';
    while (n > 0) out += digits[static_cast<std::size_t>(--n)];
}

/// "2026-11-22T20:49:30.754838Z"
void append_time(std::string& out, std::chrono::system_clock::time_point time) {
    const auto since_epoch = std::chrono::floor<std::chrono::microseconds>(time);
    const auto day = std::chrono::floor<std::chrono::days>(since_epoch);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(since_epoch - day);
    append_digits(out, static_cast<int>(date.year()), 4);
    out += '-';
    append_digits(out, static_cast<unsigned>(date.month()), 2);
    out += '-';
    append_digits(out, static_cast<unsigned>(date.day()), 2);
    out += 'T';
    append_digits(out, clock.hours().count(), 2);
    out += ':';
    append_digits(out, clock.minutes().count(), 2);
    out += ':';
    append_digits(out, clock.seconds().count(), 2);
    out += '.';
    append_digits(out, clock.subseconds().count(), 6);
    out += 'Z';
}

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

void append_control(std::string& out, char c) {
    switch (c) {
        case '\n':
            out += "\\n";
            return;
        case '\r':
            out += "\\r";
            return;
        case '\t':
            out += "\\t";
            return;
        case '\0':
            out += "\\0";
            return;
        default:
            break;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += "\\u{";
    if (byte >= 16) out += kHexDigits[byte >> 4];
    out += kHexDigits[byte & 15];
    out += '}';
}

/// Text that cannot end the line, move a terminal's cursor or break a decoder: control characters
/// (C1 ones too, which terminals obey) and bytes that are not UTF-8 are escaped.
void append_safe(std::string& out, std::string_view text) {
    const bool valid = is_utf8(text);
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const auto byte = static_cast<unsigned char>(c);
        if (is_control(c)) {
            append_control(out, c);
        } else if (valid && byte == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0) {
            append_control(out, text[++i]);
        } else if (byte >= 0x80 && !valid) {
            out += "\\x";
            out += kHexDigits[byte >> 4];
            out += kHexDigits[byte & 15];
        } else {
            out += c;
        }
    }
}

/// Whether a reader that splits at blanks and balances brackets could misread the bare value.
bool needs_quotes(std::string_view value) {
    if (value.empty()) return true;
    int depth = 0;
    for (const char c : value) {
        if (is_control(c)) return true;
        switch (c) {
            case ' ':
            case '"':
            case '\'':
            case '=':
                return true;
            case '(':
            case '[':
            case '{':
                ++depth;
                break;
            case ')':
            case ']':
            case '}':
                if (--depth < 0) return true;
                break;
            default:
                break;
        }
    }
    return depth != 0;
}

/// As Rust's Debug form of a string.
void append_quoted(std::string& out, std::string_view value) {
    out += '"';
    std::size_t start = 0;
    for (std::size_t i = 0; i < value.size(); ++i) {
        if (value[i] != '"' && value[i] != '\\') continue;
        append_safe(out, value.substr(start, i - start));
        out += '\\';
        out += value[i];
        start = i + 1;
    }
    append_safe(out, value.substr(start));
    out += '"';
}

void append_name(std::string& out, std::string_view name) {
    for (const char c : name) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
        out += plain ? c : '_';
    }
}

void append_value(std::string& out, std::string_view value) {
    if (needs_quotes(value))
        append_quoted(out, value);
    else
        append_safe(out, value);
}

std::string_view level_column(LogLevel level) {
    switch (level) {
        case LogLevel::trace:
            return "TRACE";
        case LogLevel::debug:
            return "DEBUG";
        case LogLevel::info:
            return " INFO";
        case LogLevel::warn:
            return " WARN";
        case LogLevel::error:
        case LogLevel::fatal:
        case LogLevel::off:
            break;
    }
    return "ERROR";  // tracing's text form has no name above it
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
    switch (level) {
        case LogLevel::trace:
            return spdlog::level::trace;
        case LogLevel::debug:
            return spdlog::level::debug;
        case LogLevel::info:
            return spdlog::level::info;
        case LogLevel::warn:
            return spdlog::level::warn;
        case LogLevel::error:
            return spdlog::level::err;
        case LogLevel::fatal:
        case LogLevel::off:
            break;
    }
    return spdlog::level::critical;
}

LogLevel from_spdlog(spdlog::level::level_enum level) {
    switch (level) {
        case spdlog::level::trace:
            return LogLevel::trace;
        case spdlog::level::debug:
            return LogLevel::debug;
        case spdlog::level::info:
            return LogLevel::info;
        case spdlog::level::warn:
            return LogLevel::warn;
        default:
            return LogLevel::error;
    }
}

std::string make_line(std::chrono::system_clock::time_point time, LogLevel level,
                      std::string_view body) {
    std::string line;
    line.reserve(body.size() + 36);
    append_time(line, time);
    line.append(" ").append(level_column(level)).append(" ").append(body).append("\n");
    return line;
}

std::string announce_loss(std::uint64_t count) {
    return make_line(std::chrono::system_clock::now(), LogLevel::warn,
                     "runtime::log: log lines were lost count=" + std::to_string(count));
}

// --- where lines go
// -------------------------------------------------------------------------------------------------

/// Puts the time and the level in front of a ready body and queues the line: no formatting, no
/// waiting.
class WriterSink final : public spdlog::sinks::sink {
  public:
    WriterSink(int descriptor, std::size_t queue_bytes)
        : writer_(descriptor, queue_bytes, announce_loss) {}

    void log(const spdlog::details::log_msg& message) override {
        const std::string_view body(message.payload.data(), message.payload.size());
        writer_.push(make_line(message.time, from_spdlog(message.level), body));
    }
    void flush() override {}
    // The form of a line is fixed: one parser has to read it.
    void set_pattern(const std::string&) override {}
    void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

    std::uint64_t lines_dropped() const { return writer_.counters().lines_dropped; }

  private:
    LineWriter writer_;
};

struct Destination {
    Destination(int descriptor, std::size_t queue_bytes)
        : sink(std::make_shared<WriterSink>(descriptor, queue_bytes)), logger("", sink) {
        logger.set_level(spdlog::level::trace);  // our own filter decides
    }
    std::shared_ptr<WriterSink> sink;
    spdlog::logger logger;
};

/// What log() needs, as one immutable value; replaced whole.
struct Snapshot {
    std::shared_ptr<Destination> destination;
    LogFilter filter;
    std::vector<std::string> secrets;
};

std::mutex g_mutex;  // guards g_snapshot, which is null while no Logging exists
std::shared_ptr<const Snapshot> g_snapshot;
/// Bit n = events of LogLevel n may pass. Spares refused levels the mutex.
std::atomic<unsigned> g_levels{0};

unsigned levels_of(const LogFilter& filter) {
    unsigned bits = 0;
    for (unsigned level = 0; level < static_cast<unsigned>(LogLevel::off); ++level)
        if (filter.may_enable(static_cast<LogLevel>(level))) bits |= 1U << level;
    return bits;
}

bool level_may_pass(LogLevel level) {
    return (g_levels.load(std::memory_order_relaxed) >> static_cast<unsigned>(level) & 1U) != 0;
}

std::shared_ptr<const Snapshot> snapshot() {
    const std::lock_guard lock(g_mutex);
    return g_snapshot;
}

/// Replaces the snapshot by a changed copy. Does nothing while no Logging exists.
template <class Change>
void change_snapshot(Change change) {
    const std::lock_guard lock(g_mutex);
    if (!g_snapshot) return;
    auto next = std::make_shared<Snapshot>(*g_snapshot);
    change(*next);
    g_levels.store(levels_of(next->filter), std::memory_order_relaxed);
    g_snapshot = std::move(next);
}

/// `text`, or `storage` with a redacted copy of it.
std::string_view redacted(const std::vector<std::string>& secrets, std::string_view text,
                          std::string& storage) {
    for (const std::string& secret : secrets) {
        std::size_t at = text.find(secret);
        if (at == std::string_view::npos) continue;
        std::string clean;
        std::size_t start = 0;
        for (; at != std::string_view::npos; at = text.find(secret, start)) {
            clean.append(text.substr(start, at - start)).append(kRedacted);
            start = at + secret.size();
        }
        clean.append(text.substr(start));
        storage = std::move(clean);
        text = storage;
    }
    return text;
}

}  // namespace

LogField kv(std::string_view name, std::chrono::nanoseconds span) {
    struct Unit {
        std::int64_t nanoseconds;
        std::string_view name;
    };
    constexpr std::array<Unit, 4> kUnits = {
        {{1'000'000'000, "s"}, {1'000'000, "ms"}, {1'000, "us"}, {1, "ns"}}};
    const bool negative = span.count() < 0;
    const std::uint64_t count = negative ? ~static_cast<std::uint64_t>(span.count()) + 1
                                         : static_cast<std::uint64_t>(span.count());
    const Unit* unit = kUnits.data();
    while (static_cast<std::uint64_t>(unit->nanoseconds) > count && unit->nanoseconds > 1) ++unit;
    const auto size = static_cast<std::uint64_t>(unit->nanoseconds);

    std::string text = negative ? "-" : "";
    text += std::to_string(count / size);
    std::string thousandths =
        size > 1 ? std::to_string(1000 + count % size / (size / 1000)).substr(1) : "";
    while (thousandths.ends_with('0')) thousandths.pop_back();
    if (!thousandths.empty()) text.append(".").append(thousandths);
    text += count == 0 ? "s" : unit->name;
    return {name, std::move(text)};
}

Logging::Logging(const LogOptions& options) {
    auto next = std::make_shared<Snapshot>();
    next->destination = std::make_shared<Destination>(options.descriptor, options.queue_bytes);
    next->filter = options.filter;
    const std::lock_guard lock(g_mutex);
    if (g_snapshot) throw std::logic_error("logging was started twice");
    g_levels.store(levels_of(next->filter), std::memory_order_relaxed);
    g_snapshot = std::move(next);
}

Logging::~Logging() {
    std::shared_ptr<const Snapshot> last;
    {
        const std::lock_guard lock(g_mutex);
        g_levels.store(0, std::memory_order_relaxed);
        last = std::move(g_snapshot);
        g_snapshot = nullptr;
    }
    // The last owner's LineWriter flushes: this thread, or one that is inside log() at the moment.
}

void Logging::set_filter(const LogFilter& filter) {
    change_snapshot([&](Snapshot& next) { next.filter = filter; });
}

std::uint64_t Logging::lines_dropped() {
    const auto current = snapshot();
    return current ? current->destination->sink->lines_dropped() : 0;
}

void Logging::add_secret(std::string_view secret) {
    if (secret.size() < kShortestSecret) return;
    change_snapshot([&](Snapshot& next) {
        // Longest first: a secret that contains another one goes as a whole.
        auto place = next.secrets.begin();
        while (place != next.secrets.end() && place->size() >= secret.size()) ++place;
        next.secrets.emplace(place, secret);
    });
}

bool log_enabled(LogLevel level, std::string_view target) {
    if (!level_may_pass(level)) return false;
    const auto current = snapshot();
    LogEventView event;
    event.level = level;
    event.target = target;
    return current && current->filter.enabled(event);
}

void log(LogLevel level, std::string_view target, std::string_view message,
         std::initializer_list<LogField> fields) {
    if (!level_may_pass(level)) return;
    const auto current = snapshot();
    if (!current) return;
    std::vector<LogFieldView> views;
    views.reserve(fields.size());
    for (const LogField& field : fields) views.push_back({field.name, field.value});
    LogEventView event;
    event.level = level;
    event.target = target;
    event.message = message;
    event.fields = views;
    if (!current->filter.enabled(event)) return;

    std::string body;
    std::string clean;
    append_safe(body, target);
    body += ": ";
    append_safe(body, redacted(current->secrets, message, clean));
    for (const LogFieldView& field : views) {
        // An empty message leaves the blank after the target's colon as the only one.
        if (!body.ends_with(' ')) body += ' ';
        append_name(body, field.name);
        body += '=';
        append_value(body, redacted(current->secrets, field.value, clean));
    }
    current->destination->logger.log(to_spdlog(level),
                                     spdlog::string_view_t(body.data(), body.size()));
}

LogFilter log_filter_from_environment(const char* value, std::vector<LogFilterProblem>& problems) {
    return LogFilter::parse(value == nullptr ? std::string_view{} : std::string_view(value),
                            LogFilterSyntax::tracing, problems);
}

}  // namespace runtime
