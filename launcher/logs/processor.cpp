#include "launcher/logs/processor.hpp"

#include <algorithm>
#include <utility>

namespace launcher::logs {
namespace {

using runtime::TimePoint;
using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr std::size_t kMaxMail = 4096;
constexpr std::chrono::seconds kBetweenAnnouncements{1};
constexpr std::string_view kCapture =
    "capture";  // the name under which losses before the sinks are reported

/// The only writer of these counters is the process thread, so an addition need not be atomic as a
/// whole.
void add(std::atomic<std::uint64_t>& counter, std::uint64_t n) {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

runtime::LogLevel unparsed_level(Stream stream) {
    return stream == Stream::err ? runtime::LogLevel::warn : runtime::LogLevel::info;
}

std::string time_text(system_clock::time_point time) {
    char text[TimestampWriter::kMicroseconds];
    TimestampWriter().write_microseconds(time, text);
    return std::string(text, sizeof text);
}

}  // namespace

Processor::Lane::Lane(Processor& owner_, Service& service_, Stream stream_, int pid,
                      const ServicePlan::Log& plan, const Redactor& redactor)
    : owner(owner_),
      service(service_),
      stream(stream_),
      lines({service_.name, stream_, pid}, plan, service_.targets, redactor, *this) {}

void Processor::Lane::record(RecordView& record, std::string_view joined, bool redacted) {
    owner.process_record(*this, record, joined, redacted);
}

Processor::Processor(RawQueue& raw, std::shared_ptr<Doorbell> doorbell, Distributor& distributor,
                     const Redactor& redactor)
    : raw_(raw),
      doorbell_(std::move(doorbell)),
      distributor_(distributor),
      redactor_(redactor),
      launcher_index_(distributor.service_index("launcher")) {
    thread_ = std::thread([this] { run(); });
}

Processor::~Processor() {
    {
        const std::lock_guard lock(mail_mutex_);
        stopping_ = true;
    }
    doorbell_->ring();
    thread_.join();
}

std::shared_ptr<CapturedStream> Processor::add_stream(const ServicePlan& service, Stream stream,
                                                      int pid, int descriptor) {
    const std::lock_guard lock(lanes_mutex_);
    auto found = std::find_if(services_.begin(), services_.end(),
                              [&](const auto& known) { return known->name == service.name; });
    if (found == services_.end()) {
        services_.push_back(std::make_unique<Service>());
        found = std::prev(services_.end());
        (*found)->name = service.name;
        (*found)->index = distributor_.service_index(service.name);
        (*found)->keep_probe_noise = service.log.probe_noise_keep;
    }
    const auto id = static_cast<std::uint16_t>(lanes_.size());
    auto lane = std::make_unique<Lane>(*this, **found, stream, pid, service.log, redactor_);
    lane->captured = std::make_shared<CapturedStream>(id, descriptor, service.log.max_line);
    auto captured = lane->captured;
    lanes_.push_back(std::move(lane));
    return captured;
}

bool Processor::wait_for_end(const CapturedStream& stream, runtime::Deadline deadline) {
    std::unique_lock lock(lanes_mutex_);
    const Lane& lane = *lanes_[stream.id()];
    return lane_ended_.wait_until(lock, deadline.at(), [&lane] { return lane.ended; });
}

std::vector<std::shared_ptr<CapturedStream>> Processor::streams_of(
    const std::string& service) const {
    std::vector<std::shared_ptr<CapturedStream>> streams;
    const std::lock_guard lock(lanes_mutex_);
    for (const auto& lane : lanes_) {
        if (lane->service.name == service && !lane->ended) streams.push_back(lane->captured);
    }
    return streams;
}

void Processor::emit(Record record) {
    {
        const std::lock_guard lock(mail_mutex_);
        if (mail_.size() >= kMaxMail) {
            mail_dropped_.fetch_add(1, std::memory_order_relaxed);
            return;
        }
        mail_.push_back(std::move(record));
    }
    doorbell_->ring();
}

std::vector<std::string> Processor::last_lines(const std::string& service,
                                               std::size_t count) const {
    const std::lock_guard lock(lanes_mutex_);
    for (const auto& known : services_) {
        if (known->name == service) return known->ring.last(count);
    }
    return {};
}

void Processor::listen(const std::string& service, std::function<void(const Record&)> listener) {
    const std::lock_guard lock(listeners_mutex_);
    if (listener) {
        listeners_[service].push_back(std::move(listener));
    } else {
        listeners_.erase(service);
    }
    has_listeners_.store(!listeners_.empty(), std::memory_order_release);
}

void Processor::note_probe_port(std::uint16_t port) {
    noise_.note_port(port, steady_clock::now());
}

bool Processor::flush(runtime::Deadline deadline) {
    std::unique_lock lock(mail_mutex_);
    const std::uint64_t mine = ++flush_wanted_;
    doorbell_->ring();
    return flushed_.wait_until(lock, deadline.at(), [&] { return flush_done_ >= mine; });
}

void Processor::count(PipelineCounters& counters) const {
    const std::lock_guard lock(lanes_mutex_);
    SinkCounters capture;
    capture.name = kCapture;
    capture.state = "ok";
    capture.queued_bytes = raw_.bytes();
    capture.queue_limit_bytes = RawQueue::kLimit;
    for (const auto& service : services_) {
        ServiceLogCounters& into = counters.services.emplace_back();
        into.service = service->name;
        LossCount dropped;
        for (const auto& lane : lanes_) {
            if (&lane->service != service.get()) continue;
            StreamCounters& stream = lane->stream == Stream::err ? into.err : into.out;
            const CapturedStream& captured = *lane->captured;
            for (std::size_t level = 0; level < kLevels; ++level) {
                stream.lines_by_level[level] +=
                    lane->by_level[level].lines.load(std::memory_order_relaxed);
                stream.bytes_by_level[level] +=
                    lane->by_level[level].bytes.load(std::memory_order_relaxed);
            }
            stream.filtered += lane->filtered.load(std::memory_order_relaxed);
            stream.probe_noise += lane->noise.load(std::memory_order_relaxed);
            stream.empty_lines += captured.empty_lines.load(std::memory_order_relaxed);
            stream.held_by_descendant +=
                captured.held_by_descendant.load(std::memory_order_relaxed);
            stream.pipe_bytes += captured.pipe_bytes();
            stream.pipe_size = captured.pipe_size();
            stream.pipe_inode = captured.inode();
            const system_clock::time_point last{
                system_clock::duration(captured.last_line.load(std::memory_order_relaxed))};
            stream.last_line = std::max(stream.last_line, last);
            const auto level = static_cast<std::size_t>(unparsed_level(lane->stream));
            const auto lost = captured.lines_dropped.load(std::memory_order_relaxed);
            dropped.lines[level] += lost;
            dropped.by_stream[static_cast<std::size_t>(lane->stream)][level] += lost;
            capture.dropped_bytes += captured.bytes_dropped.load(std::memory_order_relaxed);
        }
        capture.dropped.emplace_back(service->name, dropped.lines);
        capture.dropped_by_stream.emplace_back(service->name, dropped.by_stream);
    }
    LossCount own;
    own.lines[static_cast<std::size_t>(runtime::LogLevel::info)] =
        mail_dropped_.load(std::memory_order_relaxed);
    own.by_stream[static_cast<std::size_t>(Stream::none)] = own.lines;
    capture.dropped.emplace_back("launcher", own.lines);
    capture.dropped_by_stream.emplace_back("launcher", own.by_stream);
    counters.sinks.push_back(std::move(capture));
}

void Processor::learn_lanes() {
    const std::lock_guard lock(lanes_mutex_);
    for (std::size_t i = own_lanes_.size(); i < lanes_.size(); ++i)
        own_lanes_.push_back(lanes_[i].get());
}

void Processor::run() {
    block_signals();
    std::optional<TimePoint> next;
    while (true) {
        if (announcement_waits_)
            next = next ? std::min(*next, next_announcement_) : next_announcement_;
        doorbell_->wait(next);
        std::uint64_t flush_wanted = 0;
        bool stopping = false;
        {
            const std::lock_guard lock(mail_mutex_);
            flush_wanted = flush_wanted_;
            stopping = stopping_;
        }
        const bool flushing = flush_wanted != flush_done_;
        learn_lanes();
        do {
            process_mail();
        } while (process_block());
        account_capture_losses();
        next = expire(flushing || stopping ? std::nullopt : std::optional(steady_clock::now()));
        announce(flushing);
        distributor_.kick();
        if (flushing) {
            {
                const std::lock_guard lock(mail_mutex_);
                flush_done_ = flush_wanted;
            }
            flushed_.notify_all();
        }
        if (stopping) return;
    }
}

/// Completes the records whose time has come by `now`; all of them without it. Returns when the
/// next one's comes.
std::optional<TimePoint> Processor::expire(std::optional<TimePoint> now) {
    std::optional<TimePoint> next;
    for (Lane* const each : own_lanes_) {
        if (now) {
            each->lines.expire(*now);
        } else {
            each->lines.close();
        }
        if (const auto at = each->lines.closes_at()) next = next ? std::min(*next, *at) : at;
    }
    return next;
}

/// One block of raw lines. False when there is none.
bool Processor::process_block() {
    auto block = raw_.pop();
    if (!block) return false;
    std::size_t at = 0;
    RawLine raw;
    Lane* current = nullptr;
    while (block->read(at, raw)) {
        if (raw.stream >= own_lanes_.size()) learn_lanes();
        current = own_lanes_[raw.stream];
        if (!raw.end) {
            current->lines.line({raw.text, raw.part, raw.partial, raw.last}, raw.stamp);
            continue;
        }
        current->lines.finish();
        account_capture_losses();
        const std::lock_guard lock(lanes_mutex_);
        current->ended = true;
        lane_ended_.notify_all();
    }
    for (Lane* const each : own_lanes_) each->lines.settle();
    raw_.give_back(std::move(block));
    // Everything read before this block's last line has been seen, so older records cannot be
    // continued any more, however busy another stream keeps us.
    expire(raw.stamp.steady);
    distributor_.kick();
    return true;
}

void Processor::process_mail() {
    std::vector<Record> mail;
    {
        const std::lock_guard lock(mail_mutex_);
        if (mail_.empty()) return;
        mail.swap(mail_);
    }
    for (Record& record : mail) {
        const bool lifecycle = !record.action.empty();
        give_own(std::move(record), lifecycle);
    }
}

/// A record of the launcher itself.
void Processor::give_own(Record record, bool lifecycle) {
    const auto now = system_clock::now();
    if (record.received == system_clock::time_point{}) record.received = now;
    if (record.timestamp == system_clock::time_point{}) record.timestamp = record.received;
    if (record.service.empty()) record.service = "launcher";
    arena_.clear();
    view_of(record, arena_, own_view_);
    own_view_.lines = 1;
    redactor_.redact(own_view_, true, arena_);
    const std::uint16_t index =
        record.service == "launcher" ? launcher_index_ : distributor_.service_index(record.service);
    distributor_.give(own_view_, index, lifecycle);
}

void Processor::process_record(Lane& lane, RecordView& record, std::string_view joined,
                               bool redacted) {
    const auto level = std::min<std::size_t>(static_cast<std::size_t>(record.level), kLevels - 1);
    add(lane.by_level[level].lines, record.lines);
    add(lane.by_level[level].bytes, record.bytes);
    if (redacted) {
        line_text_.clear();
        line_encoder_.encode(record, line_text_);
        std::string_view text = line_text_.view();
        text.remove_suffix(1);
        lane.service.ring.add(text);
    } else {
        lane.service.ring.add(joined);
    }
    if (has_listeners_.load(std::memory_order_acquire)) {
        const std::lock_guard lock(listeners_mutex_);
        const auto found = listeners_.find(record.service);
        if (found != listeners_.end()) {
            const Record owned = to_record(record);
            for (const auto& listener : found->second) listener(owned);
        }
    }
    if (!lane.service.keep_probe_noise && noise_.is_noise(record, steady_clock::now())) {
        add(lane.noise, record.lines);
        return;
    }
    if (!distributor_.give(record, lane.service.index, false)) add(lane.filtered, record.lines);
}

/// Lines that the capture thread had no room for: counted, and a gap in the numbers.
void Processor::account_capture_losses() {
    const auto now = system_clock::now();
    for (Lane* const each : own_lanes_) {
        const std::uint64_t lines = each->captured->lines_dropped.load(std::memory_order_relaxed);
        const std::uint64_t bytes = each->captured->bytes_dropped.load(std::memory_order_relaxed);
        const std::uint64_t fresh = lines - each->lines_dropped_seen;
        if (fresh == 0) continue;
        LossCount loss;
        const QueuedRecord what{each->service.index,
                                unparsed_level(each->stream),
                                false,
                                static_cast<std::uint32_t>(fresh),
                                now,
                                static_cast<std::uint8_t>(each->stream)};
        loss.add(what, bytes - each->bytes_dropped_seen);
        each->lines_dropped_seen = lines;
        each->bytes_dropped_seen = bytes;
        distributor_.skip_numbers(fresh);
        if (capture_losses_.size() <= what.service) capture_losses_.resize(what.service + 1u);
        capture_losses_[what.service].add(loss);
    }
    const std::uint64_t mail = mail_dropped_.load(std::memory_order_relaxed);
    if (mail == mail_dropped_seen_) return;
    if (capture_losses_.size() <= launcher_index_) capture_losses_.resize(launcher_index_ + 1u);
    const QueuedRecord what{launcher_index_, runtime::LogLevel::info, true,
                            static_cast<std::uint32_t>(mail - mail_dropped_seen_), now};
    capture_losses_[launcher_index_].add(what, 0);
    distributor_.skip_numbers(mail - mail_dropped_seen_);
    mail_dropped_seen_ = mail;
}

/// Tells of losses and of sinks that changed their state. Without `all` at most once a second.
void Processor::announce(bool all) {
    for (const auto& sink : distributor_.sinks()) {
        const std::string news = sink->take_news_of_state();
        if (news.empty()) continue;
        Record record;
        record.level = runtime::LogLevel::warn;
        record.logger = "launcher::log";
        record.message = news;
        give_own(std::move(record), true);
    }
    const TimePoint now = steady_clock::now();
    if (!all && now < next_announcement_) {
        announcement_waits_ = true;
        return;
    }
    announcement_waits_ = false;
    bool any = false;
    const auto tell = [&](const std::vector<LossCount>& losses, const std::string& sink) {
        for (std::size_t i = 0; i < losses.size(); ++i) {
            if (!losses[i].any()) continue;
            any = true;
            announce_loss(distributor_.service_name(i), sink, losses[i]);
        }
    };
    for (const auto& sink : distributor_.sinks()) {
        tell(all ? sink->take_losses() : sink->take_news_of_losses(), sink->name());
    }
    tell(std::exchange(capture_losses_, {}), std::string(kCapture));
    if (any) next_announcement_ = now + kBetweenAnnouncements;
}

void Processor::announce_loss(const std::string& service, const std::string& sink,
                              const LossCount& loss) {
    Record record;
    record.level = runtime::LogLevel::warn;
    record.logger = "launcher::log";
    record.action = "log-dropped";
    record.message =
        std::to_string(loss.total()) + " log lines of " + service + " were lost at " + sink;
    record.fields = {
        {"service", service}, {"sink", sink}, {"lines", loss.total()}, {"bytes", loss.bytes}};
    for (std::size_t level = 0; level < kLevels; ++level) {
        if (loss.lines[level] == 0) continue;
        record.fields.emplace_back(to_string(static_cast<runtime::LogLevel>(level)),
                                   loss.lines[level]);
    }
    record.fields.emplace_back("first", time_text(loss.first));
    record.fields.emplace_back("last", time_text(loss.last));
    give_own(std::move(record), true);
}

}  // namespace launcher::logs
