/// How a contract is read: where, at which block, within which bounds. Plain values.
/// Source: spec "auth-api" sections 1.5, 2.5 and 5.3.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace auth {

/// At which block the chain is read.
struct BlockChoice {
    std::string tag = "latest";       ///< "latest", "safe" or "finalized"
    std::uint64_t confirmations = 0;  ///< if not 0, the block (head - confirmations) instead
};

struct ChainOptions {
    std::vector<std::string> endpoints;     ///< URLs in order of preference; may hold credentials
    std::string contract;                   ///< "0x" and 40 digits
    std::optional<std::uint64_t> chain_id;  ///< what the chain must say it is; nothing: any
    BlockChoice block;
    bool use_batches = true;
    std::chrono::milliseconds connect_limit{2'000};   ///< name, TCP and TLS
    std::chrono::milliseconds exchange_limit{3'000};  ///< one HTTP exchange, connecting included
    std::size_t max_answer_bytes = 1024 * 1024;
    std::size_t max_reads = 256;  ///< at a time; beyond: FailureKind::busy, at once
    std::string ca_file;          ///< PEM; empty: the system's roots
};

}  // namespace auth
