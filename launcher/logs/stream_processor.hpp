/// StreamProcessor: lines of one stream → parsed, redacted records. Everything between reading and
/// filtering; pure, with time as a value. Source: spec "launcher" sections 3.4, 3.5 and 3.9.
#pragma once

#include "launcher/logs/joiner.hpp"
#include "launcher/logs/line_parser.hpp"
#include "launcher/logs/line_splitter.hpp"
#include "launcher/logs/redactor.hpp"

#include <optional>
#include <string>

namespace launcher::logs {

class StreamProcessor final : private Joiner::Output {
  public:
    class Output {
      public:
        virtual ~Output() = default;
        /// `joined` is the text as it was read; `redacted` tells that it must not be shown. All
        /// borrowed for the call.
        virtual void record(RecordView& record, std::string_view joined, bool redacted) = 0;
    };

    /// `targets`, `redactor` and `output` outlive this object.
    StreamProcessor(StreamIdentity identity, const ServicePlan::Log& plan, KnownTargets& targets,
                    const Redactor& redactor, Output& output);

    /// `line.text` must live until settle(). Records come out when it is certain that they are
    /// complete.
    void line(const LineView& line, const Stamp& stamp);
    /// Texts given to line() are about to go.
    void settle() { joiner_.settle(); }
    std::optional<runtime::TimePoint> closes_at() const { return joiner_.closes_at(); }
    void expire(runtime::TimePoint now) { joiner_.expire(now, *this); }
    /// Completes the open record.
    void close();
    /// The stream has ended: close(), and what was held back of a line in parts.
    void finish();

  private:
    void record(const JoinedText& joined) override;

    LogFormat format_;
    LineParser parser_;
    const Redactor& redactor_;
    Output& output_;
    Joiner joiner_;
    KeyBlock key_block_;
    std::string stripped_, shown_,
        whole_;  ///< the current line without terminal sequences, keys, with what was held back
    std::string held_;  ///< the end of a part, which may be the beginning of a secret
    std::uint32_t held_part_ = 0;
    Stamp held_stamp_;
    TextArena arena_;
    RecordView record_;
};

}  // namespace launcher::logs
