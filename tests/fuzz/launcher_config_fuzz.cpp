// Whatever stands in a configuration file: it becomes a plan, or a report that names every mistake
// and shows no secret.
#include "launcher/plan/plan_loader.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>

using namespace launcher;

namespace {

constexpr const char* kSecret = "swordfish-horse";

void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    PlanSources sources;
    sources.offline = true;
    sources.environment = {{"PATH", "/usr/bin"}, {"ETH_RPC_URL", kSecret}, {"RUST_LOG", "info"}};
    const auto loaded = load_plan_text(text, "launcher.toml", sources);
    for (const auto& problem : loaded.problems.list()) {
        require(!problem.text.empty());
        require(problem.to_string().find(kSecret) == std::string::npos ||
                text.find(kSecret) != std::string::npos);
    }
    if (!loaded.ok()) return 0;
    require(!loaded.plan.services.empty());
    require(loaded.plan.digest.size() == 64);
    for (const auto& value : loaded.effective)
        require(!value.path.empty() && !value.origin.empty());
    return 0;
}
