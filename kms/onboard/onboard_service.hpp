/// The listener of a KMS that has no keys yet: the page, /finish, and the methods of service
/// Onboard. Source: spec "kms-protocol" sections 1.1 and 6.10.
#pragma once

#include "kms/onboard/onboarding.hpp"
#include "kms/rpc/reply.hpp"
#include "kms/rpc/router.hpp"

#include <functional>
#include <string>
#include <vector>

namespace kms {

struct OnboardServiceOptions {
    std::string ident = "Rocket";  ///< the Server header
    bool keep_alive = true;
    std::size_t body_limit = 10 * 1024 * 1024;
};

class OnboardService {
  public:
    /// `finish` is called when somebody asks to end onboarding; the answer is still sent.
    OnboardService(Onboarding& onboarding, OnboardServiceOptions options,
                   std::function<void()> finish);

    runtime::Task<runtime::HttpServerReply> handle(const runtime::HttpServerRequest& request,
                                                   runtime::Deadline deadline);
    std::size_t body_limit() const { return options_.body_limit; }

  private:
    runtime::HttpServerReply page(const Route& route);
    runtime::Task<RpcResult> call(const Route& route, const runtime::HttpServerRequest& request,
                                  runtime::Deadline deadline);

    Onboarding& onboarding_;
    OnboardServiceOptions options_;
    std::function<void()> finish_;
    RouteTable routes_;
    std::shared_ptr<const std::vector<runtime::HttpHeader>> headers_;
};

/// The page with which a person does it, also on a phone: one self-contained document.
/// `keys_stored`: nothing is left to do but to finish.
std::string onboard_page(bool keys_stored);

}  // namespace kms
