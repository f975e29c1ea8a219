// Any bytes as a caller's certificate: read or refused, its extensions and the evidence in them,
// too.
#include "kms/crypto/leaf_certificate.hpp"
#include "kms/rpc/attested_peer.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using kms::crypto::CustomExtension;
    const auto leaf = kms::crypto::LeafCertificate::parse({data, size});
    if (!leaf) {
        if (leaf.error().context.empty()) std::abort();
        return 0;
    }
    if (leaf->spki().empty() || leaf->spki().size() > size) std::abort();
    for (const auto extension : {CustomExtension::tdx_quote, CustomExtension::tdx_event_log,
                                 CustomExtension::app_id, CustomExtension::special_usage,
                                 CustomExtension::attestation, CustomExtension::app_info}) {
        const auto payload = leaf->payload(extension);
        if (payload && payload->has_value() && (*payload)->size() > size) std::abort();
    }
    const auto evidence = kms::evidence_of(*leaf);
    if (evidence && *evidence != nullptr && !leaf->carries_attestation()) std::abort();
    return 0;
}
