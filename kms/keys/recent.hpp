/// Recent: the values that were computed last, by the identity they are for.
#pragma once

#include "launcher/runtime/bytes.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace kms::keys {

/// For public values only: nothing here is wiped. Bounded, whatever is asked: it forgets everything
/// when it is full, so that who asks for ever new identities only costs the others one computation
/// each. Ordered, because identities come from anybody and could all fall on one hash. Thread-safe.
template <class Value>
class Recent {
  public:
    static constexpr std::size_t kValues = 1024;
    static constexpr std::size_t kIdentitySize = 64;  ///< longer ones are not kept

    std::optional<Value> find(runtime::ByteView identity) const {
        const std::lock_guard lock(mutex_);
        const auto found = values_.find(runtime::as_text(identity));
        return found == values_.end() ? std::nullopt : std::optional<Value>(found->second);
    }

    void keep(runtime::ByteView identity, Value value) {
        if (identity.size() > kIdentitySize) return;
        const std::lock_guard lock(mutex_);
        if (values_.size() >= kValues) values_.clear();
        values_.insert_or_assign(std::string(runtime::as_text(identity)), std::move(value));
    }

    std::size_t size() const {
        const std::lock_guard lock(mutex_);
        return values_.size();
    }

  private:
    mutable std::mutex mutex_;
    std::map<std::string, Value, std::less<>> values_;
};

}  // namespace kms::keys
