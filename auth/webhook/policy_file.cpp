#include "auth/webhook/policy_file.hpp"

#include "launcher/runtime/log.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

namespace auth {
namespace {

constexpr std::string_view kTarget = "auth::policy";
constexpr std::size_t kMistakesShown = 5;
/// File times move in steps of a few milliseconds (seconds on some file systems), so a file written
/// twice within one step keeps its identity. One that is younger than this is therefore read, not
/// trusted.
constexpr std::chrono::seconds kSettled{2};

using runtime::kv;

std::int64_t nanoseconds(const timespec& time) {
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

class Descriptor {
  public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int number() const { return number_; }

  private:
    int number_;
};

std::string reason(int error) {
    return std::strerror(error);  // NOLINT(concurrency-mt-unsafe): one thread reads policy files
}

/// The content and identity of an open file; the errno of the failed call otherwise.
int read_all(int descriptor, std::string& text) {
    std::size_t used = 0;
    while (used < text.size()) {
        const auto count = ::read(descriptor, text.data() + used, text.size() - used);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return errno;
        if (count == 0) break;
        used += static_cast<std::size_t>(count);
    }
    text.resize(used);
    return 0;
}

std::string joined(const std::vector<std::string>& sentences) {
    std::string out;
    for (std::size_t i = 0; i < std::min(sentences.size(), kMistakesShown); ++i)
        out.append(out.empty() ? "" : "; ").append(sentences[i]);
    if (sentences.size() > kMistakesShown)
        out += "; and " + std::to_string(sentences.size() - kMistakesShown) + " more";
    return out;
}

}  // namespace

FileIdentity FileIdentity::of(const struct stat& status) {
    return {.device = status.st_dev,
            .inode = status.st_ino,
            .size = status.st_size,
            .modified_ns = nanoseconds(status.st_mtim),
            .changed_ns = nanoseconds(status.st_ctim)};
}

PolicyFile::PolicyFile(std::string path, const runtime::Clock& clock)
    : path_(std::move(path)), clock_(clock) {}

std::shared_ptr<const SimplePolicy> PolicyFile::current() {
    look();
    return policy_;
}

void PolicyFile::look() {
    struct stat status{};
    if (::stat(path_.c_str(), &status) == 0 && identity_ == FileIdentity::of(status)) return;

    // O_NONBLOCK: a named pipe in the file's place must not hold everybody up.
    const Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (file.number() < 0) {
        const int error = errno;
        const bool gone = error == ENOENT || error == ENOTDIR;
        return refuse(gone ? State::missing : State::broken,
                      gone ? "it does not exist" : "cannot open it: " + reason(error));
    }
    if (::fstat(file.number(), &status) != 0)
        return refuse(State::broken, "cannot examine it: " + reason(errno));
    if (!S_ISREG(status.st_mode)) return refuse(State::broken, "it is not a regular file");
    if (static_cast<std::uint64_t>(status.st_size) > kMaxPolicyBytes)
        return refuse(State::broken, "it is larger than " +
                                         std::to_string(kMaxPolicyBytes / 1024 / 1024) + " MiB");

    // The identity is taken before reading: what is written meanwhile changes it, so it is read at
    // the next look.
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    if (const int error = read_all(file.number(), text); error != 0)
        return refuse(State::broken, "cannot read it: " + reason(error));
    take(std::move(text), FileIdentity::of(status));
}

void PolicyFile::take(std::string text, const FileIdentity& identity) {
    identity_ = may_still_change(identity) ? std::nullopt : std::optional(identity);
    if (text_ == text) return;
    auto reading = parse_simple_policy(text);
    const bool usable = reading.policy.has_value();
    if (usable)
        accept(std::move(reading));
    else
        refuse(State::broken, joined(reading.mistakes));
    identity_ = may_still_change(identity) ? std::nullopt : std::optional(identity);
    text_ = std::move(text);
}

bool PolicyFile::may_still_change(const FileIdentity& identity) const {
    const auto now =
        std::chrono::duration_cast<std::chrono::nanoseconds>(clock_.wall_now().time_since_epoch());
    const auto newest =
        std::chrono::nanoseconds(std::max(identity.modified_ns, identity.changed_ns));
    return newest + kSettled >= now;
}

void PolicyFile::accept(PolicyReading reading) {
    policy_ = std::make_shared<const SimplePolicy>(std::move(*reading.policy));
    state_ = State::good;
    fault_.clear();
    good_since_ = clock_.wall_now();
    ++loads_;
    runtime::log_info(kTarget, "policy file is in force",
                      {kv("file", path_), kv("os_images", policy_->os_images.size()),
                       kv("apps", policy_->apps.size()),
                       kv("kms_measurements", policy_->kms_mr_aggregated.size())});
    if (!reading.warnings.empty())
        runtime::log_warn(kTarget, "policy file has members that mean nothing",
                          {kv("file", path_), kv("reason", joined(reading.warnings))});
}

void PolicyFile::refuse(State state, std::string fault) {
    identity_.reset();
    text_.reset();
    if (state == state_ && fault == fault_) return;
    state_ = state;
    fault_ = std::move(fault);
    if (state == State::missing) {
        policy_ = std::make_shared<const SimplePolicy>();
        good_since_.reset();
    }
    ++refusals_;
    const char* consequence = good_since_ ? "the last good policy stays in force"
                                          : "nothing is allowed until it is mended";
    runtime::log_warn(kTarget, "policy file cannot be used",
                      {kv("file", path_), kv("reason", fault_), kv("consequence", consequence)});
}

void PolicyFile::add_metrics(runtime::MetricsText& metrics) const {
    using runtime::MetricKind;
    const std::uint64_t good = state_ == State::good ? 1 : 0;
    metrics.family("auth_policy_file_good", MetricKind::gauge,
                   "1 if the policy in force is what the policy file says, 0 if the file is "
                   "missing or broken");
    metrics.sample(good);
    metrics.family("auth_policy_in_force", MetricKind::gauge,
                   "1 if a policy is in force, 0 if nothing is allowed for want of one");
    metrics.sample(std::uint64_t{good_since_ ? 1U : 0U});
    metrics.family("auth_policy_loads_total", MetricKind::counter,
                   "Policy files that came into force");
    metrics.sample(loads_);
    metrics.family("auth_policy_refusals_total", MetricKind::counter,
                   "Policy files found missing or broken");
    metrics.sample(refusals_);
    if (good_since_) {
        metrics.family("auth_policy_in_force_since_timestamp_seconds", MetricKind::gauge,
                       "When the policy in force was read, in seconds since 1970", "seconds");
        metrics.sample(std::chrono::duration<double>(good_since_->time_since_epoch()).count());
    }
}

}  // namespace auth
