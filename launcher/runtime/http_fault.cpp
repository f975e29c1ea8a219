#include "launcher/runtime/http_fault.hpp"

#include <cerrno>
#include <system_error>

#include <curl/curl.h>
#include <openssl/x509_vfy.h>

namespace runtime {

namespace {

std::string joined(std::string_view a, std::string_view b, std::string_view c = {},
                   std::string_view d = {}) {
    std::string text;
    text.reserve(a.size() + b.size() + c.size() + d.size());
    return text.append(a).append(b).append(c).append(d);
}

std::string system_text(int number) {
    return std::system_category().message(number);
}

std::string cannot_connect_text(const HttpEnding& ending) {
    if (ending.os_errno == 0) return joined("cannot connect to ", ending.where);
    std::string text =
        joined("cannot connect to ", ending.where, ": ", system_text(ending.os_errno));
    if (ending.os_errno == ECONNREFUSED || ending.os_errno == ENOENT)
        text += "; check that the service runs and listens there";
    return text;
}

std::string tls_text(const HttpEnding& ending) {
    const std::string start = joined("no TLS connection to ", ending.where, ": ");
    switch (ending.curl_code) {
        case CURLE_PEER_FAILED_VERIFICATION:
            // curl looks at the name before it asks OpenSSL for the verdict, which is unspecified
            // until then.
            if (ending.verify_result != X509_V_OK && ending.verify_result != X509_V_ERR_UNSPECIFIED)
                return start + "its certificate was refused (" +
                       X509_verify_cert_error_string(ending.verify_result) + ")";
            return start + "its certificate is not for this name";
        case CURLE_SSL_CACERT_BADFILE:
            if (ending.ca_file.empty())
                return start + "the system's root certificates cannot be read";
            return joined(start, "the CA file '", ending.ca_file,
                          "' cannot be read or holds no certificate");
        case CURLE_SSL_CERTPROBLEM:
            return start + "the client certificate or its key cannot be used";
        default:
            break;
    }
    if (ending.os_errno != 0) return start + system_text(ending.os_errno);
    return start + "the handshake failed; check that the peer speaks TLS there";
}

std::string closed_text(const HttpEnding& ending) {
    if (ending.reused && ending.stage == HttpStage::answer)
        return joined(ending.where, " closed the kept connection before it answered");
    const bool reset = ending.os_errno == ECONNRESET || ending.os_errno == EPIPE;
    const std::string how =
        joined(ending.where, reset ? " reset the connection" : " closed the connection");
    switch (ending.stage) {
        case HttpStage::head:
            return how + " within the head of its answer";
        case HttpStage::body:
            return how + " before its answer was complete";
        default:
            return how + " without an answer";
    }
}

bool is_tls_failure(int code) {
    switch (code) {
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_USE_SSL_FAILED:
            return true;
        default:
            return false;
    }
}

std::string span_text(std::chrono::milliseconds span) {
    const auto count = span.count();
    return count >= 1000 && count % 1000 == 0 ? std::to_string(count / 1000) + "s"
                                              : std::to_string(count) + "ms";
}

/// The faults that can only come before the request was begun.
HttpFaultText explain_unsent(const HttpEnding& ending) {
    if (ending.open_errno != 0)
        return {HttpFault::internal, joined("cannot make a socket for ", ending.where, ": ",
                                            system_text(ending.open_errno))};
    if (ending.lookups_stuck)
        return {HttpFault::cannot_resolve, joined("cannot resolve the name in ", ending.where,
                                                  ": too many lookups hang already; check the "
                                                  "machine's DNS servers")};
    switch (ending.curl_code) {
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
            return {HttpFault::bad_url, "the URL is not a valid http:// or https:// address"};
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY:
            return {HttpFault::cannot_resolve,
                    joined("cannot resolve the name in ", ending.where,
                           "; check its spelling and the machine's DNS servers")};
        case CURLE_PROXY:
            return {HttpFault::cannot_connect,
                    joined("the proxy of the environment gave no connection to ", ending.where)};
        case CURLE_OUT_OF_MEMORY:
            return {HttpFault::internal, "no memory for an HTTP exchange"};
        default:
            break;
    }
    if (is_tls_failure(ending.curl_code)) return {HttpFault::cannot_connect, tls_text(ending)};
    if (ending.stage == HttpStage::tls) return {HttpFault::cannot_connect, tls_text(ending)};
    return {HttpFault::cannot_connect, cannot_connect_text(ending)};
}

HttpFaultText explain_sent(const HttpEnding& ending) {
    switch (ending.curl_code) {
        case CURLE_UNSUPPORTED_PROTOCOL:  // a first line that is not HTTP/1.x
        case CURLE_WEIRD_SERVER_REPLY:
        case CURLE_BAD_CONTENT_ENCODING:
            return {HttpFault::malformed,
                    joined(ending.where, " answered with something that is not HTTP")};
        case CURLE_RECV_ERROR:
            // Broken chunking and a broken connection have the same code; only the words differ.
            if (ending.curl_text.find("chunk") != std::string_view::npos)
                return {HttpFault::malformed,
                        joined(ending.where, " sent a body with broken chunks")};
            return {HttpFault::closed, closed_text(ending)};
        case CURLE_OUT_OF_MEMORY:  // curl's own bound on one header line
            if (ending.stage != HttpStage::body)
                return {HttpFault::too_large,
                        joined(ending.where, " sent a head that is too large")};
            return {HttpFault::internal, "no memory for an HTTP exchange"};
        case CURLE_GOT_NOTHING:
        case CURLE_PARTIAL_FILE:
        case CURLE_SEND_ERROR:
        case CURLE_COULDNT_CONNECT:      // curl wanted to send again on a new connection
        case CURLE_ABORTED_BY_CALLBACK:  // … or on another kept one
            return {HttpFault::closed, closed_text(ending)};
        default:
            return {HttpFault::internal,
                    joined("the exchange with ", ending.where, " failed: libcurl error ",
                           std::to_string(ending.curl_code))};
    }
}

}  // namespace

HttpFaultText explain(const HttpEnding& ending) {
    // FILESIZE_EXCEEDED: the length that the head announces is beyond the bound; nothing of the
    // body is read then.
    const bool announced = ending.curl_code == CURLE_FILESIZE_EXCEEDED;
    if (ending.too_large || announced) {
        const bool body = announced || ending.stage == HttpStage::body;
        return {HttpFault::too_large,
                joined(ending.where, body ? " sent an answer that is too large"
                                          : " sent a head that is too large")};
    }
    return ending.sent ? explain_sent(ending) : explain_unsent(ending);
}

std::string explain_timeout(HttpStage stage, std::chrono::milliseconds limit,
                            std::string_view where) {
    const std::string start =
        joined("no answer from ", where, " within ") + span_text(limit) + ": ";
    switch (stage) {
        case HttpStage::lookup:
            return start + "its name was not resolved";
        case HttpStage::connect:
            return start + "the connection was not established";
        case HttpStage::tls:
            return start + "the TLS handshake did not end";
        case HttpStage::answer:
            return start + "the request was sent, but nothing came back";
        case HttpStage::head:
            return start + "the head of the answer did not end";
        case HttpStage::body:
            return start + "the body of the answer did not end";
    }
    return start;
}

HttpExchange failed_exchange(HttpFaultText why) {
    HttpExchange exchange;
    exchange.fault = why.fault;
    exchange.fault_detail = std::move(why.text);
    return exchange;
}

HttpFaultText refuse_to_begin(bool closed, Deadline deadline, TimePoint now, std::size_t under_way,
                              std::size_t most) {
    if (closed) return {HttpFault::internal, "the HTTP client is closed"};
    if (deadline.expired(now))
        return {HttpFault::timed_out, "the deadline had passed before the exchange could begin"};
    if (under_way >= most)
        return {HttpFault::busy,
                std::to_string(under_way) +
                    " HTTP exchanges are under way, which is the limit; try again later"};
    return {};
}

}  // namespace runtime
