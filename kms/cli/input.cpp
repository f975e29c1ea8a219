#include "kms/cli/input.hpp"

#include "kms/verify/x509.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace kms::cli {
namespace {

constexpr std::size_t kLargestFile = 16 * 1024 * 1024;

Error bad(std::string what) {
    return Error{ErrorCode::invalid_argument, std::move(what)};
}

Result<std::string> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return Error{ErrorCode::not_found, "cannot read '" + path + "'"};
    std::string content;
    char block[1 << 16];
    while (file.read(block, sizeof block) || file.gcount() > 0) {
        content.append(block, static_cast<std::size_t>(file.gcount()));
        if (content.size() > kLargestFile) return bad("'" + path + "' is larger than 16 MiB");
    }
    if (file.bad())
        return Error{ErrorCode::not_found, "cannot read '" + path + "': it is not a file"};
    return content;
}

bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/// Hex text, with white space around it and 0x before it if one likes, or the bytes as they are.
Bytes decoded(const std::string& content) {
    std::string_view text = content;
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    if (text.starts_with("0x")) text.remove_prefix(2);
    if (auto bytes = runtime::from_hex(text); bytes && !text.empty()) return std::move(*bytes);
    const ByteView raw = runtime::as_bytes(content);
    return {raw.begin(), raw.end()};
}

Result<TrustAnchor> read_anchor(const std::string& path) {
    TRY(const std::string content, read_file(path));
    if (content.find("-----BEGIN ") == std::string::npos)
        return TrustAnchor::create(runtime::as_bytes(content));
    TRY(const auto chain, x509::PemChain::parse(content));
    if (chain.size() != 1)
        return bad("it holds " + std::to_string(chain.size()) + " certificates instead of one");
    return TrustAnchor::create(chain[0]);
}

Result<UnixSeconds> read_time(std::string_view text) {
    UnixSeconds time = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), time);
    if (problem != std::errc() || end != text.data() + text.size() || text.empty())
        return bad("--at takes seconds since 1970, not '" + std::string(text) + "'");
    return time;
}

struct Words {
    std::optional<std::string> file;
    std::optional<std::string> collateral;
    std::optional<std::string> root;
    std::optional<std::string> at;
    std::optional<std::string> vm_config;
    std::optional<std::string> pccs;
    std::optional<std::string> pccs_ca_file;
    std::optional<std::string> collateral_out;
    bool as_json = false;
    bool help = false;
};

Result<Words> parse_words(std::span<char*> words) {
    Words parsed;
    const std::pair<std::string_view, std::optional<std::string>*> options[] = {
        {"--collateral", &parsed.collateral},
        {"--root", &parsed.root},
        {"--at", &parsed.at},
        {"--vm-config", &parsed.vm_config},
        {"--pccs", &parsed.pccs},
        {"--pccs-ca-file", &parsed.pccs_ca_file},
        {"--collateral-out", &parsed.collateral_out}};
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string_view word = words[i];
        const auto option = std::ranges::find_if(options, [&](const auto& known) {
            return word == known.first || word.starts_with(std::string(known.first) + "=");
        });
        if (option != std::end(options)) {
            if (word.size() > option->first.size()) {
                *option->second = word.substr(option->first.size() + 1);
            } else {
                if (++i == words.size()) return bad(std::string(word) + " needs a value");
                *option->second = words[i];
            }
        } else if (word == "--json") {
            parsed.as_json = true;
        } else if (word == "-h" || word == "--help") {
            parsed.help = true;
        } else if (word.starts_with("-") && word.size() > 1) {
            return bad("unknown option '" + std::string(word) + "'; --help lists them");
        } else if (parsed.file) {
            return bad("one file at a time: '" + *parsed.file + "' and '" + std::string(word) +
                       "' were given");
        } else {
            parsed.file = word;
        }
    }
    return parsed;
}

UnixSeconds now() {
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace

Result<Input> read_input(std::span<char*> words) {
    TRY(const Words parsed, parse_words(words));
    Input input;
    input.as_json = parsed.as_json;
    input.help = parsed.help;
    if (parsed.help) return input;
    if (!parsed.file) return bad("which file? --help tells the usage");
    TRY(const std::string content, read_file(*parsed.file));
    input.content = decoded(content);
    if (parsed.collateral) {
        TRY(const std::string json, read_file(*parsed.collateral));
        TRY(input.collateral,
            parse_collateral(json).within("'" + *parsed.collateral + "' is not collateral"));
    }
    if (parsed.root) {
        TRY(input.anchor, read_anchor(*parsed.root).within("cannot trust '" + *parsed.root + "'"));
    }
    input.at = now();
    if (parsed.at) {
        TRY(input.at, read_time(*parsed.at));
    }
    if (parsed.pccs && parsed.collateral)
        return bad("--collateral and --pccs exclude each other: give one of them");
    if (!parsed.pccs && (parsed.pccs_ca_file || parsed.collateral_out))
        return bad("--pccs-ca-file and --collateral-out belong to --pccs");
    if (parsed.pccs) {
        input.pccs = *parsed.pccs;
        if (!input.pccs.starts_with("http://") && !input.pccs.starts_with("https://"))
            return bad("--pccs takes a URL (http://... or https://...), not '" + input.pccs + "'");
    }
    input.pccs_ca_file = parsed.pccs_ca_file.value_or("");
    input.collateral_out = parsed.collateral_out.value_or("");
    if (parsed.vm_config) {
        TRY(input.vm_config, read_file(*parsed.vm_config));
    }
    return input;
}

void print(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

int fail(std::string_view program, const Error& error) {
    const std::string line = "dstack-kms " + std::string(program) + ": " + error.context + "\n";
    std::fwrite(line.data(), 1, line.size(), stderr);
    return 2;
}

}  // namespace kms::cli
