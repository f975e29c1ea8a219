/// Connection: one fresh stream to a service, plain or TLS, TCP or unix. Every function waits for
/// the peer and ends at once, with an error, when its coroutine is cancelled; wrap it in
/// with_deadline. Source: spec "launcher" section 2.4.
#pragma once

#include "launcher/plan/probe_result.hpp"
#include "launcher/probe/tls_client.hpp"
#include "launcher/runtime/clock.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/address.hpp>

namespace launcher {

/// How a stage ended when its deadline did not end it.
struct StageEnd {
    ProbeOutcome outcome = ProbeOutcome::ok;
    std::string detail;  ///< words, when it is not ok
};

/// Pure: what an errno of connect(2) to `where` says about the service, or about this machine. 0 is
/// ok.
StageEnd judge_connect(int error, const std::string& where);

class Connection {
  public:
    explicit Connection(boost::asio::any_io_executor executor);
    /// Ends TLS politely if there is any, and closes.
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// Tries the addresses one after the other; each may take its share of the time left until
    /// `deadline`.
    runtime::Task<runtime::Result<StageEnd>> connect_tcp(
        runtime::Clock& clock, std::vector<boost::asio::ip::address> addresses, std::uint16_t port,
        runtime::Deadline deadline);
    /// Checks first that there is a socket at `path`. A full accept queue is tried again until
    /// `deadline`.
    runtime::Task<runtime::Result<StageEnd>> connect_unix(runtime::Clock& clock, std::string path,
                                                          runtime::Deadline deadline);
    runtime::Task<runtime::Result<StageEnd>> start_tls(TlsClient client);
    runtime::Task<runtime::Result<StageEnd>> write(std::string text);

    struct Read {
        std::size_t count = 0;
        bool end = false;    ///< the peer closed
        bool reset = false;  ///< … by a reset
        StageEnd fault;      ///< of TLS, or of this machine
    };
    runtime::Task<runtime::Result<Read>> read(std::span<char> buffer);

    std::uint16_t local_port() const { return local_port_; }
    const std::optional<TlsClient>& tls() const { return tls_; }

  private:
    using Socket = boost::asio::generic::stream_protocol::socket;
    runtime::Task<runtime::Result<StageEnd>> send_all(std::string bytes);
    runtime::Task<runtime::Result<Read>> receive(std::span<char> buffer);

    Socket socket_;
    std::optional<TlsClient> tls_;
    std::uint16_t local_port_ = 0;
};

}  // namespace launcher
