// Any text as an event log in JSON, any bytes as a boot log: what is read is written to something
// that reads back the same.
#include "kms/evidence/app_info.hpp"
#include "kms/evidence/ccel.hpp"
#include "kms/evidence/event_log.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const runtime::ByteView bytes(data, size);
    const std::string_view text = runtime::as_text(bytes);
    if (const auto log = kms::parse_event_log(text)) {
        const auto again = kms::parse_event_log(kms::to_json(*log));
        if (!again || *again != *log) std::abort();
        (void)kms::replay_event_log(*log, 3);
    }
    if (const auto event = kms::parse_runtime_event(text)) {
        const auto again = kms::parse_runtime_event(kms::to_json(*event));
        if (!again || *again != *event) std::abort();
    }
    (void)kms::os_image_hash_of(text);
    (void)kms::parse_ccel(bytes);
    return 0;
}
