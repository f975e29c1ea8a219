// The collateral store: refreshed without a request, kept across restarts, bounded for strangers.
#include "tests/support/faulty_file_system.hpp"
#include "tests/unit/kms/attest/attest_fixture.hpp"

#include <boost/asio/detached.hpp>

using namespace attest_test;
using test_support::FaultyFileSystem;
using test_support::MemoryFileSystem;

namespace {

constexpr std::size_t kRequestsOfAFetch = 4;
const std::string kFile = "/k/collateral/tdx-53494D000001-platform.json";

}  // namespace

TEST_CASE("when collateral is refreshed, and how failures are spaced") {
    using std::chrono::seconds;
    CHECK(refresh_time(1000, 1000 + 90, seconds(3600)) == 1060);
    CHECK(refresh_time(1000, 1000 + 36000, seconds(3600)) == 4600);
    CHECK(refresh_time(1000, 500, seconds(3600)) == 1000);
    CHECK(refresh_pause(1, seconds(30), seconds(600)) == seconds(30));
    CHECK(refresh_pause(2, seconds(30), seconds(600)) == seconds(60));
    CHECK(refresh_pause(5, seconds(30), seconds(600)) == seconds(480));
    CHECK(refresh_pause(6, seconds(30), seconds(600)) == seconds(600));
    CHECK(refresh_pause(4000000000U, seconds(30), seconds(600)) == seconds(600));
}

TEST_CASE("collateral is refreshed in time without anybody asking for it") {
    Fixture f;
    REQUIRE(f.verify().has_value());
    REQUIRE(f.http.asked().size() == kRequestsOfAFetch);
    f.pass(11h);
    CHECK(f.http.asked().size() == kRequestsOfAFetch);
    f.pass(1h + 1s);
    CHECK(f.http.asked().size() == 2 * kRequestsOfAFetch);
    f.pass(12h);
    CHECK(f.http.asked().size() == 3 * kRequestsOfAFetch);
    CHECK_THAT(f.metrics(),
               Catch::Contains("dstack_kms_collateral_fetches_total{result=\"good\"} 3"));
}

TEST_CASE("while refreshing fails the old collateral serves, and the first good answer ends it") {
    Fixture f;
    REQUIRE(f.verify().has_value());
    f.machine.switches().pccs = WireFault::unavailable;
    f.pass(12h + 1s);
    CHECK(f.http.asked().size() == kRequestsOfAFetch + 1);
    f.pass(28s, 28s);
    CHECK(f.http.asked().size() == kRequestsOfAFetch + 1);
    f.pass(2s);
    CHECK(f.http.asked().size() == kRequestsOfAFetch + 2);
    f.pass(24h, 60s);
    // Every ten minutes at last, and never more often than that.
    CHECK(f.http.asked().size() > kRequestsOfAFetch + 100);
    CHECK(f.http.asked().size() < kRequestsOfAFetch + 160);
    const std::size_t before = f.http.asked().size();
    CHECK(f.verify().has_value());
    CHECK(f.http.asked().size() == before);
    CHECK_THAT(f.metrics(),
               Catch::Contains("next_refresh_seconds{tee=\"tdx\",fmspc=\"53494d000001\","
                               "ca=\"platform\"} -86"));
    f.machine.switches().pccs = WireFault::none;
    f.pass(601s, 60s);
    CHECK(f.http.asked().size() == before + kRequestsOfAFetch);
    CHECK_THAT(f.metrics(), Catch::Contains("age_seconds{tee=\"tdx\",fmspc=\"53494d000001\","
                                            "ca=\"platform\"} "));
    f.pass(11h);
    CHECK(f.http.asked().size() == before + kRequestsOfAFetch);
}

TEST_CASE("a refresh that brings something bad changes nothing until the old one expires") {
    Fixture f;
    REQUIRE(f.verify().has_value());
    f.machine.switches().faults = {Fault::tcb_info_tampered};
    f.pass(48h);
    f.machine.switches().faults = {};
    CHECK(f.verify().has_value());
    f.machine.switches().faults = {Fault::tcb_info_tampered};
    CHECK_THAT(f.metrics(), Catch::Contains("dstack_kms_collateral_refused_total{stage=\""
                                            "tcb_info_signature\"}"));
    f.pass(24h * 30, 3600s);
    f.machine.switches().faults = {};
    f.machine.switches().pccs = WireFault::unavailable;
    const auto refused = f.verify();
    REQUIRE(!refused.has_value());
    f.machine.switches().pccs = WireFault::none;
    f.pass(3s);
    CHECK(f.verify().has_value());
}

