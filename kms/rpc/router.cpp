#include "kms/rpc/router.hpp"

#include "kms/rpc/rust_words.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace kms {
namespace {

using runtime::HttpServerRequest;

constexpr std::array<std::string_view, 9> kVerbs = {"GET",     "POST",  "HEAD",    "PUT",  "DELETE",
                                                    "OPTIONS", "TRACE", "CONNECT", "PATCH"};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    const auto lower = [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](char x, char y) { return lower(x) == lower(y); });
}

/// Whether `target` has one of the forms of RFC 9112 section 3.2 and holds no character that must
/// be encoded.
bool is_target(std::string_view target) {
    if (target == "*") return true;
    if (!target.starts_with('/') && !target.starts_with("http://") &&
        !target.starts_with("https://"))
        return false;
    return std::none_of(target.begin(), target.end(),
                        [](char c) { return c == '"' || c == '<' || c == '>'; });
}

/// Takes the next segment off a path, repeated slashes counting as one; a trailing slash gives a
/// last, empty segment.
std::string_view take_segment(std::string_view& path) {
    path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
    const std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    return segment;
}

/// The raw method segment of an RPC path; empty for "/prpc/", nothing for any other path.
std::optional<std::string_view> rpc_segment(std::string_view path) {
    const std::string_view service = take_segment(path);
    if (path.empty()) return std::nullopt;
    const std::string_view method = take_segment(path);
    if (!path.empty()) return std::nullopt;
    if (service != "prpc" && runtime::percent_decode(service) != "prpc") return std::nullopt;
    return method;
}

std::string method_name(std::string_view segment, std::string_view prefix) {
    std::string name = utf8_lossy(runtime::percent_decode(segment));
    std::size_t cut = 0;
    while (std::string_view(name).substr(cut).starts_with(prefix)) cut += prefix.size();
    return name.erase(0, cut);
}

/// "?json": the first field of that name counts.
bool asks_for_json(std::string_view query) {
    while (!query.empty()) {
        const std::string_view pair = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(query.size(), pair.size() + 1));
        const std::size_t equals = pair.find('=');
        if (runtime::percent_decode(pair.substr(0, equals), true) != "json") continue;
        if (equals == std::string_view::npos) return true;
        const std::string value = runtime::percent_decode(pair.substr(equals + 1), true);
        return value.empty() || value == "1" || value == "true";
    }
    return false;
}

bool is_json_type(std::string_view content_type) {
    std::string_view type = content_type.substr(0, content_type.find(';'));
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    while (!type.empty() && blank(type.back())) type.remove_suffix(1);
    while (!type.empty() && blank(type.front())) type.remove_prefix(1);
    return equal_ignoring_case(type, "application/json");
}

Route failure(unsigned status) {
    Route route;
    route.status = status;
    return route;
}

Route refused(unsigned status) {
    Route route = failure(status);
    route.kind = Route::Kind::refused;
    return route;
}

}  // namespace

Route find_route(const HttpServerRequest& request, const RouteTable& table) {
    if (request.method != "CONNECT" && !is_target(request.target)) return refused(400);
    if (std::find(kVerbs.begin(), kVerbs.end(), request.method) == kVerbs.end())
        return failure(400);
    const bool get = request.method == "GET" || request.method == "HEAD";
    if (!get && request.method != "POST") return failure(404);

    if (const auto segment = rpc_segment(request.path)) {
        if (segment->empty()) return failure(422);
        if (*segment == "." || *segment == "..") return failure(404);
        Route route;
        route.kind = Route::Kind::rpc;
        route.method = method_name(*segment, table.service_prefix);
        route.arguments_in_query = get;
        const bool json = get || asks_for_json(request.query);
        route.early_error_format = json ? Format::json : Format::protobuf;
        route.format =
            json || is_json_type(request.header("content-type")) ? Format::json : Format::protobuf;
        return route;
    }
    const auto page = std::find(table.pages.begin(), table.pages.end(), request.path);
    if (!get || page == table.pages.end()) return failure(404);
    Route route;
    route.kind = Route::Kind::page;
    route.page = *page;
    return route;
}

std::size_t body_limit(const HttpServerRequest& head, const RouteTable& table,
                       const BodyLimits& limits, std::size_t otherwise) {
    if (limits.empty()) return otherwise;
    const auto segment = rpc_segment(head.path);
    if (!segment) return otherwise;
    std::string method = method_name(*segment, table.service_prefix);
    std::transform(method.begin(), method.end(), method.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto limit = limits.find(method);
    return limit == limits.end() ? otherwise : static_cast<std::size_t>(limit->second);
}

}  // namespace kms
