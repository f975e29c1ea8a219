/// PolicyFile: the policy in force, read again whenever its file changes.
///
/// A file that exists but cannot be used (not JSON, a wrong type, unreadable) changes nothing: the
/// last good policy stays in force, one warning says why, and a metric shows it. A file that is
/// gone allows nothing: whoever removes it means it, and a restart would find the same. Until a
/// first good file is seen nothing is allowed either.
#pragma once

#include "auth/policy/simple_policy.hpp"
#include "launcher/runtime/clock.hpp"
#include "launcher/runtime/metrics.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <sys/stat.h>

namespace auth {

/// What tells one content of a file from another without reading it. ctime is part of it, so
/// restoring an old modification time does not hide a change.
struct FileIdentity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t modified_ns = 0;  ///< since the epoch
    std::int64_t changed_ns = 0;

    static FileIdentity of(const struct stat& status);
    friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

class PolicyFile {
  public:
    enum class State {
        good,     ///< the policy in force is the file's
        broken,   ///< the file cannot be used; the last good policy is in force
        missing,  ///< there is no file; nothing is allowed
    };

    /// Reads nothing yet. `clock` must outlive this object. The file belongs on a local disk: it is
    /// read on the caller's thread.
    PolicyFile(std::string path, const runtime::Clock& clock);

    /// Looks at the file, reads it if it changed, and returns the policy in force; never null.
    /// Changes are logged, once each.
    std::shared_ptr<const SimplePolicy> current();

    State state() const { return state_; }
    /// Why the file is not good, as one sentence; empty when it is.
    const std::string& fault() const { return fault_; }
    void add_metrics(runtime::MetricsText& metrics) const;

  private:
    void look();
    void take(std::string text, const FileIdentity& identity);
    void accept(PolicyReading reading);
    void refuse(State state, std::string fault);
    bool may_still_change(const FileIdentity& identity) const;

    std::string path_;
    const runtime::Clock& clock_;
    std::shared_ptr<const SimplePolicy> policy_ = std::make_shared<const SimplePolicy>();
    State state_ = State::missing;
    std::string fault_;
    std::optional<FileIdentity>
        identity_;                     ///< of what was read last; none when it must be read again
    std::optional<std::string> text_;  ///< what was read last
    std::optional<runtime::WallTime> good_since_;
    std::uint64_t loads_ = 0;
    std::uint64_t refusals_ = 0;
};

}  // namespace auth
