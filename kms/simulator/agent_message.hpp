/// The messages of the guest agent in both of their forms. Pure. Source: spec "attestation"
/// sections 7.1 and 7.2.
#pragma once

#include "kms/simulator/exchange.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace kms::simulator {

enum class AgentForm { json, protobuf };
AgentForm form_of(const Request& request);

/// A text or a byte string: all fields of these messages are one of the two.
struct AgentField {
    unsigned number;  ///< in protobuf; below 16 or two bytes
    std::string_view name;
    std::string value;
    bool is_bytes = false;  ///< hex in JSON
};
Reply agent_answer(AgentForm form, const std::vector<AgentField>& fields);
/// Status 400.
Reply agent_error(AgentForm form, std::string_view text);

/// The value of a field of the request: of its JSON, its query (GET) or its protobuf. Empty when
/// absent. Errors (invalid_argument): it cannot be read.
runtime::Result<std::string> agent_argument(const Request& request, const AgentField& field);

}  // namespace kms::simulator