TEST_CASE("what nobody asks for any more is let go") {
    Fixture f(Setup{.options = {.unused_kept = std::chrono::hours(24)}});
    REQUIRE(f.verify().has_value());
    f.pass(24h * 3, 3600s);
    const std::size_t asked = f.http.asked().size();
    CHECK(asked <= 4 * kRequestsOfAFetch);
    f.pass(24h * 40, 3600s);
    CHECK(f.http.asked().size() == asked);
    CHECK_THAT(f.metrics(), !Catch::Contains("fmspc="));
    CHECK(f.verify().has_value());
}

TEST_CASE("collateral survives a restart, even when the server does not answer") {
    MemoryFileSystem disk("/k");
    Fixture f(Setup{.disk = &disk});
    REQUIRE(f.verify().has_value());
    f.settle();
    REQUIRE(disk.snapshot().contains(kFile));
    f.pass(2h);
    f.hangs = true;
    f.start(Setup{.disk = &disk});
    CHECK(f.verify().has_value());
    CHECK(f.http.asked().size() == kRequestsOfAFetch);
    CHECK_THAT(f.metrics(),
               Catch::Contains("collateral_age_seconds{tee=\"tdx\",fmspc=\"53494d000001\","
                               "ca=\"platform\"} 7200"));
    CHECK_THAT(f.metrics(), Catch::Contains("collateral_files_total{result=\"good\"} 1"));
    // Its age counts from when it was fetched, not from the restart.
    f.pass(10h + 1s);
    CHECK(f.http.asked().size() == kRequestsOfAFetch + 1);
}

TEST_CASE("a file is the form that verify-quote reads") {
    MemoryFileSystem disk("/k");
    Fixture f(Setup{.disk = &disk});
    REQUIRE(f.verify().has_value());
    f.settle();
    const auto snapshot = disk.snapshot();
    const auto read = parse_collateral(runtime::as_text(snapshot.at(kFile)));
    REQUIRE(read.has_value());
    CHECK(!read->pck_crl.empty());
    CHECK_THAT(std::string(runtime::as_text(snapshot.at(kFile))), !Catch::Contains("pccs.test"));
}

TEST_CASE("a stored file is trusted as little as an answer") {
    MemoryFileSystem disk("/k");
    Fixture f(Setup{.disk = &disk});
    REQUIRE(f.verify().has_value());
    f.settle();
    const auto whole = disk.snapshot().at(kFile);
    const std::string text(runtime::as_text(whole));
    const auto replaced = [&text](std::string_view from, std::string_view to) {
        std::string changed = text;
        changed.replace(changed.find(from), from.size(), to);
        return changed;
    };
    struct Row {
        const char* name;
        std::string content;
        const char* reason;
    };
    const Row rows[] = {
        {"changed after it was signed",
         replaced("tcbEvaluationDataNumber\\\":1", "tcbEvaluationDataNumber\\\":9"),
         "result=\"removed\"} 1"},
        {"cut", text.substr(0, text.size() / 2), "result=\"removed\"} 1"},
        {"empty", "", "result=\"removed\"} 1"},
        {"not JSON", "\x01\x02\x03", "result=\"removed\"} 1"},
        {"without its origin", replaced("\"source\"", "\"sauce\""), "result=\"removed\"} 1"},
    };
    for (const Row& row : rows) {
        INFO(row.name);
        REQUIRE(disk.remove_file(kFile).has_value());
        const auto file = disk.create(kFile, runtime::FileSystem::Access::world_readable);
        REQUIRE(file.has_value());
        REQUIRE((*file)->write(runtime::as_bytes(row.content)).has_value());
        REQUIRE((*file)->sync().has_value());
        const std::size_t before = f.http.asked().size();
        f.start(Setup{.disk = &disk});
        f.settle();
        CHECK_THAT(f.metrics(), Catch::Contains(row.reason));
        CHECK(!disk.snapshot().contains(kFile));
        CHECK(f.verify().has_value());
        CHECK(f.http.asked().size() == before + kRequestsOfAFetch);
        f.settle();
        CHECK(disk.snapshot().contains(kFile));
    }
}

