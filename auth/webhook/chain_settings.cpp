#include "auth/webhook/chain_settings.hpp"

#include "auth/abi/abi.hpp"
#include "auth/policy/json_text.hpp"
#include "auth/policy/public_url.hpp"

#include <algorithm>
#include <limits>

namespace auth {
namespace {

using runtime::ConfigTable;
using std::chrono::milliseconds;

constexpr std::string_view kBetweenUrls = " \t\r\n,";
constexpr std::size_t kMostEndpoints = 8;
constexpr std::int64_t kMostReads = 10'000;
constexpr std::uint64_t kLeastAnswer = 4 * 1024;
constexpr std::uint64_t kMostAnswer = 16 * 1024 * 1024;

void read_limit(ConfigTable& eth, std::string_view key, milliseconds& out) {
    const auto given = eth.duration(key);
    if (!given) return;
    if (*given < milliseconds(10) || *given > milliseconds(50'000))
        eth.problem(key, "this limit must lie between 10ms and 50s");
    else
        out = *given;
}

void read_options(ConfigTable& eth, ChainOptions& options) {
    constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
    if (const auto chain_id = eth.integer("chain_id", 0, kMost))
        options.chain_id = static_cast<std::uint64_t>(*chain_id);
    if (const auto behind = eth.integer("confirmations", 0, kMost))
        options.block.confirmations = static_cast<std::uint64_t>(*behind);
    if (const auto tag = eth.word("block", {"latest", "safe", "finalized"}))
        options.block.tag = *tag;
    if (const auto batches = eth.boolean("batches")) options.use_batches = *batches;
    read_limit(eth, "connect_limit", options.connect_limit);
    read_limit(eth, "exchange_limit", options.exchange_limit);
    if (const auto bytes = eth.size("max_answer")) {
        if (*bytes < kLeastAnswer || *bytes > kMostAnswer)
            eth.problem("max_answer", "the size of an answer must lie between 4KiB and 16MiB");
        else
            options.max_answer_bytes = static_cast<std::size_t>(*bytes);
    }
    if (const auto reads = eth.integer("max_reads", 1, kMostReads))
        options.max_reads = static_cast<std::size_t>(*reads);
    if (const auto file = eth.text("ca_file")) options.ca_file = *file;
}

std::string with_prefix(const std::string& contract) {
    return contract.starts_with("0x") ? contract : "0x" + contract;
}

void check_endpoints(ConfigTable& place, const ChainSettings& chain) {
    const auto warn = [&place](std::string text, std::string hint = "") {
        place.problem("secret_rpc_url", std::move(text), std::move(hint), ConfigTable::kWholeValue,
                      true);
    };
    const auto& endpoints = chain.options.endpoints;
    if (!chain.rpc_url_given)
        warn("ETH_RPC_URL is not set, so http://localhost:8545 will be asked");
    if (endpoints.empty() || endpoints.size() > kMostEndpoints)
        place.problem("secret_rpc_url", "one to eight URLs of endpoints are expected, not " +
                                            std::to_string(endpoints.size()));
    // The text is not repeated: a URL that is none may well be a key in the wrong place.
    for (std::size_t i = 0; i < endpoints.size(); ++i)
        if (public_url(endpoints[i]) == "configured")
            warn("URL " + std::to_string(i + 1) +
                     " is no http:// or https:// address, so every question to it will fail",
                 "write it as in https://eth.example/v2/KEY");
    if (endpoints.size() > 1 && !chain.options.chain_id)
        warn("several endpoints without ETH_CHAIN_ID may be of different chains",
             "set ETH_CHAIN_ID to the number of the chain that must decide");
}

}  // namespace

std::vector<std::string> split_urls(std::string_view text) {
    std::vector<std::string> urls;
    for (;;) {
        text.remove_prefix(std::min(text.find_first_not_of(kBetweenUrls), text.size()));
        if (text.empty()) return urls;
        const auto end = std::min(text.find_first_of(kBetweenUrls), text.size());
        urls.emplace_back(text.substr(0, end));
        text.remove_prefix(end);
    }
}

ChainSettings read_chain_settings(ConfigTable& root) {
    ChainSettings chain;
    if (auto eth = root.table("eth")) {
        if (const auto url = eth->text("secret_rpc_url")) {
            chain.rpc_url = *url;
            chain.rpc_url_given = true;
        }
        if (const auto contract = eth->text("kms_contract_addr")) {
            chain.contract = *contract;
            chain.contract_given = true;
        }
        read_options(*eth, chain.options);
        eth->finish();
    }
    chain.options.endpoints = split_urls(chain.rpc_url);
    chain.options.contract = with_prefix(chain.contract);
    return chain;
}

void check_chain_settings(ConfigTable& root, const ChainSettings& chain) {
    auto eth = root.table("eth");
    ConfigTable& place = eth ? *eth : root;
    check_endpoints(place, chain);
    if (!chain.contract_given)
        place.problem("kms_contract_addr",
                      "KMS_CONTRACT_ADDR is not set, so nothing will be allowed",
                      "set it to the address of the KMS contract", ConfigTable::kWholeValue, true);
    if (!abi::is_address(chain.contract))
        place.problem("kms_contract_addr",
                      "the contract's address must be 40 hexadecimal digits after an optional 0x, "
                      "in one letter case or in the right mixed case (EIP-55)");
    const auto& block = chain.options.block;
    if (block.confirmations != 0 && block.tag != "latest")
        place.problem("block",
                      "confirmations count from the newest block, so they cannot go with " +
                          json_text(block.tag),
                      "choose one of the two");
    if (!chain.options.ca_file.empty())
        if (const auto text = runtime::read_file(chain.options.ca_file, kMostAnswer); !text)
            place.problem("ca_file", text.error().context);
}

std::string to_toml(const ChainSettings& chain) {
    const auto& options = chain.options;
    const auto span = [](milliseconds time) {
        return "\"" + std::to_string(time.count()) + "ms\"";
    };
    std::string urls;
    for (const auto& url : options.endpoints)
        urls.append(urls.empty() ? "" : " ").append(public_url(url));
    std::string out = "\n[eth]\n";
    for (const auto& url : options.endpoints)
        if (public_url(url) != url) {
            out += "# what is secret in the URLs is left out\n";
            break;
        }
    out += "secret_rpc_url = " + json_text(urls) +
           "\nkms_contract_addr = " + json_text(chain.contract) + "\n";
    if (options.chain_id) out += "chain_id = " + std::to_string(*options.chain_id) + "\n";
    out += "confirmations = " + std::to_string(options.block.confirmations) +
           "\nblock = " + json_text(options.block.tag) +
           "\nbatches = " + (options.use_batches ? "true" : "false") +
           "\nconnect_limit = " + span(options.connect_limit) +
           "\nexchange_limit = " + span(options.exchange_limit) +
           "\nmax_answer = " + std::to_string(options.max_answer_bytes) +
           "\nmax_reads = " + std::to_string(options.max_reads) + "\n";
    if (!options.ca_file.empty()) out += "ca_file = " + json_text(options.ca_file) + "\n";
    return out;
}

}  // namespace auth
