#include "kms/rpc/handlers.hpp"

#include "kms/crypto/sha256.hpp"
#include "kms/rpc/decode.hpp"
#include "kms/rpc/encode.hpp"
#include "kms/rpc/kms.pb.h"
#include "launcher/runtime/secret.hpp"

#include <algorithm>
#include <array>

namespace kms {
namespace {

using runtime::Deadline;
using runtime::Task;
using tl::make_unexpected;

constexpr const char* kCannotVerify =
    "this build does not release keys, because the verification of quotes is not part of it";

/// Decodes the arguments in whichever form they came.
template <class Message>
tl::expected<Message, RpcError> arguments_of(const RpcCall& call, const MessageSchema& schema) {
    Message message;
    runtime::Result<void> decoded;
    if (call.arguments_in_query)
        decoded = decode_query(schema, call.arguments, message);
    else if (call.format == Format::json)
        decoded = decode_json(schema, call.arguments, message);
    else
        decoded = decode_protobuf(schema, call.arguments, message);
    if (!decoded) return make_unexpected(RpcError(std::move(decoded.error().context)));
    return message;
}

RpcError unsupported_version(std::uint32_t version) {
    return RpcError("Unsupported API version: " + std::to_string(version));
}

std::string as_string(runtime::ByteView bytes) {
    return std::string(runtime::as_text(bytes));
}

Task<RpcResult> get_meta(KmsParts& parts, const RpcCall& call, Deadline deadline) {
    FactsSource::Facts facts;
    if (parts.facts != nullptr) {
        if (auto at_hand = parts.facts->now())
            facts = std::move(*at_hand);
        else
            facts = co_await parts.facts->wait(deadline);
    }
    co_return parts.meta.body(call.format, facts);
}

RpcResult get_temp_ca_cert(const KmsParts& parts, const RpcCall& call) {
    wire::GetTempCaCertResponse response;
    response.set_temp_ca_cert(parts.keys.certificates.temp_ca);
    response.set_temp_ca_key(std::string(parts.keys.temp_ca_key_text.text()));
    response.set_ca_cert(parts.keys.certificates.root_ca);
    return encode(call.format, response);
}

RpcResult get_app_env_encrypt_pub_key(const KmsParts& parts, const RpcCall& call) {
    auto request = arguments_of<wire::AppId>(call, kAppIdSchema);
    if (!request) return make_unexpected(std::move(request.error()));
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(call.now.time_since_epoch()).count();
    const auto timestamp = static_cast<std::uint64_t>(seconds);
    auto key = parts.keys.root.env_public_key({runtime::as_bytes(request->app_id())}, timestamp);
    if (!key) return make_unexpected(RpcError(std::move(key.error().context)));
    wire::PublicKeyResponse response;
    response.set_public_key(as_string(key->public_key));
    response.set_signature(as_string(key->signature));
    response.set_timestamp(timestamp);
    response.set_signature_v1(as_string(key->signature_v1));
    return encode(call.format, response);
}

RpcResult get_app_key(const KmsParts&, const RpcCall& call) {
    auto request = arguments_of<wire::GetAppKeyRequest>(call, kGetAppKeyRequestSchema);
    if (!request) return make_unexpected(std::move(request.error()));
    if (request->api_version() > 1)
        return make_unexpected(unsupported_version(request->api_version()));
    const bool attested = carries_attestation(call.client_certificate);
    return make_unexpected(
        RpcError(attested ? kCannotVerify : "No attestation provided").within("App not allowed"));
}

RpcResult get_kms_key(const KmsParts& parts, const RpcCall& call) {
    auto request = arguments_of<wire::GetKmsKeyRequest>(call, kGetKmsKeyRequestSchema);
    if (!request) return make_unexpected(std::move(request.error()));
    const bool unattested = parts.quotes_enabled && !carries_attestation(call.client_certificate);
    return make_unexpected(RpcError(unattested ? "No attestation provided" : kCannotVerify));
}

RpcResult sign_cert(const KmsParts&, const RpcCall& call) {
    auto request = arguments_of<wire::SignCertRequest>(call, kSignCertRequestSchema);
    if (!request) return make_unexpected(std::move(request.error()));
    const std::uint32_t version = request->api_version();
    if (version != 1 && version != 2) return make_unexpected(unsupported_version(version));
    return make_unexpected(
        RpcError("this build does not sign certificates, because the verification of quotes is not "
                 "part of it"));
}

RpcResult clear_image_cache(const KmsParts& parts, const RpcCall& call) {
    auto request = arguments_of<wire::ClearImageCacheRequest>(call, kClearImageCacheRequestSchema);
    if (!request) return make_unexpected(std::move(request.error()));
    const auto hash = crypto::sha256({runtime::as_bytes(request->token())});
    if (!runtime::equal_constant_time(hash, runtime::as_bytes(parts.admin_token_hash)))
        return make_unexpected(RpcError("Invalid token"));
    return make_unexpected(
        RpcError("this build keeps no image cache, so there is nothing to clear"));
}

constexpr std::array kMethods = {
    RpcMethod{"GetMeta", nullptr, &get_meta, false},
    RpcMethod{"GetTempCaCert", &get_temp_ca_cert, nullptr, false},
    RpcMethod{"GetAppEnvEncryptPubKey", &get_app_env_encrypt_pub_key, nullptr, false},
    RpcMethod{"GetAppKey", &get_app_key, nullptr, true},
    RpcMethod{"GetKmsKey", &get_kms_key, nullptr, true},
    RpcMethod{"SignCert", &sign_cert, nullptr, true},
    RpcMethod{"ClearImageCache", &clear_image_cache, nullptr, false},
};

}  // namespace

std::span<const RpcMethod> kms_methods() {
    return kMethods;
}

const RpcMethod* find_method(std::string_view name) {
    const auto found = std::find_if(kMethods.begin(), kMethods.end(),
                                    [&](const RpcMethod& method) { return method.name == name; });
    return found == kMethods.end() ? nullptr : &*found;
}

bool carries_attestation(std::string_view certificate_der) {
    // DER of the object identifiers 1.3.6.1.4.1.62397.1.1 (quote) and .8 (attestation).
    constexpr std::string_view kArc = "\x06\x0A\x2B\x06\x01\x04\x01\x83\xE7\x3D\x01";
    for (std::size_t at = certificate_der.find(kArc); at != std::string_view::npos;
         at = certificate_der.find(kArc, at + 1)) {
        const std::size_t last = at + kArc.size();
        if (last < certificate_der.size() &&
            (certificate_der[last] == '\x01' || certificate_der[last] == '\x08'))
            return true;
    }
    return false;
}

}  // namespace kms
