// Any bytes as the answer of a contract: a value that could have been meant, or a sentence.
#include "auth/abi/abi.hpp"

#include <algorithm>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const runtime::ByteView answer(data, size);
    if (const auto verdict = auth::abi::decode_verdict(answer)) {
        if (!runtime::is_utf8(verdict->reason) || verdict->reason.size() > size) std::abort();
        // Allowed is exactly the number 1 in the first word.
        const bool zeros =
            std::all_of(data, data + 31, [](std::uint8_t byte) { return byte == 0; });
        if (!zeros || data[31] != (verdict->is_allowed ? 1 : 0)) std::abort();
    }
    if (const auto text = auth::abi::decode_text(answer))
        if (!runtime::is_utf8(*text) || text->size() > size) std::abort();
    if (const auto address = auth::abi::decode_address(answer))
        if (!auth::abi::is_address(*address)) std::abort();
    return 0;
}
