#include "kms/simulator/exchange.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace kms::simulator {
namespace {

using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

constexpr std::size_t kLargestBody = 1024 * 1024;

constexpr std::pair<WireFault, std::string_view> kWireFaults[] = {
    {WireFault::none, "none"},
    {WireFault::reset, "reset"},
    {WireFault::silent, "silent"},
    {WireFault::dribble, "dribble"},
    {WireFault::cut, "cut"},
    {WireFault::unavailable, "unavailable"},
    {WireFault::html, "html"},
    {WireFault::huge, "huge"},
    {WireFault::no_headers, "no-headers"}};

Error malformed(std::string_view what) {
    return Error{ErrorCode::invalid_argument, std::string(what)};
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

std::string_view trimmed(std::string_view text) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    return text;
}

/// The text up to the line end, which is taken off the front of `rest`.
std::string_view take_line(std::string_view& rest) {
    const std::size_t end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 2);
    return line;
}

Result<void> take_header(Request& request, std::string_view line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return malformed("a header line without a colon");
    const std::string name = lower(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (name == "content-type") request.content_type = lower(value.substr(0, value.find(';')));
    if (name == "transfer-encoding") return malformed("bodies in pieces are not taken");
    if (name != "content-length") return {};
    const auto [end, error] =
        std::from_chars(value.data(), value.data() + value.size(), request.body_size);
    if (error != std::errc() || end != value.data() + value.size())
        return malformed("Content-Length is not a number");
    if (request.body_size > kLargestBody) return malformed("a body of more than 1 MiB");
    return {};
}

}  // namespace

Result<Request> parse_head(std::string_view head) {
    std::string_view rest = head;
    const std::string_view first = take_line(rest);
    const std::size_t space = first.find(' ');
    const std::size_t last = first.rfind(' ');
    if (space == std::string_view::npos || last == space ||
        !first.substr(last + 1).starts_with("HTTP/1."))
        return malformed("not a request of HTTP/1");
    Request request;
    request.method = first.substr(0, space);
    const std::string_view target = first.substr(space + 1, last - space - 1);
    const std::size_t mark = target.find('?');
    request.path = target.substr(0, mark);
    if (mark != std::string_view::npos) request.query = target.substr(mark + 1);
    while (!rest.empty()) {
        const std::string_view line = take_line(rest);
        if (!line.empty()) TRY_VOID(take_header(request, line));
    }
    return request;
}

std::string to_http(const Reply& reply) {
    std::string text = "HTTP/1.1 " + std::to_string(reply.status) +
                       (reply.status == 200 ? " OK" : " Error") + "\r\nConnection: close\r\n";
    if (!reply.content_type.empty()) text += "Content-Type: " + reply.content_type + "\r\n";
    text += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
    for (const auto& [name, value] : reply.headers) text += name + ": " + value + "\r\n";
    return text + "\r\n" + reply.body;
}

std::string percent_encode(std::string_view text) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    constexpr std::string_view kPlain = "-._~";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) != 0 || kPlain.find(c) != std::string_view::npos) {
            out += c;
        } else {
            out += '%';
            out += kDigits[byte >> 4U];
            out += kDigits[byte & 15U];
        }
    }
    return out;
}

std::string_view to_string(WireFault fault) {
    return std::ranges::find(kWireFaults, fault, &std::pair<WireFault, std::string_view>::first)
        ->second;
}

std::optional<WireFault> wire_fault_of(std::string_view name) {
    for (const auto& [fault, text] : kWireFaults)
        if (text == name) return fault;
    return std::nullopt;
}

Reply spoiled(Reply reply, WireFault fault) {
    switch (fault) {
        case WireFault::unavailable:
            return {503, "text/plain", "the simulator was told to be unavailable\n", {}};
        case WireFault::html:
            return {200,
                    "text/html",
                    "<html><head><title>Sign in</title></head><body>Please sign in.</body></html>",
                    {}};
        case WireFault::no_headers:
            reply.headers.clear();
            return reply;
        case WireFault::huge:
            // The listener sends the body in pieces; none is kept.
            return {200, "application/octet-stream", "", {}};
        case WireFault::none:
        case WireFault::reset:
        case WireFault::silent:
        case WireFault::dribble:
        case WireFault::cut:
            break;
    }
    return reply;
}

}  // namespace kms::simulator
