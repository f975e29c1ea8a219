#include "kms/rpc/app_certificate.hpp"

#include "kms/evidence/app_info.hpp"
#include "kms/evidence/msgpack.hpp"

#include <boost/json.hpp>

namespace kms {
namespace {

using tl::make_unexpected;

constexpr const char* kFailed = "Failed to sign certificate";

/// An attestation's configuration may hold the VM's as a text inside of it; that one counts here.
std::string nested_vm_config(const std::string& config) {
    boost::system::error_code error;
    const boost::json::value document = boost::json::parse(config, error);
    if (error || !document.is_object()) return {};
    const boost::json::value* nested = document.get_object().if_contains("vm_config");
    return nested != nullptr && nested->is_string() ? std::string(nested->get_string())
                                                    : std::string();
}

}  // namespace

crypto::AttestationExtension attestation_extension(const Attestation& evidence) {
    crypto::AttestationExtension extension;
    if (const auto* tdx = std::get_if<TdxEvidence>(&evidence.platform)) {
        const std::string log = to_json(std::span<const TdxEvent>(tdx->event_log));
        const ByteView text = runtime::as_bytes(log);
        extension.tdx_quote = tdx->quote;
        extension.tdx_event_log.emplace(text.begin(), text.end());
    } else {
        extension.attestation = encode_attestation(stripped(evidence, StripRule::rtmr3_only));
    }
    return extension;
}

Result<Bytes> app_info_extension(const Attestation& evidence) {
    TRY(const AppInfo info,
        decode_app_info(evidence, AppInfoAt::run_time, {}, nested_vm_config(evidence.config)));
    const ByteView members[] = {info.app_id,        info.compose_hash,     info.instance_id,
                                info.device_id,     info.mr_system,        info.mr_aggregated,
                                info.os_image_hash, info.key_provider_info};
    Bytes out;
    msgpack::append_array(out, std::size(members));
    for (const ByteView member : members) msgpack::append_binary(out, member);
    return out;
}

tl::expected<std::vector<std::string>, RpcError> app_certificate_chain(
    const keys::KeySet& keys, const CertificateRequest& request, const Attestation& evidence,
    ByteView app_id, runtime::WallTime now) {
    const auto failed = [](std::vector<std::string> causes) {
        return make_unexpected(RpcError(kFailed, std::move(causes)));
    };
    const auto point = crypto::point_of_spki(request.public_key);
    if (!point) return failed({"Failed to parse signature", point.error().context});

    const keys::AppId app{app_id};
    const auto app_ca_key = keys.root.app_ca_key(app);
    if (!app_ca_key) return failed({app_ca_key.error().context});
    auto app_ca = keys.root.certify(keys::app_ca_profile(app_ca_key->public_point(), app), now);
    if (!app_ca) return failed({std::move(app_ca.error().context)});

    std::optional<Bytes> app_info;
    if (request.wants_app_info) {
        auto info = app_info_extension(evidence);
        if (!info) return failed({std::move(info.error().context)});
        app_info = std::move(*info);
    }
    crypto::AttestationExtension extension;
    if (request.wants_attestation) extension = attestation_extension(evidence);
    auto leaf =
        crypto::issue_certificate(keys::app_profile(*point, app, request.certificate,
                                                    std::move(extension), std::move(app_info)),
                                  {crypto::encode_name(keys::app_ca_subject()), *app_ca_key}, now);
    if (!leaf) return failed({kFailed, std::move(leaf.error().context)});
    return std::vector<std::string>{std::move(*leaf), std::move(*app_ca),
                                    keys.certificates.root_ca};
}

}  // namespace kms
