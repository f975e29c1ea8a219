/// LineParser: one line (with its continuation lines) of a service → a record. Pure. Source: spec
/// "launcher" 3.4, 4.3.
#pragma once

#include "launcher/logs/joiner.hpp"
#include "launcher/logs/parse_context.hpp"
#include "launcher/plan/plan.hpp"

#include <string>

namespace launcher::logs {

/// What all lines of a stream have in common.
struct StreamIdentity {
    std::string service;
    Stream stream = Stream::out;
    int pid = 0;
};

class LineParser {
  public:
    /// `targets` is shared by the streams of a service and outlives the parser.
    LineParser(StreamIdentity identity, const ServicePlan::Log& plan, KnownTargets& targets);
    LineParser(const LineParser&) = delete;
    LineParser& operator=(const LineParser&) = delete;

    /// Fills `record`, which borrows from `joined` and from this parser until the next call. Never
    /// fails: what cannot be parsed is the message, at the default level of its stream.
    void parse(const JoinedText& joined, RecordView& record);

    const StreamIdentity& identity() const { return identity_; }

  private:
    bool parse_first(std::string_view text, RecordView& record);

    StreamIdentity identity_;
    ServicePlan::Log plan_;
    std::string plain_target_;  ///< "kms::stdout"
    TextArena arena_;
    ParseContext context_;
    // Of the first part of a line that comes in parts; the later parts have the same.
    runtime::LogLevel part_level_ = runtime::LogLevel::info;
    std::string part_logger_;
};

}  // namespace launcher::logs
