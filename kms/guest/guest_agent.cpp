#include "kms/guest/guest_agent.hpp"

#include "kms/evidence/evidence.hpp"
#include "launcher/runtime/stream_exchange.hpp"

#include <charconv>

#include <boost/json.hpp>

namespace kms {
namespace {

namespace json = boost::json;
using runtime::Bytes;
using runtime::Deadline;
using runtime::Error;
using runtime::ErrorCode;
using runtime::HttpExchange;
using runtime::HttpFault;
using runtime::Result;
using runtime::Task;

constexpr unsigned kOk = 200;
constexpr unsigned kBadRequest = 400;
constexpr unsigned kNotFound = 404;
constexpr std::string_view kUnix = "unix:";
constexpr std::string_view kVsock = "vsock://";

Error bad_address(std::string_view address) {
    return Error{ErrorCode::invalid_argument,
                 "'" + std::string(address) +
                     "' is no address of a guest agent: unix:/path, http://host:port or "
                     "vsock://cid:port is expected (DSTACK_AGENT_ADDRESS)"};
}

Result<std::uint32_t> number(std::string_view text, std::string_view address) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size())
        return bad_address(address);
    return value;
}

Result<GuestAgentTarget> vsock_target(std::string_view address) {
    std::string_view rest = address.substr(kVsock.size());
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    std::string_view prefix = rest.substr(slash);
    rest = rest.substr(0, slash);
    const std::size_t colon = rest.find(':');
    if (colon == std::string_view::npos) return bad_address(address);
    while (prefix.ends_with('/')) prefix.remove_suffix(1);
    GuestAgentTarget target;
    TRY(target.vsock_cid, number(rest.substr(0, colon), address));
    TRY(target.vsock_port, number(rest.substr(colon + 1), address));
    if (target.vsock_port == 0) return bad_address(address);
    target.base_url = "http://" + std::string(rest) + std::string(prefix);
    return target;
}

Error no_answer(const std::string& address, const HttpExchange& exchange) {
    ErrorCode code = ErrorCode::unavailable;
    if (exchange.fault == HttpFault::timed_out) code = ErrorCode::deadline_exceeded;
    if (exchange.fault == HttpFault::busy) code = ErrorCode::resource_exhausted;
    std::string text = "no answer from the guest agent at " + address + ": ";
    text += to_string(exchange.fault);
    if (!exchange.fault_detail.empty()) text += " (" + exchange.fault_detail + ")";
    return {code, std::move(text)};
}

/// The text member of an answer.
Result<std::string> text_member(std::string_view body, std::string_view name) {
    boost::system::error_code error;
    const json::value document = json::parse(json::string_view(body.data(), body.size()), error);
    const json::object* object = document.if_object();
    if (error || object == nullptr)
        return Error{ErrorCode::invalid_argument, "the answer is not a JSON object"};
    const json::value* value = object->if_contains(name);
    if (value == nullptr) return std::string();
    if (!value->is_string())
        return Error{ErrorCode::invalid_argument,
                     "the member '" + std::string(name) + "' is not a text"};
    return std::string(value->get_string());
}

}  // namespace

std::string default_guest_agent_address(const std::function<bool(const std::string&)>& exists) {
    const std::string usual = "/var/run/dstack/dstack.sock";
    const std::string older = "/var/run/dstack.sock";
    std::string address(kUnix);
    return address += !exists(usual) && exists(older) ? older : usual;
}

Result<GuestAgentTarget> guest_agent_target(std::string_view address) {
    if (address.starts_with(kVsock)) return vsock_target(address);
    GuestAgentTarget target;
    if (address.starts_with(kUnix)) {
        target.unix_socket = address.substr(kUnix.size());
        if (target.unix_socket.empty()) return bad_address(address);
        target.base_url = "http://dstack";
        return target;
    }
    if (!address.starts_with("http://") && !address.starts_with("https://"))
        return bad_address(address);
    while (address.ends_with('/')) address.remove_suffix(1);
    target.base_url = address;
    return target;
}

