// Any text as a TCB info: read or refused; what was read can be sorted, and its levels tell their
// state.
#include "kms/verify/tcb_info.hpp"
#include "kms/verify/x509_time.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = runtime::as_text({data, size});
    (void)kms::x509::parse_rfc3339(text);
    auto info = kms::parse_tcb_info(text);
    if (!info) return 0;
    info->sort_levels();
    for (std::size_t i = 0; i < info->levels.size(); ++i) {
        (void)info->levels[i].verdict.state();
        if (i > 0 && info->levels[i - 1].sgx.svn < info->levels[i].sgx.svn &&
            info->levels[i - 1].sgx.count >= 16 && info->levels[i].sgx.count >= 16)
            std::abort();  // not sorted
    }
    return 0;
}
