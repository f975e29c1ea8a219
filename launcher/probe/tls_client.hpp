/// TlsClient: the client's side of TLS as a machine between bytes and bytes. It owns no socket and
/// never waits; the caller moves what it produces to the peer and feeds what the peer sends.
/// Source: spec "launcher" section 2.3, 2.4.
#pragma once

#include "launcher/plan/plan.hpp"
#include "launcher/plan/probe_result.hpp"
#include "launcher/runtime/openssl_ptr.hpp"
#include "launcher/runtime/result.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace launcher {

class TlsClient {
  public:
    /// Uses verify, ca_file, pin_sha256, sni, alpn, min_tls and the client certificate of `plan`;
    /// `host` is the name (or address) to verify and to send as SNI when the plan names none.
    /// Errors (invalid_argument): files that cannot be read, an unknown policy.
    static runtime::Result<TlsClient> create(const ProbePlan& plan, const std::string& host);

    enum class Step {
        done,       ///< the handshake is complete, or bytes were read
        want_read,  ///< feed more
        closed,     ///< the peer has ended the stream
        failed,     ///< see outcome() and detail()
    };
    Step handshake();
    /// Encrypts all of `text`; only after the handshake.
    Step write(std::string_view text);
    /// Decrypts at most buffer.size() bytes; `count` is set with done.
    Step read(std::span<char> buffer, std::size_t& count);
    /// Says good-bye; the bytes for the peer are in take_output().
    void shutdown();

    void feed(std::string_view bytes);
    void feed_end();  ///< the peer closed or reset the connection
    /// Bytes for the peer; empties the buffer.
    std::string take_output();

    /// After failed: tls_closed or tls_error, and why, in words.
    ProbeOutcome outcome() const { return outcome_; }
    const std::string& detail() const { return detail_; }
    /// After failed: the peer answered the ClientHello in plain HTTP, or closed without a byte: it
    /// may speak plain HTTP.
    bool peer_may_be_plain() const;
    /// Hex, lower case; empty before the peer has shown its certificate.
    std::string certificate_sha256() const;
    /// "TLSv1.3" and the like, after the handshake.
    std::string version() const;

  private:
    TlsClient(runtime::OwnedSslCtx context, runtime::OwnedSsl ssl, std::string pin);
    Step judge(int result, const char* doing);
    Step fail(ProbeOutcome outcome, std::string detail);

    runtime::OwnedSslCtx context_;
    runtime::OwnedSsl ssl_;
    BIO* incoming_;  ///< owned by ssl_
    BIO* outgoing_;  ///< owned by ssl_
    std::string pin_;
    std::string first_bytes_;  ///< of the peer, at most 5
    bool peer_ended_ = false;
    ProbeOutcome outcome_ = ProbeOutcome::tls_error;
    std::string detail_;
};

}  // namespace launcher
