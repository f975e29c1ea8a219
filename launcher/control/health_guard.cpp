#include "launcher/control/health_guard.hpp"

#include "launcher/plan/url_parts.hpp"
#include "launcher/runtime/config.hpp"

#include <algorithm>
#include <array>

#include <arpa/inet.h>

namespace launcher {
namespace {

using runtime::Error;
using runtime::ErrorCode;
using runtime::HttpServerReply;
using runtime::Result;

constexpr std::size_t kMinToken = 16;
constexpr std::size_t kMaxTokenFile = 4096;

HttpServerReply refuse(unsigned status, std::string_view sentence) {
    HttpServerReply reply;
    reply.status = status;
    reply.content_type = "text/plain; charset=utf-8";
    reply.body.append(sentence).append("\n");
    return reply;
}

std::string lower(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return result;
}

}  // namespace

bool names_loopback(std::string_view host_header) {
    std::string host = lower(host_header);
    if (host.starts_with('[')) {
        const auto close = host.find(']');
        return close != std::string::npos && host.substr(0, close + 1) == "[::1]" &&
               (close + 1 == host.size() || host[close + 1] == ':');
    }
    host.resize(std::min(host.find(':'), host.size()));
    if (host == "localhost") return true;
    // A name such as 127.evil.example must not pass: all four numbers are read.
    in_addr address{};
    return inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

Result<runtime::SecretBytes> read_token(const std::string& path) {
    auto text = runtime::read_file(path, kMaxTokenFile);
    if (!text) return std::move(text.error()).within("cannot read the health token");
    while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
    const bool usable =
        text->size() >= kMinToken &&
        std::all_of(text->begin(), text->end(), [](char c) { return c > ' ' && c < 0x7f; });
    auto token = runtime::SecretBytes::copy_of(runtime::as_bytes(*text));
    runtime::wipe(*text);
    if (!usable)
        return Error{ErrorCode::invalid_argument,
                     "the health token in '" + path +
                         "' must be one line of at least 16 printable characters without blanks"};
    return token;
}

Result<HealthGuard> HealthGuard::create(const HealthPlan& plan) {
    HealthGuard guard;
    for (const auto& address : plan.listen) {
        const auto parts = split_address(address, true);
        if (parts && is_loopback(parts->host)) continue;
        guard.loopback_only_ = false;
        if (!plan.allow_remote)
            return Error{ErrorCode::invalid_argument,
                         "the health listener " + address +
                             " can be reached from other machines; set health.allow_remote = "
                             "true if that is meant, or listen on 127.0.0.1"};
    }
    if (!plan.token_file.empty()) {
        TRY(guard.token_, read_token(plan.token_file));
    }
    return guard;
}

std::optional<HttpServerReply> HealthGuard::refusal(
    const runtime::HttpServerRequest& request) const {
    if (request.peer_address == "unix") return std::nullopt;
    if (loopback_only_ && !names_loopback(request.header("host")))
        return refuse(403, "this listener answers requests for localhost only");
    if (token_.empty()) return std::nullopt;
    constexpr std::string_view kScheme = "bearer ";
    const std::string_view given = request.header("authorization");
    const bool bearer =
        given.size() > kScheme.size() && lower(given.substr(0, kScheme.size())) == kScheme;
    if (bearer && runtime::equal_constant_time(runtime::as_bytes(given.substr(kScheme.size())),
                                               token_.view()))
        return std::nullopt;
    HttpServerReply reply = refuse(401, "a bearer token is needed");
    reply.headers.push_back({"WWW-Authenticate", "Bearer"});
    return reply;
}

}  // namespace launcher
