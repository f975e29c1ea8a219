/// FreezeEvidence: takes snapshots of services on threads of their own, judges them, keeps the
/// documents and emits the records. The service is read, never touched. Source: spec "launcher"
/// section 6.
#pragma once

#include "launcher/control/evidence_taker.hpp"
#include "launcher/control/wakeup.hpp"
#include "launcher/evidence/bounded_reader.hpp"
#include "launcher/evidence/rate_limit.hpp"
#include "launcher/evidence/store.hpp"
#include "launcher/logs/pipeline.hpp"
#include "launcher/plan/plan.hpp"

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

namespace launcher {

/// Pure: where evidence goes, best place first. `runtime_directory` is the value of
/// RUNTIME_DIRECTORY, which may name several.
std::vector<std::string> evidence_directories(const Plan& plan,
                                              const std::string& runtime_directory);
/// Pure: directories whose files' names are not shown. `credentials_directory` is the value of
/// CREDENTIALS_DIRECTORY.
std::vector<std::string> secret_directories(const Plan& plan,
                                            const std::string& credentials_directory);

class FreezeEvidence final : public EvidenceTaker {
  public:
    struct Parts {
        boost::asio::any_io_executor executor;  ///< of the main thread
        runtime::Clock& clock;
        logs::LogPipeline& pipeline;
        std::vector<std::string> services;  ///< whose last lines are kept
        std::vector<std::string> secret_directories;
    };
    FreezeEvidence(Parts parts, std::vector<std::string> directories);

    /// One snapshot of a service at a time; a second one waits for the first.
    runtime::Task<EvidenceOutcome> take(EvidenceOrder order, runtime::Deadline deadline) override;

    const std::shared_ptr<evidence::EvidenceStore>& store() const { return store_; }
    /// Whether a thread is at work, or hangs: then the process must not wait for its end.
    bool busy() const;

  private:
    struct Job;
    struct Slot {
        explicit Slot(boost::asio::any_io_executor executor) : free(std::move(executor)) {}
        bool taken = false;
        Wakeup free;
        evidence::RateLimit limit;
    };
    static void work(const std::shared_ptr<Job>& job);
    void finish(Job& job);

    Parts parts_;
    std::shared_ptr<evidence::EvidenceStore> store_;
    std::shared_ptr<evidence::LostThreads> lost_ = std::make_shared<evidence::LostThreads>();
    std::shared_ptr<std::atomic<int>> working_ = std::make_shared<std::atomic<int>>(0);
    std::map<std::string, std::unique_ptr<Slot>> slots_;
    std::uint64_t number_ = 0;
};

}  // namespace launcher
