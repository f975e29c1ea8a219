/// EvidenceStore: where documents of evidence are kept: files of mode 0600 in one directory, at
/// most 16 and 8 MiB per service, or the last 4 in memory when no directory can be written. Any
/// thread; file operations block. Source: spec "launcher" section 6.4.
#pragma once

#include "launcher/runtime/result.hpp"

#include <chrono>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace launcher::evidence {

class EvidenceStore {
  public:
    static constexpr std::size_t kFiles = 16;
    static constexpr std::size_t kBytes = 8 * 1024 * 1024;
    static constexpr std::size_t kInMemory = 4;

    /// The first of `directories` that can be made and written is used. Touches no file yet.
    explicit EvidenceStore(std::vector<std::string> directories);

    /// Keeps a document; the result is the file's path, or empty when it is in memory.
    std::string put(const std::string& service, const std::string& id, std::string document);

    struct Entry {
        std::string id, service;
        std::size_t bytes = 0;
        std::string path;  ///< empty = in memory
    };
    /// Oldest first; of earlier runs of the launcher, too.
    std::vector<Entry> list(const std::string& service) const;
    /// The newest document of a service. Errors: not_found, unavailable (cannot be read).
    runtime::Result<std::string> last(const std::string& service) const;

  private:
    struct Kept {
        std::string service, id, document;
    };
    bool write(const std::string& directory, const std::string& id, std::string_view document);
    std::vector<Entry> files_of(const std::string& service) const;
    void remove_oldest(const std::string& service);

    std::vector<std::string> directories_;
    mutable std::mutex mutex_;
    std::string directory_;  ///< in use; empty = memory
    std::deque<Kept> memory_;
    int written_ = 0;  ///< for temporary names
};

/// Whether a file's name is that of a document of this service: evidence-SERVICE-UTC-NUMBER.json.
bool is_evidence_name(std::string_view name, std::string_view service);

}  // namespace launcher::evidence
