#include "tests/support/raw_client.hpp"

#include <array>
#include <chrono>
#include <stdexcept>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/impl/src.hpp>  // tests play TLS clients with Asio; programs do not
#include <boost/asio/write.hpp>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace test {

using boost::asio::ip::tcp;
using runtime::Owned;
using runtime::OwnedBio;
using runtime::OwnedPkey;
using runtime::OwnedX509;

bool run_until(boost::asio::io_context& io, const std::function<bool()>& condition) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    io.restart();
    while (!condition()) {
        if (std::chrono::steady_clock::now() > limit) return false;
        if (io.stopped()) io.restart();
        io.run_one_for(std::chrono::milliseconds(20));
    }
    return true;
}

RawClient::RawClient(boost::asio::io_context& io, std::uint16_t port)
    : socket_(std::make_shared<tcp::socket>(io)) {
    socket_->connect({boost::asio::ip::address_v4::loopback(), port});
}

void RawClient::send(std::string_view text) {
    boost::system::error_code ignored;  // a server that refuses may have closed already
    boost::asio::write(*socket_, boost::asio::buffer(text), ignored);
}

void RawClient::collect() {
    read_more(socket_, state_, std::make_shared<std::array<char, 4096>>());
}

void RawClient::read_more(std::shared_ptr<tcp::socket> socket, std::shared_ptr<State> state,
                          std::shared_ptr<std::array<char, 4096>> buffer) {
    tcp::socket& from = *socket;
    const auto room = boost::asio::buffer(*buffer);
    from.async_read_some(room,
                         [socket, state, buffer](boost::system::error_code error, std::size_t got) {
                             state->received.append(buffer->data(), got);
                             if (error)
                                 state->ended = true;
                             else
                                 read_more(socket, state, buffer);
                         });
}

namespace {

std::string text_of(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return {data, static_cast<std::size_t>(size)};
}

}  // namespace

TestIdentity make_identity(std::string_view common_name, const TestIdentity* issuer,
                           std::size_t padding) {
    OwnedPkey key(EVP_EC_gen("P-256"));
    OwnedX509 certificate(X509_new());
    X509_set_version(certificate.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 24 * 3600);
    X509_set_pubkey(certificate.get(), key.get());
    X509_NAME* name = X509_get_subject_name(certificate.get());
    const std::string text(common_name);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(text.c_str()), -1, -1, 0);
    OwnedPkey signer;
    if (issuer != nullptr) {
        OwnedBio key_bio(
            BIO_new_mem_buf(issuer->key_pem.data(), static_cast<int>(issuer->key_pem.size())));
        signer.reset(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
        OwnedBio ca_bio(BIO_new_mem_buf(issuer->certificate_pem.data(),
                                        static_cast<int>(issuer->certificate_pem.size())));
        OwnedX509 ca(PEM_read_bio_X509(ca_bio.get(), nullptr, nullptr, nullptr));
        X509_set_issuer_name(certificate.get(), X509_get_subject_name(ca.get()));
    } else {
        X509_set_issuer_name(certificate.get(), name);
        Owned<X509_EXTENSION, X509_EXTENSION_free> ca(
            X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "critical,CA:TRUE"));
        X509_add_ext(certificate.get(), ca.get(), -1);
    }
    if (padding != 0) {
        const std::string bytes(padding, 'p');
        Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> value(ASN1_OCTET_STRING_new());
        ASN1_OCTET_STRING_set(value.get(), reinterpret_cast<const unsigned char*>(bytes.data()),
                              static_cast<int>(bytes.size()));
        Owned<X509_EXTENSION, X509_EXTENSION_free> extension(
            X509_EXTENSION_create_by_NID(nullptr, NID_netscape_comment, 0, value.get()));
        X509_add_ext(certificate.get(), extension.get(), -1);
    }
    if (X509_sign(certificate.get(), signer ? signer.get() : key.get(), EVP_sha256()) == 0)
        throw std::runtime_error("cannot sign the test certificate");
    OwnedBio out(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(out.get(), certificate.get());
    OwnedBio key_out(BIO_new(BIO_s_mem()));
    PEM_write_bio_PKCS8PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    return {text_of(out.get()), text_of(key_out.get())};
}

}  // namespace test
