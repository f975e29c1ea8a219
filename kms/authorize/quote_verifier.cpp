#include "kms/authorize/quote_verifier.hpp"

namespace kms {

runtime::Task<Result<VerifiedMachine>> RefusingQuoteVerifier::verify(SharedAttestation, std::string,
                                                                     runtime::Deadline) {
    co_return Error{ErrorCode::unavailable,
                    "this build does not release keys, because the verification of quotes is not "
                    "part of it"};
}

runtime::Task<Result<void>> RefusingImageCheck::check(SharedAttestation, std::string,
                                                      runtime::Deadline) {
    co_return Error{ErrorCode::unavailable,
                    "this build cannot measure operating system images; set core.image.verify = "
                    "false to release keys without that check"};
}

}  // namespace kms
