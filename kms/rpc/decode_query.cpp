#include "kms/rpc/decode.hpp"
#include "kms/rpc/rust_words.hpp"
#include "launcher/runtime/http_server.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace kms {
namespace {

using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

Error fault(std::string text) {
    return {ErrorCode::invalid_argument, std::move(text)};
}

std::string_view expected(FieldKind kind) {
    return kind == FieldKind::u32 ? "u32" : "a string";
}

Result<FieldValue> to_value(FieldKind kind, std::string text) {
    FieldValue value;
    switch (kind) {
        case FieldKind::text:
            value.text = std::move(text);
            break;
        case FieldKind::bytes: {
            TRY(value.text, parse_hex(text));
            break;
        }
        case FieldKind::u32: {
            TRY(value.number, parse_u32(text));
            break;
        }
    }
    return value;
}

}  // namespace

Result<void> decode_query(const MessageSchema& schema, std::string_view query,
                          google::protobuf::MessageLite& message) {
    std::vector<std::string_view> seen;
    while (!query.empty()) {
        const std::string_view pair = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(query.size(), pair.size() + 1));
        if (pair.empty()) continue;
        const std::size_t equals = pair.find('=');
        const std::string key = runtime::percent_decode(pair.substr(0, equals), true);
        std::string text;
        if (equals != std::string_view::npos)
            text = runtime::percent_decode(pair.substr(equals + 1), true);
        for (const std::string& part : {std::cref(key), std::cref(text)})
            if (const auto utf8 = find_utf8_fault(part)) return fault(utf8->to_string());

        // "name[0]" and "name[x]" are the list and map forms of "name"; no field of ours is either.
        const std::size_t bracket = key.find('[');
        const FieldSchema* field = schema.by_name(std::string_view(key).substr(0, bracket));
        if (field == nullptr) continue;
        if (bracket != std::string::npos) {
            const bool list = key.size() > bracket + 1 &&
                              (key[bracket + 1] == ']' ||
                               std::isdigit(static_cast<unsigned char>(key[bracket + 1])) != 0);
            return fault("invalid type: " + std::string(list ? "sequence" : "map") + ", expected " +
                         std::string(expected(field->kind)));
        }
        if (std::find(seen.begin(), seen.end(), field->name) != seen.end())
            return fault("Multiple values for one key: \"" + key + "\"");
        seen.push_back(field->name);
        TRY(FieldValue value, to_value(field->kind, std::move(text)));
        field->set(message, std::move(value));
    }
    return {};
}

}  // namespace kms
