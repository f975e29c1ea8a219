#include "launcher/control/freeze_evidence.hpp"

#include "launcher/control/supervisor_records.hpp"
#include "launcher/evidence/document.hpp"
#include "launcher/evidence/snapshot.hpp"

#include <algorithm>
#include <system_error>
#include <thread>

#include <boost/asio/post.hpp>
#include <pthread.h>
#include <sys/resource.h>

namespace launcher {
namespace {

using namespace std::chrono_literals;
using evidence::Facts;
using evidence::Finding;
using runtime::Deadline;
using runtime::LogLevel;
using runtime::Task;

constexpr auto kSnapshotLimit = 3s;
constexpr auto kWriting = 1s;  ///< after the snapshot, for the document
constexpr auto kUnhurried = 1s;
constexpr int kNicer = 5;
constexpr std::size_t kLines = 50;
constexpr std::size_t kMaxFacts = 2048;  ///< of the record, which stays below 4 KiB

std::string parent_of(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos || slash == 0 ? "" : path.substr(0, slash);
}

void add_pipes(Facts& facts, const std::string& service, const std::string& stream,
               const logs::StreamCounters& counters) {
    if (counters.pipe_size == 0) return;
    facts.pipes.push_back({service, stream, counters.pipe_bytes, counters.pipe_size,
                           counters.pipe_inode, counters.last_line});
}

void read_log_state(const logs::LogPipeline& pipeline, Facts& facts) {
    const auto counters = pipeline.counters();
    for (const auto& service : counters.services) {
        add_pipes(facts, service.service, "stdout", service.out);
        add_pipes(facts, service.service, "stderr", service.err);
    }
    for (const auto& sink : counters.sinks)
        facts.sinks.push_back(
            {sink.name, sink.state, sink.queued_bytes, sink.queue_limit_bytes, sink.stalled_for});
}

std::vector<evidence::LinesView> read_lines(const logs::LogPipeline& pipeline,
                                            const std::vector<std::string>& services) {
    std::vector<evidence::LinesView> views;
    for (const auto& service : services)
        views.push_back({service, pipeline.last_lines(service, kLines)});
    return views;
}

double milliseconds_of(std::chrono::nanoseconds span) {
    return static_cast<double>(span.count()) / 1e6;
}

}  // namespace

std::vector<std::string> evidence_directories(const Plan& plan,
                                              const std::string& runtime_directory) {
    if (!plan.evidence_dir.empty()) return {plan.evidence_dir};
    std::vector<std::string> directories;
    const auto first = runtime_directory.substr(0, runtime_directory.find(':'));
    if (first.starts_with('/')) directories.push_back(first + "/evidence");
    directories.emplace_back("/run/kms-launcher/evidence");
    return directories;
}

std::vector<std::string> secret_directories(const Plan& plan,
                                            const std::string& credentials_directory) {
    std::vector<std::string> directories = {"/run/credentials", "/run/secrets", "/var/run/secrets"};
    if (credentials_directory.starts_with('/')) directories.push_back(credentials_directory);
    for (const auto& service : plan.services)
        for (const auto& [name, source] : service.secret_env)
            if (source.from == SecretSource::From::file)
                directories.push_back(parent_of(source.name));
    return directories;
}

/// One snapshot in the making. Made on the main thread, filled by its own, finished on the main
/// thread again.
struct FreezeEvidence::Job {
    Job(FreezeEvidence& by, EvidenceOrder asked, Deadline until)
        : owner(by), order(std::move(asked)), deadline(until), done(by.parts_.executor) {}

    FreezeEvidence& owner;  ///< for the main thread only
    EvidenceOrder order;
    Deadline deadline;
    Wakeup done;
    bool finished = false;

