#include "launcher/probe/tls_client.hpp"

#include "launcher/runtime/bytes.hpp"

#include <algorithm>
#include <array>
#include <climits>

#include <arpa/inet.h>
#include <openssl/sha.h>
#include <openssl/x509_vfy.h>

namespace launcher {
namespace {

using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

constexpr std::string_view kPlainHttp = "HTTP/";

Error bad_option(std::string text) {
    return {ErrorCode::invalid_argument, std::move(text)};
}

bool is_address(const std::string& host) {
    std::array<unsigned char, 16> out{};
    return inet_pton(AF_INET, host.c_str(), out.data()) == 1 ||
           inet_pton(AF_INET6, host.c_str(), out.data()) == 1;
}

/// "http/1.1,h2" → the wire form: each name behind its length.
Result<std::string> alpn_wire(std::string_view names) {
    std::string wire;
    while (!names.empty()) {
        const auto comma = std::min(names.find(','), names.size());
        const std::string_view name = names.substr(0, comma);
        if (name.empty() || name.size() > 255)
            return bad_option("alpn: each name must have 1 to 255 characters");
        wire += static_cast<char>(name.size());
        wire += name;
        names.remove_prefix(std::min(comma + 1, names.size()));
    }
    return wire;
}

/// "AB:CD:…", upper or lower case → lower-case hex.
Result<std::string> normal_pin(std::string_view text) {
    std::string hex;
    for (const char c : text)
        if (c != ':') hex += c;
    auto bytes = runtime::from_hex(hex);
    if (!bytes || bytes->size() != SHA256_DIGEST_LENGTH)
        return bad_option(
            "pin-sha256: 64 hexadecimal digits are needed, the SHA-256 of the certificate");
    return runtime::to_hex(*bytes);
}

Result<void> set_policy(SSL_CTX* context, const ProbePlan& plan) {
    if (plan.min_tls != "1.2" && plan.min_tls != "1.3")
        return bad_option("min_tls must be 1.2 or 1.3, not '" + plan.min_tls + "'");
    SSL_CTX_set_min_proto_version(context, plan.min_tls == "1.3" ? TLS1_3_VERSION : TLS1_2_VERSION);
    if (plan.verify == "ca-file") {
        if (SSL_CTX_load_verify_file(context, plan.ca_file.c_str()) != 1)
            return bad_option("cannot use the CA file '" + plan.ca_file +
                              "': " + runtime::openssl_error());
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    } else if (plan.verify == "none" || plan.verify == "pin-sha256") {
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
    } else {
        return bad_option("verify must be none, ca-file or pin-sha256, not '" + plan.verify + "'");
    }
    if (!plan.client_cert_file.empty()) {
        if (SSL_CTX_use_certificate_chain_file(context, plan.client_cert_file.c_str()) != 1)
            return bad_option("cannot use the client certificate '" + plan.client_cert_file +
                              "': " + runtime::openssl_error());
        if (SSL_CTX_use_PrivateKey_file(context, plan.client_key_file.c_str(), SSL_FILETYPE_PEM) !=
            1)
            return bad_option("cannot use the client key '" + plan.client_key_file +
                              "': " + runtime::openssl_error());
    }
    return {};
}

Result<void> set_peer(SSL* ssl, const ProbePlan& plan, const std::string& host) {
    const std::string& name = plan.sni.empty() ? host : plan.sni;
    // What SSL_set_tlsext_host_name does, without its old-style cast.
    std::string sni = name;
    if (!is_address(name))
        SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, sni.data());
    if (plan.verify == "ca-file") {
        X509_VERIFY_PARAM* parameters = SSL_get0_param(ssl);
        const int set = is_address(name)
                            ? X509_VERIFY_PARAM_set1_ip_asc(parameters, name.c_str())
                            : X509_VERIFY_PARAM_set1_host(parameters, name.c_str(), name.size());
        if (set != 1) return bad_option("'" + name + "' cannot be the name in a certificate");
    }
    TRY(const auto alpn, alpn_wire(plan.alpn));
    if (!alpn.empty())
        SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(alpn.data()),
                            static_cast<unsigned>(alpn.size()));
    return {};
}

}  // namespace

Result<TlsClient> TlsClient::create(const ProbePlan& plan, const std::string& host) {
    ERR_clear_error();
    runtime::OwnedSslCtx context(SSL_CTX_new(TLS_client_method()));
    if (!context)
        return Error{ErrorCode::internal, "cannot make a TLS context: " + runtime::openssl_error()};
    TRY_VOID(set_policy(context.get(), plan));
    std::string pin;
    if (plan.verify == "pin-sha256") {
        TRY(pin, normal_pin(plan.pin_sha256));
    }
    runtime::OwnedSsl ssl(SSL_new(context.get()));
    if (!ssl)
        return Error{ErrorCode::internal, "cannot make a TLS session: " + runtime::openssl_error()};
    TRY_VOID(set_peer(ssl.get(), plan, host));
    return TlsClient(std::move(context), std::move(ssl), std::move(pin));
}

