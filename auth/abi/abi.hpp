/// Solidity's contract ABI, as far as the authority's four functions need it: call data out,
/// answers in.
///
/// Pure. Every offset and length of an answer is compared with what is there before it is used;
/// hostile contracts send values up to 2^256-1. Source: spec "auth-api" sections 2.1 to 2.4.
#pragma once

#include "auth/policy/boot_request.hpp"
#include "launcher/runtime/bytes.hpp"

#include <string>
#include <string_view>

namespace auth::abi {

/// Call data of isAppAllowed or isKmsAllowed: 4 selector bytes and the encoded tuple. Hexadecimal
/// members lose their 0x and are padded with zeros on the left. Errors (invalid_argument): a member
/// that is no hexadecimal text of at most its full length; parse_boot_request with its usual rules
/// lets none of these through.
runtime::Result<runtime::Bytes> encode_boot_call(BootKind kind, const BootRequest& request);
/// Call data of gatewayAppId().
runtime::Bytes encode_gateway_app_id_call();
/// Call data of appImplementation().
runtime::Bytes encode_app_implementation_call();

/// The name of the function that call data is for; "unknown function" for none of the four.
std::string_view called_function(runtime::ByteView call_data);

struct Verdict {
    bool is_allowed = false;
    std::string reason;  ///< UTF-8, any length, may hold control characters
};

/// (bool, string). The flag must be exactly 0 or 1, and with a 1 the text must stand behind the
/// first two words. Errors (invalid_argument): what is wrong and where.
runtime::Result<Verdict> decode_verdict(runtime::ByteView answer);
/// (string), valid UTF-8.
runtime::Result<std::string> decode_text(runtime::ByteView answer);
/// (address) as "0x" and 40 digits in EIP-55 mixed case.
runtime::Result<std::string> decode_address(runtime::ByteView answer);

/// EIP-55 mixed case of 20 bytes.
std::string checksum_address(runtime::ByteView address);
/// Whether `text` is an address as a configuration may hold it: 40 hex digits with or without 0x,
/// in one letter case or in the right mixed case.
bool is_address(std::string_view text);

}  // namespace auth::abi
