/// What a new child does between fork and exec. Everything is prepared before the fork; the child
/// only makes system calls. Source: spec "launcher" section 1.2.
#pragma once

#include "launcher/process/child.hpp"

#include <array>
#include <optional>
#include <string>
#include <vector>

#include <sys/resource.h>
#include <sys/types.h>

namespace launcher {

/// What the child tells its parent when a step fails.
struct ChildReport {
    ChildStep step = ChildStep::exec;
    std::int32_t error = 0;  ///< errno
};

/// Whom a service runs as.
struct Identity {
    uid_t user = 0;
    gid_t group = 0;
    std::vector<gid_t> groups;
};
/// "name", "name:group", "10001:10001" or "10001". Errors (invalid_argument): unknown names.
runtime::Result<Identity> find_identity(const std::string& user);

class ChildSteps {
  public:
    /// Copies what it needs; the descriptors are borrowed until run().
    ChildSteps(const ChildSpec& spec, std::optional<Identity> identity, int input, int output,
               int errors, int status);

    /// Wipes the environment, which holds secrets.
    ~ChildSteps();
    ChildSteps(const ChildSteps&) = delete;
    ChildSteps& operator=(const ChildSteps&) = delete;

    /// The child's side. Never returns.
    [[noreturn]] void run() const noexcept;

  private:
    struct Limit {
        int resource;
        rlimit value;
    };
    [[noreturn]] void fail(ChildStep step) const noexcept;
    void take_identity() const noexcept;
    void reset_signals() const noexcept;
    void close_descriptors() const noexcept;
    void write_oom_score() const noexcept;

    std::string program_, directory_, oom_score_;
    std::vector<std::string> arguments_, environment_;
    std::vector<char*> argument_pointers_, environment_pointers_;
    std::vector<Limit> limits_;
    std::optional<Identity> identity_;
    std::optional<int> umask_, nice_;
    bool no_new_privs_ = true;
    int input_, output_, errors_, status_, cgroup_;
    pid_t parent_;
};

}  // namespace launcher
