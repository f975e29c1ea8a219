#include "tests/support/scripted_server.hpp"

#include "launcher/runtime/clock.hpp"

#include <array>
#include <cstdlib>
#include <optional>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <unistd.h>

namespace test {

namespace asio = boost::asio;
using asio::ip::tcp;
using local = asio::local::stream_protocol;
using runtime::Task;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

std::string common_name(const X509& certificate) {
    std::array<char, 64> name{};
    X509_NAME_get_text_by_NID(X509_get_subject_name(&certificate), NID_commonName, name.data(),
                              static_cast<int>(name.size()));
    return name.data();
}

/// Size of the first request in `bytes`, or 0 when it is not complete.
std::size_t request_size(std::string_view bytes) {
    const auto head_end = bytes.find("\r\n\r\n");
    if (head_end == std::string_view::npos) return 0;
    std::size_t body = 0;
    constexpr std::string_view kLength = "Content-Length: ";
    if (const auto at = bytes.substr(0, head_end).find(kLength); at != std::string_view::npos)
        body = std::strtoul(bytes.data() + at + kLength.size(), nullptr, 10);
    return bytes.size() >= head_end + 4 + body ? head_end + 4 + body : 0;
}

struct Connection {
    explicit Connection(asio::io_context& io) : socket(io) {}

    using Socket = asio::generic::stream_protocol::socket;
    Socket socket;
    std::optional<asio::ssl::context> tls_context;
    std::optional<asio::ssl::stream<Socket&>> tls;
    std::array<char, 16384> room{};  ///< for one read
    std::string received;
    std::string unsent;
    std::size_t may_send = 0;  ///< of `unsent`
    Script::End end = Script::End::keep;
    bool writing = false;
    bool over = false;

    void close() {
        boost::system::error_code ignored;
        socket.close(ignored);
        over = true;
    }
    void reset() {
        boost::system::error_code ignored;
        socket.set_option(asio::socket_base::linger(true, 0), ignored);
        close();
    }
};

/// One read or write, over TLS where there is one. 0 is the end of the connection.
Task<std::size_t> read_some(Connection& connection) {
    const auto room = asio::buffer(connection.room);
    if (connection.tls) {
        const auto [error, size] = co_await connection.tls->async_read_some(room, kTuple);
        co_return error ? 0 : size;
    }
    const auto [error, size] = co_await connection.socket.async_read_some(room, kTuple);
    co_return error ? 0 : size;
}

Task<bool> write(Connection& connection, std::string bytes) {
    if (connection.tls) {
        const auto [error, size] =
            co_await asio::async_write(*connection.tls, asio::buffer(bytes), kTuple);
        co_return !error;
    }
    const auto [error, size] =
        co_await asio::async_write(connection.socket, asio::buffer(bytes), kTuple);
    co_return !error;
}

Task<void> write_all(std::shared_ptr<Connection> connection) {
    while (connection->may_send > 0 && !connection->over) {
        std::string piece = connection->unsent.substr(0, connection->may_send);
        connection->unsent.erase(0, piece.size());
        connection->may_send = 0;
        const bool sent = co_await write(*connection, std::move(piece));
        if (!sent) break;
    }
    connection->writing = false;
    if (!connection->unsent.empty()) co_return;
    if (connection->end == Script::End::close) connection->close();
    if (connection->end == Script::End::reset) connection->reset();
}

void send(asio::io_context& io, const std::shared_ptr<Connection>& connection, std::size_t bytes) {
    connection->may_send = std::min(connection->unsent.size(), connection->may_send + bytes);
    if (connection->writing || connection->over) return;
    connection->writing = true;
    asio::co_spawn(io, write_all(connection), asio::detached);
}

}  // namespace

struct ScriptedServer::Impl {
    Impl(asio::io_context& io_context, Script first_script)
        : io(io_context), script(std::move(first_script)) {}

