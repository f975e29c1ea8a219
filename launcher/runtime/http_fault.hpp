/// From the end of a libcurl transfer to an HttpFault and words for people. Internal to
/// http_client.cpp.
#pragma once

#include "launcher/runtime/http_client.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace runtime {

/// How far an exchange got.
enum class HttpStage { lookup, connect, tls, answer, head, body };

/// What is known about a transfer that ended without an answer.
struct HttpEnding {
    int curl_code = 0;
    int os_errno = 0;        ///< of the failed system call; 0 if none failed
    int open_errno = 0;      ///< why no socket could be made; 0 if one could
    long verify_result = 0;  ///< X509_V_ERR_* of the peer's certificate
    std::string_view
        curl_text;  ///< read for one distinction only, never shown: it may hold anything
    HttpStage stage = HttpStage::lookup;
    bool sent = false;           ///< the request was begun
    bool reused = false;         ///< … on a kept connection
    bool too_large = false;      ///< a bound on the answer was reached
    bool lookups_stuck = false;  ///< refused because too many lookups hang
    std::string_view where;      ///< "http://host:port" or "unix socket /path"
    std::string_view ca_file;
};

struct HttpFaultText {
    HttpFault fault = HttpFault::none;
    std::string text;
};

/// An exchange that came to nothing else.
HttpExchange failed_exchange(HttpFaultText why);
/// Why a client does not begin an exchange; HttpFault::none when it may. `under_way` of `most`
/// others are.
HttpFaultText refuse_to_begin(bool closed, Deadline deadline, TimePoint now, std::size_t under_way,
                              std::size_t most);

/// Errors are named by what the caller can do; the text has no URL credentials, path or query.
HttpFaultText explain(const HttpEnding& ending);
/// The text of HttpFault::timed_out.
std::string explain_timeout(HttpStage stage, std::chrono::milliseconds limit,
                            std::string_view where);

}  // namespace runtime
