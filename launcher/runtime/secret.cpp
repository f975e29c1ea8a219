#include "launcher/runtime/secret.hpp"

#include <algorithm>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include <openssl/crypto.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace runtime {
namespace {

/// Keys and scalars share pages in slots of this size; what is larger has a mapping of its own.
constexpr std::size_t kSlotSize = 256;
constexpr std::size_t kChunkSize = 16 * 1024;

std::size_t whole_pages(std::size_t size) {
    static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return (size + page - 1) / page * page;
}

/// Zero-filled pages outside of core dumps and, where the limit for locked memory allows it,
/// outside of swap. Both are best effort: a machine that refuses them can still run the program.
std::uint8_t* map_pages(std::size_t size) {
    void* pages = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) throw std::bad_alloc();
    (void)::madvise(pages, size, MADV_DONTDUMP);
    (void)::mlock(pages, size);
    return static_cast<std::uint8_t*>(pages);
}

/// Hands out slots of locked pages. Chunks are never given back: secrets are few, and unmapping
/// costs every thread a TLB flush per request.
class SlotPool {
  public:
    std::uint8_t* take() {
        const std::lock_guard lock(mutex_);
        if (free_.empty()) {
            std::uint8_t* chunk = map_pages(kChunkSize);
            // Room for every slot at once: give() must not allocate.
            slots_ += kChunkSize / kSlotSize;
            free_.reserve(slots_);
            for (std::size_t at = 0; at < kChunkSize; at += kSlotSize) free_.push_back(chunk + at);
        }
        std::uint8_t* slot = free_.back();
        free_.pop_back();
        return slot;
    }
    void give(std::uint8_t* slot) noexcept {
        const std::lock_guard lock(mutex_);
        free_.push_back(slot);
    }

  private:
    std::mutex mutex_;
    std::vector<std::uint8_t*> free_;
    std::size_t slots_ = 0;
};

/// Never destroyed, because a secret with static storage may outlive any order of destruction.
SlotPool& pool() {
    static SlotPool* const instance = new SlotPool;
    return *instance;
}

}  // namespace

SecretBytes::SecretBytes(std::size_t size) : size_(size) {
    if (size == 0) return;
    data_ = size <= kSlotSize ? pool().take() : map_pages(whole_pages(size));
}

SecretBytes SecretBytes::copy_of(ByteView bytes) {
    SecretBytes secret(bytes.size());
    std::copy(bytes.begin(), bytes.end(), secret.data_);
    return secret;
}

SecretBytes::SecretBytes(SecretBytes&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
        wipe();
        data_ = std::exchange(other.data_, nullptr);
        size_ = std::exchange(other.size_, 0);
    }
    return *this;
}

SecretBytes::~SecretBytes() {
    wipe();
}

void SecretBytes::wipe() noexcept {
    if (data_ == nullptr) return;
    OPENSSL_cleanse(data_, size_);
    if (size_ <= kSlotSize)
        pool().give(data_);
    else
        (void)::munmap(data_, whole_pages(size_));
    data_ = nullptr;
    size_ = 0;
}

void wipe(std::string& text) noexcept {
    // What stands behind the end, after the string was shortened, may be a part of the secret too.
    // Growing to the capacity does not allocate.
    text.resize(text.capacity());
    OPENSSL_cleanse(text.data(), text.size());
    text.clear();
}

bool equal_constant_time(ByteView a, ByteView b) {
    if (a.size() != b.size()) return false;
    return a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void forbid_core_dumps() {
    const rlimit none{0, 0};
    (void)::setrlimit(RLIMIT_CORE, &none);
    (void)::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

}  // namespace runtime