TEST_CASE("expired files, and those of another server, are removed at the start") {
    MemoryFileSystem disk("/k");
    Fixture f(Setup{.disk = &disk});
    REQUIRE(f.verify().has_value());
    f.settle();
    f.start(Setup{.disk = &disk, .base_url = "http://other.test"});
    f.settle();
    CHECK(!disk.snapshot().contains(kFile));
    f.start(Setup{.disk = &disk});
    REQUIRE(f.verify().has_value());
    f.settle();
    REQUIRE(disk.snapshot().contains(kFile));
    f.verifier.reset();
    f.clock.advance(24h * 31);
    f.start(Setup{.disk = &disk});
    f.settle();
    CHECK(!disk.snapshot().contains(kFile));
    CHECK(f.verify().has_value());
}

TEST_CASE("power fails at any step of storing: the next start finds the old, the new, or none") {
    const auto collateral = [] {
        Fixture f;
        auto got =
            test::run(f.io, f.held->get(*query_of_file_name("tdx-53494D000001-platform.json"), "",
                                        runtime::Deadline::after(f.clock.now(), 10s)));
        REQUIRE(got.has_value());
        return got->collateral();
    }();
    const CollateralQuery query = *query_of_file_name("tdx-53494D000001-platform.json");
    const auto directory_on = [](runtime::FileSystem& files) {
        return CollateralDirectory(std::make_unique<BorrowedFiles>(files), "/k/collateral", "s");
    };
    struct Stopped {};
    for (const bool has_old : {false, true}) {
        std::size_t states = 0;
        for (int step = 0;; ++step) {
            bool finished = false;
            for (const auto fault :
                 {FaultyFileSystem::Fault::stop_before, FaultyFileSystem::Fault::stop_amid}) {
                for (std::size_t state = 0;; ++state) {
                    MemoryFileSystem memory("/k");
                    if (has_old)
                        REQUIRE(directory_on(memory).store({query, 1, collateral}).has_value());
                    FaultyFileSystem faulty(memory, fault, step, [] { throw Stopped{}; });
                    bool stored = false;
                    try {
                        stored = directory_on(faulty).store({query, 2, collateral}).has_value();
                    } catch (const Stopped&) {
                    }
                    finished = stored;
                    if (state >= memory.possible_states()) break;
                    memory.lose_power(state);
                    ++states;
                    INFO("step " << step << " state " << state);
                    auto directory = directory_on(memory);
                    const auto kinds = directory.list();
                    REQUIRE(kinds.has_value());
                    CHECK(kinds->size() <= 1);
                    CHECK((!has_old || kinds->size() == 1));
                    for (const auto& kind : *kinds) {
                        const auto loaded = directory.load(kind);
                        REQUIRE(loaded.has_value());
                        CHECK(loaded->collateral == collateral);
                        CHECK((loaded->fetched_at == 2 || (has_old && loaded->fetched_at == 1)));
                    }
                    for (const auto& [path, content] : memory.snapshot())
                        CHECK(path.find(".new") == std::string::npos);
                    CHECK(directory.store({query, 3, collateral}).has_value());
                    CHECK(directory.load(query)->fetched_at == 3);
                    if (stored) break;
                }
            }
            if (finished) break;
        }
        CHECK(states > 8);
    }
}

TEST_CASE("a disk that is full costs a metric, not a verification") {
    MemoryFileSystem memory("/k");
    FaultyFileSystem full(memory, FaultyFileSystem::Fault::disk_full, 0);
    Fixture f(Setup{.disk = &full});
    CHECK(f.verify().has_value());
    f.settle();
    CHECK(f.verify().has_value());
    CHECK_THAT(f.metrics(), Catch::Contains("dstack_kms_collateral_disk_failures_total 1"));
}

