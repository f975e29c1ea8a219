#include "auth/abi/abi.hpp"

#include "launcher/runtime/keccak.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace auth::abi {
namespace {

using runtime::Bytes;
using runtime::ByteView;
using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

constexpr std::size_t kWord = 32;
constexpr std::size_t kAddressDigits = 40;
constexpr std::size_t kHashDigits = 64;
/// Words of the tuple before its variable part: seven fixed fields and two offsets.
constexpr std::size_t kTupleHead = 9 * kWord;

constexpr std::array<std::uint8_t, 4> kIsAppAllowed = {0x1e, 0x07, 0x91, 0x98};
constexpr std::array<std::uint8_t, 4> kIsKmsAllowed = {0xe0, 0x67, 0xec, 0x9d};
constexpr std::array<std::uint8_t, 4> kGatewayAppId = {0x95, 0xf5, 0x19, 0x31};
constexpr std::array<std::uint8_t, 4> kAppImplementation = {0x25, 0xa9, 0x92, 0xda};

constexpr std::size_t padded(std::size_t size) {
    return (size + kWord - 1) / kWord * kWord;
}

void append_number(Bytes& out, std::size_t value) {
    out.insert(out.end(), kWord - sizeof value, 0);
    for (std::size_t place = sizeof value; place-- > 0;)
        out.push_back(static_cast<std::uint8_t>(value >> (8 * place)));
}

void append_text(Bytes& out, std::string_view text) {
    append_number(out, text.size());
    out.insert(out.end(), text.begin(), text.end());
    out.insert(out.end(), padded(text.size()) - text.size(), 0);
}

/// One fixed field: the digits, padded to their full length and then to a word.
Result<void> append_hex(Bytes& out, std::string_view name, std::string_view text,
                        std::size_t digits) {
    if (text.starts_with("0x")) text.remove_prefix(2);
    const auto bytes = text.size() <= digits
                           ? runtime::from_hex(std::string(digits - text.size(), '0').append(text))
                           : Result<Bytes>(Error{ErrorCode::invalid_argument, "too long"});
    if (!bytes)
        return Error{ErrorCode::invalid_argument, std::string(name) +
                                                      " is not hexadecimal text of at most " +
                                                      std::to_string(digits) + " digits"};
    out.insert(out.end(), kWord - bytes->size(), 0);
    out.insert(out.end(), bytes->begin(), bytes->end());
    return {};
}

Error undecodable(std::string what) {
    return {ErrorCode::invalid_argument, std::move(what)};
}

/// The word at `offset` as a size, if it is one that could lie inside `limit` bytes.
std::optional<std::size_t> small_number(ByteView answer, std::size_t offset, std::size_t limit) {
    if (answer.size() < kWord || offset > answer.size() - kWord) return std::nullopt;
    const ByteView word = answer.subspan(offset, kWord);
    const auto high = word.first(kWord - sizeof(std::size_t));
    if (std::any_of(high.begin(), high.end(), [](std::uint8_t byte) { return byte != 0; }))
        return std::nullopt;
    std::size_t value = 0;
    for (const std::uint8_t byte : word.last(sizeof(std::size_t))) value = value << 8U | byte;
    if (value > limit) return std::nullopt;
    return value;
}

/// The text whose offset stands in word `index` and is not less than `least`.
Result<std::string> text_at(ByteView answer, std::size_t index, std::size_t least) {
    const auto offset = small_number(answer, index * kWord, answer.size());
    if (!offset) return undecodable("the offset of a text lies outside the answer");
    if (*offset < least) return undecodable("the offset of a text points at the words before it");
    const auto size = small_number(answer, *offset, answer.size());
    if (!size) return undecodable("the length of a text lies outside the answer");
    if (padded(*size) > answer.size() - *offset - kWord)
        return undecodable("a text is longer than the answer");
    const ByteView bytes = answer.subspan(*offset + kWord, *size);
    if (!runtime::is_utf8(runtime::as_text(bytes))) return undecodable("a text is not valid UTF-8");
    return std::string(runtime::as_text(bytes));
}

}  // namespace

