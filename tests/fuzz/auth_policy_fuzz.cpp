// Any bytes as a policy file: a policy that decides, or mistakes in words.
#include "auth/policy/simple_policy.hpp"
#include "launcher/runtime/bytes.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto reading = auth::parse_simple_policy(runtime::as_text({data, size}));
    if (!reading.policy) {
        if (reading.mistakes.empty()) std::abort();
        return 0;
    }
    auth::BootRequest request;
    request.tcb_status = "UpToDate";
    for (const auto kind : {auth::BootKind::app, auth::BootKind::kms}) {
        const auto decision = auth::evaluate(*reading.policy, kind, request);
        if (decision.is_allowed != decision.reason.empty()) std::abort();
    }
    return 0;
}
