#include "kms/crypto/hkdf.hpp"

namespace kms::crypto {

Secret<32> derive_key(ByteView input_key, std::initializer_list<ByteView> context) {
    const Secret<32> extracted = hmac_sha256(runtime::as_bytes("RATLS"), {input_key});
    // 32 bytes are one block of output, so expansion is one HMAC over info || 0x01.
    Bytes info;
    for (const ByteView part : context) info.insert(info.end(), part.begin(), part.end());
    info.push_back(1);
    return hmac_sha256(extracted.view(), {info});
}

}  // namespace kms::crypto
