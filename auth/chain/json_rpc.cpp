#include "auth/chain/json_rpc.hpp"

#include "auth/policy/json_text.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <initializer_list>

#include <boost/json.hpp>

namespace auth {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxDepth = 16;
constexpr std::int64_t kExecutionReverted = 3;
// Codes that providers use for "you ask too much": EIP-1474, the HTTP status, Optimism's.
constexpr std::array<std::int64_t, 3> kRateLimits = {-32005, 429, -32016};

void append_call(std::string& out, const ChainCall& call, std::uint64_t id) {
    using Method = ChainCall::Method;
    out.append(R"({"jsonrpc":"2.0","id":)").append(std::to_string(id));
    out.append(R"(,"method":")").append(method_name(call.method)).append(R"(","params":[)");
    // These texts are ours and need no escapes: hex digits and the names of blocks.
    if (call.method == Method::contract_call)
        out.append(R"({"to":")")
            .append(call.to)
            .append(R"(","data":")")
            .append(call.data)
            .append(R"("},")")
            .append(call.block)
            .append("\"");
    if (call.method == Method::block_header)
        out.append("\"").append(call.block).append(R"(",false)");
    out.append("]}");
}

/// A parsed body and the memory it lives in, which is not given back value by value.
class ParsedBody {
  public:
    explicit ParsedBody(std::string_view body)
        : memory_(first_.data(), first_.size()), value_(json::storage_ptr(&memory_)) {
        json::parse_options options;
        options.max_depth = kMaxDepth;
        json::error_code error;
        value_ = json::parse({body.data(), body.size()}, error, &memory_, options);
        good_ = !error;
    }
    ParsedBody(const ParsedBody&) = delete;
    ParsedBody& operator=(const ParsedBody&) = delete;

    /// Null for a body that is not JSON.
    const json::value* value() const { return good_ ? &value_ : nullptr; }

  private:
    std::array<unsigned char, 4096> first_;  // enough for the answer to a decision
    json::monotonic_resource memory_;
    json::value value_;
    bool good_ = false;
};

std::optional<RpcError> error_of(const json::object& answer) {
    const json::value* found = answer.if_contains("error");
    if (found == nullptr || found->is_null()) return std::nullopt;
    RpcError error;
    if (const json::object* object = found->if_object()) {
        if (const json::value* code = object->if_contains("code"))
            if (const std::int64_t* number = code->if_int64()) error.code = *number;
        if (const json::value* message = object->if_contains("message"))
            if (const json::string* text = message->if_string()) error.message = std::string(*text);
    }
    return error;
}

/// A header, or an empty one for null. Nothing for anything else.
std::optional<BlockHeader> header_of(const json::value& result) {
    if (result.is_null()) return BlockHeader{};
    const json::object* object = result.if_object();
    if (object == nullptr) return std::nullopt;
    const json::value* number = object->if_contains("number");
    const json::value* timestamp = object->if_contains("timestamp");
    if (number == nullptr || timestamp == nullptr || !number->is_string() ||
        !timestamp->is_string())
        return std::nullopt;
    return BlockHeader{std::string(number->get_string()), std::string(timestamp->get_string())};
}

/// The answer in one object; nothing unless it has exactly one of result and error.
std::optional<CallAnswer> call_answer(const json::object& answer, ChainCall::Method method) {
    const json::value* result = answer.if_contains("result");
    if (auto error = error_of(answer)) {
        if (result != nullptr && !result->is_null()) return std::nullopt;
        return CallAnswer(std::move(*error));
    }
    if (result == nullptr) return std::nullopt;
    if (method == ChainCall::Method::block_header) {
        auto header = header_of(*result);
        if (!header) return std::nullopt;
        return CallAnswer(std::move(*header));
    }
    if (!result->is_string()) return std::nullopt;
    return CallAnswer(std::string(result->get_string()));
}

/// Which call an answer belongs to, counted from 0.
std::optional<std::size_t> place_of(const json::object& answer, std::size_t calls,
                                    std::uint64_t first_id) {
    const json::value* id = answer.if_contains("id");
    if (id == nullptr || !id->is_int64() || id->get_int64() < 0) return std::nullopt;
    const auto value = static_cast<std::uint64_t>(id->get_int64());
    if (value < first_id || value - first_id >= calls) return std::nullopt;
    return static_cast<std::size_t>(value - first_id);
}

bool mentions(std::string_view text, std::initializer_list<std::string_view> phrases) {
    const auto same = [](char a, char b) {
        return std::tolower(static_cast<unsigned char>(a)) == b;
    };
    return std::any_of(phrases.begin(), phrases.end(), [&](std::string_view words) {
        return std::search(text.begin(), text.end(), words.begin(), words.end(), same) !=
               text.end();
    });
}

}  // namespace

