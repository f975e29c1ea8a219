#include "auth/webhook/policy_file.hpp"

#include "auth/webhook/simple_backend.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/unit/auth/boot_bodies.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fs = std::filesystem;

using auth::BootKind;
using auth::PolicyFile;

namespace {

class TemporaryDirectory {
  public:
    TemporaryDirectory() {
        std::string name = (fs::temp_directory_path() / "auth-policy-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~TemporaryDirectory() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    std::string operator/(const char* name) const { return (path_ / name).string(); }

  private:
    fs::path path_;
};

void write(const std::string& path, std::string_view text) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    REQUIRE(file.good());
}

/// A policy that allows the request of boot_bodies.hpp as a KMS, with this gateway id.
std::string policy_with(const std::string& gateway) {
    return R"({"gatewayAppId":")" + gateway + R"(","osImages":[")" + test::repeat("a1", 32) +
           R"("],"kms":{"mrAggregated":[")" + test::repeat("b1", 32) + R"("]}})";
}

struct Fixture {
    TemporaryDirectory directory;
    std::string path = directory / "auth-config.json";
    test::ManualClock clock;

    /// The gateway id in force; "none" when nothing is allowed.
    static std::string in_force(PolicyFile& file) {
        const auto decision = evaluate(*file.current(), BootKind::kms, test::boot_request());
        return decision.is_allowed ? decision.gateway_app_id : "none";
    }
    static std::string metrics(const PolicyFile& file) {
        runtime::MetricsText text(runtime::MetricsText::Format::prometheus);
        file.add_metrics(text);
        return std::move(text).finish();
    }
    static bool shows(const PolicyFile& file, const std::string& line) {
        return metrics(file).find("\n" + line + "\n") != std::string::npos;
    }
    /// Gives the file a modification time far enough in the past to be trusted.
    void settle() { clock.set_wall(std::chrono::system_clock::now() + std::chrono::hours(1)); }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "without a file nothing is allowed until there is one") {
    PolicyFile file(path, clock);
    CHECK(in_force(file) == "none");
    CHECK(file.state() == PolicyFile::State::missing);
    CHECK(file.fault() == "it does not exist");
    CHECK(shows(file, "auth_policy_file_good 0"));
    CHECK(shows(file, "auth_policy_in_force 0"));

    write(path, policy_with("one"));
    CHECK(in_force(file) == "one");
    CHECK(file.state() == PolicyFile::State::good);
    CHECK(file.fault().empty());
    CHECK(shows(file, "auth_policy_file_good 1"));
    CHECK(shows(file, "auth_policy_in_force 1"));
    CHECK(shows(file, "auth_policy_loads_total 1"));
}

TEST_CASE_METHOD(Fixture, "a file that is broken at the start allows nothing until it is mended") {
    write(path, "{\"osImages\": 1}");
    PolicyFile file(path, clock);
    CHECK(in_force(file) == "none");
    CHECK(file.state() == PolicyFile::State::broken);
    CHECK(file.fault() == "'osImages' must be a list of texts, not a number");
    CHECK(shows(file, "auth_policy_in_force 0"));

    write(path, policy_with("one"));
    CHECK(in_force(file) == "one");
}

TEST_CASE_METHOD(Fixture, "a changed file counts from the next request on") {
    write(path, policy_with("one"));
    PolicyFile file(path, clock);
    CHECK(in_force(file) == "one");
    write(path, policy_with("two"));
    CHECK(in_force(file) == "two");
    write(path,
          policy_with(
              "thr"));  // as long as before, within the same instant of the file system's clock
    CHECK(in_force(file) == "thr");
    write(path, "{}");
    CHECK(in_force(file) == "none");
    CHECK(file.state() == PolicyFile::State::good);
    CHECK(shows(file, "auth_policy_loads_total 4"));
}

TEST_CASE_METHOD(Fixture,
                 "a broken new file leaves the last good policy in force, and says so once") {
    write(path, policy_with("one"));
    PolicyFile file(path, clock);
    CHECK(in_force(file) == "one");

    const std::string broken =
        GENERATE(std::string(), std::string("{"), std::string("{\"osImages\":[1]}"),
                 std::string("[]"), std::string(200, '['));
    INFO(broken);
    write(path, broken);
    for (int i = 0; i < 3; ++i) {
        CHECK(in_force(file) == "one");
        CHECK(file.state() == PolicyFile::State::broken);
        CHECK_FALSE(file.fault().empty());
    }
    CHECK(shows(file, "auth_policy_file_good 0"));
    CHECK(shows(file, "auth_policy_in_force 1"));
    CHECK(shows(file, "auth_policy_refusals_total 1"));

    SECTION("mended to something else") {
        write(path, policy_with("two"));
        CHECK(in_force(file) == "two");
    }
    SECTION("mended to what it was") {
        write(path, policy_with("one"));
        CHECK(in_force(file) == "one");
    }
    CHECK(file.state() == PolicyFile::State::good);
    CHECK(shows(file, "auth_policy_file_good 1"));
    CHECK(shows(file, "auth_policy_loads_total 2"));
}

