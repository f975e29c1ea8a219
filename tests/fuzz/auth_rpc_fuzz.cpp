// Any bytes as the body of a chain endpoint's answer, through the whole backend: a decision or a
// failure, and "allowed" only out of a body that holds all of it.
#include "auth/webhook/eth_backend.hpp"
#include "tests/support/fake_http_client.hpp"
#include "tests/support/manual_clock.hpp"

#include <cstdlib>
#include <optional>

#include <boost/asio/io_context.hpp>

namespace {

auth::ChainOptions options() {
    auth::ChainOptions options;
    options.endpoints = {"http://endpoint.example"};
    options.contract = "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0";
    options.chain_id = 31337;
    return options;
}

/// Whether the answer to the batch with the ids 1, 2, 3 says all that an allowance rests on.
bool holds_allowance(std::string_view body) {
    using Method = auth::ChainCall::Method;
    std::vector<auth::ChainCall> calls(3);
    calls[0].method = Method::chain_id;
    calls[1].method = calls[2].method = Method::contract_call;
    const auto answer = auth::parse_batch(body, calls, 1);
    if (answer.answers.size() != 3) return false;
    const auto text = [&](std::size_t i) {
        const auto* found = std::get_if<std::string>(&answer.answers[i]);
        return found == nullptr ? std::string() : *found;
    };
    const auto verdict = auth::parse_data(text(1));
    // Two words at least: the reason may lie anywhere, even in the words of the head.
    return auth::parse_quantity(text(0)) == 31337 && verdict && verdict->size() >= 64 &&
           runtime::to_hex(*verdict).substr(0, 64) == std::string(63, '0') + "1" &&
           auth::parse_data(text(2)).has_value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string body(runtime::as_text({data, size}));
    boost::asio::io_context io(1);
    test::ManualClock clock;
    test::FakeHttpClient client(clock);
    client.handle([&](const auto&) { return test::FakeHttpClient::Reply::ok(body); });
    auth::EthBackend backend(client, clock, options(), "contract");
    std::optional<auth::Answer<auth::Decision>> decision;
    boost::asio::co_spawn(
        io,
        backend.decide(auth::BootKind::app, auth::BootRequest{},
                       runtime::Deadline::after(clock.now(), std::chrono::seconds(5))),
        [&](const std::exception_ptr& error, auth::Answer<auth::Decision> answer) {
            if (error) std::abort();
            decision = std::move(answer);
        });
    test::run_ready(io);
    if (!decision) std::abort();  // nothing here takes time
    if (*decision && (*decision)->is_allowed && !holds_allowance(body)) std::abort();
    return 0;
}