TEST_CASE("one address brings up only so many unknown kinds; what is held is for everybody") {
    Fixture f(Setup{.options = {.budget = {.burst = 3, .interval = 30s, .addresses = 100}}});
    REQUIRE(f.verify("192.0.2.1").has_value());
    for (std::uint8_t kind = 1; kind <= 2; ++kind) (void)f.get(kind, "192.0.2.1");
    const std::size_t asked = f.http.asked().size();
    const auto refused = f.get(3, "192.0.2.1");
    REQUIRE(!refused.has_value());
    CHECK(refused.error().code == ErrorCode::resource_exhausted);
    CHECK_THAT(refused.error().context, Catch::Contains("from one address"));
    CHECK(f.http.asked().size() == asked);
    CHECK(f.verify("192.0.2.1").has_value());
    CHECK(f.get(3, "192.0.2.2").has_value());
    CHECK(f.get(3, "192.0.2.1").has_value());
    CHECK_THAT(f.metrics(), Catch::Contains("dstack_kms_collateral_turned_away_total 1"));
    f.clock.advance(30s);
    CHECK(f.get(4, "192.0.2.1").has_value());
    // This program's own questions are nobody's flood.
    for (std::uint8_t kind = 10; kind < 20; ++kind) CHECK(f.get(kind, "").has_value());
}

TEST_CASE("fetches are bounded, also by asker; others wait for a place until their own deadline") {
    Fixture f(Setup{.options = {.budget = {.burst = 100, .interval = 1s, .addresses = 100}}});
    f.hangs = true;
    std::map<int, std::string> ends;
    const auto ask = [&](std::uint8_t kind, const std::string& asker, std::chrono::seconds span) {
        boost::asio::co_spawn(
            f.io,
            f.held->get(Fixture::query(kind), asker, runtime::Deadline::after(f.clock.now(), span)),
            [&ends, kind](std::exception_ptr, const Result<VerifiedCollateral>& got) {
                ends[kind] = got ? "got" : std::string(to_string(got.error().code));
            });
        f.settle();
    };
    ask(1, "192.0.2.1", 10s);
    ask(2, "192.0.2.1", 10s);
    ask(3, "192.0.2.1", 5s);
    CHECK(f.http.in_flight() == 2);
    ask(4, "192.0.2.2", 10s);
    ask(5, "192.0.2.3", 10s);
    ask(6, "192.0.2.4", 5s);
    CHECK(f.http.in_flight() == 4);
    CHECK(ends.empty());
    f.clock.advance(5s);
    f.settle();
    CHECK(ends == std::map<int, std::string>{{3, "deadline exceeded"}, {6, "deadline exceeded"}});
    // The fetches end at their own limit, and whoever still waits has its turn.
    ask(7, "192.0.2.5", 100s);
    f.hangs = false;
    f.clock.advance(25s);
    f.settle();
    CHECK(ends.at(7) == "got");
    CHECK(ends.at(1) == "deadline exceeded");
}

TEST_CASE("the least useful kind makes room, and one that is held outlives those never had") {
    Fixture f(Setup{
        .options = {.platforms = 3, .budget = {.burst = 100, .interval = 1s, .addresses = 9}}});
    REQUIRE(f.verify().has_value());
    f.machine.switches().pccs = WireFault::unavailable;
    for (std::uint8_t kind = 1; kind < 20; ++kind) CHECK(!f.get(kind, "192.0.2.1").has_value());
    const std::size_t asked = f.http.asked().size();
    CHECK(f.verify().has_value());
    CHECK(f.http.asked().size() == asked);
}

TEST_CASE("metrics tell what became of quotes, by stage") {
    Fixture f;
    REQUIRE(f.verify().has_value());
    f.machine.switches().faults = {Fault::quote_signature};
    CHECK(!f.verify().has_value());
    f.machine.switches().faults = {Fault::quote_truncated};
    CHECK(!f.verify().has_value());
    f.machine.switches().faults = {};
    const std::string text = f.metrics();
    CHECK_THAT(text, Catch::Contains("dstack_kms_quotes_accepted_total 1\n"));
    CHECK_THAT(text,
               Catch::Contains("dstack_kms_quotes_refused_total{stage=\"isv_signature\"} 1\n"));
    CHECK_THAT(text, Catch::Contains("dstack_kms_quotes_refused_total{stage=\"unreadable\"} 1\n"));
    CHECK_THAT(text, Catch::Contains("dstack_kms_quotes_refused_total{stage=\"collateral\"} 0\n"));
    CHECK_THAT(text, Catch::Contains("dstack_kms_collateral_expires_seconds{tee=\"tdx\","
                                     "fmspc=\"53494d000001\",ca=\"platform\"} 2592"));
}
