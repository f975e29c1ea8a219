#include "auth/webhook/simple_backend.hpp"

namespace auth {

SimpleBackend::SimpleBackend(std::string policy_path, const runtime::Clock& clock)
    : file_(std::move(policy_path), clock) {
    file_.current();
}

runtime::Task<Answer<Info>> SimpleBackend::info(runtime::Deadline) {
    co_return file_.current()->info;
}

runtime::Task<Answer<Decision>> SimpleBackend::decide(BootKind kind, BootRequest request,
                                                      runtime::Deadline) {
    co_return evaluate(*file_.current(), kind, request);
}

}  // namespace auth
