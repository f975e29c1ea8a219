#include "launcher/control/cli_control.hpp"
#include "launcher/control/freeze_evidence.hpp"
#include "launcher/evidence/bounded_reader.hpp"
#include "launcher/evidence/document.hpp"
#include "launcher/evidence/rate_limit.hpp"
#include "launcher/evidence/snapshot.hpp"
#include "launcher/evidence/store.hpp"
#include "tests/support/temporary_directory.hpp"

#include <filesystem>
#include <fstream>
#include <thread>

#include <boost/json/parse.hpp>
#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <unistd.h>

using namespace launcher;
using namespace launcher::evidence;
using namespace std::chrono_literals;
using runtime::Deadline;
using std::chrono::steady_clock;

namespace {

std::string same(std::string text) {
    return text;
}

boost::json::object parsed(const std::string& text) {
    return boost::json::parse(text).as_object();
}

Facts facts_with_threads(int count) {
    Facts facts;
    facts.service = "kms";
    facts.pid = 7;
    for (int i = 0; i < count; ++i) {
        ThreadFacts thread;
        thread.tid = 100 + i;
        thread.name = "worker";
        thread.states = "SSS";
        thread.steady = true;
        thread.syscall = "futex";
        thread.futex = 1;
        thread.target = "futex#1";
        facts.threads.push_back(std::move(thread));
    }
    return facts;
}

}  // namespace

TEST_CASE("threads that look alike are one entry of the document") {
    auto facts = facts_with_threads(64);
    facts.threads[5].syscall = "write";
    facts.threads[6].user_ticks = 3;  // one that ran is told apart
    const auto document = parsed(evidence_json({}, facts, {"F2", "lock-up", {}, false}, same));
    const auto& threads = document.at("threads").as_array();
    REQUIRE(threads.size() == 3);
    CHECK(threads[2].at("count").to_number<int>() == 62);
    CHECK(threads[2].at("tids").as_array().size() == 16);
    CHECK(threads[2].at("waits_on") == "futex#1");
    CHECK(document.at("class").is_null());
}

TEST_CASE("a document keeps its size: the most common threads go first") {
    auto facts = facts_with_threads(512);
    for (std::size_t i = 0; i < facts.threads.size(); ++i) {
        if (i < 40) continue;  // alike
        facts.threads[i].user_ticks = i;
        facts.threads[i].stack.assign(32, std::string(40, 'f'));
    }
    facts.lines = {{"kms", std::vector<std::string>(50, std::string(1000, 'l'))}};
    const auto text = evidence_json({}, facts, {"F11", "unclassified", {}, false}, same);
    CHECK(text.size() <= kMaxDocument);
    const auto document = parsed(text);
    CHECK(document.at("threads_left_out").to_number<int>() > 40);
    for (const auto& thread : document.at("threads").as_array())
        CHECK(thread.at("count").to_number<int>() == 1);
    CHECK(document.at("last_lines").at("kms").as_array().size() == 50);
}

TEST_CASE("every text of a document passes redaction, and only texts") {
    auto facts = facts_with_threads(1);
    facts.lines = {{"kms", {"the key is hunter2"}}};
    facts.threads[0].target = "file /etc/hunter2";
    const auto text = evidence_json(
        {"id", "frozen", "tcp_timeout", {}, {}, {}}, facts,
        {"F1", "hunter2 waits", {{"fact", "hunter2"}}, false}, [](std::string each) {
            for (auto at = each.find("hunter2"); at != std::string::npos; at = each.find("hunter2"))
                each.replace(at, 7, "[redacted]");
            return each;
        });
    CHECK(text.find("hunter2") == std::string::npos);
    CHECK(parsed(text).at("sentence") == "[redacted] waits");
    CHECK(parsed(text).at("class") == "tcp_timeout");
}

TEST_CASE("evidence has its measure: per hour, by hand, and for mere suspicions") {
    RateLimit limit;
    const auto begin = steady_clock::time_point{} + 1h;
    SECTION("by hand every 10 s") {
        CHECK(limit.take("manual", begin));
        CHECK_FALSE(limit.take("manual", begin + 9s));
        CHECK_FALSE(limit.take("stop", begin + 9s));
        CHECK(limit.take("frozen", begin + 9s));
        CHECK(limit.take("manual", begin + 10s));
    }
    SECTION("30 in an hour, and again when the first is an hour old") {
        for (int i = 0; i < 30; ++i) CHECK(limit.take("scheduled", begin + i * 1s));
        CHECK_FALSE(limit.take("frozen", begin + 59min));
        CHECK(limit.take("frozen", begin + 1h));
        CHECK_FALSE(limit.take("frozen", begin + 1h));
    }
    SECTION("suspicions leave room for the real thing") {
        for (int i = 0; i < 20; ++i) CHECK(limit.take("suspect", begin));
        CHECK_FALSE(limit.take("suspect", begin));
        for (int i = 0; i < 10; ++i) CHECK(limit.take("frozen", begin));
        CHECK_FALSE(limit.take("freeze-end", begin));
    }
}

