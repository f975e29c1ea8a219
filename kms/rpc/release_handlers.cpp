#include "kms/rpc/release_handlers.hpp"

#include "kms/rpc/app_certificate.hpp"
#include "kms/rpc/arguments.hpp"
#include "kms/rpc/attested_peer.hpp"
#include "kms/rpc/csr.hpp"
#include "kms/rpc/encode.hpp"
#include "kms/rpc/kms.pb.h"
#include "launcher/runtime/secret.hpp"

namespace kms {
namespace {

using runtime::Deadline;
using runtime::Task;
using tl::make_unexpected;

RpcError unsupported_version(std::uint32_t version) {
    return RpcError("Unsupported API version: " + std::to_string(version));
}

std::string as_string(runtime::ByteView bytes) {
    return std::string(runtime::as_text(bytes));
}

/// Platforms whose keys are released only when the operator said so.
tl::expected<void, RpcError> platform_is_released(const KeyRelease& release,
                                                  const Attestation& evidence) {
    if (!release.sev_snp && std::holds_alternative<SevSnpEvidence>(evidence.platform))
        return make_unexpected(RpcError("amd sev-snp key release is not enabled"));
    if (!release.aws_nitro_tpm && std::holds_alternative<NitroTpmEvidence>(evidence.platform))
        return make_unexpected(RpcError("aws nitro-tpm key release is not enabled"));
    return {};
}

/// The decision of the authorisation service, then the check of the image.
Task<tl::expected<AllowedBoot, RpcError>> allow(KmsParts& parts, Worker worker,
                                                AttestedCaller caller, BootQuestion question,
                                                Deadline deadline) {
    const KeyRelease& release = parts.release;
    std::string vm_config = question.vm_config;
    auto allowed = co_await authorize(release.authority, caller, std::move(question), deadline);
    if (!allowed) co_return make_unexpected(rpc_error(allowed.error()));
    if (release.images != nullptr) {
        auto image = co_await release.images->check(
            caller.evidence, std::move(vm_config),
            deadline.narrowed(worker.clock.now(), release.image_limit));
        if (!image)
            co_return make_unexpected(rpc_error(image.error())
                                          .within("Failed to verify os image hash")
                                          .within("Failed to verify os image hash"));
    }
    co_return std::move(*allowed);
}

/// Wipes private keys in a message that was sent.
void wipe_keys(wire::AppKeyResponse& response) {
    runtime::wipe(*response.mutable_disk_crypt_key());
    runtime::wipe(*response.mutable_env_crypt_key());
    runtime::wipe(*response.mutable_k256_key());
}

RpcResult app_keys(const KmsParts& parts, const RpcCall& call, const AllowedBoot& allowed) {
    const keys::AppId app{allowed.app.app_id};
    auto disk = parts.keys.root.disk_crypt_key(app, {allowed.app.instance_id});
    auto env = parts.keys.root.env_crypt_key(app);
    auto k256 = parts.keys.root.app_k256_key(app);
    for (const Error* error : {disk ? nullptr : &disk.error(), env ? nullptr : &env.error(),
                               k256 ? nullptr : &k256.error()})
        if (error != nullptr) return make_unexpected(RpcError(error->context));
    wire::AppKeyResponse response;
    response.set_ca_cert(parts.keys.certificates.root_ca);
    response.set_disk_crypt_key(as_string(disk->view()));
    response.set_env_crypt_key(as_string(env->view()));
    response.set_k256_key(as_string(k256->key.view()));
    response.set_k256_signature(as_string(k256->signature));
    response.set_tproxy_app_id(allowed.gateway_app_id);
    response.set_gateway_app_id(allowed.gateway_app_id);
    response.set_os_image_hash(as_string(allowed.app.os_image_hash));
    RpcResult answer = encode(call.format, response);
    wipe_keys(response);
    return answer;
}

RpcResult root_keys(const KmsParts& parts, const RpcCall& call) {
    const keys::RootKeys::HandOver root = parts.keys.root.hand_over();
    wire::KmsKeyResponse response;
    response.set_temp_ca_key(std::string(parts.keys.temp_ca_key_text.text()));
    wire::KmsKeys& keys = *response.add_keys();
    keys.set_ca_key(std::string(root.ca_key_pem.text()));
    keys.set_k256_key(as_string(root.k256_key.view()));
    RpcResult answer = encode(call.format, response);
    runtime::wipe(*keys.mutable_ca_key());
    runtime::wipe(*keys.mutable_k256_key());
    return answer;
}

/// Versions 0 and 1 are the first form: releases differ in which of the two they send.
tl::expected<CertificateRequest, RpcError> decode_csr(const RpcCall& call, std::string& vm_config) {
    auto request = arguments_of<wire::SignCertRequest>(call, kSignCertRequestSchema);
    if (!request) return make_unexpected(std::move(request.error()));
    if (request->api_version() > 2)
        return make_unexpected(unsupported_version(request->api_version()));
    vm_config = request->vm_config();
    const std::uint32_t version = request->api_version();
    auto csr = open_csr(version == 2 ? CsrForm::v2 : CsrForm::v1, runtime::as_bytes(request->csr()),
                        runtime::as_bytes(request->signature()));
    // A version of 0 may also be one that nobody wrote.
    if (!csr && version == 0 && csr.error().chain.front() == kCannotParseCsr)
        return make_unexpected(unsupported_version(version));
    return csr;
}

}  // namespace

Task<RpcResult> get_app_key(KmsParts& parts, Worker worker, const RpcCall& call,
                            Deadline deadline) {
    auto request = arguments_of<wire::GetAppKeyRequest>(call, kGetAppKeyRequestSchema);
    if (!request) co_return make_unexpected(std::move(request.error()));
    if (request->api_version() > 1)
        co_return make_unexpected(unsupported_version(request->api_version()));
    constexpr const char* kContext = "App not allowed";
    if (call.caller == nullptr)
        co_return make_unexpected(RpcError("No attestation provided").within(kContext));
    // A named value: GCC 12 destroys a braced temporary inside of co_await twice.
    const BootQuestion question{BootKind::app, AppInfoAt::run_time, request->vm_config()};
    auto allowed = co_await allow(parts, worker, *call.caller, question, deadline);
    if (!allowed) co_return make_unexpected(std::move(allowed.error()).within(kContext));
    if (auto released = platform_is_released(parts.release, *call.caller->evidence); !released)
        co_return make_unexpected(std::move(released.error()));
    co_return app_keys(parts, call, *allowed);
}

Task<RpcResult> get_kms_key(KmsParts& parts, Worker worker, const RpcCall& call,
                            Deadline deadline) {
    auto request = arguments_of<wire::GetKmsKeyRequest>(call, kGetKmsKeyRequestSchema);
    if (!request) co_return make_unexpected(std::move(request.error()));
    if (parts.quotes_enabled) {
        if (call.caller == nullptr) co_return make_unexpected(RpcError("No attestation provided"));
        const BootQuestion question{BootKind::kms, AppInfoAt::run_time, request->vm_config()};
        auto allowed = co_await allow(parts, worker, *call.caller, question, deadline);
        if (!allowed) co_return make_unexpected(std::move(allowed.error()));
        if (auto released = platform_is_released(parts.release, *call.caller->evidence); !released)
            co_return make_unexpected(std::move(released.error()));
    } else if (parts.release.authority.kind() == AuthorityKind::none_refusing) {
        // With quotes off nothing is asked; with nobody to ask, that must have been written out.
        const BootInfo nobody;
        auto refused = co_await parts.release.authority.decide(BootKind::kms, nobody, deadline);
        co_return make_unexpected(RpcError(refused ? "refused" : refused.error().context));
    }
    co_return root_keys(parts, call);
}

Task<RpcResult> sign_cert(KmsParts& parts, Worker worker, const RpcCall& call, Deadline deadline) {
    const bool small = call.arguments.size() <= kInlineArguments;
    std::string vm_config;
    auto request = co_await compute(worker, small, deadline,
                                    [&call, &vm_config] { return decode_csr(call, vm_config); });
    if (!request) co_return make_unexpected(std::move(request.error()));

    auto evidence = std::make_shared<const Attestation>(std::move(request->attestation));
    auto caller = co_await verify_evidence(
        evidence, request->public_key, parts.release.verifier, std::string(call.peer),
        deadline.narrowed(worker.clock.now(), parts.release.verification_limit));
    if (!caller)
        co_return make_unexpected(std::move(caller.error()).within("Quote verification failed"));
    const BootQuestion question{BootKind::app, AppInfoAt::boot_time, std::move(vm_config)};
    auto allowed = co_await allow(parts, worker, std::move(*caller), question, deadline);
    if (!allowed) co_return make_unexpected(std::move(allowed.error()));
    if (auto released = platform_is_released(parts.release, *evidence); !released)
        co_return make_unexpected(std::move(released.error()));

    auto chain = co_await compute(worker, small, deadline, [&] {
        return app_certificate_chain(parts.keys, *request, *evidence, allowed->app.app_id,
                                     call.now);
    });
    if (!chain) co_return make_unexpected(std::move(chain.error()));
    wire::SignCertResponse response;
    for (std::string& certificate : *chain) response.add_certificate_chain(std::move(certificate));
    co_return encode(call.format, response);
}

}  // namespace kms
