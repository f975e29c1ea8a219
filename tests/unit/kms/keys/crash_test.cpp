// What is left after a bootstrap is interrupted at any of its steps: never half a key set in use,
// never a key replaced, never two key sets.
#include "kms/keys/bootstrap.hpp"
#include "kms/keys/key_directory.hpp"
#include "tests/support/faulty_file_system.hpp"
#include "tests/support/kms_vectors.hpp"
#include "tests/support/memory_file_system.hpp"
#include "tests/support/temporary_directory.hpp"

#include <set>

#include <sys/wait.h>
#include <unistd.h>

using namespace kms::keys;
using test_support::FaultyFileSystem;
using test_support::MemoryFileSystem;
using test_support::must;
using test_support::original_key_files;
using test_support::TemporaryDirectory;
using Fault = FaultyFileSystem::Fault;

namespace {

constexpr WallTime kNow = WallTime(std::chrono::hours(24 * 20800));
constexpr const char* kDomain = "kms.example";
constexpr int kKilled = 42;

struct Stopped {};
[[noreturn]] void stop() {
    throw Stopped{};
}

/// The public identity of a key set.
std::string identity(const RootKeys& root) {
    return runtime::to_hex(root.ca_public_key()) + runtime::to_hex(root.k256_public_key());
}
std::string original_identity() {
    static const std::string known = identity(must(parse(original_key_files())).root);
    return known;
}

/// How many steps storing a set takes when nothing goes wrong.
int steps_of_store() {
    MemoryFileSystem memory("/k");
    FaultyFileSystem counting(memory, Fault::none, 0);
    REQUIRE(KeyDirectory(counting, "/k").store(original_key_files()).has_value());
    return counting.steps();
}

const std::set<std::string> kFlatNames = [] {
    std::set<std::string> names;
    for (const KeyFile file : kKeyFiles)
        if (file != KeyFile::bootstrap_info) names.emplace(file_name(file));
    return names;
}();

std::set<std::string> names_in(FileSystem& files, const std::string& path) {
    const std::vector<std::string> names = must(files.list(path));
    return {names.begin(), names.end()};
}

/// What the next start makes of a directory in which storing the original's set was interrupted.
/// Returns whether the set had come into existence.
bool check_next_start(MemoryFileSystem& memory) {
    KeyDirectory directory(memory, "/k");
    const DirectoryReport report = must(directory.inspect());
    INFO(report.problem);
    REQUIRE(report.state != DirectoryState::partial);
    const bool exists = report.state != DirectoryState::empty;
    const OpenedKeys opened = must(open_keys(directory, kDomain, kNow));
    CHECK((identity(opened.keys.root) == original_identity()) == exists);
    CHECK(names_in(memory, "/k") == kFlatNames);
    // And so it stays.
    const OpenedKeys again = must(open_keys(directory, kDomain, kNow));
    CHECK(again.origin == KeyOrigin::loaded);
    CHECK(identity(again.keys.root) == identity(opened.keys.root));
    return exists;
}

/// Stores the original's set and stops at `step`. Returns whether it got that far.
bool store_and_stop(MemoryFileSystem& memory, Fault fault, int step) {
    FaultyFileSystem faulty(memory, fault, step, &stop);
    KeyDirectory directory(faulty, "/k");
    try {
        const auto stored = directory.store(original_key_files());
        REQUIRE(stored.has_value());
    } catch (const Stopped&) {
        return true;
    }
    return false;
}

}  // namespace

TEST_CASE("stopped at any step, the next start completes the set or makes another, never both") {
    const int steps = steps_of_store();
    REQUIRE(steps > 30);
    int forgotten = 0;
    int completed = 0;
    for (int step = 0; step < steps; ++step)
        for (const Fault fault : {Fault::stop_before, Fault::stop_amid}) {
            INFO("stopped at step " << step);
            MemoryFileSystem memory("/k");
            REQUIRE(store_and_stop(memory, fault, step));
            ++(check_next_start(memory) ? completed : forgotten);
        }
    CHECK(forgotten > 20);
    CHECK(completed > 20);
}

TEST_CASE("power lost at any step, the next start completes the set or makes another, never both") {
    const int steps = steps_of_store();
    int lost = 0;
    for (int step = 0; step < steps; ++step) {
        std::size_t states = 1;
        for (std::size_t state = 0; state < states; ++state) {
            INFO("power lost at step " << step << ", state " << state);
            MemoryFileSystem memory("/k");
            REQUIRE(store_and_stop(memory, Fault::stop_amid, step));
            states = memory.possible_states();
            memory.lose_power(state);
            check_next_start(memory);
            ++lost;
        }
    }
    CHECK(lost > steps);
}

TEST_CASE("a set that was stored survives a loss of power") {
    std::size_t states = 1;
    for (std::size_t state = 0; state < states; ++state) {
        MemoryFileSystem memory("/k");
        REQUIRE(KeyDirectory(memory, "/k").store(original_key_files()).has_value());
        states = memory.possible_states();
        memory.lose_power(state);
        CHECK(check_next_start(memory));
    }
}

