// Whatever a service answers to a probe, in whatever pieces, and whatever it says by sd_notify: the
// reading ends, is the same however the bytes were cut, and stays within its bounds.
#include "launcher/probe/http_response.hpp"
#include "launcher/probe/notify_socket.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

using namespace launcher;

namespace {

using State = ResponseReader::State;
constexpr std::size_t kMaxBody = 64;

void require(bool holds) {
    if (!holds) std::abort();
}

bool ended(State state) {
    return state != State::head && state != State::body;
}

struct Reading {
    State state = State::head;
    unsigned status = 0;
    std::string body;
    friend bool operator==(const Reading&, const Reading&) = default;
};

Reading read(std::string_view bytes, bool head_only, std::size_t piece) {
    ResponseReader reader(head_only, kMaxBody);
    for (std::size_t at = 0; at < bytes.size() && !ended(reader.state()); at += piece)
        reader.feed(bytes.substr(at, piece));
    if (!ended(reader.state())) reader.finish();
    require(ended(reader.state()));
    require(reader.body().size() <= kMaxBody);
    require(reader.status() < 1000);
    require(reader.any_bytes() == !bytes.empty());
    require(reader.detail().size() < 200);
    if (reader.state() == State::truncated) require(reader.body().size() == kMaxBody);
    return {reader.state(), reader.status(), reader.body()};
}

void check(const Reading& reading) {
    ProbePlan plan;
    (void)status_expected(plan, reading.status);
    plan.expect_contains = "ok";
    (void)body_mismatch(plan, reading.body, false);
    plan.expect_contains.reset();
    plan.expect_json = {{"/status", "ok"}, {"/a/0/b", "1"}};
    const auto fault = body_mismatch(plan, reading.body, reading.state == State::truncated);
    require(!fault || fault->size() < 200);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const bool head_only = (data[0] & 1) != 0;
    const std::size_t piece = 1 + data[1];
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
    const auto whole = read(bytes, head_only, std::max<std::size_t>(bytes.size(), 1));
    const auto pieces = read(bytes, head_only, piece);
    // Of a body that its peer cut off as much is kept as was read by then.
    const bool cut_body =
        whole.status != 0 && (whole.state == State::cut || pieces.state == State::cut);
    require(cut_body ? whole.status == pieces.status : whole == pieces);
    check(whole);

    NotifyState told;
    apply_notification(told, bytes);
    require(told.status.size() <= 256);
    require(std::all_of(told.status.begin(), told.status.end(),
                        [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != 0x7f; }));
    return 0;
}
