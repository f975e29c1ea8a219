// Any bytes as the arguments of a call, in all three forms: a message, or a sentence in UTF-8.
#include "kms/rpc/csr.hpp"
#include "kms/rpc/decode.hpp"
#include "kms/rpc/kms.pb.h"
#include "kms/rpc/rust_words.hpp"

#include <cstdlib>

namespace {

template <class Message>
void decode_all(const kms::MessageSchema& schema, std::string_view bytes) {
    for (const auto decode : {&kms::decode_json, &kms::decode_protobuf, &kms::decode_query}) {
        Message message;
        const auto decoded = decode(schema, bytes, message);
        if (decoded) {
            if (message.ByteSizeLong() > 4 * bytes.size() + 64) std::abort();
            continue;
        }
        if (decoded.error().context.empty()) std::abort();
        // What a caller is told is always text, whatever it sent.
        const kms::RpcError error = kms::rpc_error(decoded.error());
        const std::string body = kms::encode_error(kms::Format::json, error);
        if (kms::find_utf8_fault(body)) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes = runtime::as_text({data, size});
    decode_all<kms::wire::AppId>(kms::kAppIdSchema, bytes);
    decode_all<kms::wire::GetAppKeyRequest>(kms::kGetAppKeyRequestSchema, bytes);
    decode_all<kms::wire::SignCertRequest>(kms::kSignCertRequestSchema, bytes);
    decode_all<kms::wire::ClearImageCacheRequest>(kms::kClearImageCacheRequestSchema, bytes);
    decode_all<kms::wire::OnboardRequest>(kms::kOnboardRequestSchema, bytes);
    return 0;
}
