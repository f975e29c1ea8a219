// What a quote is judged by, fetched for a person who waits for it.
#include "kms/attest/pccs_fetch.hpp"
#include "kms/cli/input.hpp"

#include <exception>
#include <fstream>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

namespace kms::cli {
namespace {

using runtime::Deadline;

constexpr std::chrono::seconds kLimit{60};

Result<Collateral> fetch(const CollateralServer& server, const Bytes& quote) {
    boost::asio::io_context io(1);
    runtime::SystemClock clock;
    runtime::CurlHttpClient http(io.get_executor(), clock,
                                 {.max_in_flight = 1, .kept_connections = 1, .user_agent = {}});
    Result<Collateral> fetched;
    boost::asio::co_spawn(
        io, fetch_for_quote(http, server, quote, Deadline::after(clock.now(), kLimit)),
        [&](const std::exception_ptr& failure, Result<Collateral> result) {
            if (failure) std::rethrow_exception(failure);
            fetched = std::move(result);
            io.stop();
        });
    io.run();
    return fetched;
}

}  // namespace

Result<void> fetch_collateral_of(Input& input, ByteView quote) {
    if (input.pccs.empty()) return {};
    const CollateralServer server{collateral_base_url(input.pccs), input.pccs_ca_file};
    TRY(Collateral collateral,
        fetch(server, Bytes(quote.begin(), quote.end())).within("cannot fetch collateral"));
    if (!input.collateral_out.empty()) {
        std::ofstream file(input.collateral_out, std::ios::binary | std::ios::trunc);
        file << to_json(collateral) << '\n';
        file.close();
        if (!file)
            return Error{ErrorCode::unavailable, "cannot write '" + input.collateral_out + "'"};
    }
    input.collateral = std::move(collateral);
    return {};
}

}  // namespace kms::cli
