// Any bytes as a quote, with the collateral of nobody: taken apart without reading past the end,
// and never accepted.
#include "kms/verify/verify.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const runtime::ByteView bytes(data, size);
    const auto quote = kms::parse_quote(bytes);
    if (!quote) return 0;
    // Every view lies inside of the input.
    const auto inside = [&](runtime::ByteView view) {
        return view.empty() || (view.data() >= data && view.data() + view.size() <= data + size);
    };
    if (!inside(quote->signed_bytes) || !inside(quote->signature) ||
        !inside(quote->qe_authentication_data) || !inside(quote->certification.data) ||
        !inside(quote->qe_report.bytes()) || !inside(quote->report_data()))
        std::abort();
    if (quote->td_report() != nullptr && !inside(quote->td_report()->bytes())) std::abort();
    (void)kms::check_dstack_policy(*quote);
    if (kms::verify_quote(bytes, kms::Collateral{}, kms::TrustAnchor::intel(), 0)) std::abort();
    return 0;
}
