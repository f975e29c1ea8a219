#include "kms/simulator/agent_message.hpp"

#include "kms/evidence/json_reader.hpp"
#include "kms/evidence/json_writer.hpp"

namespace kms::simulator {
namespace {

using runtime::as_bytes;
using runtime::as_text;
using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

constexpr unsigned kLengthDelimited = 2;

void append_varint(std::string& out, std::size_t value) {
    for (; value >= 0x80; value >>= 7U) out += static_cast<char>(0x80U | (value & 0x7fU));
    out += static_cast<char>(value);
}

void append_protobuf(std::string& out, const AgentField& field) {
    if (field.value.empty()) return;
    append_varint(out, field.number << 3U | kLengthDelimited);
    append_varint(out, field.value.size());
    out += field.value;
}

void append_json(std::string& out, const AgentField& field) {
    if (out.size() > 1) out += ',';
    append_json_string(out, field.name);
    out += ':';
    append_json_string(out, field.is_bytes ? runtime::to_hex(as_bytes(field.value)) : field.value);
}

Result<std::string> decoded(std::string_view text, const AgentField& field) {
    if (!field.is_bytes) return std::string(text);
    if (text.starts_with("0x")) text.remove_prefix(2);
    TRY(const runtime::Bytes bytes, runtime::from_hex(text).within(field.name));
    return std::string(as_text(bytes));
}

Result<std::string> json_argument(std::string_view body, const AgentField& field) {
    if (body.empty()) return std::string();
    JsonReader reader(body);
    std::string found;
    if (reader.peek() == JsonReader::Kind::null) return found;
    TRY_VOID(reader.enter_object());
    for (;;) {
        TRY(const bool more, reader.next());
        if (!more) break;
        TRY(const std::string_view name, reader.name());
        if (name != field.name) {
            TRY_VOID(reader.skip());
            continue;
        }
        TRY(const std::string_view text, reader.text());
        TRY(found, decoded(text, field));
    }
    TRY_VOID(reader.finish());
    return found;
}

Result<std::string> query_argument(std::string_view query, const AgentField& field) {
    while (!query.empty()) {
        const std::string_view pair = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(pair.size() + 1, query.size()));
        if (pair.substr(0, pair.find('=')) == field.name)
            return decoded(pair.substr(std::min(field.name.size() + 1, pair.size())), field);
    }
    return std::string();
}

Result<std::size_t> varint(runtime::Reader& reader) {
    std::size_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        TRY(const std::uint8_t byte, reader.u8());
        value |= static_cast<std::size_t>(byte & 0x7fU) << shift;
        if ((byte & 0x80U) == 0) return value;
    }
    return Error{ErrorCode::invalid_argument, "a number that is too long"};
}

Result<std::string> protobuf_argument(std::string_view body, const AgentField& field) {
    runtime::Reader reader(as_bytes(body));
    std::string found;
    while (!reader.at_end()) {
        TRY(const std::size_t key, varint(reader));
        if ((key & 7U) != kLengthDelimited)
            return Error{ErrorCode::invalid_argument, "a field of another type"};
        TRY(const std::size_t size, varint(reader));
        TRY(const runtime::ByteView bytes, reader.take(size));
        if (key >> 3U == field.number) found = as_text(bytes);
    }
    return found;
}

}  // namespace

AgentForm form_of(const Request& request) {
    const bool asked = request.query == "json" || request.query.starts_with("json=") ||
                       request.query.starts_with("json&");
    return request.method == "GET" || asked || request.content_type == "application/json"
               ? AgentForm::json
               : AgentForm::protobuf;
}

Reply agent_answer(AgentForm form, const std::vector<AgentField>& fields) {
    Reply reply;
    if (form == AgentForm::protobuf) {
        reply.content_type = "application/octet-stream";
        for (const AgentField& field : fields) append_protobuf(reply.body, field);
        return reply;
    }
    reply.content_type = "application/json";
    reply.body = "{";
    for (const AgentField& field : fields) append_json(reply.body, field);
    reply.body += '}';
    return reply;
}

Reply agent_error(AgentForm form, std::string_view text) {
    Reply reply = agent_answer(form, {});
    reply.status = 400;
    reply.body.clear();
    if (form == AgentForm::protobuf) {
        append_protobuf(reply.body, {1, "error", std::string(text)});
    } else {
        reply.body = "{\n  \"error\": ";
        append_json_string(reply.body, text);
        reply.body += "\n}";
    }
    return reply;
}

Result<std::string> agent_argument(const Request& request, const AgentField& field) {
    if (request.method == "GET") return query_argument(request.query, field);
    return form_of(request) == AgentForm::json ? json_argument(request.body, field)
                                               : protobuf_argument(request.body, field);
}

}  // namespace kms::simulator
