#include "kms/attest/ask_budget.hpp"

#include <algorithm>

#include <boost/asio/ip/address.hpp>

namespace kms {

bool AskBudget::take(const std::string& network, runtime::TimePoint now) {
    auto found = spent_until_.find(network);
    if (found == spent_until_.end()) {
        if (spent_until_.size() >= options_.addresses)
            std::erase_if(spent_until_, [now](const auto& entry) { return entry.second <= now; });
        if (spent_until_.size() >= options_.addresses) return false;
        found = spent_until_.emplace(network, now).first;
    }
    const runtime::TimePoint from = std::max(found->second, now);
    if (from - now > options_.interval * (options_.burst - 1)) return false;
    found->second = from + options_.interval;
    return true;
}

std::string network_of(std::string_view text) {
    namespace ip = boost::asio::ip;
    boost::system::error_code error;
    const ip::address address = ip::make_address(std::string(text), error);
    if (error || !address.is_v6()) return std::string(text);
    if (address.to_v6().is_v4_mapped())
        return ip::make_address_v4(ip::v4_mapped, address.to_v6()).to_string();
    ip::address_v6::bytes_type bytes = address.to_v6().to_bytes();
    std::fill(bytes.begin() + 8, bytes.end(), std::uint8_t{0});
    return ip::address_v6(bytes).to_string() + "/64";
}

}  // namespace kms
