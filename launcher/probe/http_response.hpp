/// Reading an HTTP/1.1 answer piece by piece, and checking it against what a probe expects. No
/// sockets, no clock. Source: RFC 9112; spec "launcher" section 2.3 ("status in the list and body
/// matches").
#pragma once

#include "launcher/plan/plan.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace launcher {

/// The request that a probe sends: one line, Host, User-Agent "kms-launcher-probe/<version>", the
/// plan's own headers, "Connection: close". Nothing when a method or header of the plan could end
/// its line early.
std::optional<std::string> request_text(const ProbePlan& plan, std::string_view authority,
                                        std::string_view target);

class ResponseReader {
  public:
    static constexpr std::size_t kMaxHead = 16 * 1024;

    /// `head_only`: the request was HEAD, so no body follows. Of the body at most `max_body` bytes
    /// are kept.
    ResponseReader(bool head_only, std::size_t max_body);
    ~ResponseReader();

    enum class State {
        head,  ///< the head is not complete
        body,  ///< the head is complete, the body is not
        done,
        truncated,  ///< the body is longer than max_body; what is kept is its beginning
        cut,        ///< the peer closed before the end
        malformed,  ///< not HTTP; see detail()
    };
    State feed(std::string_view bytes);
    /// The peer closed. A body without a length is complete then.
    State finish();
    State state() const;

    unsigned status() const;  ///< 0 before the status line was read
    bool any_bytes() const;   ///< the peer has sent something
    const std::string& body() const;
    const std::string& detail() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Whether `status` is one that the plan expects; an empty list means 200 to 399.
bool status_expected(const ProbePlan& plan, unsigned status);
/// Why the body is not what the plan expects, or nothing. Never repeats the body: what a service
/// says may be secret.
std::optional<std::string> body_mismatch(const ProbePlan& plan, std::string_view body,
                                         bool truncated);

}  // namespace launcher
