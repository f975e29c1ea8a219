#include "kms/rpc/message_schema.hpp"

#include "kms/rpc/kms.pb.h"

#include <array>

namespace kms {
namespace {

using google::protobuf::MessageLite;

/// The generated setter of one field behind a plain function: lite messages have no reflection.
#define KMS_TEXT_FIELD(message, field)                                       \
    [](MessageLite& out, FieldValue&& value) {                               \
        static_cast<wire::message&>(out).set_##field(std::move(value.text)); \
    }
#define KMS_U32_FIELD(message, field)                               \
    [](MessageLite& out, FieldValue&& value) {                      \
        static_cast<wire::message&>(out).set_##field(value.number); \
    }

constexpr std::array kAppId = {
    FieldSchema{"app_id", 1, FieldKind::bytes, KMS_TEXT_FIELD(AppId, app_id)},
};
constexpr std::array kGetAppKeyRequest = {
    FieldSchema{"api_version", 1, FieldKind::u32, KMS_U32_FIELD(GetAppKeyRequest, api_version)},
    FieldSchema{"vm_config", 2, FieldKind::text, KMS_TEXT_FIELD(GetAppKeyRequest, vm_config)},
};
constexpr std::array kGetKmsKeyRequest = {
    FieldSchema{"vm_config", 1, FieldKind::text, KMS_TEXT_FIELD(GetKmsKeyRequest, vm_config)},
};
constexpr std::array kSignCertRequest = {
    FieldSchema{"api_version", 1, FieldKind::u32, KMS_U32_FIELD(SignCertRequest, api_version)},
    FieldSchema{"csr", 2, FieldKind::bytes, KMS_TEXT_FIELD(SignCertRequest, csr)},
    FieldSchema{"signature", 3, FieldKind::bytes, KMS_TEXT_FIELD(SignCertRequest, signature)},
    FieldSchema{"vm_config", 4, FieldKind::text, KMS_TEXT_FIELD(SignCertRequest, vm_config)},
};
constexpr std::array kClearImageCacheRequest = {
    FieldSchema{"token", 1, FieldKind::text, KMS_TEXT_FIELD(ClearImageCacheRequest, token)},
    FieldSchema{"image_hash", 2, FieldKind::text,
                KMS_TEXT_FIELD(ClearImageCacheRequest, image_hash)},
    FieldSchema{"config_hash", 3, FieldKind::text,
                KMS_TEXT_FIELD(ClearImageCacheRequest, config_hash)},
};

constexpr std::array kBootstrapRequest = {
    FieldSchema{"domain", 1, FieldKind::text, KMS_TEXT_FIELD(BootstrapRequest, domain)},
};
constexpr std::array kOnboardRequest = {
    FieldSchema{"source_url", 1, FieldKind::text, KMS_TEXT_FIELD(OnboardRequest, source_url)},
    FieldSchema{"domain", 2, FieldKind::text, KMS_TEXT_FIELD(OnboardRequest, domain)},
};

constexpr std::array kBootstrapResponse = {
    FieldSchema{"ca_pubkey", 1, FieldKind::bytes, KMS_TEXT_FIELD(BootstrapResponse, ca_pubkey)},
    FieldSchema{"k256_pubkey", 2, FieldKind::bytes, KMS_TEXT_FIELD(BootstrapResponse, k256_pubkey)},
    FieldSchema{"attestation", 3, FieldKind::bytes, KMS_TEXT_FIELD(BootstrapResponse, attestation)},
};

#undef KMS_TEXT_FIELD
#undef KMS_U32_FIELD

}  // namespace

constinit const MessageSchema kAppIdSchema{"AppId", kAppId};
constinit const MessageSchema kGetAppKeyRequestSchema{"GetAppKeyRequest", kGetAppKeyRequest};
constinit const MessageSchema kGetKmsKeyRequestSchema{"GetKmsKeyRequest", kGetKmsKeyRequest};
constinit const MessageSchema kSignCertRequestSchema{"SignCertRequest", kSignCertRequest};
constinit const MessageSchema kClearImageCacheRequestSchema{"ClearImageCacheRequest",
                                                            kClearImageCacheRequest};
constinit const MessageSchema kBootstrapRequestSchema{"BootstrapRequest", kBootstrapRequest};
constinit const MessageSchema kOnboardRequestSchema{"OnboardRequest", kOnboardRequest};
constinit const MessageSchema kBootstrapResponseSchema{"BootstrapResponse", kBootstrapResponse};

const FieldSchema* MessageSchema::by_name(std::string_view field) const {
    for (const auto& candidate : fields)
        if (candidate.name == field) return &candidate;
    return nullptr;
}

const FieldSchema* MessageSchema::by_number(std::uint32_t number) const {
    for (const auto& candidate : fields)
        if (candidate.number == number) return &candidate;
    return nullptr;
}

}  // namespace kms
