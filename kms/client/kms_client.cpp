#include "kms/client/kms_client.hpp"

#include "kms/crypto/pem.hpp"
#include "kms/rpc/status_phrase.hpp"

namespace kms {
namespace {

using runtime::Deadline;
using runtime::HttpExchange;
using runtime::Task;
using tl::make_unexpected;

/// A server's answer may be anything; what is shown of it has an end.
constexpr std::size_t kQuotedBody = 2048;

RpcError no_answer(const std::string& base_url, const HttpExchange& exchange) {
    std::string why(to_string(exchange.fault));
    if (!exchange.fault_detail.empty()) why += " (" + exchange.fault_detail + ")";
    return {"Failed to send request",
            {"no answer from " + runtime::url_origin(base_url) + ": " + why}};
}

std::string quoted(std::string_view body) {
    std::size_t size = std::min(body.size(), kQuotedBody);
    while (size > 0 && size < body.size() &&
           (static_cast<unsigned char>(body[size]) & 0xC0) == 0x80)
        --size;
    return std::string(body.substr(0, size));
}

std::optional<crypto::LeafCertificate> leaf_of(const HttpExchange& exchange) {
    if (exchange.peer_certificate.empty()) return std::nullopt;
    const auto der = crypto::first_pem_block(exchange.peer_certificate);
    if (!der) return std::nullopt;
    auto leaf = crypto::LeafCertificate::parse(der->view());
    if (!leaf) return std::nullopt;
    return std::move(*leaf);
}

}  // namespace

std::string prpc_url(std::string_view source_url) {
    while (source_url.ends_with('/')) source_url.remove_suffix(1);
    std::string url(source_url);
    if (!url.ends_with("/prpc")) url += "/prpc";
    return url;
}

KmsClient::KmsClient(runtime::HttpClient& http, runtime::Clock& clock, KmsClientOptions options,
                     Validator validator)
    : http_(http), clock_(clock), options_(std::move(options)), validator_(std::move(validator)) {}

Task<tl::expected<std::string, RpcError>> KmsClient::call(std::string method, std::string arguments,
                                                          Deadline deadline) {
    runtime::HttpClientRequest request;
    request.method = "POST";
    request.url = options_.base_url + "/" + method + "?json";
    request.headers.emplace_back("accept", "*/*");
    request.body = std::move(arguments);
    request.max_response_bytes = options_.response_bytes;
    request.connect_timeout = options_.connect_limit;
    // The validator looks at the certificate of this exchange, so this exchange has a handshake.
    request.new_connection = true;
    request.tls.verify_peer = options_.trust.check_chain;
    request.tls.verify_name = options_.trust.check_name;
    request.tls.ca_pem = options_.trust.root_pem;
    request.tls.client_certificate_pem = options_.client_certificate_pem;
    request.tls.client_key_pem = options_.client_key_pem;
    request.tls.tell_certificate = validator_ != nullptr;
    const Deadline limit = deadline.narrowed(clock_.now(), options_.limit);
    HttpExchange exchange = co_await http_.exchange(std::move(request), limit);
    if (!exchange.ok()) co_return make_unexpected(no_answer(options_.base_url, exchange));
    if (validator_) {
        auto valid = co_await validator_(leaf_of(exchange), limit);
        if (!valid)
            co_return make_unexpected(
                std::move(valid.error()).within("Failed to validate attestation"));
    }
    if (exchange.status < 200 || exchange.status > 299)
        co_return make_unexpected(
            RpcError("Request failed with status=" + status_phrase(exchange.status) +
                     ", error=" + quoted(exchange.body)));
    co_return std::move(exchange.body);
}

}  // namespace kms
