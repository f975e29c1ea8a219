#include "kms/crypto/keccak.hpp"

#include "launcher/runtime/keccak.hpp"

namespace kms::crypto {

Hash keccak256(std::initializer_list<ByteView> parts) {
    return runtime::keccak256(parts);
}

}  // namespace kms::crypto