TEST_CASE("a read that hangs is left behind, and only so many of them") {
    auto lost = std::make_shared<LostThreads>();
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const int hanging = ends[0];
    const auto hang = [hanging] {
        char byte = 0;
        return static_cast<int>(::read(hanging, &byte, 1));
    };
    {
        BoundedReader reader(lost);
        const auto soon = [] { return Deadline::after(steady_clock::now(), 5s); };
        CHECK(reader.read<int>(soon(), [] { return 5; }).first == 5);
        for (int i = 0; i < LostThreads::kMost; ++i) {
            const auto began = steady_clock::now();
            const auto [value, outcome] =
                reader.read<int>(Deadline::after(began, 20ms), std::function<int()>(hang));
            CHECK_FALSE(value);
            CHECK(outcome == BoundedReader::Outcome::timeout);
            CHECK(steady_clock::now() - began < 4s);
        }
        CHECK(lost->count() == LostThreads::kMost);
        CHECK(reader.read<int>(soon(), [] { return 5; }).second == BoundedReader::Outcome::refused);
        CHECK(
            reader.read<int>(Deadline::after(steady_clock::now(), -1s), [] { return 5; }).second ==
            BoundedReader::Outcome::timeout);
    }
    ::close(ends[1]);  // they come back after all
    const auto limit = steady_clock::now() + 10s;
    while (lost->count() > 0 && steady_clock::now() < limit) std::this_thread::yield();
    CHECK(lost->count() == 0);
    ::close(ends[0]);
}

TEST_CASE("an exception in a read is no value") {
    BoundedReader reader(std::make_shared<LostThreads>());
    const auto [value, outcome] =
        reader.read<int>(Deadline::after(steady_clock::now(), 5s),
                         []() -> int { throw std::runtime_error("broken"); });
    CHECK_FALSE(value);
    CHECK(outcome == BoundedReader::Outcome::done);
}

TEST_CASE("names of evidence files") {
    CHECK(is_evidence_name("evidence-kms-20261122T204920Z-3.json", "kms"));
    CHECK(is_evidence_name("evidence-kms-20261122T204920Z-123.json", "kms"));
    for (const auto* other :
         {"evidence-kms-two-20261122T204920Z-3.json", "evidence-kms-20261122T204920Z-.json",
          "evidence-kms-20261122T204920Z-3.json.new", "evidence-kms-2026.json", "x",
          "evidence-kms-20261122T20492xZ-3.json"}) {
        INFO(other);
        CHECK_FALSE(is_evidence_name(other, "kms"));
    }
}

TEST_CASE("documents are files of their own mode, as many as are allowed") {
    const test_support::TemporaryDirectory directory;
    const auto place = directory / "evidence";
    EvidenceStore store({"/proc/nonexistent/evidence", place});
    CHECK(store.last("kms").error().code == runtime::ErrorCode::not_found);
    for (int i = 1; i <= 18; ++i)
        CHECK(store.put("kms", "evidence-kms-20261122T204920Z-" + std::to_string(i),
                        "document " + std::to_string(i)) != "");
    store.put("other", "evidence-other-20261122T204920Z-19", "another");
    const auto kept = store.list("kms");
    REQUIRE(kept.size() == EvidenceStore::kFiles);
    CHECK(kept.front().id == "evidence-kms-20261122T204920Z-3");
    CHECK(kept.back().id == "evidence-kms-20261122T204920Z-18");
    CHECK(*store.last("kms") == "document 18");
    CHECK(store.list("other").size() == 1);
    struct stat info{};
    REQUIRE(::stat(kept.back().path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777U) == 0600U);
    std::size_t files = 0;
    for (const auto& each : std::filesystem::directory_iterator(place)) {
        (void)each;
        ++files;
    }
    CHECK(files == EvidenceStore::kFiles + 1);  // nothing temporary is left

    SECTION("by size, too, and never the newest") {
        store.put("kms", "evidence-kms-20261122T204921Z-20", std::string(5 * 1024 * 1024, 'x'));
        store.put("kms", "evidence-kms-20261122T204922Z-21", std::string(5 * 1024 * 1024, 'y'));
        const auto large = store.list("kms");
        REQUIRE(large.size() == 1);
        CHECK(large[0].id == "evidence-kms-20261122T204922Z-21");
    }
}

