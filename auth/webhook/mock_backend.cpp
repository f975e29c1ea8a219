#include "auth/webhook/mock_backend.hpp"

#include "launcher/runtime/log.hpp"

namespace auth {

MockBackend::MockBackend(MockPolicy policy) : policy_(std::move(policy)) {
    const bool open = allows_strangers(policy_.rule);
    runtime::log_warn(
        "auth::mock",
        open ? "UNSAFE: the mock backend gives keys to machines that nobody has checked"
             : "the mock backend decides by a list only and checks no measurement of the platform",
        {runtime::kv("policy", to_string(policy_.rule)),
         runtime::kv("listed", policy_.allowed.size())});
}

runtime::Task<Answer<Info>> MockBackend::info(runtime::Deadline) {
    co_return policy_.info;
}

runtime::Task<Answer<Decision>> MockBackend::decide(BootKind kind, BootRequest request,
                                                    runtime::Deadline) {
    co_return evaluate(policy_, kind, request);
}

void MockBackend::add_metrics(runtime::MetricsText& metrics) const {
    metrics.family("auth_mock_backend_unsafe", runtime::MetricKind::gauge,
                   "1 if this service gives keys to machines that nobody has checked");
    metrics.sample(std::uint64_t{allows_strangers(policy_.rule) ? 1U : 0U},
                   {{"policy", to_string(policy_.rule)}});
}

}  // namespace auth
