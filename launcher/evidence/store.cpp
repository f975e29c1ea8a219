#include "launcher/evidence/store.hpp"

#include "launcher/evidence/text.hpp"
#include "launcher/runtime/config.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace launcher::evidence {
namespace {

using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

constexpr std::string_view kEnding = ".json";
constexpr std::size_t kMaxRead = 1024 * 1024;

/// The running number at the end of an id, and what stands before it; ids of one second differ
/// only there.
std::pair<std::string_view, std::uint64_t> order_of(std::string_view id) {
    const auto dash = id.rfind('-');
    if (dash == std::string_view::npos) return {id, 0};
    return {id.substr(0, dash), number_of(id.substr(dash + 1)).value_or(0)};
}

bool write_all(int file, std::string_view text) {
    while (!text.empty()) {
        const auto size = ::write(file, text.data(), text.size());
        if (size <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(size));
    }
    return true;
}

}  // namespace

bool is_evidence_name(std::string_view name, std::string_view service) {
    const auto start = "evidence-" + std::string(service) + "-";
    if (!name.starts_with(start) || !name.ends_with(kEnding)) return false;
    // 20261122T204920Z-3: another service's name may begin with this one's.
    name = name.substr(start.size(), name.size() - start.size() - kEnding.size());
    if (name.size() < 18 || name[8] != 'T' || name[15] != 'Z' || name[16] != '-') return false;
    const auto digits = [](std::string_view text) {
        return !text.empty() && std::all_of(text.begin(), text.end(),
                                            [](unsigned char c) { return std::isdigit(c) != 0; });
    };
    return digits(name.substr(0, 8)) && digits(name.substr(9, 6)) && digits(name.substr(17));
}

EvidenceStore::EvidenceStore(std::vector<std::string> directories)
    : directories_(std::move(directories)) {}

bool EvidenceStore::write(const std::string& directory, const std::string& id,
                          std::string_view document) {
    std::error_code ignored;
    std::filesystem::create_directories(std::filesystem::path(directory).parent_path(), ignored);
    ::mkdir(directory.c_str(), 0700);  // there already, or open() will tell
    const auto temporary = directory + "/.evidence-" + std::to_string(::getpid()) + "-" +
                           std::to_string(++written_) + ".new";
    const int file =
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return false;
    const bool written = write_all(file, document);
    const bool closed = ::close(file) == 0;
    const auto path = directory + "/" + id + std::string(kEnding);
    if (written && closed && ::rename(temporary.c_str(), path.c_str()) == 0) return true;
    ::unlink(temporary.c_str());
    return false;
}

std::string EvidenceStore::put(const std::string& service, const std::string& id,
                               std::string document) {
    const std::lock_guard lock(mutex_);
    for (const auto& directory : directories_) {
        if (directory.empty() || !write(directory, id, document)) continue;
        directory_ = directory;
        remove_oldest(service);
        return directory + "/" + id + std::string(kEnding);
    }
    memory_.push_back({service, id, std::move(document)});
    if (memory_.size() > kInMemory) memory_.pop_front();
    return "";
}

std::vector<EvidenceStore::Entry> EvidenceStore::files_of(const std::string& service) const {
    std::vector<Entry> entries;
    for (const auto& directory : directories_) {
        if (directory.empty() || (!directory_.empty() && directory != directory_)) continue;
        std::error_code error;
        for (std::filesystem::directory_iterator each(directory, error), end; !error && each != end;
             each.increment(error)) {
            const auto name = each->path().filename().string();
            if (!is_evidence_name(name, service)) continue;
            std::error_code gone;
            const auto size = std::filesystem::file_size(each->path(), gone);
            if (!gone)
                entries.push_back({name.substr(0, name.size() - kEnding.size()), service, size,
                                   each->path().string()});
        }
        if (!entries.empty()) break;
    }
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return order_of(a.id) < order_of(b.id); });
    return entries;
}

void EvidenceStore::remove_oldest(const std::string& service) {
    auto entries = files_of(service);
    std::size_t bytes = 0;
    for (const auto& entry : entries) bytes += entry.bytes;
    for (auto oldest = entries.begin();
         oldest + 1 < entries.end() &&
         (static_cast<std::size_t>(entries.end() - oldest) > kFiles || bytes > kBytes);
         ++oldest) {
        ::unlink(oldest->path.c_str());
        bytes -= oldest->bytes;
    }
}

std::vector<EvidenceStore::Entry> EvidenceStore::list(const std::string& service) const {
    const std::lock_guard lock(mutex_);
    auto entries = files_of(service);
    for (const auto& kept : memory_)
        if (kept.service == service)
            entries.push_back({kept.id, service, kept.document.size(), ""});
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return order_of(a.id) < order_of(b.id); });
    return entries;
}

Result<std::string> EvidenceStore::last(const std::string& service) const {
    const auto entries = list(service);
    if (entries.empty())
        return Error{ErrorCode::not_found, "no evidence of " + service + " was taken yet"};
    const auto& newest = entries.back();
    if (!newest.path.empty()) return runtime::read_file(newest.path, kMaxRead);
    const std::lock_guard lock(mutex_);
    for (const auto& kept : memory_)
        if (kept.id == newest.id) return kept.document;
    return Error{ErrorCode::not_found, "the evidence of " + service + " is gone"};
}

}  // namespace launcher::evidence
