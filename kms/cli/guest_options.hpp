/// The command line of guest-client. Pure.
#pragma once

#include "launcher/runtime/result.hpp"

#include <chrono>
#include <span>
#include <string>
#include <string_view>

namespace kms::cli {

struct GuestOptions {
    std::string kms_url;
    std::string agent;                  ///< empty = the environment's, or the usual sockets
    std::string vm_config;              ///< sent with both requests; empty = as the agent says
    std::string common_name = "guest";  ///< of the certificate to be signed
    std::string alt_name;               ///< of it; may be empty
    std::string keys_file, chain_file;  ///< written when given; the first for the owner only
    std::string identity_file;          ///< the certificate with evidence and its key; owner only
    std::string sign_request_file;      ///< the body of the request for a certificate
    std::chrono::milliseconds limit{60'000};  ///< everything together
    bool sign = true;                         ///< ask for a certificate, too
    bool check_name = true;                   ///< of the KMS's certificate
    bool as_json = false;
    bool help = false;
};

/// `words` are the arguments after the subcommand's name. Errors (invalid_argument): sentences.
runtime::Result<GuestOptions> parse_guest_options(std::span<char*> words);
std::string_view guest_help();

}  // namespace kms::cli
