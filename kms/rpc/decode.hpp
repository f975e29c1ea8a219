/// The three forms in which the arguments of a method arrive, each decoded into the generated
/// message. Pure.
///
/// The error texts are part of what people see and are those of the protocol (spec "kms-protocol"
/// sections 1.5 and 1.6); the general-purpose parsers give other words, so these decoders are
/// written for the protocol.
#pragma once

#include "kms/rpc/message_schema.hpp"
#include "launcher/runtime/result.hpp"

#include <string_view>

namespace kms {

/// A JSON object (or, as the protocol's reader allows, an array with the fields in order); empty
/// text = all defaults. Unknown members are skipped whatever they hold. Errors (invalid_argument):
/// "duplicate field `app_id` at line 1 column 23" and so on; `message` may then be half filled.
runtime::Result<void> decode_json(const MessageSchema& schema, std::string_view text,
                                  google::protobuf::MessageLite& message);

/// A raw query string, key=value pairs joined by '&'. Unknown keys are skipped.
runtime::Result<void> decode_query(const MessageSchema& schema, std::string_view query,
                                   google::protobuf::MessageLite& message);

/// proto3 binary. Unknown fields are skipped, of a repeated field the last counts.
runtime::Result<void> decode_protobuf(const MessageSchema& schema, std::string_view bytes,
                                      google::protobuf::MessageLite& message);

}  // namespace kms
