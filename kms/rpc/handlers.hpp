/// The methods of service KMS: one function each, in a table. Source: spec "kms-protocol"
/// section 6.
#pragma once

#include "kms/authorize/facts_source.hpp"
#include "kms/authorize/key_authority.hpp"
#include "kms/authorize/self_authorization.hpp"
#include "kms/keys/key_set.hpp"
#include "kms/rpc/bootstrap_info.hpp"
#include "kms/rpc/meta_answer.hpp"
#include "kms/rpc/reply.hpp"
#include "launcher/runtime/workers.hpp"

#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace kms {

/// One call as a handler sees it; all borrowed for the call.
struct RpcCall {
    Format format = Format::json;
    bool arguments_in_query = false;
    std::string_view arguments;              ///< body or raw query string
    const AttestedCaller* caller = nullptr;  ///< null when no evidence was presented
    std::string_view peer;                   ///< address of whoever calls
    runtime::WallTime now;
};

/// What the release of keys rests on. The parts outlive every call.
struct KeyRelease {
    QuoteVerifier& verifier;
    ImageCheck* images = nullptr;  ///< null = images are not checked
    KeyAuthority& authority;
    SelfAuthorization* self = nullptr;  ///< null = the KMS does not ask about itself
    bool sev_snp = false;               ///< platforms that must be switched on
    bool aws_nitro_tpm = false;
    std::chrono::milliseconds verification_limit{30'000};
    std::chrono::milliseconds image_limit{60'000};
};

/// What the methods answer from. The parts outlive every call.
struct KmsParts {
    const keys::KeySet& keys;
    std::string admin_token_hash;  ///< SHA-256, raw; empty = no token fits
    bool quotes_enabled = true;    ///< core.onboard.quote_enabled
    MetaAnswer& meta;
    FactsSource* facts = nullptr;  ///< null when no authorisation service is asked
    KeyRelease release;
    std::string image_cache_dir;
};

/// Where a method may do work that takes longer than a millisecond.
struct Worker {
    runtime::Clock& clock;
    runtime::Workers& workers;
};

struct RpcMethod {
    std::string_view name;
    /// Methods that only compute. May run on a worker, so they touch nothing that changes.
    RpcResult (*compute)(const KmsParts&, const RpcCall&);
    /// Methods that may wait; exactly one of the two is set. The call stays valid until the
    /// coroutine ends.
    runtime::Task<RpcResult> (*wait)(KmsParts&, Worker, const RpcCall&, runtime::Deadline);
    bool asks_about_itself;  ///< the KMS asks whether it may still work, if it is configured to
    bool releases_keys;      ///< counted as attestation requests; answers are wiped once sent
    bool needs_caller;       ///< RpcCall::caller is set: whoever presents evidence is verified
};

/// All methods of the service.
std::span<const RpcMethod> kms_methods();
const RpcMethod* find_method(std::string_view name);

}  // namespace kms
