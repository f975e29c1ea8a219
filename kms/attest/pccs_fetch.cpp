#include "kms/attest/pccs_fetch.hpp"

#include "kms/evidence/json_reader.hpp"
#include "kms/verify/x509.hpp"
#include "launcher/runtime/http_server.hpp"

#include <algorithm>
#include <cctype>

namespace kms {
namespace {

using runtime::Deadline;
using runtime::HttpExchange;
using runtime::HttpFault;
using runtime::Task;

constexpr std::size_t kLargestAnswer = 8 * 1024 * 1024;

Error unusable(const std::string& url, std::string_view why) {
    return {ErrorCode::unavailable,
            "the answer of " + url + " cannot be used: " + std::string(why)};
}

/// One server, one deadline: what all requests of a fetch have in common.
struct Peer {
    runtime::HttpClient& http;
    CollateralServer server;
    Deadline deadline;
};

Task<Result<HttpExchange>> get(Peer& peer, std::string url) {
    runtime::HttpClientRequest request;
    request.url = url;
    request.max_response_bytes = kLargestAnswer;
    request.connect_timeout = std::chrono::seconds(5);
    request.use_proxy_from_environment = true;
    request.tls.ca_file = peer.server.ca_file;
    HttpExchange exchange = co_await peer.http.exchange(request, peer.deadline);
    if (exchange.fault == HttpFault::closed && exchange.reused_connection) {
        // The server had ended a connection that was kept; that says nothing about it now.
        request.new_connection = true;
        exchange = co_await peer.http.exchange(std::move(request), peer.deadline);
    }
    if (!exchange.ok()) {
        ErrorCode code = ErrorCode::unavailable;
        if (exchange.fault == HttpFault::timed_out) code = ErrorCode::deadline_exceeded;
        if (exchange.fault == HttpFault::busy) code = ErrorCode::resource_exhausted;
        std::string why = "no answer from " + url + ": " + std::string(to_string(exchange.fault));
        if (!exchange.fault_detail.empty()) why += " (" + exchange.fault_detail + ")";
        co_return Error{code, std::move(why)};
    }
    if (exchange.status < 200 || exchange.status > 299)
        co_return unusable(url, "status " + std::to_string(exchange.status));
    co_return std::move(exchange);
}

Result<std::string> chain_of(const std::string& url, const HttpExchange& exchange,
                             std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
        const std::string_view value = exchange.header(name);
        if (value.empty()) continue;
        std::string text = runtime::percent_decode(value);
        if (!runtime::is_utf8(text)) return unusable(url, std::string(name) + " is not UTF-8");
        return text;
    }
    return unusable(url, "the header " + std::string(*names.begin()) + " is missing");
}

/// JSON without white space outside of strings: the form that was signed.
std::string compact(std::string_view json) {
    std::string out;
    bool in_text = false, escaped = false;
    for (const char c : json) {
        if (!in_text && (c == ' ' || c == '\t' || c == '\r' || c == '\n')) continue;
        out += c;
        if (escaped)
            escaped = false;
        else if (in_text && c == '\\')
            escaped = true;
        else if (c == '"')
            in_text = !in_text;
    }
    return out;
}

struct Statement {
    std::string text;
    Bytes signature;
};
/// {"<member>": {...}, "signature": "<hex>"}
Result<Statement> statement_of(const std::string& url, std::string_view body,
                               std::string_view member) {
    Statement found;
    JsonReader reader(body);
    const auto read = [&]() -> Result<void> {
        const std::string_view names[] = {member, "signature"};
        TRY_VOID(read_members(reader, names, first_members(2), [&](std::size_t i) -> Result<void> {
            if (i == 0) {
                TRY(const std::string_view raw, reader.raw_value());
                found.text = compact(raw);
            } else {
                TRY(found.signature, hex_member(reader));
            }
            return {};
        }));
        return reader.finish();
    };
    if (const auto good = read(); !good) return unusable(url, good.error().context);
    return found;
}

Result<Bytes> der_of_hex(const std::string& url, std::string_view body) {
    auto bytes = runtime::from_hex(body);
    if (!bytes) return unusable(url, bytes.error().context);
    return std::move(*bytes);
}

Bytes bytes_of(std::string_view text) {
    const ByteView view = runtime::as_bytes(text);
    return {view.begin(), view.end()};
}

/// Where the last certificate of a chain says that its list is.
Result<std::string> root_crl_url(std::string_view chain_pem) {
    TRY(const auto chain, x509::PemChain::parse(chain_pem));
    if (chain.size() > 0) {
        TRY(const auto root, x509::parse_certificate(chain[chain.size() - 1]));
        if (root.crl_distribution_points)
            if (const auto uri = x509::first_crl_uri(*root.crl_distribution_points))
                return std::string(*uri);
    }
    return Error{ErrorCode::unavailable,
                 "the root certificate does not say where its revocation list is"};
}

Task<Result<Bytes>> fetch_root_crl(Peer& peer, std::string chain_pem) {
    if (!peer.server.base_url.starts_with(kIntelPcs)) {
        const std::string url = peer.server.base_url + "/sgx/certification/v4/rootcacrl";
        const auto answer = co_await get(peer, url);
        if (answer) co_return der_of_hex(url, answer->body);
    }
    CO_TRY(const std::string url, root_crl_url(chain_pem));
    CO_TRY(const HttpExchange answer, co_await get(peer, url));
    co_return bytes_of(answer.body);
}

std::string upper_hex(ByteView bytes) {
    std::string text = runtime::to_hex(bytes);
    std::ranges::transform(text, text.begin(),
                           [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return text;
}

}  // namespace

Task<Result<Collateral>> fetch_collateral(runtime::HttpClient& http, CollateralServer server,
                                          CollateralQuery query, Deadline deadline) {
    Peer peer{http, std::move(server), deadline};
    const std::string sgx = peer.server.base_url + "/sgx/certification/v4";
    const std::string own =
        peer.server.base_url + (query.tee == TeeType::sgx ? "/sgx" : "/tdx") + "/certification/v4";
    Collateral found;

    const std::string list_url =
        sgx + "/pckcrl?ca=" + (query.processor_ca ? "processor" : "platform") + "&encoding=der";
    CO_TRY(const HttpExchange list, co_await get(peer, list_url));
    CO_TRY(found.pck_crl_issuer_chain, chain_of(list_url, list, {"sgx-pck-crl-issuer-chain"}));
    found.pck_crl = bytes_of(list.body);

    const std::string tcb_url = own + "/tcb?fmspc=" + upper_hex(query.fmspc);
    CO_TRY(const HttpExchange tcb, co_await get(peer, tcb_url));
    CO_TRY(found.tcb_info_issuer_chain,
           chain_of(tcb_url, tcb, {"sgx-tcb-info-issuer-chain", "tcb-info-issuer-chain"}));
    CO_TRY(Statement tcb_info, statement_of(tcb_url, tcb.body, "tcbInfo"));
    found.tcb_info = std::move(tcb_info.text);
    found.tcb_info_signature = std::move(tcb_info.signature);

    const std::string qe_url = own + "/qe/identity?update=standard";
    CO_TRY(const HttpExchange qe, co_await get(peer, qe_url));
    CO_TRY(found.qe_identity_issuer_chain,
           chain_of(qe_url, qe, {"sgx-enclave-identity-issuer-chain"}));
    CO_TRY(Statement identity, statement_of(qe_url, qe.body, "enclaveIdentity"));
    found.qe_identity = std::move(identity.text);
    found.qe_identity_signature = std::move(identity.signature);

    CO_TRY(found.root_ca_crl, co_await fetch_root_crl(peer, found.qe_identity_issuer_chain));
    co_return found;
}

Task<Result<std::string>> fetch_pck_chain(runtime::HttpClient& http, CollateralServer server,
                                          PckRequest request, Deadline deadline) {
    Peer peer{http, std::move(server), deadline};
    const std::string url =
        peer.server.base_url + "/sgx/certification/v4/pckcert?qeid=" + upper_hex(request.qe_id) +
        "&encrypted_ppid=" + upper_hex(request.encrypted_ppid) +
        "&cpusvn=" + upper_hex(request.cpu_svn) + "&pcesvn=" + upper_hex(request.pce_svn) +
        "&pceid=" + upper_hex(request.pce_id);
    CO_TRY(const HttpExchange answer, co_await get(peer, url));
    if (const std::string_view tcb = answer.header("sgx-tcbm"); !tcb.empty()) {
        CO_TRY(const Bytes given, der_of_hex(url, tcb));
        Bytes wanted = request.cpu_svn;
        wanted.insert(wanted.end(), request.pce_svn.begin(), request.pce_svn.end());
        if (given != wanted)
            co_return Error{ErrorCode::unauthenticated,
                            "TCB level mismatch: the platform is registered at TCB " +
                                upper_hex(given) + ", and its quote was made at " +
                                upper_hex(wanted)};
    }
    CO_TRY(const std::string issuers, chain_of(url, answer, {"sgx-pck-certificate-issuer-chain"}));
    co_return answer.body + "\n" + issuers;
}

Task<Result<Collateral>> fetch_for_quote(runtime::HttpClient& http, CollateralServer server,
                                         Bytes quote, Deadline deadline) {
    CO_TRY(const auto request, pck_request(quote));
    std::string chain;
    if (request) {
        CO_TRY(chain, co_await fetch_pck_chain(http, server, *request, deadline));
    } else {
        CO_TRY(const Quote parsed, parse_quote(quote));
        chain = runtime::as_text(parsed.certification.data);
    }
    CO_TRY(const CollateralQuery query, collateral_query(quote, request ? &chain : nullptr));
    CO_TRY(Collateral found, co_await fetch_collateral(http, std::move(server), query, deadline));
    found.pck_certificate_chain = std::move(chain);
    co_return found;
}

}  // namespace kms
