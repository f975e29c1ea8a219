/// Removing what the check of operating system images keeps on disk. Source: spec "kms-protocol"
/// section 6.7.
#pragma once

#include "kms/rpc/rpc_error.hpp"

#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace kms {

/// Removes images and measurements below `cache_dir`: one, "all", or, when a text is empty, none. A
/// name is hexadecimal, for a measurement also with ".json" behind it; anything else, in particular
/// a path, is refused before anything is removed. What is not there counts as removed. Blocks on
/// the disk.
tl::expected<void, RpcError> clear_image_cache(const std::string& cache_dir,
                                               std::string_view image_hash,
                                               std::string_view config_hash);

}  // namespace kms