TEST_CASE("without a directory the last four stay in memory") {
    EvidenceStore store({"/proc/nonexistent/evidence"});
    for (int i = 1; i <= 6; ++i)
        CHECK(
            store
                .put("kms", "evidence-kms-20261122T204920Z-" + std::to_string(i), std::to_string(i))
                .empty());
    const auto kept = store.list("kms");
    REQUIRE(kept.size() == EvidenceStore::kInMemory);
    CHECK(kept.front().id == "evidence-kms-20261122T204920Z-3");
    CHECK(kept.front().path.empty());
    CHECK(*store.last("kms") == "6");
}

TEST_CASE("where evidence goes, and whose names are not told") {
    Plan plan;
    CHECK(evidence_directories(plan, "") == std::vector<std::string>{"/run/kms-launcher/evidence"});
    CHECK(evidence_directories(plan, "/run/a:/run/b") ==
          std::vector<std::string>{"/run/a/evidence", "/run/kms-launcher/evidence"});
    plan.evidence_dir = "/var/e";
    CHECK(evidence_directories(plan, "/run/a") == std::vector<std::string>{"/var/e"});
    plan.services.resize(1);
    plan.services[0].secret_env = {{"A", {SecretSource::From::file, "/opt/keys/a"}},
                                   {"B", {SecretSource::From::environment, "B"}}};
    const auto secret = secret_directories(plan, "/run/credentials/kms.service");
    CHECK(std::count(secret.begin(), secret.end(), "/opt/keys") == 1);
    CHECK(std::count(secret.begin(), secret.end(), "/run/credentials/kms.service") == 1);
}

TEST_CASE("a snapshot of this very process") {
    SnapshotOrder order{"self", ::getpid(), Deadline::after(steady_clock::now(), 3s), {}, {}, 0,
                        {},     {}};
    SECTION("in full") {
        const auto snapshot = take_snapshot(order, std::make_shared<LostThreads>());
        const auto& facts = snapshot.facts;
        CHECK(facts.sample >= 900ms);
        REQUIRE_FALSE(facts.threads.empty());
        CHECK(facts.threads[0].states.size() == 3);
        CHECK(facts.process.threads >= 1);
        CHECK(facts.process.open_fds >= 3);
        CHECK(facts.process.fd_limit > 0);
        CHECK_FALSE(facts.descriptors.empty());
        CHECK(snapshot.took < 3s);
    }
    SECTION("in the time that there is") {
        order.deadline = Deadline::after(steady_clock::now(), 200ms);
        const auto snapshot = take_snapshot(order, std::make_shared<LostThreads>());
        CHECK(snapshot.facts.sample < 200ms);
        CHECK(snapshot.took < 1s);
    }
    SECTION("of a process that is gone") {
        order.pid = 1 << 30;
        order.deadline = Deadline::after(steady_clock::now(), 200ms);
        const auto snapshot = take_snapshot(order, std::make_shared<LostThreads>());
        CHECK(snapshot.facts.threads.empty());
        CHECK(snapshot.facts.steps.front().fault == "gone");
    }
}

TEST_CASE("a document is shown one fact a line") {
    auto facts = facts_with_threads(3);
    facts.steps = {{"stacks", "not permitted", {}}};
    const auto text = evidence_text(evidence_json(
        {"evidence-kms-20261122T204920Z-3", "frozen", "http_headers_timeout", {}, {}, {}}, facts,
        {"F2", "lock-up: every worker waits on a lock", {{"threads", "3"}}, false}, same));
    REQUIRE(text);
    CHECK_THAT(*text,
               Catch::StartsWith("kms (pid 7): F2: lock-up: every worker waits on a lock\n"));
    CHECK_THAT(*text, Catch::Contains("http_headers_timeout"));
    CHECK_THAT(*text, Catch::Contains("futex#1"));
    CHECK_THAT(*text, Catch::Contains("not read: stacks (not permitted)"));
    CHECK_FALSE(evidence_text("{}"));
    CHECK_FALSE(evidence_text("no JSON"));
}
