// Any text as a QE identity.
#include "kms/verify/tcb_info.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto identity = kms::parse_qe_identity(runtime::as_text({data, size}));
    if (!identity) return 0;
    for (const kms::SvnLevel& level : identity->levels) (void)level.verdict.state();
    return 0;
}
