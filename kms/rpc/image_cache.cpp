#include "kms/rpc/image_cache.hpp"

#include <algorithm>
#include <filesystem>

namespace kms {
namespace {

namespace fs = std::filesystem;
using tl::make_unexpected;

constexpr std::string_view kAll = "all";
constexpr std::string_view kMeasurementEnd = ".json";

bool is_hex(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    });
}

bool is_measurement(std::string_view name) {
    if (name.ends_with(kMeasurementEnd)) name.remove_suffix(kMeasurementEnd.size());
    return is_hex(name);
}

tl::expected<void, RpcError> remove_below(const fs::path& folder, std::string_view name,
                                          const char* failed) {
    if (name.empty()) return {};
    const fs::path target = name == kAll ? folder : folder / name;
    std::error_code error;
    fs::remove_all(target, error);
    if (!error) return {};
    return make_unexpected(
        RpcError(failed, {"failed to remove `" + target.string() + "`: " + error.message()}));
}

}  // namespace

tl::expected<void, RpcError> clear_image_cache(const std::string& cache_dir,
                                               std::string_view image_hash,
                                               std::string_view config_hash) {
    const bool good_image = image_hash.empty() || image_hash == kAll || is_hex(image_hash);
    const bool good_config =
        config_hash.empty() || config_hash == kAll || is_measurement(config_hash);
    if (!good_image || !good_config) return make_unexpected(RpcError("Invalid cache key"));
    if (auto images =
            remove_below(fs::path(cache_dir) / "images", image_hash, "Failed to clear image cache");
        !images)
        return images;
    return remove_below(fs::path(cache_dir) / "measurements", config_hash,
                        "Failed to clear measurement cache");
}

}  // namespace kms