TEST_CASE_METHOD(Fixture, "another mistake is another refusal") {
    write(path, policy_with("one"));
    PolicyFile file(path, clock);
    file.current();
    write(path, "{\"chainId\":\"x\"}");
    file.current();
    CHECK(file.fault() == "'chainId' must be a whole number that is not negative, not a text");
    write(path, "{\"osImages\":[1,2,3,4,5,6,7]}");
    file.current();
    CHECK_THAT(file.fault(),
               Catch::EndsWith("'osImages[4]' must be a text, not a number; and 2 more"));
    CHECK(shows(file, "auth_policy_refusals_total 2"));
}

TEST_CASE_METHOD(Fixture, "a file that is gone allows nothing any more") {
    write(path, policy_with("one"));
    PolicyFile file(path, clock);
    CHECK(in_force(file) == "one");
    REQUIRE(fs::remove(path));
    CHECK(in_force(file) == "none");
    CHECK(file.state() == PolicyFile::State::missing);
    CHECK(shows(file, "auth_policy_in_force 0"));
    write(path, "{");  // broken after missing: there is no last good policy to return to
    CHECK(in_force(file) == "none");
    CHECK(file.state() == PolicyFile::State::broken);
    write(path, policy_with("one"));
    CHECK(in_force(file) == "one");
}

TEST_CASE_METHOD(Fixture, "replacement by rename is one step from the old policy to the new") {
    write(path, policy_with("one"));
    settle();
    PolicyFile file(path, clock);
    CHECK(in_force(file) == "one");
    write(path + ".new", policy_with("two"));
    CHECK(in_force(file) == "one");
    fs::rename(path + ".new", path);
    CHECK(in_force(file) == "two");
}

TEST_CASE_METHOD(Fixture, "a switched symbolic link counts, as with mounted configuration") {
    write(directory / "a", policy_with("one"));
    write(directory / "b", policy_with("two"));
    fs::create_symlink(directory / "a", path);
    settle();
    PolicyFile file(path, clock);
    CHECK(in_force(file) == "one");
    fs::create_symlink(directory / "b", path + ".new");
    fs::rename(path + ".new", path);
    CHECK(in_force(file) == "two");
    fs::remove(directory / "b");
    CHECK(in_force(file) == "none");
}

TEST_CASE_METHOD(Fixture, "a settled file is not read again until its identity changes") {
    write(path, policy_with("one"));
    settle();
    PolicyFile file(path, clock);
    const auto first = file.current();
    CHECK(file.current() == first);
    CHECK(file.current() == first);
    // Touching it changes the identity, not the content: read, but nothing new comes into force.
    const timespec times[2] = {{1'600'000'000, 0}, {1'600'000'000, 0}};
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
    CHECK(file.current() == first);
    CHECK(shows(file, "auth_policy_loads_total 1"));
    // An old modification time does not hide a change.
    write(path, policy_with("two"));
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
    CHECK(in_force(file) == "two");
}

TEST_CASE_METHOD(Fixture, "what is no regular file is refused without waiting") {
    write(path, policy_with("one"));
    PolicyFile file(path, clock);
    CHECK(in_force(file) == "one");
    REQUIRE(fs::remove(path));
    SECTION("a named pipe that nobody writes to") {
        REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    }
    SECTION("a directory") {
        REQUIRE(fs::create_directory(path));
    }
    CHECK(in_force(file) == "one");
    CHECK(file.state() == PolicyFile::State::broken);
    CHECK(file.fault() == "it is not a regular file");
}

TEST_CASE_METHOD(Fixture, "a file beyond the bound is refused unread") {
    write(path, policy_with("one"));
    PolicyFile file(path, clock);
    CHECK(in_force(file) == "one");
    fs::resize_file(path, auth::kMaxPolicyBytes + 1);
    CHECK(in_force(file) == "one");
    CHECK(file.fault() == "it is larger than 16 MiB");
}

TEST_CASE_METHOD(Fixture, "a file that cannot be opened leaves the last good policy in force") {
    write(path, policy_with("one"));
    PolicyFile file(path, clock);
    CHECK(in_force(file) == "one");
    // A link to itself is what even the superuser cannot open.
    fs::remove(path);
    fs::create_symlink(path, path);
    CHECK(in_force(file) == "one");
    CHECK(file.fault() == "cannot open it: Too many levels of symbolic links");
}

TEST_CASE_METHOD(Fixture, "the simple backend decides by the file and shows its facts") {
    write(path, policy_with("one"));
    auth::SimpleBackend backend(path, clock);
    boost::asio::io_context io;
    const runtime::Deadline deadline(clock.now());
    auto decision = test::run(io, backend.decide(BootKind::kms, test::boot_request(), deadline));
    CHECK(decision == auth::Decision{true, "", "one"});
    decision = test::run(io, backend.decide(BootKind::app, test::boot_request(), deadline));
    CHECK(decision == auth::Decision{false, "app not registered", "one"});
    write(path, R"({"gatewayAppId":"two","chainId":5})");
    const auto info = test::run(io, backend.info(deadline));
    REQUIRE(info.has_value());
    CHECK(info->gateway_app_id == "two");
    CHECK(info->chain_id == 5);
    decision = test::run(io, backend.decide(BootKind::kms, test::boot_request(), deadline));
    CHECK(decision == auth::Decision{false, "OS image is not allowed", "two"});
}
