/// The [eth] settings: endpoints, contract, block, bounds.
///
/// The environment's names ETH_RPC_URL, KMS_CONTRACT_ADDR, ETH_CHAIN_ID and
/// ETH_FINALITY_CONFIRMATIONS are those of dstack's auth-eth. Source: spec "auth-api" section 1.5.
#pragma once

#include "auth/chain/chain_options.hpp"
#include "launcher/runtime/config.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace auth {

struct ChainSettings {
    std::string rpc_url = "http://localhost:8545";  ///< as configured; may hold credentials
    std::string contract = "0x0000000000000000000000000000000000000000";  ///< as configured
    bool rpc_url_given = false;
    bool contract_given = false;
    ChainOptions options;  ///< endpoints and contract are those above, taken apart
};

/// Reads the table `eth` of `root`. The key of the URLs is `secret_rpc_url`: by that name runtime's
/// configuration knows not to show its line in messages. The texts of URL and contract are not
/// judged here: the mock backend shows them, whatever they are.
ChainSettings read_chain_settings(runtime::ConfigTable& root);
/// What must hold before a chain is asked: mistakes, and warnings of what cannot work.
void check_chain_settings(runtime::ConfigTable& root, const ChainSettings& chain);
/// The table as TOML, URLs without what is secret in them.
std::string to_toml(const ChainSettings& chain);
/// "a, b c" → a, b, c: URLs separated by blanks or commas.
std::vector<std::string> split_urls(std::string_view text);

}  // namespace auth
