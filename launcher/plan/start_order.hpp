/// The order in which services start: dependencies first. Pure.
#pragma once

#include "launcher/plan/plan.hpp"

#include <string>
#include <vector>

namespace launcher {

struct StartOrder {
    std::vector<std::size_t>
        order;  ///< indices into the given services; those of a cycle are left out
    std::vector<std::string> cycle;  ///< "a", "b", "a": empty when there is none
};

/// Stable: services that may start in any order keep their order in the file. Unknown names are
/// ignored here.
StartOrder start_order(const std::vector<ServicePlan>& services);

}  // namespace launcher
