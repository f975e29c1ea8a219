// Any bytes as the body of POST /bootAuth/*: a request that keeps its promises, or a sentence.
#include "auth/abi/abi.hpp"
#include "auth/policy/boot_request.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view body = runtime::as_text({data, size});
    for (const bool full_lengths : {false, true}) {
        const auto request = auth::parse_boot_request(body, {.full_lengths = full_lengths});
        if (!request) {
            if (request.error().context.empty()) std::abort();
            continue;
        }
        // What was accepted can be asked of a contract, whole words after the selector.
        const auto call = auth::abi::encode_boot_call(auth::BootKind::app, *request);
        if (!call || call->size() % 32 != 4) std::abort();
        if (request->advisory_ids.size() > auth::kMaxAdvisories) std::abort();
    }
    return 0;
}
