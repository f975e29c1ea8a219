/// Reads files of /proc and of control groups. It opens, reads and closes, nothing else: no ptrace,
/// no signal, and none of the files whose reading takes the target's memory-map lock (cmdline,
/// environ, maps, smaps, mem). May hang in the kernel: call through BoundedReader. Source: proc(5);
/// spec "launcher" section 6.1.
#pragma once

#include "launcher/evidence/facts.hpp"
#include "launcher/evidence/system_text.hpp"
#include "launcher/evidence/thread_text.hpp"

#include <map>
#include <string>
#include <vector>

namespace launcher::evidence {

/// What could be read, and why something could not: "not permitted", "gone".
template <class Value>
struct Reading {
    Value value{};
    std::string fault;
};

inline constexpr std::size_t kMostThreads = 512;
inline constexpr std::size_t kMostDescriptors = 4096;

struct ThreadsRead {
    std::vector<ThreadSample> threads;
    std::uint64_t not_read = 0;  ///< beyond kMostThreads
};
Reading<ThreadsRead> read_threads(int pid);
/// Kernel stacks by thread; empty without CAP_SYS_ADMIN.
Reading<std::map<int, std::vector<std::string>>> read_stacks(int pid);
struct DescriptorsRead {
    std::vector<DescriptorFacts> descriptors;
    std::uint64_t count = 0;  ///< of all, also of those beyond kMostDescriptors
};
Reading<DescriptorsRead> read_descriptors(int pid,
                                          const std::vector<std::string>& secret_directories);
/// /proc/PID/net/{tcp,tcp6,unix}.
Reading<std::vector<SocketFacts>> read_net_files(int pid);
/// The named files of one directory; a file that is not there is left out.
Reading<Texts> read_files(const std::string& directory, const std::vector<std::string>& names);
/// pid → stat of at most `most` processes.
Reading<std::map<int, std::string>> read_all_stats(std::size_t most);

}  // namespace launcher::evidence