TlsClient::TlsClient(runtime::OwnedSslCtx context, runtime::OwnedSsl ssl, std::string pin)
    : context_(std::move(context)),
      ssl_(std::move(ssl)),
      incoming_(BIO_new(BIO_s_mem())),
      outgoing_(BIO_new(BIO_s_mem())),
      pin_(std::move(pin)) {
    BIO_set_mem_eof_return(incoming_, -1);  // empty means "later", until feed_end()
    SSL_set_bio(ssl_.get(), incoming_, outgoing_);
    SSL_set_connect_state(ssl_.get());
}

TlsClient::Step TlsClient::fail(ProbeOutcome outcome, std::string detail) {
    outcome_ = outcome;
    detail_ = std::move(detail);
    return Step::failed;
}

TlsClient::Step TlsClient::judge(int result, const char* doing) {
    switch (SSL_get_error(ssl_.get(), result)) {
        case SSL_ERROR_NONE:
            return Step::done;
        case SSL_ERROR_WANT_READ:
        case SSL_ERROR_WANT_WRITE:
            return Step::want_read;  // writing goes to memory and never waits
        case SSL_ERROR_ZERO_RETURN:
            return Step::closed;
        default:
            break;
    }
    const unsigned long code = ERR_peek_error();
    const bool cut_short = ERR_GET_LIB(code) == ERR_LIB_SSL &&
                           ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
    if (cut_short || (peer_ended_ && code == 0)) {
        ERR_clear_error();
        return fail(ProbeOutcome::tls_closed,
                    std::string("the peer closed the connection during ") + doing);
    }
    const long verified = SSL_get_verify_result(ssl_.get());
    std::string reason = runtime::openssl_error();
    if (SSL_get_verify_mode(ssl_.get()) != SSL_VERIFY_NONE && verified != X509_V_OK)
        reason += std::string(" (") + X509_verify_cert_error_string(verified) + ")";
    if (first_bytes_ == kPlainHttp) reason = "the peer speaks plain HTTP";
    return fail(ProbeOutcome::tls_error, "TLS failed during " + std::string(doing) + ": " + reason);
}

TlsClient::Step TlsClient::handshake() {
    ERR_clear_error();
    const Step step = judge(SSL_do_handshake(ssl_.get()), "the handshake");
    if (step == Step::closed)
        return fail(ProbeOutcome::tls_closed, "the peer ended TLS during the handshake");
    if (step == Step::done && !pin_.empty() && certificate_sha256() != pin_)
        return fail(
            ProbeOutcome::tls_error,
            "the certificate is not the pinned one: its SHA-256 is " + certificate_sha256());
    return step;
}

TlsClient::Step TlsClient::write(std::string_view text) {
    while (!text.empty()) {
        ERR_clear_error();
        const auto piece = text.substr(0, std::size_t{INT_MAX});
        const int written = SSL_write(ssl_.get(), piece.data(), static_cast<int>(piece.size()));
        if (const Step step = judge(written, "sending"); step != Step::done) return step;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return Step::done;
}

TlsClient::Step TlsClient::read(std::span<char> buffer, std::size_t& count) {
    ERR_clear_error();
    const int got = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
    const Step step = judge(got, "the answer");
    if (step == Step::done) count = static_cast<std::size_t>(got);
    // Many servers end TCP without ending TLS. An answer's own length tells whether it was cut.
    if (step == Step::failed && outcome_ == ProbeOutcome::tls_closed) return Step::closed;
    return step;
}

void TlsClient::shutdown() {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
}

void TlsClient::feed(std::string_view bytes) {
    first_bytes_ +=
        bytes.substr(0, kPlainHttp.size() - std::min(first_bytes_.size(), kPlainHttp.size()));
    BIO_write(incoming_, bytes.data(), static_cast<int>(bytes.size()));
}

void TlsClient::feed_end() {
    peer_ended_ = true;
    BIO_set_mem_eof_return(incoming_, 0);
}

std::string TlsClient::take_output() {
    std::string bytes(BIO_ctrl_pending(outgoing_), '\0');
    if (!bytes.empty()) BIO_read(outgoing_, bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
}

bool TlsClient::peer_may_be_plain() const {
    return first_bytes_ == kPlainHttp ||
           (outcome_ == ProbeOutcome::tls_closed && first_bytes_.empty());
}

std::string TlsClient::certificate_sha256() const {
    const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
    std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (certificate == nullptr || X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1)
        return {};
    return runtime::to_hex(runtime::ByteView(digest.data(), size));
}

std::string TlsClient::version() const {
    return SSL_get_version(ssl_.get());
}

}  // namespace launcher
