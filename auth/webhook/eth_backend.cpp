#include "auth/webhook/eth_backend.hpp"

#include "auth/abi/abi.hpp"

#include <utility>

namespace auth {
namespace {

using runtime::Deadline;
using runtime::MetricKind;
using runtime::Task;

auto undecodable() {
    return tl::unexpected(Failure{FailureKind::undecodable, 0});
}

}  // namespace

Answer<Decision> decision_from(const ChainReading& reading) {
    if (reading.answers.size() != 2) return undecodable();
    auto verdict = abi::decode_verdict(reading.answers[0]);
    auto gateway = abi::decode_text(reading.answers[1]);
    if (!verdict || !gateway) return undecodable();
    return Decision{verdict->is_allowed, std::move(verdict->reason), std::move(*gateway)};
}

EthBackend::EthBackend(runtime::HttpClient& client, runtime::Clock& clock, ChainOptions options,
                       std::string contract_text)
    : reader_(client, clock, std::move(options)), contract_text_(std::move(contract_text)) {}

Task<Answer<Decision>> EthBackend::decide(BootKind kind, BootRequest request, Deadline deadline) {
    auto call = abi::encode_boot_call(kind, request);
    // Requests that were read by the rules of this backend can always be encoded.
    if (!call) co_return undecodable();
    std::vector<runtime::Bytes> calls;
    calls.push_back(std::move(*call));
    calls.push_back(abi::encode_gateway_app_id_call());
    const auto reading = co_await reader_.read(calls, deadline);
    if (!reading) co_return tl::unexpected(reading.error());
    co_return decision_from(*reading);
}

Task<Answer<Info>> EthBackend::info(Deadline deadline) {
    std::vector<runtime::Bytes> calls;
    calls.push_back(abi::encode_gateway_app_id_call());
    calls.push_back(abi::encode_app_implementation_call());
    const auto reading = co_await reader_.read(calls, deadline);
    if (!reading) co_return tl::unexpected(reading.error());
    auto gateway = abi::decode_text(reading->answers.at(0));
    auto implementation = abi::decode_address(reading->answers.at(1));
    if (!gateway || !implementation) co_return undecodable();
    co_return Info{.kms_contract_addr = contract_text_,
                   .eth_rpc_url = reading->endpoint,
                   .gateway_app_id = std::move(*gateway),
                   .chain_id = reading->chain_id,
                   .app_implementation = std::move(*implementation),
                   .note = std::nullopt};
}

void EthBackend::add_metrics(runtime::MetricsText& metrics) const {
    const auto& endpoints = reader_.endpoints();
    // Two endpoints may differ in their key alone, which is not shown: the place tells them apart.
    const auto each = [&endpoints](const auto& add) {
        for (std::size_t i = 0; i < endpoints.size(); ++i)
            add(std::to_string(i + 1), endpoints[i].state());
    };
    metrics.family("auth_chain_reads_at_work", MetricKind::gauge, "Reads of the chain now");
    metrics.sample(reader_.reads_at_work());
    metrics.family("auth_chain_reads_refused_total", MetricKind::counter,
                   "Reads refused because too many were at work");
    metrics.sample(reader_.refused_reads());
    metrics.family("auth_chain_endpoint_up", MetricKind::gauge,
                   "1 unless the last read of this endpoint failed");
    each([&](const std::string& place, const EndpointState& state) {
        metrics.sample(std::uint64_t{state.failing ? 0U : 1U},
                       {{"endpoint", place}, {"url", state.label}});
    });
    metrics.family("auth_chain_endpoint_takes_batches", MetricKind::gauge,
                   "0 while an endpoint is asked call by call");
    each([&](const std::string& place, const EndpointState& state) {
        metrics.sample(std::uint64_t{state.takes_batches ? 1U : 0U},
                       {{"endpoint", place}, {"url", state.label}});
    });
    metrics.family("auth_chain_reads_total", MetricKind::counter, "Reads by endpoint and result");
    each([&](const std::string& place, const EndpointState& state) {
        metrics.sample(state.reads_ok, {{"endpoint", place}, {"result", "ok"}});
        for (std::size_t kind = 0; kind < kFailureKinds; ++kind)
            if (state.failures[kind] != 0)
                metrics.sample(state.failures[kind],
                               {{"endpoint", place},
                                {"result", metric_label(static_cast<FailureKind>(kind))}});
    });
    metrics.family("auth_chain_retries_total", MetricKind::counter, "Second tries by endpoint");
    each([&](const std::string& place, const EndpointState& state) {
        metrics.sample(state.retries, {{"endpoint", place}});
    });
    metrics.family("auth_chain_exchange_duration_seconds", MetricKind::histogram,
                   "Time of one HTTP exchange with an endpoint", "seconds");
    each([&](const std::string& place, const EndpointState& state) {
        metrics.sample(state.exchange_seconds.snapshot(), {{"endpoint", place}});
    });
}

}  // namespace auth
