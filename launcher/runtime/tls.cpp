#include "launcher/runtime/tls.hpp"

#include <array>

#include <openssl/core_dispatch.h>
#include <openssl/decoder.h>

namespace runtime {
namespace {

// Client order decides; these are the AEAD suites of the specification.
constexpr const char* kSuites13 =
    "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
constexpr const char* kSuites12 =
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kGroups = "X25519:P-256:P-384";
// A guest's certificate carries its event log; OpenSSL's own bound of 100 KB is for the whole
// chain.
constexpr long kMaxClientChainBytes = 256 * 1024;

// ALPN protocol names, each behind its length, the preferred one first.
constexpr std::string_view kProtocols = "\x02h2\x08http/1.1";
constexpr std::size_t kHttp2Bytes = 3;  ///< of the list above

/// `http2` is null unless "h2" is offered.
int select_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                    const unsigned char* offered, unsigned int offered_size, void* http2) {
    const std::string_view names = kProtocols.substr(http2 == nullptr ? kHttp2Bytes : 0);
    unsigned char* match = nullptr;
    if (SSL_select_next_proto(&match, chosen_size,
                              reinterpret_cast<const unsigned char*>(names.data()),
                              static_cast<unsigned int>(names.size()), offered,
                              offered_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;  // alert 120, no_application_protocol
    *chosen = match;
    return SSL_TLSEXT_ERR_OK;
}

OwnedBio memory_bio(std::string_view text) {
    return OwnedBio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Error bad_input(const std::string& what) {
    return Error{ErrorCode::invalid_argument, what + ": " + openssl_error()};
}

Result<void> use_certificate(SSL_CTX* context, std::string_view pem) {
    auto bio = memory_bio(pem);
    OwnedX509 leaf(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1)
        return bad_input("cannot use the TLS certificate");
    while (OwnedX509 next{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
        if (SSL_CTX_add0_chain_cert(context, next.get()) != 1)
            return bad_input("cannot use the TLS certificate chain");
        (void)next.release();  // owned by the context now
    }
    ERR_clear_error();  // the end of the PEM text shows as an error
    return {};
}

OwnedPkey read_key(std::string_view pem) {
    // Nearly every key is on a curve; told so, OpenSSL does not look through all formats it knows.
    EVP_PKEY* key = nullptr;
    auto bio = memory_bio(pem);
    const Owned<OSSL_DECODER_CTX, OSSL_DECODER_CTX_free> decoder(OSSL_DECODER_CTX_new_for_pkey(
        &key, "PEM", nullptr, "EC", OSSL_KEYMGMT_SELECT_KEYPAIR, nullptr, nullptr));
    if (decoder && OSSL_DECODER_from_bio(decoder.get(), bio.get()) == 1) return OwnedPkey(key);
    ERR_clear_error();
    bio = memory_bio(pem);
    return OwnedPkey(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
}

Result<void> use_key(SSL_CTX* context, std::string_view pem) {
    const OwnedPkey key = read_key(pem);
    if (!key) return bad_input("cannot read the TLS key");
    if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1)
        return bad_input("the TLS key does not belong to the TLS certificate");
    return {};
}

Result<void> trust_clients(SSL_CTX* context, std::string_view pem, bool required) {
    X509_STORE* store = SSL_CTX_get_cert_store(context);
    auto bio = memory_bio(pem);
    int anchors = 0;
    while (OwnedX509 anchor{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
        if (X509_STORE_add_cert(store, anchor.get()) != 1 ||
            SSL_CTX_add_client_CA(context, anchor.get()) != 1)
            return bad_input("cannot use the client CA certificate");
        ++anchors;
    }
    ERR_clear_error();
    if (anchors == 0)
        return Error{ErrorCode::invalid_argument, "the client CA file holds no PEM certificate"};
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       nullptr);
    SSL_CTX_set_max_cert_list(context, kMaxClientChainBytes);
    return {};
}

}  // namespace

Result<TlsServerContext> TlsServerContext::create(const TlsServerOptions& options) {
    ERR_clear_error();
    OwnedSslCtx context(SSL_CTX_new(TLS_server_method()));
    SSL_CTX* ctx = context.get();
    if (ctx == nullptr || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, kSuites13) != 1 ||
        SSL_CTX_set_cipher_list(ctx, kSuites12) != 1 || SSL_CTX_set1_groups_list(ctx, kGroups) != 1)
        return Error{ErrorCode::internal, "cannot set TLS up: " + openssl_error()};
    SSL_CTX_set_options(
        ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    // Idle connections give their record buffers back; a whole record is read with one system call.
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_timeout(ctx, static_cast<long>(options.session_lifetime.count()));
    SSL_CTX_sess_set_cache_size(ctx, options.sessions);
    SSL_CTX_set_num_tickets(ctx, 0);  // HttpConnection gives one, with the first answer
    static constexpr std::array<unsigned char, 4> kSessionContext = {'k', 'm', 's', 'l'};
    SSL_CTX_set_session_id_context(ctx, kSessionContext.data(), kSessionContext.size());
    SSL_CTX_set_alpn_select_cb(ctx, select_protocol, options.http2 ? ctx : nullptr);

    TRY_VOID(use_certificate(ctx, options.certificate_pem));
    TRY_VOID(use_key(ctx, options.key_pem));
    if (!options.client_ca_pem.empty())
        TRY_VOID(trust_clients(ctx, options.client_ca_pem, options.client_certificate_required));
    return TlsServerContext(std::move(context));
}

}  // namespace runtime
