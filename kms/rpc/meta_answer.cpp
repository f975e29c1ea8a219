#include "kms/rpc/meta_answer.hpp"

#include "kms/rpc/encode.hpp"
#include "kms/rpc/kms.pb.h"

namespace kms {

MetaAnswer::MetaAnswer(MetaConstants constants, BootstrapInfoFile info)
    : constants_(std::move(constants)), info_file_(std::move(info)) {
    encode_again();
}

const std::string& MetaAnswer::body(Format format, const std::shared_ptr<const ChainFacts>& facts,
                                    runtime::WallTime now) {
    if (info_file_.refresh(now) || facts != facts_) {
        facts_ = facts;
        encode_again();
    }
    return format == Format::json ? json_ : protobuf_;
}

void MetaAnswer::encode_again() {
    const bool dev = constants_.dev_gateway_app_id.has_value();
    wire::GetMetaResponse message;
    message.set_ca_cert(constants_.ca_certificate);
    message.set_allow_any_upgrade(dev);
    message.set_k256_pubkey(constants_.k256_public_key);
    if (const auto& info = info_file_.current()) {
        message.mutable_bootstrap_info()->set_ca_pubkey(info->ca_pubkey);
        message.mutable_bootstrap_info()->set_k256_pubkey(info->k256_pubkey);
        message.mutable_bootstrap_info()->set_attestation(info->attestation);
    }
    message.set_is_dev(dev);
    if (dev) {
        message.set_gateway_app_id(*constants_.dev_gateway_app_id);
    } else if (facts_) {
        message.set_gateway_app_id(facts_->gateway_app_id);
        message.set_kms_contract_address(facts_->kms_contract_address);
        message.set_chain_id(facts_->chain_id);
        message.set_app_auth_implementation(facts_->app_implementation);
    }
    json_ = encode(Format::json, message);
    protobuf_ = encode(Format::protobuf, message);
}

}  // namespace kms
