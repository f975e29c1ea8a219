/// Secrets: move-only values that are wiped when they go, kept out of core dumps and swap, and
/// cannot be printed.
#pragma once

#include "launcher/runtime/bytes.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace runtime {

/// A secret of a length known only at run time (a PEM text, a token). Owns `size` bytes in locked
/// pages where the machine allows it (mlock, MADV_DONTDUMP); wiped on destruction and when moved
/// from.
class SecretBytes {
  public:
    SecretBytes() = default;
    /// Zero-filled.
    explicit SecretBytes(std::size_t size);
    /// A copy of `bytes`; the caller wipes its own.
    static SecretBytes copy_of(ByteView bytes);

    SecretBytes(SecretBytes&& other) noexcept;
    SecretBytes& operator=(SecretBytes&& other) noexcept;
    SecretBytes(const SecretBytes&) = delete;
    SecretBytes& operator=(const SecretBytes&) = delete;
    ~SecretBytes();

    /// An explicit second copy: grep for clone() to see where secrets multiply.
    SecretBytes clone() const { return copy_of(view()); }

    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    std::span<std::uint8_t> writable() { return {data_, size_}; }
    ByteView view() const { return {data_, size_}; }
    std::string_view text() const { return as_text(view()); }

  private:
    void wipe() noexcept;
    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
};

/// A secret of N bytes, such as a private scalar.
template <std::size_t N>
class Secret {
  public:
    Secret() : bytes_(N) {}
    static Result<Secret> copy_of(ByteView bytes) {
        if (bytes.size() != N)
            return Error{ErrorCode::invalid_argument, "a secret of " + std::to_string(N) +
                                                          " bytes was expected, not " +
                                                          std::to_string(bytes.size())};
        Secret secret;
        std::copy(bytes.begin(), bytes.end(), secret.writable().begin());
        return secret;
    }
    Secret clone() const {
        Secret secret;
        std::copy(view().begin(), view().end(), secret.writable().begin());
        return secret;
    }
    std::span<std::uint8_t, N> writable() {
        return std::span<std::uint8_t, N>(bytes_.writable().data(), N);
    }
    std::span<const std::uint8_t, N> view() const {
        return std::span<const std::uint8_t, N>(bytes_.view().data(), N);
    }

  private:
    SecretBytes bytes_;
};

/// Overwrites the characters of a string that held a secret, then empties it.
void wipe(std::string& text) noexcept;
/// Compares in time that depends on the lengths only.
bool equal_constant_time(ByteView a, ByteView b);
/// Switches core dumps off for this process (RLIMIT_CORE 0, PR_SET_DUMPABLE 0): a dump of a KMS
/// holds its keys.
void forbid_core_dumps();

}  // namespace runtime
