#include "kms/rpc/rpc_error.hpp"

#include "kms/rpc/json_writer.hpp"
#include "kms/rpc/kms.pb.h"
#include "kms/rpc/rust_words.hpp"

#include <array>
#include <iterator>

namespace kms {
namespace {

/// Sentences of the protocol that stand before a cause.
constexpr std::array<std::string_view, 7> kLinks = {
    "Failed to decode os image hash", "Failed to parse vm config",
    "Failed to parse tdx_event_log",  "Invalid TDX quote",
    "Failed to get collateral",       "Failed to verify os image hash",
    "error decoding response body",
};

/// Appends `cause`; the lines after its first one stand under the first one's text.
void append_cause(std::string& out, std::string_view cause, std::string_view first_indent,
                  std::string_view indent) {
    out.append(first_indent);
    for (const char c : cause) {
        out += c;
        if (c == '\n') out.append(indent);
    }
}

}  // namespace

RpcError::RpcError(std::string message, std::vector<std::string> causes)
    : chain{std::move(message)} {
    std::move(causes.begin(), causes.end(), std::back_inserter(chain));
}

RpcError RpcError::within(std::string message) && {
    return {std::move(message), std::move(chain)};
}

std::string RpcError::text() const {
    std::string out = chain.front();
    if (chain.size() == 1) return out;
    out += "\n\nCaused by:";
    if (chain.size() == 2) {
        append_cause(out += '\n', chain[1], "    ", "    ");
        return out;
    }
    for (std::size_t i = 1; i < chain.size(); ++i) {
        std::string number = std::to_string(i - 1);
        number.insert(0, number.size() < 5 ? 5 - number.size() : 0, ' ');
        append_cause(out += '\n', chain[i], number + ": ", "       ");
    }
    return out;
}

RpcError rpc_error(const runtime::Error& error) {
    std::string_view rest = error.context;
    std::vector<std::string> chain;
    bool cut = true;
    while (cut) {
        cut = false;
        for (const std::string_view link : kLinks) {
            if (!rest.starts_with(link) || !rest.substr(link.size()).starts_with(": ")) continue;
            chain.emplace_back(link);
            rest.remove_prefix(link.size() + 2);
            cut = true;
        }
    }
    chain.emplace_back(rest);
    RpcError result(std::move(chain.front()));
    std::move(chain.begin() + 1, chain.end(), std::back_inserter(result.chain));
    return result;
}

std::string encode_error(Format format, const RpcError& error) {
    const std::string text = utf8_lossy(error.text());
    if (format == Format::protobuf) {
        wire::RpcError message;
        message.set_message(text);
        return message.SerializeAsString();
    }
    std::string out = "{\n  \"error\": ";
    append_json_text(out, text);
    return out += "\n}";
}

std::string_view content_type(Format format) {
    return format == Format::json ? "application/json" : "application/octet-stream";
}

}  // namespace kms
