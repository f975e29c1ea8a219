// Runs lines of one stream through parser, joiner and redactor and keeps the records.
#pragma once

#include "launcher/logs/line_splitter.hpp"
#include "launcher/logs/stream_processor.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace test {

/// Of every reading in these tests; within ten minutes of the times in the example lines.
inline std::chrono::system_clock::time_point receipt() {
    using namespace std::chrono;
    return sys_days(2026y / November / 22d) + 20h + 49min + 31s;
}

class Collect final : public launcher::logs::StreamProcessor::Output,
                      public launcher::logs::LineSplitter::Output {
  public:
    explicit Collect(launcher::ServicePlan::Log plan = {},
                     std::vector<launcher::logs::KnownSecret> secrets = {},
                     launcher::logs::Stream stream = launcher::logs::Stream::out)
        : redactor(secrets), processor({"kms", stream, 17}, plan, targets, redactor, *this) {}

    void record(launcher::logs::RecordView& record, std::string_view, bool redacted) override {
        records.push_back(launcher::logs::to_record(record));
        target.assign(record.target);
        lines.push_back(record.lines);
        any_redacted |= redacted;
    }
    void line(const launcher::logs::LineView& line) override {
        processor.line(line, stamp);
        processor.settle();  // the splitter's memory does not live longer
    }

    /// One line, and the end of its record.
    launcher::logs::Record one(std::string_view text) {
        const std::size_t before = records.size();
        push(text);
        processor.close();
        return records.size() == before + 1 ? records.back() : launcher::logs::Record{};
    }
    /// A line as it comes from the pipe. The text dies with the call.
    void push(std::string_view text) {
        const std::string copy(text);
        processor.line({copy, 0, false, true}, stamp);
        processor.settle();
    }
    void after(std::chrono::milliseconds span) {
        stamp.steady += span;
        stamp.wall += span;
        processor.expire(stamp.steady);
    }

    launcher::logs::KnownTargets targets;
    launcher::logs::Redactor redactor;
    launcher::logs::Stamp stamp{receipt(), runtime::TimePoint(std::chrono::hours(1))};
    launcher::logs::StreamProcessor processor;
    std::vector<launcher::logs::Record> records;
    std::vector<std::uint32_t> lines;
    std::string target;
    bool any_redacted = false;
};

inline launcher::ServicePlan::Log with_format(launcher::LogFormat format) {
    launcher::ServicePlan::Log plan;
    plan.format = format;
    return plan;
}

/// A field as text: its JSON, but strings without quotes; "(none)" when it is not there.
inline std::string field(const launcher::logs::Fields& fields, std::string_view name) {
    struct Visitor {
        std::string operator()(const std::string& text) const { return text; }
        std::string operator()(std::int64_t number) const { return "#" + std::to_string(number); }
        std::string operator()(std::uint64_t number) const { return "#" + std::to_string(number); }
        std::string operator()(double number) const { return "#" + std::to_string(number); }
        std::string operator()(bool value) const { return value ? "#true" : "#false"; }
        std::string operator()(std::nullptr_t) const { return "#null"; }
        std::string operator()(const launcher::logs::JsonText& json) const { return json.text; }
    };
    for (const auto& [key, value] : fields) {
        if (key == name) return std::visit(Visitor{}, value);
    }
    return "(none)";
}

}  // namespace test
