#include "launcher/logs/line_parser.hpp"

#include "launcher/logs/parse_json.hpp"
#include "launcher/logs/parse_plain.hpp"
#include "launcher/logs/parse_tracing.hpp"

#include <cstring>

namespace launcher::logs {
namespace {

/// A service's own time counts only when it is about the time of receipt: a wrong clock must not
/// misplace its lines.
constexpr std::chrono::minutes kPlausible{10};

runtime::LogLevel default_level(Stream stream) {
    return stream == Stream::err ? runtime::LogLevel::warn : runtime::LogLevel::info;
}

}  // namespace

LineParser::LineParser(StreamIdentity identity, const ServicePlan::Log& plan, KnownTargets& targets)
    : identity_(std::move(identity)),
      plan_(plan),
      plain_target_(identity_.service +
                    (identity_.stream == Stream::err ? "::stderr" : "::stdout")),
      context_(arena_, targets, plan.fields) {}

/// JSON and tracing text, whichever the format allows.
bool LineParser::parse_first(std::string_view text, RecordView& record) {
    if (plan_.format == LogFormat::plain) return false;
    if (text.front() == '{') {
        // Continuation lines of a JSON line are text behind its message.
        const std::size_t end = text.find('\n');
        if (!parse_json(text.substr(0, end), context_, record)) return false;
        record.target = record.logger.empty() ? std::string_view(identity_.service) : record.logger;
        if (end == std::string_view::npos) return true;
        const std::string_view rest = text.substr(end);
        char* const joined = arena_.allocate(record.message.size() + rest.size());
        if (!record.message.empty())
            std::memcpy(joined, record.message.data(), record.message.size());
        std::memcpy(joined + record.message.size(), rest.data(), rest.size());
        record.message = {joined, record.message.size() + rest.size()};
        return true;
    }
    if (plan_.format != LogFormat::automatic && plan_.format != LogFormat::tracing) return false;
    if (!parse_tracing(text, context_, record)) return false;
    record.target = record.logger;
    return true;
}

void LineParser::parse(const JoinedText& joined, RecordView& record) {
    arena_.clear();
    record.clear();
    record.received = joined.stamp.wall;
    record.service = identity_.service;
    record.stream = identity_.stream;
    record.pid = identity_.pid;
    record.lines = joined.lines;
    record.bytes = static_cast<std::uint32_t>(joined.text.size());
    record.part = joined.part;
    record.partial = joined.partial;
    record.level = default_level(identity_.stream);
    if (joined.part > 1) {
        record.message = joined.text;
        record.level = part_level_;
        record.logger = record.target = part_logger_;
    } else if (joined.text.empty() || !parse_first(joined.text, record)) {
        parse_plain(joined.text, record);
    }
    if (record.target.empty()) record.target = plain_target_;
    if (joined.part == 1) {
        part_level_ = record.level;
        part_logger_ = record.logger;
    }
    const auto own = record.service_time.value_or(record.received);
    const bool plausible =
        own - record.received <= kPlausible && record.received - own <= kPlausible;
    record.timestamp = plausible ? own : record.received;
    if (plan_.keep_original) record.original = joined.text;
}

}  // namespace launcher::logs
