#include "kms/rpc/framework_page.hpp"

#include <algorithm>
#include <charconv>

namespace kms {
namespace {

struct Reason {
    std::string_view phrase;
    std::string_view description;
};

Reason reason_of(unsigned status) {
    switch (status) {
        case 400:
            return {"Bad Request",
                    "The request could not be understood by the server due to malformed syntax."};
        case 404:
            return {"Not Found", "The requested resource could not be found."};
        case 422:
            return {"Unprocessable Entity",
                    "The request was well-formed but was unable to be followed due to semantic "
                    "errors."};
        case 503:
            return {"Service Unavailable",
                    "The server is currently unavailable. Please try again later."};
        default:
            return {"Internal Server Error", "The server met an error and could not answer."};
    }
}

std::string_view trim(std::string_view text) {
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

/// The q parameter of one media range; 1 when there is none.
double weight(std::string_view range) {
    while (true) {
        const auto semicolon = range.find(';');
        if (semicolon == std::string_view::npos) return 1;
        range.remove_prefix(semicolon + 1);
        const std::string_view parameter = trim(range.substr(0, range.find(';')));
        if (!parameter.starts_with("q=") && !parameter.starts_with("Q=")) continue;
        double value = 0;
        std::from_chars(parameter.data() + 2, parameter.data() + parameter.size(), value);
        return value;
    }
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
        return std::tolower(x) == std::tolower(y);
    });
}

}  // namespace

bool prefers_json(std::string_view accept) {
    double best = -1;
    bool json = false;
    while (!accept.empty()) {
        const std::string_view range = accept.substr(0, accept.find(','));
        accept.remove_prefix(std::min(accept.size(), range.size() + 1));
        if (trim(range).empty()) continue;
        const double q = weight(range);
        if (q <= best) continue;
        best = q;
        json = equal_ignoring_case(trim(range.substr(0, range.find(';'))), "application/json");
    }
    return json;
}

runtime::HttpServerReply error_page(unsigned status, bool json) {
    const Reason reason = reason_of(status);
    const std::string code = std::to_string(status);
    runtime::HttpServerReply reply;
    reply.status = status;
    std::string& body = reply.body;
    if (json) {
        reply.content_type = "application/json";
        body.append("{\n  \"error\": {\n    \"code\": ").append(code);
        body.append(",\n    \"reason\": \"").append(reason.phrase);
        body.append("\",\n    \"description\": \"").append(reason.description).append("\"\n  }\n}");
    } else {
        reply.content_type = "text/html; charset=utf-8";
        body.append("<!DOCTYPE html>\n<html lang=\"en\"><head><title>")
            .append(code)
            .append(" ")
            .append(reason.phrase);
        body.append("</title></head>\n<body><h1>").append(code).append(" ").append(reason.phrase);
        body.append("</h1><p>").append(reason.description).append("</p></body></html>\n");
    }
    return reply;
}

std::shared_ptr<const std::vector<runtime::HttpHeader>> common_headers(
    std::string_view ident, std::optional<std::string_view> app_version) {
    std::vector<runtime::HttpHeader> headers;
    if (!ident.empty()) headers.push_back({"server", std::string(ident)});
    headers.push_back({"x-content-type-options", "nosniff"});
    headers.push_back({"x-frame-options", "SAMEORIGIN"});
    headers.push_back({"permissions-policy", "interest-cohort=()"});
    if (app_version) headers.push_back({"x-app-version", std::string(*app_version)});
    return std::make_shared<const std::vector<runtime::HttpHeader>>(std::move(headers));
}

}  // namespace kms
