#include "kms/evidence/event_log.hpp"

#include "kms/evidence/json_writer.hpp"
#include "launcher/runtime/openssl_ptr.hpp"

#include <stdexcept>

namespace kms {
namespace {

/// Fetched once: looking an algorithm up costs more than hashing a short text.
const EVP_MD* sha384_algorithm() {
    static const EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA384", nullptr);
    if (fetched == nullptr)
        throw std::runtime_error("OpenSSL has no SHA384: " + runtime::openssl_error());
    return fetched;
}

template <class Digest, class Hash>
Digest replay(std::span<const RuntimeEvent> events, ReplayUntil until, Hash hash) {
    Digest value{};
    for (const RuntimeEvent& event : events) {
        const std::string preimage = event_preimage(event.event, event.payload, event.version);
        const Digest digest = hash({runtime::as_bytes(preimage)});
        value = hash({ByteView(value), ByteView(digest)});
        if (until == ReplayUntil::boot_mr_done && event.event == kBootMrDone) break;
    }
    return value;
}

}  // namespace

Sha384 sha384(std::initializer_list<ByteView> parts) {
    const runtime::OwnedMdCtx context(EVP_MD_CTX_new());
    Sha384 digest{};
    bool good =
        context != nullptr && EVP_DigestInit_ex2(context.get(), sha384_algorithm(), nullptr) == 1;
    for (const ByteView part : parts)
        good = good && EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1;
    // Hashing in memory fails only when memory has run out.
    if (!good || EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1)
        throw std::runtime_error("SHA-384 failed: " + runtime::openssl_error());
    return digest;
}

std::string event_preimage(std::string_view event, ByteView payload, EventVersion version) {
    std::string text;
    if (version == EventVersion::v1) {
        for (unsigned shift = 0; shift < 32; shift += 8)
            text += static_cast<char>(kRuntimeEventType >> shift & 0xffU);
        text.append(":").append(event).append(":").append(runtime::as_text(payload));
        return text;
    }
    text = "{\"name\":";
    append_json_string(text, event);
    return text + ",\"payload\":\"" + runtime::to_hex(payload) +
           "\",\"type\":" + std::to_string(kRuntimeEventType) + "}";
}

Sha384 event_digest_sha384(const RuntimeEvent& event) {
    return sha384({runtime::as_bytes(event_preimage(event.event, event.payload, event.version))});
}

crypto::Hash event_digest_sha256(const RuntimeEvent& event) {
    return crypto::sha256(
        {runtime::as_bytes(event_preimage(event.event, event.payload, event.version))});
}

Sha384 replay_runtime_events(std::span<const RuntimeEvent> events, ReplayUntil until) {
    return replay<Sha384>(events, until, sha384);
}

crypto::Hash replay_runtime_events_sha256(std::span<const RuntimeEvent> events, ReplayUntil until) {
    return replay<crypto::Hash>(events, until, crypto::sha256);
}

Sha384 replay_event_log(std::span<const TdxEvent> log, std::uint32_t imr) {
    Sha384 value{};
    for (const TdxEvent& event : log) {
        if (event.imr != imr) continue;
        if (event.is_runtime()) {
            const std::string preimage =
                event_preimage(event.event, event.event_payload, event.version);
            value = sha384({ByteView(value), ByteView(sha384({runtime::as_bytes(preimage)}))});
        } else {
            value = sha384({ByteView(value), event.digest});
        }
    }
    return value;
}

std::vector<RuntimeEvent> runtime_events_of(std::span<const TdxEvent> log) {
    std::vector<RuntimeEvent> events;
    for (const TdxEvent& event : log)
        if (event.is_runtime()) events.push_back({event.event, event.event_payload, event.version});
    return events;
}

std::vector<ByteView> find_events(std::span<const RuntimeEvent> events, std::string_view name) {
    std::vector<ByteView> found;
    for (const RuntimeEvent& event : events) {
        if (event.event == kSystemReady) break;
        if (event.event == name) found.emplace_back(event.payload);
    }
    return found;
}

std::optional<ByteView> find_event(std::span<const RuntimeEvent> events, std::string_view name) {
    const auto found = find_events(events, name);
    if (found.empty()) return std::nullopt;
    return found.front();
}

}  // namespace kms