GuestAgent::GuestAgent(runtime::HttpClient& http, runtime::Clock& clock, GuestAgentOptions options)
    : http_(http),
      clock_(clock),
      options_(std::move(options)),
      target_(guest_agent_target(options_.address)) {}

Task<Result<GuestAgent::Answer>> GuestAgent::ask(std::string method, std::string body,
                                                 Deadline deadline) {
    if (!target_) co_return target_.error();
    if (at_work_ >= options_.in_flight)
        co_return Error{ErrorCode::resource_exhausted, "too many questions to the guest agent at " +
                                                           options_.address + " are under way"};
    runtime::HttpClientRequest request;
    request.method = "POST";
    request.url = target_->base_url + "/" + method + "?json";
    request.unix_socket = target_->unix_socket;
    request.body = std::move(body);
    request.max_response_bytes = options_.response_bytes;
    request.connect_timeout = options_.connect_limit;
    request.new_connection = true;
    const Deadline limit = deadline.narrowed(clock_.now(), options_.limit);
    ++at_work_;
    HttpExchange exchange;
    if (target_->vsock_port != 0)
        exchange = co_await runtime::vsock_exchange(clock_, target_->vsock_cid, target_->vsock_port,
                                                    std::move(request), limit);
    else
        exchange = co_await http_.exchange(std::move(request), limit);
    --at_work_;
    if (!exchange.ok()) co_return no_answer(options_.address, exchange);
    co_return Answer{exchange.status, std::move(exchange.body)};
}

Error GuestAgent::refusal(const std::string& method, unsigned status) const {
    return Error{ErrorCode::unavailable, "the guest agent at " + options_.address + " answered " +
                                             method + " with " + std::to_string(status)};
}

Task<Result<Bytes>> GuestAgent::attest(std::array<std::uint8_t, 64> report_data,
                                       Deadline deadline) {
    const std::string arguments = R"({"report_data":")" + runtime::to_hex(report_data) + "\"}";
    CO_TRY(const Answer answer, co_await ask("Attest", arguments, deadline));
    if (answer.status == kBadRequest || answer.status == kNotFound) {
        // An agent from before Attest does not know the method; it may know the older one.
        auto older = co_await quote_as_attestation(arguments, deadline);
        if (older) co_return older;
        Error both = refusal("Attest", answer.status);
        both.context += ", and to the older GetQuote: " + older.error().context;
        co_return both;
    }
    if (answer.status != kOk) co_return refusal("Attest", answer.status);
    const std::string what = "the guest agent at " + options_.address + " gave no attestation";
    CO_TRY(const std::string digits, text_member(answer.body, "attestation").within(what));
    CO_TRY(Bytes attestation, runtime::from_hex(digits).within(what));
    if (attestation.empty()) co_return Error{ErrorCode::invalid_argument, what + ": it is empty"};
    co_return attestation;
}

Task<Result<Bytes>> GuestAgent::quote_as_attestation(std::string arguments, Deadline deadline) {
    CO_TRY(const Answer answer, co_await ask("GetQuote", std::move(arguments), deadline));
    if (answer.status != kOk) co_return refusal("GetQuote", answer.status);
    const std::string what = "the guest agent at " + options_.address + " gave no quote";
    CO_TRY(const std::string digits, text_member(answer.body, "quote").within(what));
    CO_TRY(const Bytes quote, runtime::from_hex(digits).within(what));
    CO_TRY(const std::string log, text_member(answer.body, "event_log").within(what));
    CO_TRY(Attestation attestation, attestation_of_quote_and_log(quote, log).within(what));
    CO_TRY(attestation.config, text_member(answer.body, "vm_config").within(what));
    co_return encode_v0(attestation);
}

Task<Result<std::string>> GuestAgent::vm_config(Deadline deadline) {
    CO_TRY(const Answer answer, co_await ask("Info", "null", deadline));
    if (answer.status != kOk) co_return refusal("Info", answer.status);
    co_return text_member(answer.body, "vm_config")
        .within("the guest agent at " + options_.address + " gave no information");
}

}  // namespace kms
