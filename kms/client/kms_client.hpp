/// KmsClient: calls the methods of another KMS. Source: spec "kms-protocol" section 11.
#pragma once

#include "kms/crypto/leaf_certificate.hpp"
#include "kms/rpc/rpc_error.hpp"
#include "launcher/runtime/http_client.hpp"

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace kms {

/// How the server is known. A chain check alone says that a root signed it; only the evidence in
/// its certificate says what it is.
struct KmsServerTrust {
    bool check_chain = true;
    bool check_name = true;
    std::string root_pem;  ///< trusted instead of the system's roots; empty = the system's
};

struct KmsClientOptions {
    std::string base_url;  ///< ends in /prpc, see prpc_url()
    KmsServerTrust trust;
    std::string client_certificate_pem;  ///< with its key: what we present; both empty = nothing
    std::string client_key_pem;
    std::chrono::milliseconds connect_limit{5'000};
    std::chrono::milliseconds limit{60'000};  ///< one call, from connecting to the last byte
    std::size_t response_bytes = 16 * 1024 * 1024;
};

/// "https://host:port/" → "https://host:port/prpc"; a URL that ends in /prpc stays as it is.
std::string prpc_url(std::string_view source_url);

class KmsClient {
  public:
    /// Looks at the server's certificate after each answer and before it is used: nothing when
    /// there was none (plain HTTP). Errors end the call.
    using Validator = std::function<runtime::Task<tl::expected<void, RpcError>>(
        std::optional<crypto::LeafCertificate> certificate, runtime::Deadline deadline)>;

    /// `http` and `clock` must outlive it.
    KmsClient(runtime::HttpClient& http, runtime::Clock& clock, KmsClientOptions options,
              Validator validator = {});

    /// One call with JSON arguments; "null" for methods without. The answer is the body of a 2xx.
    /// Errors: no answer, the validator's within "Failed to validate attestation", and "Request
    /// failed with status=..., error=..." for any other status. Never waits past `deadline`.
    runtime::Task<tl::expected<std::string, RpcError>> call(std::string method,
                                                            std::string arguments,
                                                            runtime::Deadline deadline);

  private:
    runtime::HttpClient& http_;
    runtime::Clock& clock_;
    KmsClientOptions options_;
    Validator validator_;
};

}  // namespace kms