    asio::io_context& io;
    Script script;
    std::optional<tcp::acceptor> tcp_acceptor;
    std::optional<local::acceptor> unix_acceptor;
    std::string unix_path;
    std::uint16_t port = 0;
    std::vector<std::shared_ptr<Connection>> connections;
    std::vector<std::string> requests;
    std::vector<std::string> client_names;
    std::size_t bytes_read = 0;

    void close() {
        if (tcp_acceptor) tcp_acceptor->close();
        if (unix_acceptor) unix_acceptor->close();
        for (const auto& connection : connections) connection->close();
    }
    void take_requests(const std::shared_ptr<Connection>& connection);
    static Task<void> serve(std::shared_ptr<Impl> self, std::shared_ptr<Connection> connection);
    template <class Acceptor>
    static Task<void> accept(std::shared_ptr<Impl> self, std::optional<Acceptor>& acceptor);
};

void ScriptedServer::Impl::take_requests(const std::shared_ptr<Connection>& connection) {
    while (const std::size_t size = request_size(connection->received)) {
        requests.push_back(connection->received.substr(0, size));
        connection->received.erase(0, size);
        connection->unsent += script.answer;
        connection->end = script.end;
        // An empty answer ends at once, too.
        if (script.at_once > 0 || script.answer.empty())
            send(io, connection, std::min(script.at_once, script.answer.size()));
    }
}

Task<void> ScriptedServer::Impl::serve(std::shared_ptr<Impl> self,
                                       std::shared_ptr<Connection> connection) {
    if (!self->script.read) co_return;
    if (self->script.tls != nullptr) {
        auto& context = connection->tls_context.emplace(asio::ssl::context::tls_server);
        context.use_certificate_chain(asio::buffer(self->script.tls->certificate_pem));
        context.use_private_key(asio::buffer(self->script.tls->key_pem), asio::ssl::context::pem);
        if (self->script.ask_for_certificate) {
            context.set_verify_mode(asio::ssl::verify_peer);
            context.set_verify_callback([](bool, asio::ssl::verify_context&) { return true; });
        }
        connection->tls.emplace(connection->socket, context);
        const auto [error] =
            co_await connection->tls->async_handshake(asio::ssl::stream_base::server, kTuple);
        if (error) connection->close();
        const runtime::OwnedX509 peer(SSL_get1_peer_certificate(connection->tls->native_handle()));
        if (peer) self->client_names.push_back(common_name(*peer));
    }
    while (!connection->over) {
        const std::size_t size = co_await read_some(*connection);
        if (size == 0) break;
        self->bytes_read += size;
        connection->received.append(connection->room.data(), size);
        self->take_requests(connection);
    }
    connection->close();
}

template <class Acceptor>
Task<void> ScriptedServer::Impl::accept(std::shared_ptr<Impl> self,
                                        std::optional<Acceptor>& acceptor) {
    for (;;) {
        const auto connection = std::make_shared<Connection>(self->io);
        const auto [error] = co_await acceptor->async_accept(connection->socket, kTuple);
        if (error) co_return;
        self->connections.push_back(connection);
        asio::co_spawn(self->io, serve(self, connection), asio::detached);
    }
}

ScriptedServer::ScriptedServer(asio::io_context& io, Script script)
    : impl_(std::make_shared<Impl>(io, std::move(script))) {
    refuse();  // takes a port
    listen();
}

ScriptedServer::ScriptedServer(asio::io_context& io, const std::string& unix_path, Script script)
    : impl_(std::make_shared<Impl>(io, std::move(script))) {
    impl_->unix_path = unix_path;
    listen();
}

ScriptedServer::~ScriptedServer() {
    impl_->close();
    if (!impl_->unix_path.empty()) ::unlink(impl_->unix_path.c_str());
}

void ScriptedServer::behave(Script script) {
    impl_->script = std::move(script);
}

void ScriptedServer::refuse() {
    if (!impl_->unix_path.empty()) {
        impl_->unix_acceptor->close();
        return;
    }
    if (impl_->tcp_acceptor) impl_->tcp_acceptor->close();
    // Bound but not listening: nobody else gets the port, and the kernel refuses.
    auto& acceptor = impl_->tcp_acceptor.emplace(impl_->io);
    acceptor.open(tcp::v4());
    acceptor.set_option(tcp::acceptor::reuse_address(true));
    acceptor.bind({asio::ip::address_v4::loopback(), impl_->port});
    impl_->port = acceptor.local_endpoint().port();
}

