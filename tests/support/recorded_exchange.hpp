/// Exchanges that were recorded from the original, as a handler sees them.
#pragma once

#include "launcher/runtime/http_server.hpp"
#include "tests/support/kms_vectors.hpp"

#include <string>

namespace test_support {

/// The bytes of a recorded body: {"text":…}, {"hex":…}, or nothing.
inline std::string body_text(const boost::json::value& body) {
    const boost::json::object& object = body.as_object();
    if (object.contains("text")) return text_at(body, "text");
    if (object.contains("hex")) return std::string(runtime::as_text(hex_at(body, "hex")));
    return {};
}

/// {"head":…,"body":…}
inline runtime::HttpServerRequest request_of(const boost::json::value& request) {
    const std::string head = text_at(request, "head");
    runtime::HttpServerRequest out;
    const std::size_t line_end = head.find("\r\n");
    const std::size_t first = head.find(' ');
    const std::size_t second = head.find(' ', first + 1);
    out.method = head.substr(0, first);
    out.target = head.substr(first + 1, second - first - 1);
    const std::size_t question = out.target.find('?');
    out.path = out.target.substr(0, question);
    if (question != std::string::npos) out.query = out.target.substr(question + 1);
    for (std::size_t at = line_end + 2; head.compare(at, 2, "\r\n") != 0;) {
        const std::size_t end = head.find("\r\n", at);
        const std::size_t colon = head.find(": ", at);
        out.headers.push_back(
            {head.substr(at, colon - at), head.substr(colon + 2, end - colon - 2)});
        at = end + 2;
    }
    out.body = body_text(request.at("body"));
    return out;
}

}  // namespace test_support
