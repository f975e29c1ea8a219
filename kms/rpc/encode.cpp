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

/// As JsonObject::bytes(), without a copy of the digits elsewhere.
void append_secret_hex(JsonObject& object, std::string& out, std::string_view name,
                       const std::string& value) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    object.member(name);
    out += '"';
    for (const char c : value) {
        out += kDigits[static_cast<unsigned char>(c) >> 4];
        out += kDigits[static_cast<unsigned char>(c) & 0xF];
    }
    out += '"';
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

std::string encode(Format format, const wire::SignCertResponse& message) {
    if (format == Format::protobuf) return message.SerializeAsString();
    std::string out;
    JsonObject object(out);
    object.member("certificate_chain");
    out += '[';
    for (int i = 0; i < message.certificate_chain_size(); ++i) {
        if (i > 0) out += ',';
        append_json_text(out, message.certificate_chain(i));
    }
    out += ']';
    object.finish();
    return out;
}

std::string encode(Format format, const wire::BootstrapResponse& message) {
    if (format == Format::protobuf) return message.SerializeAsString();
    std::string out;
    append_json(out, message);
    return out;
}

std::string encode(Format format, const wire::OnboardResponse& message) {
    if (format == Format::protobuf) return message.SerializeAsString();
    std::string out;
    JsonObject(out).bytes("k256_pubkey", message.k256_pubkey()).finish();
    return out;
}

std::string encode(Format format, const wire::AttestationInfoResponse& message) {
    if (format == Format::protobuf) return message.SerializeAsString();
    std::string out;
    JsonObject(out)
        .bytes("device_id", message.device_id())
        .bytes("mr_aggregated", message.mr_aggregated())
        .bytes("os_image_hash", message.os_image_hash())
        .text("attestation_mode", message.attestation_mode())
        .text("site_name", message.site_name())
        .text("eth_rpc_url", message.eth_rpc_url())
        .text("kms_contract_address", message.kms_contract_address())
        .bytes("ppid", message.ppid())
        .finish();
    return out;
}

std::string encode(Format format, const wire::AppKeyResponse& message) {
    if (format == Format::protobuf) return message.SerializeAsString();
    std::string out;
    // Escapes at most double the certificate's text; everything else has a known size.
    out.reserve(2048 + 2 * message.ca_cert().size() +
                6 * (message.gateway_app_id().size() + message.tproxy_app_id().size()) +
                2 * message.os_image_hash().size());
    JsonObject object(out);
    object.text("ca_cert", message.ca_cert());
    append_secret_hex(object, out, "disk_crypt_key", message.disk_crypt_key());
    append_secret_hex(object, out, "env_crypt_key", message.env_crypt_key());
    append_secret_hex(object, out, "k256_key", message.k256_key());
    object.bytes("k256_signature", message.k256_signature())
        .text("tproxy_app_id", message.tproxy_app_id())
        .text("gateway_app_id", message.gateway_app_id())
        .bytes("os_image_hash", message.os_image_hash())
        .finish();
    return out;
}

std::string encode(Format format, const wire::KmsKeyResponse& message) {
    if (format == Format::protobuf) return message.SerializeAsString();
    std::size_t size = 256 + 2 * message.temp_ca_key().size();
    for (const auto& keys : message.keys()) size += 256 + 2 * keys.ca_key().size();
    std::string out;
    out.reserve(size);
    JsonObject object(out);
    object.text("temp_ca_key", message.temp_ca_key());
    object.member("keys");
    out += '[';
    for (const auto& keys : message.keys()) {
        if (out.back() == '}') out += ',';
        JsonObject one(out);
        one.text("ca_key", keys.ca_key());
        append_secret_hex(one, out, "k256_key", keys.k256_key());
        one.finish();
    }
    out += ']';
    object.finish();
    return out;
}

std::string encode_empty(Format format) {
    return format == Format::json ? "null" : "";
}

}  // namespace kms
