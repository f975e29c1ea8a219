/// Distributor: a finished record → filter → number → encode → the sinks' queues. Used by the
/// process thread only, but for what is marked. Source: spec "launcher" sections 3.7, 3.8 and 4.3.
#pragma once

#include "launcher/logs/encode.hpp"
#include "launcher/logs/pipeline.hpp"
#include "launcher/logs/sink.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace launcher::logs {

class Distributor {
  public:
    /// Opens the sinks. Errors: as LogPipeline::start.
    static runtime::Result<std::unique_ptr<Distributor>> open(const LogPlan& plan,
                                                              runtime::LogFilter filter,
                                                              const PipelineOptions& options,
                                                              std::shared_ptr<Doorbell> news);

    /// Index of a service for the queues, made when it is new. Any thread.
    std::uint16_t service_index(std::string_view name);
    std::string service_name(std::size_t index) const;

    /// Gives a record to every sink whose filter lets it pass; sets its number on the way. False
    /// when none does.
    bool give(RecordView& record, std::uint16_t service, bool lifecycle);
    /// Lines that never became records: leaves a gap in the numbers.
    void skip_numbers(std::uint64_t count);
    /// Wakes the sinks' threads for what give() queued.
    void kick();

    /// Any thread. Ends the filters of single services, too.
    void set_filter(runtime::LogFilter filter);
    /// Takes the place of the common filter for one service's records, until it is nothing again or
    /// the common filter is set. Sinks with a filter of their own keep it. Any thread.
    void set_service_filter(std::string_view service, std::optional<runtime::LogFilter> filter);
    /// "info; kms: debug".
    std::string filter_text() const;
    void reopen_files();
    bool flush(runtime::Deadline deadline);
    std::vector<SinkCounters> counters() const;

    std::vector<std::unique_ptr<Sink>>& sinks() { return sinks_; }

  private:
    enum class Encoding : std::uint8_t { json, text, colour_text, journal };
    /// Sinks with the same filter share one numbering, in which a gap is a loss and nothing else.
    struct Group {
        runtime::LogFilter filter;
        std::uint64_t next = 1;
        bool passes = false;  ///< the current record
    };
    struct Route {
        std::size_t group = 0;
        std::size_t form = 0;
    };
    /// An encoding of the current record, made once for all sinks that want the same.
    struct Form {
        Encoding encoding;
        std::size_t group;
        bool made = false;
        TextBuffer bytes;
        JsonEncoder json;
        TextEncoder text;
        JournalEncoder journal;
    };
    Distributor() = default;
    std::string_view encoded(Form& form, const RecordView& record);
    void take_new_filter();
    const runtime::LogFilter& filter_for(const Group& group, std::uint16_t service) const;
    static bool passes(const runtime::LogFilter& filter, const RecordView& record,
                       const runtime::LogEventView& event);

    std::vector<std::unique_ptr<Sink>> sinks_;
    std::vector<Route> routes_;  ///< of the sinks, in their order
    std::vector<Group> groups_;  ///< the first has the common filter
    std::vector<std::unique_ptr<Form>> forms_;
    EventBuilder events_;

    /// Filters of single services by index, the process thread's copy.
    std::vector<std::optional<runtime::LogFilter>> service_filters_;

    mutable std::mutex mutex_;  ///< guards those below
    runtime::LogFilter new_filter_;
    std::vector<std::optional<runtime::LogFilter>> new_service_filters_;
    std::vector<std::string> service_names_;
    std::atomic<bool> has_new_filter_{false};
};

}  // namespace launcher::logs
