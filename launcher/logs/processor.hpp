/// Processor: the thread between reading and writing. It turns raw lines and the launcher's own
/// records into what the sinks get, and reports losses. Source: spec "launcher" section 3.
#pragma once

#include "launcher/logs/capture.hpp"
#include "launcher/logs/distributor.hpp"
#include "launcher/logs/line_ring.hpp"
#include "launcher/logs/pipeline.hpp"
#include "launcher/logs/probe_noise.hpp"
#include "launcher/logs/stream_processor.hpp"

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace launcher::logs {

class Processor {
  public:
    /// All outlive this object.
    Processor(RawQueue& raw, std::shared_ptr<Doorbell> doorbell, Distributor& distributor,
              const Redactor& redactor);
    ~Processor();
    Processor(const Processor&) = delete;
    Processor& operator=(const Processor&) = delete;

    // Any thread:

    /// Makes room for a stream whose lines carry the returned object's id.
    std::shared_ptr<CapturedStream> add_stream(const ServicePlan& service, Stream stream, int pid,
                                               int descriptor);
    /// Waits until everything of the stream was processed. False when `deadline` came first.
    bool wait_for_end(const CapturedStream& stream, runtime::Deadline deadline);
    void emit(Record record);
    std::vector<std::string> last_lines(const std::string& service, std::size_t count) const;
    void listen(const std::string& service, std::function<void(const Record&)> listener);
    void note_probe_port(std::uint16_t port);
    /// Completes what is open and hands it to the sinks. False when `deadline` came first.
    bool flush(runtime::Deadline deadline);
    void count(PipelineCounters& counters) const;
    /// The streams of a service that are not ended yet.
    std::vector<std::shared_ptr<CapturedStream>> streams_of(const std::string& service) const;

  private:
    struct LevelCounter {
        std::atomic<std::uint64_t> lines{0}, bytes{0};
    };
    struct Service {
        std::string name;
        std::uint16_t index = 0;
        bool keep_probe_noise = false;
        KnownTargets targets;
        LineRing ring;
    };
    /// One stream's part of the work. Its own object, as lines are put out through it.
    struct Lane final : StreamProcessor::Output {
        Lane(Processor& owner, Service& service, Stream stream, int pid,
             const ServicePlan::Log& plan, const Redactor& redactor);
        void record(RecordView& record, std::string_view joined, bool redacted) override;

        Processor& owner;
        Service& service;
        const Stream stream;
        std::shared_ptr<CapturedStream> captured;
        StreamProcessor lines;
        std::array<LevelCounter, kLevels> by_level;
        std::atomic<std::uint64_t> filtered{0}, noise{0};
        std::uint64_t lines_dropped_seen = 0,
                      bytes_dropped_seen = 0;  ///< of captured, already accounted
        bool ended = false;                    ///< guarded by lanes_mutex_
    };

    void run();
    bool process_block();
    void process_mail();
    void process_record(Lane& lane, RecordView& record, std::string_view joined, bool redacted);
    void give_own(Record record, bool lifecycle);
    void account_capture_losses();
    void announce(bool all);
    void announce_loss(const std::string& service, const std::string& sink, const LossCount& loss);
    std::optional<runtime::TimePoint> expire(std::optional<runtime::TimePoint> now);
    void learn_lanes();

    RawQueue& raw_;
    std::shared_ptr<Doorbell> doorbell_;
    Distributor& distributor_;
    const Redactor& redactor_;
    ProbeNoise noise_;
    const std::uint16_t launcher_index_;

    mutable std::mutex lanes_mutex_;  ///< guards the two vectors and what is marked in Lane
    std::condition_variable lane_ended_;
    std::vector<std::unique_ptr<Service>> services_;
    std::vector<std::unique_ptr<Lane>> lanes_;  ///< by stream id
    std::vector<Lane*> own_lanes_;              ///< the process thread's copy

    std::mutex mail_mutex_;  ///< guards the three below
    std::condition_variable flushed_;
    std::vector<Record> mail_;
    std::uint64_t flush_wanted_ = 0, flush_done_ = 0;
    bool stopping_ = false;
    std::atomic<std::uint64_t> mail_dropped_{0};

    std::mutex listeners_mutex_;  ///< held while listeners run
    std::map<std::string, std::vector<std::function<void(const Record&)>>, std::less<>> listeners_;
    std::atomic<bool> has_listeners_{false};

    // The process thread's own.
    TextArena arena_;
    RecordView own_view_;
    TextBuffer line_text_;
    TextEncoder line_encoder_{false};
    runtime::TimePoint next_announcement_{};
    bool announcement_waits_ = false;
    std::vector<LossCount> capture_losses_;  ///< unannounced, by service
    std::uint64_t mail_dropped_seen_ = 0;

    std::thread thread_;
};

}  // namespace launcher::logs
