/// A simulated machine, a simulated collateral server and the verifier that judges the one by the
/// other; time by hand.
#pragma once

#include "kms/attest/dcap_verifier.hpp"
#include "kms/attest/held_collateral.hpp"
#include "kms/simulator/simulator.hpp"
#include "tests/support/fake_http_client.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/memory_file_system.hpp"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/co_spawn.hpp>
#include <catch2/catch.hpp>

namespace attest_test {

using namespace kms;
using namespace std::chrono_literals;
using simulator::Fault;
using simulator::WireFault;
using Reply = test::FakeHttpClient::Reply;

inline simulator::Seed seed() {
    simulator::Seed seed;
    seed.fill(9);
    return seed;
}

inline TrustAnchor anchor() {
    auto created = TrustAnchor::create(simulator::make_pki(seed(), {}, {}).root);
    REQUIRE(created.has_value());
    return *created;
}

/// What the verifier owns; the peer itself outlives every exchange that the test leaves under way.
class BorrowedHttp final : public runtime::HttpClient {
  public:
    explicit BorrowedHttp(runtime::HttpClient& http) : http_(http) {}
    runtime::Task<runtime::HttpExchange> exchange(runtime::HttpClientRequest request,
                                                  runtime::Deadline deadline) override {
        return http_.exchange(std::move(request), deadline);
    }

  private:
    runtime::HttpClient& http_;
};

/// The disk, which outlives the programs that use it.
class BorrowedFiles final : public runtime::FileSystem {
  public:
    explicit BorrowedFiles(runtime::FileSystem& files) : files_(files) {}
    runtime::Result<std::vector<std::string>> list(const std::string& path) override {
        return files_.list(path);
    }
    runtime::Result<runtime::SecretBytes> read(const std::string& path) override {
        return files_.read(path);
    }
    runtime::Result<void> make_directory(const std::string& path, Access access) override {
        return files_.make_directory(path, access);
    }
    runtime::Result<std::unique_ptr<File>> create(const std::string& path, Access access) override {
        return files_.create(path, access);
    }
    runtime::Result<void> rename(const std::string& from, const std::string& to) override {
        return files_.rename(from, to);
    }
    runtime::Result<void> rename_new(const std::string& from, const std::string& to) override {
        return files_.rename_new(from, to);
    }
    runtime::Result<void> remove_file(const std::string& path) override {
        return files_.remove_file(path);
    }
    runtime::Result<void> remove_directory(const std::string& path) override {
        return files_.remove_directory(path);
    }
    runtime::Result<void> sync_directory(const std::string& path) override {
        return files_.sync_directory(path);
    }
    runtime::Result<std::unique_ptr<Lock>> lock(const std::string& path) override {
        return files_.lock(path);
    }

  private:
    runtime::FileSystem& files_;
};

struct Setup {
    HeldCollateralOptions options{};
    runtime::FileSystem* disk = nullptr;  ///< null: nothing is kept
    std::string base_url = "http://pccs.test";
};

struct Fixture {
    explicit Fixture(Setup setup = {}) : workers(1, 64), machine(seed(), {}) {
        http.handle([this](const runtime::HttpClientRequest& asked) { return serve(asked); });
        start(setup);
    }

    /// Lets what is under way come to its end.
    ~Fixture() {
        verifier.reset();
        clock.advance(1h);
        settle();
    }

    /// Another process begins; the one before has ended.
    void start(const Setup& setup) {
        verifier.reset();
        settle();
        HeldCollateralOptions options = setup.options;
        options.server.base_url = setup.base_url;
        std::shared_ptr<CollateralDirectory> directory;
        if (setup.disk != nullptr)
            directory = std::make_shared<CollateralDirectory>(
                std::make_unique<BorrowedFiles>(*setup.disk), "/k/collateral", setup.base_url);
        auto collateral = std::make_unique<HeldCollateral>(
            io.get_executor(), clock, workers, std::make_unique<BorrowedHttp>(http), anchor(),
            std::move(options), std::move(directory));
        held = collateral.get();
        verifier.emplace(clock, workers, std::move(collateral));
    }

    /// Runs everything that goes on by itself, workers included, until nothing moves any more.
    void settle() {
        const auto limit = std::chrono::steady_clock::now() + 60s;
        std::size_t ran = 1;
        while ((ran > 0 || workers.in_flight() > 0) && std::chrono::steady_clock::now() < limit) {
            io.restart();
            ran = io.poll();
            // A worker that has finished posts its answer.
            if (ran == 0 && workers.in_flight() > 0) ran = io.run_one_for(5ms);
        }
    }
    /// Time goes by in steps, so that whatever wakes up meanwhile sees its own time.
    void pass(std::chrono::seconds span, std::chrono::seconds step = 600s) {
        while (span > 0s) {
            const auto now = std::min(span, step);
            clock.advance(now);
            settle();
            span -= now;
        }
    }

    Reply serve(const runtime::HttpClientRequest& asked) {
        if (hangs) return Reply::hang();
        const std::string target = asked.url.substr(asked.url.find('/', 8));
        const auto head = simulator::parse_head("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n");
        const auto now = std::chrono::floor<std::chrono::seconds>(clock.wall_now());
        const simulator::Reply reply = simulator::spoiled(
            machine.pccs(*head, now.time_since_epoch().count()), machine.switches().pccs);
        test::FakeHttpClient::Headers headers = reply.headers;
        for (auto& [name, value] : headers)
            std::ranges::transform(name, name.begin(), [](unsigned char c) {
                return static_cast<char>(std::tolower(c));
            });
        return Reply::ok(reply.body, reply.status, headers);
    }

    SharedAttestation evidence() {
        return std::make_shared<const Attestation>(
            machine.machine().attest({}, machine.switches().faults));
    }

    /// Runs one verification to its end; time stands still meanwhile.
    Result<VerifiedMachine> verify(const std::string& asker = "192.0.2.1") {
        return test::run(io,
                         verifier->verify(evidence(), asker, Deadline::after(clock.now(), 10s)));
    }
    Result<VerifiedCollateral> get(std::uint8_t kind, const std::string& asker) {
        return test::run(io, held->get(query(kind), asker, Deadline::after(clock.now(), 10s)));
    }
    /// A kind of platform that nobody has.
    static CollateralQuery query(std::uint8_t kind) {
        CollateralQuery query;
        query.fmspc[0] = kind;
        return query;
    }
    std::string metrics() const {
        runtime::MetricsText text(runtime::MetricsText::Format::prometheus);
        verifier->append_metrics(text);
        return std::move(text).finish();
    }
    using Deadline = runtime::Deadline;

    boost::asio::io_context io;
    test::ManualClock clock;
    test::FakeHttpClient http{clock};
    runtime::Workers workers;
    simulator::Simulator machine;
    bool hangs = false;
    HeldCollateral* held = nullptr;
    std::optional<DcapVerifier> verifier;
};

inline std::string words(const Result<VerifiedMachine>& result) {
    return result ? "accepted" : result.error().context;
}

}  // namespace attest_test
