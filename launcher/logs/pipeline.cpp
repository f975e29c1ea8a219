#include "launcher/logs/pipeline.hpp"

#include "launcher/logs/processor.hpp"
#include "launcher/runtime/secret.hpp"

#include <atomic>
#include <utility>

namespace launcher::logs {
namespace {

using runtime::Deadline;
using std::chrono::steady_clock;

/// Beyond the limit of a drain: the process thread's time for what was read.
constexpr std::chrono::seconds kProcessing{1};
constexpr std::chrono::seconds kLastFlush{1};

}  // namespace

// In the order of construction; the threads end in the opposite one: first nothing is read any
// more, then nothing is processed, then nothing is written.
struct LogPipeline::Impl {
    explicit Impl(std::vector<KnownSecret> secrets)
        : doorbell(std::make_shared<Doorbell>()), redactor(secrets), raw(doorbell) {
        for (KnownSecret& secret : secrets) runtime::wipe(secret.value);
    }

    std::shared_ptr<Doorbell> doorbell;
    Redactor redactor;
    RawQueue raw;
    std::unique_ptr<Distributor> distributor;
    std::unique_ptr<Processor> processor;
    std::unique_ptr<Capture> capture;
    std::atomic<bool> stuck{
        false};  ///< the last flush left something: a second one would only wait again
};

LogPipeline::LogPipeline(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

LogPipeline::~LogPipeline() {
    impl_->capture.reset();
    if (!impl_->stuck) flush(kLastFlush);
    impl_->processor.reset();
}

runtime::Result<std::unique_ptr<LogPipeline>> LogPipeline::start(const LogPlan& plan,
                                                                 runtime::LogFilter filter,
                                                                 std::vector<KnownSecret> secrets,
                                                                 const PipelineOptions& options) {
    auto impl = std::make_unique<Impl>(std::move(secrets));
    TRY(impl->distributor, Distributor::open(plan, std::move(filter), options, impl->doorbell));
    impl->processor =
        std::make_unique<Processor>(impl->raw, impl->doorbell, *impl->distributor, impl->redactor);
    impl->capture = std::make_unique<Capture>(impl->raw);
    std::unique_ptr<LogPipeline> pipeline(new LogPipeline(std::move(impl)));
    for (const std::string& name : pipeline->impl_->redactor.refused()) {
        Record record;
        record.level = runtime::LogLevel::warn;
        record.logger = "launcher::log";
        record.message = "the value of secret " + name +
                         " is too short to be looked for in log lines: use at least 6 characters";
        pipeline->emit(std::move(record));
    }
    return pipeline;
}

void LogPipeline::adopt(const ServicePlan& service, int pid, int stdout_read, int stderr_read) {
    if (stdout_read >= 0)
        impl_->capture->add(impl_->processor->add_stream(service, Stream::out, pid, stdout_read));
    if (stderr_read >= 0)
        impl_->capture->add(impl_->processor->add_stream(service, Stream::err, pid, stderr_read));
}

void LogPipeline::drain(const std::string& service, std::chrono::milliseconds limit) {
    const Deadline deadline = Deadline::after(steady_clock::now(), limit);
    const auto streams = impl_->processor->streams_of(service);
    for (const auto& stream : streams) impl_->capture->end(stream, deadline);
    for (const auto& stream : streams)
        impl_->processor->wait_for_end(*stream, Deadline(deadline.at() + kProcessing));
}

void LogPipeline::emit(Record record) {
    impl_->processor->emit(std::move(record));
}

std::vector<std::string> LogPipeline::last_lines(const std::string& service,
                                                 std::size_t count) const {
    return impl_->processor->last_lines(service, count);
}

void LogPipeline::listen(const std::string& service, std::function<void(const Record&)> listener) {
    impl_->processor->listen(service, std::move(listener));
}

void LogPipeline::note_probe_port(std::uint16_t port) {
    impl_->processor->note_probe_port(port);
}

void LogPipeline::set_filter(runtime::LogFilter filter) {
    impl_->distributor->set_filter(std::move(filter));
}

void LogPipeline::set_service_filter(const std::string& service,
                                     std::optional<runtime::LogFilter> filter) {
    impl_->distributor->set_service_filter(service, std::move(filter));
}

std::string LogPipeline::filter_text() const {
    return impl_->distributor->filter_text();
}

void LogPipeline::reopen_files() {
    impl_->distributor->reopen_files();
}

std::string LogPipeline::redact(std::string text) const {
    return impl_->redactor.redact(std::move(text));
}

PipelineCounters LogPipeline::counters() const {
    PipelineCounters counters;
    counters.sinks = impl_->distributor->counters();
    impl_->processor->count(counters);
    counters.redactions = impl_->redactor.counts();
    return counters;
}

bool LogPipeline::flush(std::chrono::milliseconds limit) {
    const Deadline deadline = Deadline::after(steady_clock::now(), limit);
    const bool processed = impl_->processor->flush(deadline);
    const bool written = impl_->distributor->flush(deadline);
    impl_->stuck = !processed || !written;
    return processed && written;
}

}  // namespace launcher::logs
