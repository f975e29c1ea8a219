/// ScriptedServer: a peer on loopback (TCP or a unix socket) that misbehaves on demand. Runs on the
/// test's own io_context, so nothing happens behind the test's back, and what it does next is
/// decided by the test, never by time.
#pragma once

#include "tests/support/raw_client.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>

namespace test {

/// What the server does with a connection and with each request on it.
struct Script {
    enum class End { keep, close, reset };
    static constexpr std::size_t kAll = static_cast<std::size_t>(-1);

    bool read = true;    ///< otherwise not a byte is read and nothing is sent
    std::string answer;  ///< raw bytes, head and all, for each request
    std::size_t at_once =
        kAll;  ///< bytes sent as soon as a request is there; step() and release() send more
    End end = End::keep;  ///< once the answer is sent
    const TestIdentity* tls = nullptr;
    bool ask_for_certificate = false;  ///< of the client; any is taken

    static Script ok(std::string_view body = "ok");  ///< 200, keep-alive
    static Script status(unsigned status, std::string_view body,
                         std::string_view extra_headers = "");
    static Script
    silent();  ///< accepts, reads, says nothing; so does a TLS handshake that never ends
    static Script deaf();  ///< accepts and does not even read
    static Script head_then_silence();
    static Script byte_by_byte(std::string_view body = "ok");  ///< one byte per step()
    static Script reset();                                     ///< reads the request, then RST
    static Script close();                                     ///< reads the request, then FIN
    static Script truncated();  ///< half of the announced body, then FIN
    static Script huge(std::size_t body_bytes);
    static Script garbage();  ///< bytes that are no HTTP
    /// `identity` must outlive the server.
    Script over_tls(const TestIdentity& identity) const;
};

class ScriptedServer {
  public:
    /// On 127.0.0.1 and a free port, or on a unix socket. Throws when it cannot listen.
    explicit ScriptedServer(boost::asio::io_context& io, Script script = Script::ok());
    ScriptedServer(boost::asio::io_context& io, const std::string& unix_path,
                   Script script = Script::ok());
    ~ScriptedServer();
    ScriptedServer(const ScriptedServer&) = delete;
    ScriptedServer& operator=(const ScriptedServer&) = delete;

    /// For requests from now on, on old connections too (TLS: on new ones only).
    void behave(Script script);
    /// The address is kept, but connections are refused until listen().
    void refuse();
    void listen();

    /// Every connection with something left to send sends one byte of it.
    void step();
    /// … sends all of it, late as it may be.
    void release();
    /// Sends bytes on every open connection that has no TLS, asked or not.
    void send_unasked(const std::string& bytes);
    /// Ends every connection with a FIN.
    void close_all();

    std::uint16_t port() const;
    /// "http://127.0.0.1:PORT" and the path; "http://localhost" for a unix socket.
    std::string url(std::string_view path = "/") const;

    std::size_t accepted() const;                      ///< connections so far
    std::size_t open() const;                          ///< connections that neither side has ended
    const std::vector<std::string>& requests() const;  ///< head and body as they came
    /// Common names of the clients' certificates, one per connection that presented one.
    const std::vector<std::string>& client_names() const;
    std::size_t bytes_read() const;  ///< of TLS connections only what was decrypted

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace test
