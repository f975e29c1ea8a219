#include "kms/rpc/encode.hpp"

#include "kms/rpc/json_writer.hpp"
#include "kms/rpc/kms.pb.h"

namespace kms {
namespace {

void append_json(std::string& out, const wire::BootstrapResponse& message) {
    JsonObject(out)
        .bytes("ca_pubkey", message.ca_pubkey())
        .bytes("k256_pubkey", message.k256_pubkey())
        .bytes("attestation", message.attestation())
        .finish();
}

void append_optional_text(JsonObject& object, std::string_view name, bool present,
                          const std::string& value) {
    if (present) {
        object.text(name, value);
    } else {
        object.null(name);
    }
}

}  // namespace

std::string encode(Format format, const wire::GetMetaResponse& message) {
    if (format == Format::protobuf) return message.SerializeAsString();
    std::string out;
    out.reserve(1024);
    JsonObject object(out);
    object.text("ca_cert", message.ca_cert());
    object.boolean("allow_any_upgrade", message.allow_any_upgrade());
    object.bytes("k256_pubkey", message.k256_pubkey());
    if (message.has_bootstrap_info()) {
        object.member("bootstrap_info");
        append_json(out, message.bootstrap_info());
    } else {
        object.null("bootstrap_info");
    }
    object.boolean("is_dev", message.is_dev());
    append_optional_text(object, "gateway_app_id", message.has_gateway_app_id(),
                         message.gateway_app_id());
    append_optional_text(object, "kms_contract_address", message.has_kms_contract_address(),
                         message.kms_contract_address());
    if (message.has_chain_id()) {
        object.number("chain_id", message.chain_id());
    } else {
        object.null("chain_id");
    }
    append_optional_text(object, "app_auth_implementation", message.has_app_auth_implementation(),
                         message.app_auth_implementation());
    object.finish();
    return out;
}

std::string encode(Format format, const wire::GetTempCaCertResponse& message) {
    if (format == Format::protobuf) return message.SerializeAsString();
    std::string out;
    out.reserve(2048);
    JsonObject(out)
        .text("temp_ca_cert", message.temp_ca_cert())
        .text("temp_ca_key", message.temp_ca_key())
        .text("ca_cert", message.ca_cert())
        .finish();
    return out;
}

std::string encode(Format format, const wire::PublicKeyResponse& message) {
    if (format == Format::protobuf) return message.SerializeAsString();
    std::string out;
    out.reserve(512);
    JsonObject(out)
        .bytes("public_key", message.public_key())
        .bytes("signature", message.signature())
        .number("timestamp", message.timestamp())
        .bytes("signature_v1", message.signature_v1())
        .finish();
    return out;
}

}  // namespace kms