void ScriptedServer::listen() {
    if (impl_->unix_path.empty()) {
        impl_->tcp_acceptor->listen();
        asio::co_spawn(impl_->io, Impl::accept(impl_, impl_->tcp_acceptor), asio::detached);
        return;
    }
    ::unlink(impl_->unix_path.c_str());
    impl_->unix_acceptor.emplace(impl_->io, local::endpoint(impl_->unix_path));
    asio::co_spawn(impl_->io, Impl::accept(impl_, impl_->unix_acceptor), asio::detached);
}

void ScriptedServer::step() {
    for (const auto& connection : impl_->connections)
        if (!connection->unsent.empty()) send(impl_->io, connection, 1);
}

void ScriptedServer::release() {
    for (const auto& connection : impl_->connections)
        if (!connection->unsent.empty()) send(impl_->io, connection, connection->unsent.size());
}

void ScriptedServer::send_unasked(const std::string& bytes) {
    for (const auto& connection : impl_->connections) {
        connection->unsent += bytes;
        send(impl_->io, connection, connection->unsent.size());
    }
}

void ScriptedServer::close_all() {
    for (const auto& connection : impl_->connections) connection->close();
}

std::uint16_t ScriptedServer::port() const {
    return impl_->port;
}

std::string ScriptedServer::url(std::string_view path) const {
    if (!impl_->unix_path.empty()) return std::string("http://localhost").append(path);
    return std::string("http://127.0.0.1:").append(std::to_string(impl_->port)).append(path);
}

std::size_t ScriptedServer::accepted() const {
    return impl_->connections.size();
}

std::size_t ScriptedServer::open() const {
    std::size_t count = 0;
    for (const auto& connection : impl_->connections) count += connection->over ? 0 : 1;
    return count;
}

const std::vector<std::string>& ScriptedServer::requests() const {
    return impl_->requests;
}
const std::vector<std::string>& ScriptedServer::client_names() const {
    return impl_->client_names;
}
std::size_t ScriptedServer::bytes_read() const {
    return impl_->bytes_read;
}

Script Script::status(unsigned status, std::string_view body, std::string_view extra_headers) {
    Script script;
    script.answer.append("HTTP/1.1 ")
        .append(std::to_string(status))
        .append(" Text\r\n")
        .append(extra_headers);
    script.answer.append("Content-Length: ")
        .append(std::to_string(body.size()))
        .append("\r\n\r\n")
        .append(body);
    return script;
}

Script Script::ok(std::string_view body) {
    return status(200, body);
}

Script Script::silent() {
    Script script = ok("too late");
    script.at_once = 0;
    return script;
}

Script Script::deaf() {
    Script script;
    script.read = false;
    return script;
}

Script Script::head_then_silence() {
    Script script = ok("too late");
    script.at_once = script.answer.size() - std::string_view("too late").size();
    return script;
}

Script Script::byte_by_byte(std::string_view body) {
    Script script = ok(body);
    script.at_once = 0;
    return script;
}

Script Script::reset() {
    Script script;
    script.end = End::reset;
    return script;
}

Script Script::close() {
    Script script;
    script.end = End::close;
    return script;
}

Script Script::truncated() {
    Script script = ok("0123456789");
    script.answer.resize(script.answer.size() - 5);
    script.end = End::close;
    return script;
}

Script Script::huge(std::size_t body_bytes) {
    return ok(std::string(body_bytes, 'x'));
}

Script Script::garbage() {
    Script script;
    script.answer = "SSH-2.0-OpenSSH_9.2p1 Debian\r\n";
    return script;
}

Script Script::over_tls(const TestIdentity& identity) const {
    Script script = *this;
    script.tls = &identity;
    return script;
}

}  // namespace test
