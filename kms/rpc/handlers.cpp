#include "kms/rpc/handlers.hpp"

#include "kms/crypto/sha256.hpp"
#include "kms/rpc/arguments.hpp"
#include "kms/rpc/encode.hpp"
#include "kms/rpc/image_cache.hpp"
#include "kms/rpc/kms.pb.h"
#include "kms/rpc/release_handlers.hpp"
#include "launcher/runtime/secret.hpp"

#include <algorithm>
#include <array>

namespace kms {
namespace {

using runtime::Deadline;
using runtime::Task;
using tl::make_unexpected;

std::string as_string(runtime::ByteView bytes) {
    return std::string(runtime::as_text(bytes));
}

Task<RpcResult> get_meta(KmsParts& parts, Worker, const RpcCall& call, Deadline deadline) {
    FactsSource::Facts facts;
    if (parts.facts != nullptr) {
        if (auto at_hand = parts.facts->now())
            facts = std::move(*at_hand);
        else
            facts = co_await parts.facts->wait(deadline);
    }
    co_return parts.meta.body(call.format, facts, call.now);
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

tl::expected<wire::ClearImageCacheRequest, RpcError> authentic_request(const KmsParts& parts,
                                                                       const RpcCall& call) {
    auto request = arguments_of<wire::ClearImageCacheRequest>(call, kClearImageCacheRequestSchema);
    if (!request) return request;
    const auto hash = crypto::sha256({runtime::as_bytes(request->token())});
    if (runtime::equal_constant_time(hash, runtime::as_bytes(parts.admin_token_hash)))
        return request;
    return make_unexpected(RpcError("Invalid token"));
}

Task<RpcResult> clear_image_cache(KmsParts& parts, Worker worker, const RpcCall& call,
                                  Deadline deadline) {
    const auto request = authentic_request(parts, call);
    if (!request) co_return make_unexpected(request.error());
    // On a worker: a cache on a slow disk must not hold up anybody else.
    auto cleared = co_await compute(worker, false, deadline, [&parts, &request] {
        return kms::clear_image_cache(parts.image_cache_dir, request->image_hash(),
                                      request->config_hash());
    });
    if (!cleared) co_return make_unexpected(std::move(cleared.error()));
    co_return encode_empty(call.format);
}

constexpr std::array kMethods = {
    RpcMethod{"GetMeta", nullptr, &get_meta, false, false, false},
    RpcMethod{"GetTempCaCert", &get_temp_ca_cert, nullptr, true, false, false},
    RpcMethod{"GetAppEnvEncryptPubKey", &get_app_env_encrypt_pub_key, nullptr, true, false, false},
    RpcMethod{"GetAppKey", nullptr, &get_app_key, true, true, true},
    RpcMethod{"GetKmsKey", nullptr, &get_kms_key, true, true, true},
    RpcMethod{"SignCert", nullptr, &sign_cert, true, true, false},
    RpcMethod{"ClearImageCache", nullptr, &clear_image_cache, false, false, false},
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

}  // namespace kms
