/// A backend that answers what a test tells it and remembers what it was asked.
#pragma once

#include "auth/webhook/backend.hpp"

#include <optional>
#include <utility>
#include <vector>

namespace test {

class FakeBackend final : public auth::Backend {
  public:
    auth::Answer<auth::Info> facts = auth::Info{};
    auth::Answer<auth::Decision> decision = auth::Decision{};
    auth::RequestRules rules;
    std::vector<std::pair<auth::BootKind, auth::BootRequest>> asked;
    std::optional<runtime::Deadline> deadline;

    std::string_view name() const override { return "fake"; }
    auth::RequestRules request_rules() const override { return rules; }
    runtime::Task<auth::Answer<auth::Info>> info(runtime::Deadline limit) override {
        deadline = limit;
        co_return facts;
    }
    runtime::Task<auth::Answer<auth::Decision>> decide(auth::BootKind kind,
                                                       auth::BootRequest request,
                                                       runtime::Deadline limit) override {
        deadline = limit;
        asked.emplace_back(kind, std::move(request));
        co_return decision;
    }
    void add_metrics(runtime::MetricsText& metrics) const override {
        metrics.family("fake_backend", runtime::MetricKind::gauge, "A metric of the backend");
        metrics.sample(std::uint64_t{7});
    }
};

}  // namespace test
