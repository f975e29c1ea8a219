/// The answers to GetMeta, put together again only when something in them changed.
#pragma once

#include "kms/authorize/chain_facts.hpp"
#include "kms/rpc/bootstrap_info.hpp"
#include "kms/rpc/rpc_error.hpp"

#include <memory>
#include <optional>
#include <string>

namespace kms {

/// What GetMeta says that never changes while the process lives.
struct MetaConstants {
    std::string ca_certificate;   ///< PEM
    std::string k256_public_key;  ///< 33 bytes, raw
    std::optional<std::string>
        dev_gateway_app_id;  ///< set = development mode: everybody is allowed
};

class MetaAnswer {
  public:
    MetaAnswer(MetaConstants constants, BootstrapInfoFile info);

    /// The encoded answer; `facts` may be null, then the members about the chain are absent. Valid
    /// until the next call.
    const std::string& body(Format format, const std::shared_ptr<const ChainFacts>& facts,
                            runtime::WallTime now);

  private:
    void encode_again();

    MetaConstants constants_;
    BootstrapInfoFile info_file_;
    std::shared_ptr<const ChainFacts> facts_;
    std::string json_;
    std::string protobuf_;
};

}  // namespace kms