TEST_CASE("stopped again at any step while completing, the start after that completes the set") {
    const int steps = steps_of_store();
    int twice = 0;
    for (int step = 0; step < steps; ++step)
        for (int second = 0;; ++second) {
            INFO("stopped at step " << step << ", then at step " << second);
            MemoryFileSystem memory("/k");
            REQUIRE(store_and_stop(memory, Fault::stop_before, step));
            KeyDirectory plain(memory, "/k");
            if (must(plain.inspect()).state != DirectoryState::interrupted) break;
            FaultyFileSystem faulty(memory, Fault::stop_before, second, &stop);
            KeyDirectory directory(faulty, "/k");
            try {
                const auto finished = directory.finish();
                REQUIRE(finished.has_value());
                break;
            } catch (const Stopped&) {
                CHECK(check_next_start(memory));
                ++twice;
            }
        }
    CHECK(twice > 50);
}

TEST_CASE("a step that fails is told, and the start after the repair goes on") {
    const Fault fault = GENERATE(Fault::fail, Fault::disk_full);
    const int steps = steps_of_store();
    int failures = 0;
    for (int step = 0; step < steps; ++step) {
        INFO("fails at step " << step);
        MemoryFileSystem memory("/k");
        FaultyFileSystem faulty(memory, fault, step);
        KeyDirectory directory(faulty, "/k");
        const auto stored = directory.store(original_key_files());
        if (stored.has_value()) {
            // Nothing after this step needs room.
            CHECK(fault == Fault::disk_full);
            continue;
        }
        ++failures;
        CHECK(stored.error().code == ErrorCode::unavailable);
        const DirectoryReport report = must(KeyDirectory(memory, "/k").inspect());
        if (report.state == DirectoryState::empty) {
            CHECK_THAT(stored.error().context,
                       Catch::StartsWith("no key set was stored in '/k': "));
            // The room that was taken is given back.
            if (fault == Fault::disk_full) CHECK(memory.snapshot().size() == 1);
        } else {
            CHECK(report.state == DirectoryState::interrupted);
            CHECK_THAT(stored.error().context,
                       Catch::StartsWith("the new key set is safe in '/k/.key-set.committed'"));
            CHECK_FALSE(KeyDirectory(memory, "/k").load().has_value());
        }
        check_next_start(memory);
    }
    CHECK(failures > 20);
}

TEST_CASE("an interrupted set whose files were exchanged meanwhile is refused and left as it is") {
    MemoryFileSystem memory("/k");
    // The first steps after the commit: some files are in their places, some are not.
    int step = 0;
    for (;; ++step) {
        memory = MemoryFileSystem("/k");
        REQUIRE(store_and_stop(memory, Fault::stop_before, step));
        const auto names = names_in(memory, "/k");
        if (names.contains("root-ca.key") && !names.contains("root-k256.key")) break;
    }
    std::string sentence;
    SECTION("another key in the place of one that waits") {
        const auto file = must(memory.create("/k/root-k256.key", FileSystem::Access::owner_only));
        REQUIRE(file->write(Bytes(32, 7)).has_value());
        sentence =
            "'/k/root-k256.key' and '/k/.key-set.committed/root-k256.key' belong to different key "
            "sets";
    }
    SECTION("a key removed") {
        REQUIRE(memory.remove_file("/k/root-ca.key").has_value());
        sentence = "of its files 'root-ca.key' have been removed since";
    }
    const auto before = memory.snapshot();
    KeyDirectory directory(memory, "/k");
    const auto opened = open_keys(directory, kDomain, kNow);
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().code == ErrorCode::invalid_argument);
    CHECK_THAT(opened.error().context, Catch::Contains(sentence));
    CHECK(memory.snapshot() == before);
}

TEST_CASE("a process killed at any step of an automatic bootstrap leaves one key set to the next") {
    int finished = 0;
    int created = 0;
    for (int step = 0;; ++step) {
        INFO("killed at step " << step);
        const TemporaryDirectory scratch;
        const std::string path = scratch / "certs";
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            PosixFileSystem real;
            FaultyFileSystem faulty(real, Fault::stop_amid, step, [] { ::_exit(kKilled); });
            KeyDirectory directory(faulty, path);
            ::_exit(open_keys(directory, kDomain, kNow).has_value() ? 0 : 1);
        }
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        REQUIRE(WIFEXITED(status));
        REQUIRE((WEXITSTATUS(status) == kKilled || WEXITSTATUS(status) == 0));

        // What exists of the set, wherever it stands.
        PosixFileSystem files;
        std::map<std::string, std::string> existing;
        for (const std::string& place : {path, path + "/.key-set.committed"})
            for (const KeyFile file : kKeyFiles)
                if (auto content = files.read(place + "/" + std::string(file_name(file)));
                    content.has_value())
                    existing[std::string(file_name(file))] = std::string(content->text());
        CHECK((existing.empty() || existing.size() == kFlatNames.size()));

        KeyDirectory directory(files, path);
        const OpenedKeys opened = must(open_keys(directory, kDomain, kNow));
        CHECK(names_in(files, path) == kFlatNames);
        for (const auto& [name, content] : existing)
            CHECK(must(files.read(path + "/" + name)).text() == content);
        CHECK((opened.origin == KeyOrigin::created) == existing.empty());
        const OpenedKeys again = must(open_keys(directory, kDomain, kNow));
        CHECK(again.origin == KeyOrigin::loaded);
        CHECK(identity(again.keys.root) == identity(opened.keys.root));
        finished += opened.origin == KeyOrigin::finished;
        created += opened.origin == KeyOrigin::created;
        if (WEXITSTATUS(status) == 0) break;
    }
    CHECK(finished > 8);
    CHECK(created > 20);
}
