/// The log pipeline: from a service's pipes to the sinks, without ever making the service wait.
///
///   pipe → capture thread (read, split, stamp) → bounded queue → process thread (parse, join,
///   redact, filter, encode)
///        → one bounded queue per sink → one writer thread per sink
///
/// Source: spec "launcher" section 3. Everything that is lost is counted and announced.
#pragma once

#include "launcher/logs/known_secret.hpp"
#include "launcher/logs/record.hpp"
#include "launcher/logs/sink_output.hpp"
#include "launcher/plan/plan.hpp"
#include "launcher/runtime/log_filter.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace launcher::logs {

/// Numbers of one service's stream, for /status and /metrics.
struct StreamCounters {
    std::array<std::uint64_t, 6> lines_by_level{};  ///< trace … fatal
    std::array<std::uint64_t, 6> bytes_by_level{};
    std::uint64_t filtered = 0, probe_noise = 0, empty_lines = 0, held_by_descendant = 0;
    std::size_t pipe_bytes = 0;    ///< FIONREAD of our read end at the time of the call
    std::size_t pipe_size = 0;     ///< what the pipe can hold
    std::uint64_t pipe_inode = 0;  ///< tells whether a descriptor of the service is this pipe
    std::chrono::system_clock::time_point last_line{};
};
struct SinkCounters {
    std::string name;  ///< "stdout", "file:/var/log/kms.log"
    bool up = true;
    std::string state;  ///< "ok", "stalled", "degraded: No space left on device", "closed"
    std::size_t queued_bytes = 0, queue_limit_bytes = 0;
    std::chrono::milliseconds stalled_for{0};
    /// Dropped records by service and level.
    std::vector<std::pair<std::string, std::array<std::uint64_t, 6>>> dropped;
    /// The same by stream: none (the launcher's own), stdout, stderr.
    std::vector<std::pair<std::string, std::array<std::array<std::uint64_t, 6>, 3>>>
        dropped_by_stream;
    std::uint64_t dropped_bytes = 0;
    std::uint64_t records_written = 0;
    std::uint64_t queued_lines = 0;  ///< lines not written yet; at exit they are lost, too
};
struct ServiceLogCounters {
    std::string service;
    StreamCounters out, err;
};
struct PipelineCounters {
    std::vector<ServiceLogCounters> services;
    std::vector<SinkCounters> sinks;
    std::vector<std::pair<std::string, std::uint64_t>> redactions;  ///< rule → count
};

/// What the pipeline learns from the program's surroundings.
struct PipelineOptions {
    std::string journal_stream;  ///< JOURNAL_STREAM: a sink on such a descriptor writes to the
                                 ///< journal itself
    bool no_color = false;       ///< NO_COLOR is set
    int standard_output = 1, standard_error = 2;  ///< borrowed
    JournalSend journal_send;                     ///< empty = libsystemd
};

class LogPipeline {
  public:
    /// Starts the threads. `secrets` are the values of every service's secret variables. Errors
    /// (invalid_argument): a sink that cannot be opened, or whose filter has a mistake.
    static runtime::Result<std::unique_ptr<LogPipeline>> start(const LogPlan& plan,
                                                               runtime::LogFilter filter,
                                                               std::vector<KnownSecret> secrets,
                                                               const PipelineOptions& options = {});
    /// Writes out what is queued, for at most 1 s unless flush() did, and ends the threads.
    ~LogPipeline();
    LogPipeline(const LogPipeline&) = delete;
    LogPipeline& operator=(const LogPipeline&) = delete;

    /// Takes over the read ends of a service's two pipes (owned from now on; made non-blocking and
    /// 1 MiB large here). With merge_streams both writers share one pipe and stderr_read is -1.
    void adopt(const ServicePlan& service, int pid, int stdout_read, int stderr_read);
    /// Reads what a service left in its pipes: until end of file, but at most `limit` from now when
    /// a descendant holds the pipe open. Blocks the caller, which is the supervisor after the reap.
    /// Returns once the lines are queued.
    void drain(const std::string& service, std::chrono::milliseconds limit);

    /// Emits a record of the launcher itself. Lifecycle records (those with an action) have their
    /// own queue share.
    void emit(Record record);
    /// The last lines of a service, redacted, oldest first.
    std::vector<std::string> last_lines(const std::string& service, std::size_t count) const;
    /// Calls `listener` (on the process thread) for every line of `service` before filtering: the
    /// log-line probe. It must be quick and must not call the pipeline. An empty listener removes
    /// those of the service; none of them runs any more when this returns.
    void listen(const std::string& service, std::function<void(const Record&)> listener);
    /// Lines whose request came from this local port are probe noise (section 3.6).
    void note_probe_port(std::uint16_t port);

    void set_filter(runtime::LogFilter filter);
    /// A filter for the records of one service ("launcher": its own) in place of the common one;
    /// nothing ends it, and so does set_filter(). Sinks with a filter of their own keep it.
    void set_service_filter(const std::string& service, std::optional<runtime::LogFilter> filter);
    std::string filter_text() const;
    void reopen_files();
    std::string redact(std::string text) const;
    PipelineCounters counters() const;

    /// Writes out what is queued, for at most `limit`; true when all of it was written.
    bool flush(std::chrono::milliseconds limit);

  private:
    struct Impl;
    explicit LogPipeline(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace launcher::logs
