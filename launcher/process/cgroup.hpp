/// Bounds that only a control group can give: memory, processes, CPU weight. Each bounded service
/// gets a leaf of the launcher's own cgroup v2, if that was delegated (systemd: Delegate=yes; a
/// container with its own writable namespace). Source: cgroups(7), the kernel's cgroup-v2 document;
/// spec "launcher" section 1.8.
#pragma once

#include "launcher/plan/plan.hpp"
#include "launcher/process/descriptor.hpp"
#include "launcher/runtime/result.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace launcher {

/// The bounds of a service as files of its leaf: "memory.max" → "268435456". Pure.
std::vector<std::pair<std::string, std::string>> cgroup_settings(const ServiceLimits& limits);

/// Pure: the directory of the launcher's own cgroup v2, from the texts of /proc/self/cgroup and
/// /proc/self/mountinfo; empty when there is none.
std::string own_cgroup(std::string_view cgroup_file, std::string_view mountinfo_file);
std::string own_cgroup();

class ServiceCgroups {
  public:
    /// `directory` is the launcher's own cgroup. Nothing is touched before prepare().
    explicit ServiceCgroups(std::string directory) : directory_(std::move(directory)) {}
    /// Removes the leaves that are empty.
    ~ServiceCgroups();
    ServiceCgroups(const ServiceCgroups&) = delete;
    ServiceCgroups& operator=(const ServiceCgroups&) = delete;

    /// Makes the service's leaf and sets its bounds. The result is its cgroup.procs, open for
    /// writing: a process that writes "0" to it moves there. Errors (unavailable): a sentence; the
    /// service can run without the bounds.
    runtime::Result<Descriptor> prepare(const ServicePlan& service);
    /// What is in force, read back from the leaf.
    std::map<std::string, std::string> effective(const std::string& service) const;

  private:
    runtime::Result<void> make_room();
    std::string leaf(const std::string& service) const {
        return directory_ + "/service-" + service;
    }

    std::string directory_;
    bool has_room_ = false;
    std::vector<std::string> leaves_;
};

}  // namespace launcher
