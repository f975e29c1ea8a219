/// TLS contexts for servers and clients.
#pragma once

#include "launcher/runtime/openssl_ptr.hpp"
#include "launcher/runtime/result.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace runtime {

/// A TLS server identity and its policy: TLS 1.2 and 1.3 with AEAD suites, groups X25519, P-256,
/// P-384, client preference, ALPN "h2" (if `http2`), then "http/1.1". Source: spec "kms-protocol"
/// section 2.1.
struct TlsServerOptions {
    std::string certificate_pem;  ///< leaf first; only what is given is sent
    std::string_view key_pem;     ///< PKCS#8; borrowed for the call, never copied into a string
    std::string client_ca_pem;    ///< anchors for client certificates; empty = none are asked for
    bool client_certificate_required = false;
    /// How long a session can be resumed. A resumed session keeps the client's certificate.
    std::chrono::seconds session_lifetime{43'200};
    long sessions = 1024;  ///< kept in memory, for TLS 1.2 clients without tickets
    bool http2 = false;    ///< offer "h2" by ALPN, before "http/1.1"
};

class TlsServerContext {
  public:
    /// Errors (invalid_argument): unreadable certificate or key, or a key that does not belong to
    /// the certificate.
    static Result<TlsServerContext> create(const TlsServerOptions& options);
    SSL_CTX* native() const { return context_.get(); }
    /// Sessions that clients wanted to resume too late, and those forgotten for want of room.
    long sessions_expired() const { return SSL_CTX_sess_timeouts(context_.get()); }
    long sessions_evicted() const { return SSL_CTX_sess_cache_full(context_.get()); }

  private:
    explicit TlsServerContext(OwnedSslCtx context) : context_(std::move(context)) {}
    OwnedSslCtx context_;
};

}  // namespace runtime
