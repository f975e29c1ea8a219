#include "auth/webhook/commands.hpp"

#include "auth/chain/chain_check.hpp"
#include "auth/policy/json_text.hpp"
#include "auth/policy/public_url.hpp"
#include "auth/webhook/mock_backend.hpp"
#include "auth/webhook/simple_backend.hpp"

#include <exception>
#include <optional>
#include <ostream>
#include <utility>

#include <boost/asio/co_spawn.hpp>

namespace auth {
namespace {

using runtime::Deadline;
using runtime::Task;

constexpr std::size_t kMostKeptConnections = 256;

std::unique_ptr<runtime::HttpClient> make_client(boost::asio::io_context& io, runtime::Clock& clock,
                                                 const ChainOptions& options) {
    runtime::CurlHttpClient::Options limits;
    // The reader counts reads, each of which has one exchange at a time.
    limits.max_in_flight = options.max_reads;
    limits.kept_connections = std::min(options.max_reads, kMostKeptConnections);
    limits.user_agent = "auth-eth/" KMS_LAUNCHER_VERSION;
    return std::make_unique<runtime::CurlHttpClient>(io.get_executor(), clock, limits);
}

/// Runs one coroutine to its end, which its deadline bounds.
template <class T>
T run_to_end(boost::asio::io_context& io, Task<T> task) {
    std::exception_ptr failed;
    std::optional<T> result;
    boost::asio::co_spawn(io, std::move(task), [&](std::exception_ptr error, T value) {
        failed = error;
        result = std::move(value);
        io.stop();
    });
    io.run();
    if (failed) std::rethrow_exception(failed);
    return std::move(result.value());
}

std::vector<std::string> secrets_of(const ChainOptions& options) {
    std::vector<std::string> out;
    for (const auto& url : options.endpoints)
        for (auto& secret : url_secrets(url)) out.push_back(std::move(secret));
    return out;
}

Task<std::vector<EndpointCheck>> check_all(Authority& authority, const Settings& settings) {
    std::vector<EndpointCheck> checks;
    for (const auto& url : settings.chain.options.endpoints) {
        const auto deadline = Deadline::after(authority.clock().now(), settings.request_limit);
        checks.push_back(co_await check_endpoint(*authority.client(), authority.clock(),
                                                 settings.chain.options, url, deadline));
    }
    co_return checks;
}

}  // namespace

Authority::Authority(const Settings& settings) {
    switch (settings.backend) {
        case BackendKind::mock:
            backend_ = std::make_unique<MockBackend>(settings.mock);
            return;
        case BackendKind::simple:
            backend_ = std::make_unique<SimpleBackend>(settings.policy_file, clock_);
            return;
        case BackendKind::eth:
            break;
    }
    client_ = make_client(io_, clock_, settings.chain.options);
    auto backend = std::make_unique<EthBackend>(*client_, clock_, settings.chain.options,
                                                settings.chain.contract);
    reader_ = &backend->reader();
    backend_ = std::move(backend);
}

ExitStatus check_chain(const Settings& settings, std::ostream& out) {
    Authority authority(settings);
    if (authority.client() == nullptr) {
        out << "no chain is asked: the " << to_string(settings.backend)
            << " backend decides; auth-eth --check checks its settings\n";
        return ExitStatus::bad_settings;
    }
    const auto checks = run_to_end(authority.io(), check_all(authority, settings));
    out << to_table(checks);
    for (const auto& check : checks)
        if (!check.good()) return ExitStatus::unavailable;
    return ExitStatus::ok;
}

ExitStatus decide_once(const Settings& settings, BootKind kind, std::string_view text,
                       std::ostream& out) {
    Authority authority(settings);
    auto rules = authority.backend().request_rules();
    rules.full_lengths = settings.full_lengths == FullLengths::always;
    auto request = parse_boot_request(text, rules);
    if (!request) {
        out << "invalid authorization request: " << request.error().context << "\n";
        return ExitStatus::bad_request;
    }
    const auto secrets = secrets_of(settings.chain.options);
    if (authority.reader() != nullptr)
        authority.reader()->observe(
            [&](const ExchangeSeen& seen) { out << to_text(seen, secrets); });
    const auto deadline = Deadline::after(authority.clock().now(), settings.request_limit);
    const auto decision =
        run_to_end(authority.io(), authority.backend().decide(kind, std::move(*request), deadline));
    if (!decision) {
        out << unavailable_decision_json(decision.error()) << "\n"
            << advice_for(decision.error()) << "\n";
        return ExitStatus::unavailable;
    }
    out << to_json(*decision) << "\n";
    return decision->is_allowed ? ExitStatus::ok : ExitStatus::refused;
}

}  // namespace auth