    std::shared_ptr<evidence::EvidenceStore> store;
    std::shared_ptr<evidence::LostThreads> lost;
    std::shared_ptr<std::atomic<int>> working;
    boost::asio::any_io_executor executor;
    logs::LogPipeline* pipeline = nullptr;
    std::vector<std::string> services, secret;
    evidence::Heading heading;
    // What came of it
    Finding finding;
    std::string path;
    int threads = 0;
};

FreezeEvidence::FreezeEvidence(Parts parts, std::vector<std::string> directories)
    : parts_(std::move(parts)),
      store_(std::make_shared<evidence::EvidenceStore>(std::move(directories))) {}

bool FreezeEvidence::busy() const {
    return working_->load() > 0 || lost_->count() > 0;
}

void FreezeEvidence::work(const std::shared_ptr<Job>& job) {
    pthread_setname_np(pthread_self(), "evidence");
    // The service that is looked at goes first; the threads that read for this one inherit it. A
    // little only, and not in haste: on a machine out of breath the evidence is wanted all the
    // same.
    if (job->deadline.remaining(std::chrono::steady_clock::now()) >= kUnhurried)
        ::setpriority(PRIO_PROCESS, 0, std::min(::getpriority(PRIO_PROCESS, 0) + kNicer, 19));
    auto* pipeline = job->pipeline;
    evidence::SnapshotOrder order{
        job->order.service.name,
        job->order.service.pid,
        job->deadline,
        job->secret,
        {},
        job->order.control_seconds,
        [pipeline](Facts& facts) { read_log_state(*pipeline, facts); },
        [pipeline, services = job->services] { return read_lines(*pipeline, services); }};
    for (const auto& probe : job->order.service.probes)
        order.probes.push_back({probe.name, probe.recent});
    const auto snapshot = evidence::take_snapshot(order, job->lost);
    const auto before = evidence::thread_cpu_time();
    job->finding = evidence::judge(snapshot.facts);
    job->heading.took = snapshot.took;
    job->heading.cpu = std::chrono::duration_cast<std::chrono::microseconds>(snapshot.cpu);
    auto document = evidence::evidence_json(
        job->heading, snapshot.facts, job->finding,
        [pipeline](std::string text) { return pipeline->redact(std::move(text)); });
    job->path = job->store->put(order.service, job->heading.id, std::move(document));
    // The record tells the whole price; the document was written before that was known.
    job->heading.cpu +=
        std::chrono::duration_cast<std::chrono::microseconds>(evidence::thread_cpu_time() - before);
    job->threads = static_cast<int>(snapshot.facts.threads.size());
}

Task<EvidenceOutcome> FreezeEvidence::take(EvidenceOrder order, Deadline deadline) {
    EvidenceOutcome outcome;
    auto& slot = slots_[order.service.name];
    if (!slot) slot = std::make_unique<Slot>(parts_.executor);
    auto& own = *slot;
    while (own.taken && !deadline.expired(parts_.clock.now()))
        co_await own.free.wait(parts_.clock, deadline);
    if (own.taken) {
        outcome.fault = "the snapshot before it is still at work";
        co_return outcome;
    }
    if (!own.limit.take(order.reason, parts_.clock.now())) {
        outcome.fault = "evidence of " + order.service.name +
                        " was taken a moment ago, or too often within the hour; see --last";
        co_return outcome;
    }
    const auto until = deadline.narrowed(parts_.clock.now(), kSnapshotLimit);
    auto job = std::make_shared<Job>(*this, std::move(order), until);
    job->store = store_;
    job->lost = lost_;
    job->working = working_;
    job->executor = parts_.executor;
    job->pipeline = &parts_.pipeline;
    job->services = parts_.services;
    job->secret = parts_.secret_directories;
    job->heading.taken = parts_.clock.wall_now();
    job->heading.reason = job->order.reason;
    if (job->order.service.freeze != FreezeState::none)
        job->heading.freeze_class = to_string(job->order.service.freeze_class);
    job->heading.id = "evidence-" + job->order.service.name + "-" +
                      evidence::compact_utc(job->heading.taken) + "-" + std::to_string(++number_);
    working_->fetch_add(1);
    try {
        std::thread([job] {
            work(job);
            boost::asio::post(job->executor, [job] { job->owner.finish(*job); });
            job->working->fetch_sub(1);
        }).detach();
    } catch (const std::system_error& error) {
        working_->fetch_sub(1);
        outcome.fault = std::string("no thread for the snapshot: ") + error.what();
        co_return outcome;
    }
    own.taken = true;
    const Deadline written(until.at() + kWriting);
    while (!job->finished && !written.expired(parts_.clock.now()))
        co_await job->done.wait(parts_.clock, written);
    if (!job->finished) {
        outcome.fault = "the snapshot did not end in time";
        co_return outcome;
    }
    outcome.taken = true;
    outcome.id = job->heading.id;
    outcome.rule = job->finding.rule;
    outcome.sentence = job->finding.sentence;
    co_return outcome;
}

void FreezeEvidence::finish(Job& job) {
    const auto& service = job.order.service;
    auto& slot = *slots_[service.name];
    slot.taken = false;
    slot.free.notify();
    job.finished = true;
    job.done.notify();

    logs::Fields fields;
    fields.emplace_back("service", service.name);
    fields.emplace_back("pid", std::int64_t{service.pid});
    fields.emplace_back("id", job.heading.id);
    fields.emplace_back("reason", job.heading.reason);
    if (!job.heading.freeze_class.empty()) fields.emplace_back("class", job.heading.freeze_class);
    fields.emplace_back("rule", job.finding.rule);
    fields.emplace_back("sentence", job.finding.sentence);
    std::map<std::string, std::string> used;
    std::size_t size = 0;
    for (const auto& [name, value] : job.finding.facts) {
        size += name.size() + value.size();
        if (size <= kMaxFacts) used.emplace(name, value);
    }
    fields.emplace_back("facts", json_object(used));
    fields.emplace_back("threads", std::int64_t{job.threads});
    fields.emplace_back("took_ms", milliseconds_of(job.heading.took));
    fields.emplace_back("cpu_ms", milliseconds_of(job.heading.cpu));
    fields.emplace_back("kept_in", job.path.empty() ? std::string("memory") : job.path);
    const auto level = job.finding.launcher_fault ? LogLevel::fatal : LogLevel::error;
    auto record = launcher_record(level, "evidence",
                                  "evidence of " + service.name + " (" + job.heading.reason +
                                      "): " + job.finding.rule + ": " + job.finding.sentence,
                                  std::move(fields), "launcher::evidence");
    record.timestamp = record.received = parts_.clock.wall_now();
    parts_.pipeline.emit(std::move(record));
}

}  // namespace launcher