Result<Bytes> encode_boot_call(BootKind kind, const BootRequest& request) {
    const auto& selector = kind == BootKind::app ? kIsAppAllowed : kIsKmsAllowed;
    constexpr std::size_t kUsual = 1024;  // bytes; a request without advisories takes 420
    Bytes out(selector.begin(), selector.end());
    out.reserve(kUsual);
    append_number(out, kWord);  // where the tuple starts
    TRY_VOID(append_hex(out, "appId", request.app_id, kAddressDigits));
    TRY_VOID(append_hex(out, "composeHash", request.compose_hash, kHashDigits));
    TRY_VOID(append_hex(out, "instanceId", request.instance_id, kAddressDigits));
    TRY_VOID(append_hex(out, "deviceId", request.device_id, kHashDigits));
    TRY_VOID(append_hex(out, "mrAggregated", request.mr_aggregated, kHashDigits));
    TRY_VOID(append_hex(out, "mrSystem", request.mr_system, kHashDigits));
    TRY_VOID(append_hex(out, "osImageHash", request.os_image_hash, kHashDigits));
    append_number(out, kTupleHead);
    append_number(out, kTupleHead + kWord + padded(request.tcb_status.size()));
    append_text(out, request.tcb_status);
    append_number(out, request.advisory_ids.size());
    std::size_t offset =
        request.advisory_ids.size() * kWord;  // counted from the word after the number
    for (const auto& advisory : request.advisory_ids) {
        append_number(out, offset);
        offset += kWord + padded(advisory.size());
    }
    for (const auto& advisory : request.advisory_ids) append_text(out, advisory);
    return out;
}

Bytes encode_gateway_app_id_call() {
    return {kGatewayAppId.begin(), kGatewayAppId.end()};
}
Bytes encode_app_implementation_call() {
    return {kAppImplementation.begin(), kAppImplementation.end()};
}

std::string_view called_function(ByteView call_data) {
    const auto begins_with = [call_data](const std::array<std::uint8_t, 4>& selector) {
        return call_data.size() >= selector.size() &&
               std::equal(selector.begin(), selector.end(), call_data.begin());
    };
    if (begins_with(kIsAppAllowed)) return "isAppAllowed";
    if (begins_with(kIsKmsAllowed)) return "isKmsAllowed";
    if (begins_with(kGatewayAppId)) return "gatewayAppId";
    if (begins_with(kAppImplementation)) return "appImplementation";
    return "unknown function";
}

Result<Verdict> decode_verdict(ByteView answer) {
    const auto flag = small_number(answer, 0, 1);
    if (!flag) return undecodable("the flag is neither 0 nor 1");
    // A flag that is read a second time, as a length, is no sound allowance. A denial may be as odd
    // as it likes, as with the original.
    TRY(std::string reason, text_at(answer, 1, *flag == 1 ? 2 * kWord : 0));
    return Verdict{*flag == 1, std::move(reason)};
}

Result<std::string> decode_text(ByteView answer) {
    return text_at(answer, 0, kWord);
}

Result<std::string> decode_address(ByteView answer) {
    constexpr std::size_t kZeros = kWord - kAddressDigits / 2;
    if (answer.size() < kWord) return undecodable("an address takes 32 bytes");
    const ByteView zeros = answer.first(kZeros);
    if (std::any_of(zeros.begin(), zeros.end(), [](std::uint8_t byte) { return byte != 0; }))
        return undecodable("an address has more than 20 bytes");
    return checksum_address(answer.subspan(kZeros, kAddressDigits / 2));
}

std::string checksum_address(ByteView address) {
    std::string digits = runtime::to_hex(address);
    const auto hash = runtime::keccak256(runtime::as_bytes(digits));
    for (std::size_t i = 0; i < digits.size(); ++i) {
        const unsigned nibble = i % 2 == 0 ? hash[i / 2] >> 4U : hash[i / 2] & 0x0FU;
        if (nibble >= 8 && digits[i] >= 'a') digits[i] = static_cast<char>(digits[i] - 'a' + 'A');
    }
    return "0x" + digits;
}

bool is_address(std::string_view text) {
    if (text.starts_with("0x")) text.remove_prefix(2);
    if (text.size() != kAddressDigits) return false;
    const auto bytes = runtime::from_hex(text);
    if (!bytes) return false;
    const auto is_lower = [](char c) { return c >= 'a' && c <= 'f'; };
    const auto is_upper = [](char c) { return c >= 'A' && c <= 'F'; };
    const bool mixed = std::any_of(text.begin(), text.end(), is_lower) &&
                       std::any_of(text.begin(), text.end(), is_upper);
    return !mixed || checksum_address(*bytes).substr(2) == text;
}

}  // namespace auth::abi
