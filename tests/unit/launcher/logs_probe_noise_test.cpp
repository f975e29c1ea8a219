#include "launcher/logs/line_ring.hpp"
#include "launcher/logs/probe_noise.hpp"

#include <catch2/catch.hpp>

using namespace launcher::logs;
using namespace std::chrono_literals;

namespace {

constexpr runtime::TimePoint kStart{1h};

RecordView request(std::uint16_t port, std::string_view id,
                   runtime::LogLevel level = runtime::LogLevel::info) {
    RecordView record;
    record.service = "auth-eth";
    record.remote_port = port;
    record.request_id = id;
    record.level = level;
    return record;
}

}  // namespace

TEST_CASE("lines of a probe's request are noise; others are not") {
    ProbeNoise noise;
    CHECK_FALSE(noise.is_noise(request(4711, "req-1"), kStart));
    noise.note_port(4711, kStart);
    CHECK(noise.is_noise(request(4711, "req-2"), kStart));
    CHECK(noise.is_noise(request(0, "req-2"), kStart + 1s));
    CHECK_FALSE(noise.is_noise(request(0, "req-1"), kStart));
    CHECK_FALSE(noise.is_noise(request(4712, "req-3"), kStart));
    CHECK_FALSE(noise.is_noise(request(0, ""), kStart));
}

TEST_CASE("warnings are shown whoever caused them, and what follows an error, too") {
    ProbeNoise noise;
    noise.note_port(4711, kStart);
    CHECK_FALSE(noise.is_noise(request(4711, "req-1", runtime::LogLevel::warn), kStart));
    CHECK(noise.is_noise(request(0, "req-1", runtime::LogLevel::debug), kStart));
}

TEST_CASE("the same request id of another service is another request") {
    ProbeNoise noise;
    noise.note_port(4711, kStart);
    CHECK(noise.is_noise(request(4711, "req-1"), kStart));
    RecordView other = request(0, "req-1");
    other.service = "kms";
    CHECK_FALSE(noise.is_noise(other, kStart));
}

TEST_CASE("ports and requests are forgotten") {
    ProbeNoise noise;
    noise.note_port(4711, kStart);
    CHECK(noise.is_noise(request(4711, "req-1"), kStart + 14s));
    CHECK_FALSE(noise.is_noise(request(4711, "req-2"), kStart + 15s));
    CHECK_FALSE(noise.is_noise(request(0, "req-1"), kStart + 30s));
    for (std::uint16_t port = 1; port <= 300; ++port) noise.note_port(port, kStart + 40s);
    CHECK_FALSE(noise.is_noise(request(44, "a"), kStart + 40s));
    CHECK(noise.is_noise(request(45, "a"), kStart + 40s));
}

TEST_CASE("the last lines are kept, cut and escaped") {
    LineRing ring;
    CHECK(ring.last(10).empty());
    for (int i = 0; i < 100; ++i) ring.add("line " + std::to_string(i));
    CHECK(ring.last(2) == std::vector<std::string>{"line 98", "line 99"});
    CHECK(ring.last(1000).size() == LineRing::kLines);
    CHECK(ring.last(1000).front() == "line 36");
    ring.add("a\x1B[31m\nb");
    CHECK(ring.last(1) == std::vector<std::string>{"a\\x1b[31m\n    b"});
    ring.add(std::string(5000, 'x'));
    CHECK(ring.last(1)[0].size() == LineRing::kMaxBytes);
}
