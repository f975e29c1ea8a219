/// The subcommands beside `run`: they ask once, print for people, and end with a status.
#pragma once

#include "auth/webhook/eth_backend.hpp"
#include "auth/webhook/settings.hpp"

#include <iosfwd>

#include <boost/asio/io_context.hpp>

namespace auth {

/// Exit statuses of the program.
enum class ExitStatus {
    ok = 0,
    refused = 1,         ///< cannot listen; `decide`: not allowed
    bad_arguments = 64,  ///< as EX_USAGE of sysexits.h, and so on
    bad_request = 65,
    unavailable = 69,
    internal = 70,
    bad_settings = 78,
};

/// What stands behind the routes: a backend and what it needs. Runs on its own `io`.
class Authority {
  public:
    explicit Authority(const Settings& settings);

    boost::asio::io_context& io() { return io_; }
    runtime::SystemClock& clock() { return clock_; }
    Backend& backend() { return *backend_; }
    /// Null unless the chain decides.
    ChainReader* reader() { return reader_; }
    runtime::HttpClient* client() { return client_.get(); }

  private:
    boost::asio::io_context io_{1};
    runtime::SystemClock clock_;
    std::unique_ptr<runtime::HttpClient> client_;
    std::unique_ptr<Backend> backend_;
    ChainReader* reader_ = nullptr;
};

/// `auth-eth check`: a table of every endpoint. ok when all of them are good, else unavailable.
ExitStatus check_chain(const Settings& settings, std::ostream& out);
/// `auth-eth decide`: the decision about the request in `text`, and each exchange behind it.
ExitStatus decide_once(const Settings& settings, BootKind kind, std::string_view text,
                       std::ostream& out);

}  // namespace auth