std::string_view method_name(ChainCall::Method method) {
    switch (method) {
        case ChainCall::Method::chain_id:
            return "eth_chainId";
        case ChainCall::Method::block_number:
            return "eth_blockNumber";
        case ChainCall::Method::block_header:
            return "eth_getBlockByNumber";
        case ChainCall::Method::contract_call:
            return "eth_call";
    }
    return "eth_chainId";
}

std::string batch_request(const std::vector<ChainCall>& calls, std::uint64_t first_id) {
    constexpr std::size_t kAround = 160;  // what surrounds the data of a call
    std::size_t size = 2;
    for (const ChainCall& call : calls) size += call.data.size() + kAround;
    std::string out;
    out.reserve(size);
    out += '[';
    for (const ChainCall& call : calls) {
        if (out.size() > 1) out += ',';
        append_call(out, call, first_id++);
    }
    return out += ']';
}

std::string single_request(const ChainCall& call, std::uint64_t id) {
    std::string out;
    append_call(out, call, id);
    return out;
}

RpcAnswer parse_batch(std::string_view body, const std::vector<ChainCall>& calls,
                      std::uint64_t first_id) {
    const ParsedBody parsed(body);
    const json::value* value = parsed.value();
    if (value == nullptr) return {};
    if (const json::object* whole = value->if_object()) {
        auto error = error_of(*whole);
        if (!error) return {};
        return {RpcAnswer::Kind::refused, {}, std::move(*error)};
    }
    const json::array* list = value->if_array();
    if (list == nullptr || list->size() != calls.size()) return {};
    std::vector<std::optional<CallAnswer>> found(calls.size());
    for (const json::value& entry : *list) {
        const json::object* answer = entry.if_object();
        if (answer == nullptr) return {};
        const auto place = place_of(*answer, calls.size(), first_id);
        if (!place || found[*place]) return {};
        found[*place] = call_answer(*answer, calls[*place].method);
        if (!found[*place]) return {};
    }
    RpcAnswer out{RpcAnswer::Kind::answers, {}, {}};
    for (auto& answer : found) out.answers.push_back(std::move(*answer));
    return out;
}

RpcAnswer parse_single(std::string_view body, const ChainCall& call, std::uint64_t id) {
    const ParsedBody parsed(body);
    const json::object* whole = parsed.value() ? parsed.value()->if_object() : nullptr;
    if (whole == nullptr) return {};
    if (!place_of(*whole, 1, id)) {
        const json::value* other = whole->if_contains("id");
        auto error = error_of(*whole);
        // An error without an id is about what it could not read; one with another's id is not
        // ours.
        if (!error || (other != nullptr && !other->is_null())) return {};
        return {RpcAnswer::Kind::refused, {}, std::move(*error)};
    }
    auto answer = call_answer(*whole, call.method);
    if (!answer) return {};
    RpcAnswer out{RpcAnswer::Kind::answers, {}, {}};
    out.answers.push_back(std::move(*answer));
    return out;
}

std::optional<std::uint64_t> parse_quantity(std::string_view text) {
    if (!text.starts_with("0x") || text.size() == 2) return std::nullopt;
    text.remove_prefix(2);
    std::uint64_t value = 0;
    const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (bad != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::string quantity(std::uint64_t value) {
    std::array<char, 16> digits{};
    const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16);
    return "0x" + std::string(digits.data(), result.ptr);
}

std::optional<runtime::Bytes> parse_data(std::string_view text) {
    if (!text.starts_with("0x")) return std::nullopt;
    auto bytes = runtime::from_hex(text.substr(2));
    if (!bytes) return std::nullopt;
    return std::move(*bytes);
}

Failure failure_of(const RpcError& error) {
    if (error.code == kExecutionReverted) return {FailureKind::reverted, 0};
    if (std::find(kRateLimits.begin(), kRateLimits.end(), error.code) != kRateLimits.end())
        return {FailureKind::rate_limited, 0};
    // The words of a revert are the contract's: look no further into them.
    if (mentions(error.message, {"revert"})) return {FailureKind::reverted, 0};
    if (mentions(error.message, {"rate limit", "rate-limit", "ratelimit", "too many requests",
                                 "request limit", "limit exceeded"}))
        return {FailureKind::rate_limited, 0};
    if (is_lag(error) || mentions(error.message, {"missing trie node", "state not available",
                                                  "state is not available", "state unavailable",
                                                  "no state", "pruned", "historical state"}))
        return {FailureKind::state_not_available, 0};
    return {FailureKind::rpc_error, error.code};
}

bool is_lag(const RpcError& error) {
    if (error.code == kExecutionReverted || mentions(error.message, {"revert"})) return false;
    return mentions(error.message, {"header not found", "unknown block", "block not found",
                                    "header for hash not found", "blockoutofrange"});
}

}  // namespace auth
