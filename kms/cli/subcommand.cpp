#include "kms/cli/subcommand.hpp"

#include <string_view>

namespace kms::cli {

std::optional<int> run_subcommand(std::span<char*> words) {
    if (words.size() < 2) return std::nullopt;
    const std::string_view name = words[1];
    if (name == "verify-quote") return verify_quote(words.subspan(2));
    if (name == "inspect-attestation") return inspect_attestation(words.subspan(2));
    return std::nullopt;
}

}  // namespace kms::cli
