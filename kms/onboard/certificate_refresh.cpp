#include "kms/onboard/certificate_refresh.hpp"

#include "kms/onboard/key_evidence.hpp"
#include "launcher/runtime/log.hpp"

namespace kms {

using runtime::Deadline;
using runtime::kv;
using runtime::Result;
using runtime::Task;

namespace {
constexpr std::string_view kLogTarget = "kms::onboard";
}

CertificateRefresh::CertificateRefresh(RefreshParts parts, RefreshOptions options)
    : parts_(parts), options_(std::move(options)) {}

Task<Result<void>> CertificateRefresh::attempt(Deadline deadline) {
    auto evidence =
        co_await certificate_evidence(parts_.agent, parts_.keys.rpc_key.public_point(), deadline);
    if (!evidence) co_return std::move(evidence.error());
    // A named value: GCC 12 destroys a temporary closure inside of co_await twice.
    auto work = [this, evidence = std::move(*evidence), now = parts_.clock.wall_now()] {
        return keys::refresh_rpc_certificate(parts_.directory, parts_.keys,
                                             options_.configured_domain, evidence, now);
    };
    auto stored = co_await parts_.workers.run(parts_.clock, deadline, std::move(work));
    if (!stored) co_return std::move(stored.error());
    co_return Result<void>();
}

Task<void> CertificateRefresh::run(std::function<void()> done) {
    running_ = true;
    for (;;) {
        const auto refreshed =
            co_await attempt(Deadline::after(parts_.clock.now(), options_.attempt_limit));
        if (refreshed) break;
        if (failures_.value() == 0)
            runtime::log_warn(
                kLogTarget, "rpc.crt is not refreshed yet; the stored one serves meanwhile",
                {kv("error", refreshed.error().context), kv("guest_agent", parts_.agent.address()),
                 kv("next_attempt_after", options_.retry)});
        failures_.add();
        last_error_ = refreshed.error().context;
        const auto next = parts_.clock.now() + options_.retry;
        co_await parts_.clock.sleep_until(next);
        if (parts_.clock.now() < next) co_return;  // cancelled
    }
    running_ = false;
    runtime::log_info(kLogTarget, "certificate refreshed",
                      {kv("file", "rpc.crt"), kv("failed_attempts", failures_.value())});
    done();
}

std::string CertificateRefresh::awaited() const {
    if (!running_) return {};
    std::string text = "a quote for rpc.crt from the guest agent at " + parts_.agent.address();
    if (!last_error_.empty()) text += " (" + last_error_ + ")";
    return text;
}

}  // namespace kms
