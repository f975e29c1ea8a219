/// Who may ask the health endpoint: checks made before a request is looked at. Pure, but for
/// reading the token's file. Source: spec "launcher" section 5.2.
#pragma once

#include "launcher/plan/plan.hpp"
#include "launcher/runtime/http_server.hpp"
#include "launcher/runtime/result.hpp"
#include "launcher/runtime/secret.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace launcher {

class HealthGuard {
  public:
    /// Errors (invalid_argument): a listener beyond loopback without allow_remote, a token file
    /// that cannot be read or holds fewer than 16 characters.
    static runtime::Result<HealthGuard> create(const HealthPlan& plan);

    /// The refusal, or nothing when the request may be answered. Requests over the unix socket are
    /// not checked: its file mode (0600) says who may connect.
    std::optional<runtime::HttpServerReply> refusal(
        const runtime::HttpServerRequest& request) const;

  private:
    bool loopback_only_ = true;  ///< then the Host header must name loopback, against DNS rebinding
    runtime::SecretBytes token_;  ///< empty = none is wanted
};

/// Whether a Host header names loopback: localhost, 127.0.0.0/8 or [::1], with or without a port.
bool names_loopback(std::string_view host_header);
/// The token in a file, without its line end. Errors as HealthGuard::create.
runtime::Result<runtime::SecretBytes> read_token(const std::string& path);

}  // namespace launcher
