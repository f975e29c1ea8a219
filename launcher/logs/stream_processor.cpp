#include "launcher/logs/stream_processor.hpp"

#include "launcher/logs/characters.hpp"

namespace launcher::logs {

StreamProcessor::StreamProcessor(StreamIdentity identity, const ServicePlan::Log& plan,
                                 KnownTargets& targets, const Redactor& redactor, Output& output)
    : format_(plan.format),
      parser_(std::move(identity), plan, targets),
      redactor_(redactor),
      output_(output),
      joiner_(plan.format, plan.multiline) {}

void StreamProcessor::line(const LineView& line, const Stamp& stamp) {
    JoinLine next{.text = line.text, .stamp = stamp, .part = line.part, .partial = line.partial};
    if (has_escape(next.text)) {
        stripped_.resize(next.text.size());
        stripped_.resize(strip_ansi(next.text, stripped_.data()));
        next.text = stripped_;
        next.borrowed = false;
    }
    if (!held_.empty()) {
        whole_.assign(held_).append(next.text);
        held_.clear();
        next.text = whole_;
        next.borrowed = false;
    }
    next.suspicious = redactor_.suspicious(next.text);
    if (!line.last) {
        const std::size_t held = redactor_.unfinished(next.text);
        held_.assign(next.text.substr(next.text.size() - held));
        held_part_ = line.part;
        held_stamp_ = stamp;
        next.text.remove_suffix(held);
        if (next.text.empty()) return;
    }
    if (key_block_.open || next.suspicious) {
        const LineStart start = key_block_.open ? line_start(next.text, format_) : LineStart::other;
        const bool header = start == LineStart::tracing || start == LineStart::json;
        const std::string_view shown = redactor_.follow_key(key_block_, next.text, header, shown_);
        if (shown.data() != next.text.data()) next.borrowed = false;
        next.text = shown;
    }
    joiner_.push(next, *this);
}

void StreamProcessor::close() {
    joiner_.close(*this);
}

void StreamProcessor::finish() {
    close();
    if (!held_.empty()) {
        const bool suspicious = redactor_.suspicious(held_);
        JoinLine rest{.text = held_, .stamp = held_stamp_, .part = held_part_ + 1, .partial = true};
        rest.suspicious = suspicious;
        rest.borrowed = false;
        joiner_.push(rest, *this);
        held_.clear();
    }
    key_block_ = {};
}

void StreamProcessor::record(const JoinedText& joined) {
    parser_.parse(joined, record_);
    arena_.clear();
    const bool redacted = redactor_.redact(record_, joined.suspicious, arena_);
    output_.record(record_, joined.text, redacted);
}

}  // namespace launcher::logs
