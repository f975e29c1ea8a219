#include "kms/simulator/machine.hpp"

#include "kms/evidence/json_writer.hpp"

#include <algorithm>

namespace kms::simulator {
namespace {

constexpr std::size_t kIdSize = 20;
constexpr std::size_t kMostEmitted = 256;
constexpr std::size_t kLargestPayload = 4096;

/// What firmware and boot loader measured, by register.
struct BootEvent {
    std::uint32_t imr, type;
    std::string_view payload;
};
constexpr BootEvent kBootEvents[] = {
    {0, 0x8000000b, "TD HOB"},      {0, 0x80000001, "firmware configuration"},
    {0, 10, "ACPI DATA"},           {0, 10, "ACPI DATA"},
    {0, 10, "ACPI DATA"},           {0, 4, "separator"},
    {1, 0x80000003, "kernel"},      {1, 0x80000007, "Exit Boot Services Invocation"},
    {2, 13, "kernel command line"}, {2, 13, "initial RAM disk"},
};

Bytes as_vector(ByteView bytes) {
    return {bytes.begin(), bytes.end()};
}
Bytes hash_of(std::string_view text) {
    return as_vector(crypto::sha256({runtime::as_bytes(text)}));
}
Bytes text_bytes(std::string_view text) {
    return as_vector(runtime::as_bytes(text));
}

TdxEvent boot_event(const BootEvent& event) {
    const Sha384 digest =
        sha384({runtime::as_bytes("simulated boot: "), runtime::as_bytes(event.payload)});
    return {.imr = event.imr,
            .event_type = event.type,
            .digest = as_vector(digest),
            .event = {},
            .event_payload = text_bytes(event.payload),
            .version = EventVersion::v1,
            .preimage = std::nullopt};
}

/// A runtime event as the event log lists it.
TdxEvent logged(const RuntimeEvent& event) {
    TdxEvent out{.imr = 3,
                 .event_type = kRuntimeEventType,
                 .digest = as_vector(event_digest_sha384(event)),
                 .event = event.event,
                 .event_payload = event.payload,
                 .version = event.version,
                 .preimage = std::nullopt};
    if (event.version == EventVersion::v2)
        out.preimage = runtime::to_hex(
            runtime::as_bytes(event_preimage(event.event, event.payload, event.version)));
    return out;
}

}  // namespace

Machine::Machine(const Seed& seed, const MachineText& text)
    : seed_(seed), name_(text.name), key_provider_(text.key_provider) {
    app_compose_ = R"({"manifest_version":2,"name":)";
    append_json_string(app_compose_, text.name);
    app_compose_ += R"(,"runner":"docker-compose","kms_enabled":true})";
    os_image_hash_ = hash_of("the simulated operating system image");
}

Platform Machine::platform(const Faults& faults) const {
    Platform platform;
    const std::string_view which =
        faults.has(Fault::other_device) ? "another simulated PPID" : "simulated PPID";
    const crypto::Hash hash = crypto::sha256({runtime::as_bytes(which), seed_});
    std::copy_n(hash.begin(), platform.ppid.size(), platform.ppid.begin());
    platform.fmspc = {0x53, 0x49, 0x4d, 0x00, 0x00, 0x01};  // "SIM", and a number
    platform.component_svn = 3;
    platform.pce_svn = 11;
    platform.module_svn = 5;
    platform.module_version = 1;
    platform.qe_isv_svn = 2;
    return platform;
}

Bytes Machine::compose_hash(const Faults& faults) const {
    return hash_of(faults.has(Fault::other_application) ? app_compose_ + "\n" : app_compose_);
}
Bytes Machine::app_id(const Faults& faults) const {
    Bytes id = compose_hash(faults);
    id.resize(kIdSize);
    return id;
}
Bytes Machine::instance_id(const Faults& faults) const {
    Bytes id = as_vector(crypto::sha256({seed_, app_id(faults)}));
    id.resize(kIdSize);
    return id;
}

std::string Machine::vm_config() const {
    return R"({"os_image_hash":")" + runtime::to_hex(os_image_hash_) +
           R"(","cpu_count":2,"memory_size":2147483648})";
}

Result<void> Machine::emit(std::string name, Bytes payload) {
    if (emitted_.size() >= kMostEmitted || payload.size() > kLargestPayload ||
        name.size() > kLargestPayload)
        return Error{ErrorCode::invalid_argument, "the simulated machine takes at most " +
                                                      std::to_string(kMostEmitted) + " events of " +
                                                      std::to_string(kLargestPayload) + " bytes"};
    emitted_.push_back({std::move(name), std::move(payload), EventVersion::v1});
    return {};
}

std::vector<RuntimeEvent> Machine::runtime_events(const Faults& faults) const {
    const auto event = [](std::string_view name, Bytes payload) {
        return RuntimeEvent{std::string(name), std::move(payload), EventVersion::v1};
    };
    std::vector<RuntimeEvent> events{event("system-preparing", {}),
                                     event("app-id", app_id(faults)),
                                     event("compose-hash", compose_hash(faults)),
                                     event("instance-id", instance_id(faults)),
                                     event(kBootMrDone, {}),
                                     event("key-provider", text_bytes(key_provider_)),
                                     event("storage-fs", text_bytes("zfs")),
                                     event(kSystemReady, {})};
    events.insert(events.end(), emitted_.begin(), emitted_.end());
    if (faults.has(Fault::event_preimage))
        events.push_back({"of-version-2", text_bytes("payload"), EventVersion::v2});
    return events;
}

std::vector<TdxEvent> Machine::event_log(const Faults& faults) const {
    std::vector<TdxEvent> log;
    for (const BootEvent& event : kBootEvents) log.push_back(boot_event(event));
    for (const RuntimeEvent& event : runtime_events(faults)) log.push_back(logged(event));
    return log;
}

Measurements Machine::measurements(const Faults& faults) const {
    Measurements out;
    out.mr_td = sha384({runtime::as_bytes(
        faults.has(Fault::other_measurement) ? "other simulated firmware" : "simulated firmware")});
    const auto log = event_log(faults);
    for (std::uint32_t imr = 0; imr < out.rtmr.size(); ++imr)
        out.rtmr[imr] = replay_event_log(log, imr);
    return out;
}

Attestation Machine::attest(const ReportData& asked, const Faults& faults) const {
    // What an earlier caller, with another key, was answered.
    const ReportData earlier = ratls_report_data(runtime::as_bytes("an earlier question"));
    const ReportData& answered = faults.has(Fault::replayed_answer) ? earlier : asked;
    const ReportData& quoted = faults.has(Fault::replayed_quote) ? earlier : answered;
    QuoteRequest request;
    request.measurements = measurements(faults);
    request.report_data = quoted;

    Attestation evidence;
    auto log = event_log(faults);
    evidence.runtime_events = runtime_events(faults);
    if (faults.has(Fault::event_omitted)) {
        const auto is_compose = [](const auto& event) { return event.event == "compose-hash"; };
        std::erase_if(log, is_compose);
        std::erase_if(evidence.runtime_events, is_compose);
    }
    if (faults.has(Fault::event_preimage)) log.back().digest[0] ^= 0xff;
    evidence.platform =
        TdxEvidence{make_quote(seed_, platform(faults), faults, request), std::move(log)};
    evidence.report_data.assign(answered.begin(), answered.end());
    evidence.config = vm_config();
    return evidence;
}

}  // namespace kms::simulator
