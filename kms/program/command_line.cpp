#include "kms/program/command_line.hpp"

namespace kms {

using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

Result<CommandLine> parse_command_line(std::span<char*> words) {
    CommandLine line;
    for (std::size_t i = 1; i < words.size(); ++i) {
        const std::string_view word = words[i];
        const auto following = [&]() -> Result<std::string> {
            if (++i == words.size())
                return Error{ErrorCode::invalid_argument,
                             std::string(word) + " needs the name of a file"};
            return std::string(words[i]);
        };
        if (word == "-h" || word == "--help") {
            line.action = Action::help;
        } else if (word == "-V" || word == "--version") {
            line.action = Action::version;
        } else if (word == "--check") {
            line.action = Action::check;
        } else if (word == "--print-config") {
            line.action = Action::print_config;
        } else if (word == "inspect-cert") {
            line.action = Action::inspect_certificate;
            TRY(line.certificate_file, following());
        } else if (word.starts_with("--config=")) {
            line.config_file = word.substr(9);
        } else if (word == "-c" || word == "--config") {
            TRY(line.config_file, following());
        } else if (word.starts_with("-c") && word.size() > 2) {
            line.config_file = word.substr(2);
        } else {
            return Error{ErrorCode::invalid_argument,
                         "unknown argument '" + std::string(word) + "'; --help lists them"};
        }
    }
    return line;
}

std::string_view help_text() {
    return R"(dstack-kms: the key management service

Usage: dstack-kms [-c FILE] [--check | --print-config]
       dstack-kms inspect-cert FILE
       dstack-kms verify-quote | inspect-attestation --help

  -c, --config FILE   read FILE over the configuration in /etc/kms and the working directory
      --check         report every mistake in the configuration and exit
      --print-config  print the configuration in effect, secrets hidden, and exit
      inspect-cert FILE
                      print what the certificate in FILE says to the protocol: who it is for, and
                      the evidence in it
  -h, --help          print this text
  -V, --version       print the version

Environment: RUST_LOG (what is logged, default info), ROCKET_WORKERS (threads for computing,
default 2), DSTACK_AGENT_ADDRESS (the guest agent: unix:/path, http://host:port or
vsock://cid:port).
)";
}

}  // namespace kms
