/// What a PlatformCache holds.
#pragma once

#include "kms/verify/chain.hpp"
#include "kms/verify/verify.hpp"

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace kms {

/// What a good PCK chain tells.
struct PckFacts {
    std::array<std::uint8_t, 64> key{};
    SgxExtension extension;
    ValidSpan valid;
};

/// Values by the exact bytes that they were computed from; the oldest go first.
template <class Value>
class BytesMap {
  public:
    explicit BytesMap(std::size_t capacity) : capacity_(capacity) {}

    /// Null when these bytes are not known.
    std::shared_ptr<const Value> find(const std::string& key) const {
        const std::lock_guard lock(mutex_);
        const auto found = values_.find(key);
        return found == values_.end() ? nullptr : found->second;
    }
    void insert(const std::string& key, std::shared_ptr<const Value> value) {
        const std::lock_guard lock(mutex_);
        const auto [at, is_new] = values_.insert_or_assign(key, std::move(value));
        if (!is_new) return;
        order_.push_back(&at->first);
        if (order_.size() <= capacity_) return;
        values_.erase(*order_.front());
        order_.pop_front();
    }

  private:
    const std::size_t capacity_;
    mutable std::mutex mutex_;
    std::unordered_map<std::string, std::shared_ptr<const Value>> values_;
    std::deque<const std::string*> order_;  // keys of values_, oldest first
};

struct GoodQeReport {};

struct PlatformCache::State {
    explicit State(std::size_t capacity) : chains(capacity), qe_reports(capacity) {}

    BytesMap<PckFacts> chains;
    BytesMap<GoodQeReport> qe_reports;
};

}  // namespace kms
