#include "kms/evidence/app_info.hpp"

#include "kms/evidence/json_writer.hpp"

#include <algorithm>

namespace kms {
namespace {

using crypto::Hash;
using crypto::sha256;

Bytes copy_of(std::optional<ByteView> view) {
    return view ? Bytes(view->begin(), view->end()) : Bytes();
}

bool is_zero(ByteView bytes) {
    return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

Hash key_provider_digest(ByteView key_provider_info) {
    return key_provider_info.empty() ? Hash{} : sha256({key_provider_info});
}

Result<void> measure_tdx(AppInfo& info, const TdxEvidence& evidence,
                         std::span<const RuntimeEvent> events, ReplayUntil until) {
    TRY(const TdReport report, td_report_of(evidence.quote));
    const Hash key_provider = key_provider_digest(info.key_provider_info);
    info.mr_system = sha256(
        {report.mr_td(), report.rtmr(0), report.rtmr(1), report.rtmr(2), ByteView(key_provider)});
    const Sha384 replayed = replay_runtime_events(events, until);
    ByteView config = report.mr_config_id();
    ByteView owner = report.mr_owner();
    ByteView owner_config = report.mr_owner_config();
    // All three or none: machines without them keep the value that they had before these fields
    // came into use.
    if (is_zero(config) && is_zero(owner) && is_zero(owner_config))
        config = owner = owner_config = {};
    info.mr_aggregated = sha256({report.mr_td(), report.rtmr(0), report.rtmr(1), report.rtmr(2),
                                 ByteView(replayed), config, owner, owner_config});
    return {};
}

Result<ByteView> pcr_value(const TpmQuote& quote, std::uint32_t index) {
    const auto found = std::ranges::find(quote.pcr_values, index, &PcrValue::index);
    if (found == quote.pcr_values.end())
        return Error{ErrorCode::invalid_argument,
                     "the TPM quote lists no value of PCR " + std::to_string(index)};
    return ByteView(found->value);
}

Result<void> measure_gcp(AppInfo& info, const GcpTdxEvidence& evidence,
                         std::span<const RuntimeEvent> events, ReplayUntil until) {
    TRY(const ByteView pcr0, pcr_value(evidence.tpm_quote, 0));
    TRY(const ByteView pcr2, pcr_value(evidence.tpm_quote, 2));
    const Hash key_provider = key_provider_digest(info.key_provider_info);
    info.mr_system = sha256({info.os_image_hash, ByteView(key_provider)});
    const Hash replayed = replay_runtime_events_sha256(events, until);
    info.mr_aggregated = sha256({pcr0, pcr2, ByteView(replayed)});
    return {};
}

}  // namespace

Result<AppInfo> decode_app_info(const Attestation& attestation, AppInfoAt at, ByteView device,
                                std::string_view vm_config) {
    const std::span<const RuntimeEvent> events = attestation.runtime_events;
    AppInfo info;
    if (at == AppInfoAt::run_time)
        info.key_provider_info = copy_of(find_event(events, "key-provider"));
    if (vm_config.empty()) vm_config = attestation.config;
    if (vm_config.empty()) vm_config = "{}";
    auto image = os_image_hash_of(vm_config);
    if (!image) return std::move(image.error()).within("Failed to decode os image hash");
    info.os_image_hash = std::move(*image);
    info.app_id = copy_of(find_event(events, "app-id"));
    info.compose_hash = copy_of(find_event(events, "compose-hash"));
    info.instance_id = copy_of(find_event(events, "instance-id"));
    for (const ByteView hash : find_events(events, "init-script-hash"))
        info.init_script_hashes.emplace_back(hash.begin(), hash.end());
    info.device_id = sha256({device});

    const ReplayUntil until =
        at == AppInfoAt::boot_time ? ReplayUntil::boot_mr_done : ReplayUntil::end;
    if (const auto* tdx = std::get_if<TdxEvidence>(&attestation.platform)) {
        TRY_VOID(measure_tdx(info, *tdx, events, until));
    } else if (const auto* gcp = std::get_if<GcpTdxEvidence>(&attestation.platform)) {
        TRY_VOID(measure_gcp(info, *gcp, events, until));
    } else {
        return Error{ErrorCode::unavailable,
                     "evidence of kind " + std::string(attestation_mode(attestation.platform)) +
                         " is not supported by this build"};
    }
    return info;
}

std::string to_json(const AppInfo& info) {
    std::string out = "{";
    const auto put = [&out](std::string_view name, ByteView value) {
        if (out.size() > 1) out += ',';
        append_json_string(out, name);
        out += ":\"" + runtime::to_hex(value) + "\"";
    };
    put("app_id", info.app_id);
    put("compose_hash", info.compose_hash);
    put("instance_id", info.instance_id);
    put("device_id", info.device_id);
    put("mr_system", info.mr_system);
    put("mr_aggregated", info.mr_aggregated);
    put("os_image_hash", info.os_image_hash);
    put("key_provider_info", info.key_provider_info);
    out += ",\"init_script_hashes\":[";
    for (std::size_t i = 0; i < info.init_script_hashes.size(); ++i)
        out += (i == 0 ? "\"" : ",\"") + runtime::to_hex(info.init_script_hashes[i]) + "\"";
    return out + "]}";
}

}  // namespace kms
