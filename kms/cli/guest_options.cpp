#include "kms/cli/guest_options.hpp"

#include "launcher/runtime/config.hpp"

namespace kms::cli {

using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

Result<GuestOptions> parse_guest_options(std::span<char*> words) {
    GuestOptions options;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string word = words[i];
        std::string* text = nullptr;
        if (word == "--kms") text = &options.kms_url;
        if (word == "--agent") text = &options.agent;
        if (word == "--vm-config") text = &options.vm_config;
        if (word == "--name") text = &options.common_name;
        if (word == "--alt-name") text = &options.alt_name;
        if (word == "--keys-out") text = &options.keys_file;
        if (word == "--chain-out") text = &options.chain_file;
        if (word == "--identity-out") text = &options.identity_file;
        if (word == "--sign-request-out") text = &options.sign_request_file;
        if (text != nullptr || word == "--timeout") {
            if (++i == words.size())
                return Error{ErrorCode::invalid_argument, word + " needs a value"};
            if (text != nullptr) {
                *text = words[i];
            } else {
                TRY(options.limit, runtime::parse_duration(words[i]).within(word));
            }
        } else if (word == "--no-sign") {
            options.sign = false;
        } else if (word == "--any-name") {
            options.check_name = false;
        } else if (word == "--json") {
            options.as_json = true;
        } else if (word == "--help" || word == "-h") {
            options.help = true;
        } else {
            return Error{ErrorCode::invalid_argument,
                         "unknown argument '" + word + "'; --help lists them"};
        }
    }
    if (options.help) return options;
    if (options.kms_url.empty())
        return Error{ErrorCode::invalid_argument,
                     "--kms is needed: the URL of the KMS, such as https://localhost:8000"};
    if (options.limit.count() == 0)
        return Error{ErrorCode::invalid_argument, "--timeout must be longer than 0"};
    return options;
}

std::string_view guest_help() {
    return R"(dstack-kms guest-client: do what a guest does when it boots

Usage: dstack-kms guest-client --kms URL [--agent ADDRESS] [--no-sign] [--json] ...

Gets the temp CA, makes a certificate with evidence from the guest agent, fetches the keys of the
application with it, and has a certificate signed. No key is shown.

  --kms URL         of the KMS: https://host:port
  --agent ADDRESS   of the guest agent (default: DSTACK_AGENT_ADDRESS, or the usual sockets)
  --vm-config JSON  sent with the requests (default: as the agent says)
  --name TEXT       common name of the certificate to be signed (default: guest)
  --alt-name NAME   its alternative name
  --no-sign         stop after the keys
  --any-name        the certificate of the KMS may be for another host
  --keys-out FILE   write the answer with the keys there, readable by the owner only
  --chain-out FILE  write the signed chain there
  --identity-out FILE      write the certificate with evidence and its key there, for
                           `curl --cert FILE`; readable by the owner only
  --sign-request-out FILE  write the body of the request for a certificate (JSON) there
  --timeout SPAN    for everything together (default: 60s)
  --json            one JSON object instead of lines

Exit status: 0 done, 1 the KMS refused, 2 wrong arguments, 3 no answer from the KMS or the agent.
)";
}

}  // namespace kms::cli
