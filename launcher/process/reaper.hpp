/// The one place of the program that waits for children. Source: spec "launcher" section 1.4.
#pragma once

#include "launcher/plan/process_end.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace launcher {

class Reaper {
  public:
    using OnEnd = std::function<void(const ChildEnd&)>;
    /// Called for each orphan with its name (empty when unknown); only set it when somebody wants
    /// to read that.
    using OnOrphan = std::function<void(const ChildEnd&, const std::string& comm)>;

    /// `on_end` is called once, from collect(), when the child has been reaped. Call before the
    /// loop turns again.
    void watch(int pid, OnEnd on_end);
    void on_orphan(OnOrphan listener) { on_orphan_ = std::move(listener); }

    struct Pass {
        bool more = false;         ///< stopped at the bound; call again soon
        bool no_children = false;  ///< there is no child left at all, dead or alive
    };
    /// Takes what has ended, watched children first and again after every 64 orphans, so that a
    /// burst of orphans delays nobody; at most 1024 orphans per call. Never waits.
    Pass collect();

    std::uint64_t orphans_reaped() const { return orphans_; }
    bool watches(int pid) const { return watched_.contains(pid); }

  private:
    void collect_watched(std::vector<std::pair<OnEnd, ChildEnd>>& ends);
    bool take(int pid, ChildEnd& end);

    std::map<int, OnEnd> watched_;
    OnOrphan on_orphan_;
    std::uint64_t orphans_ = 0;
};

}  // namespace launcher
