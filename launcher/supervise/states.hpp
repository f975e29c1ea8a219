/// The words of the supervisor: states of a service and of a freeze. Values only.
/// Source: spec "launcher" sections 2.1 and 2.5.
#pragma once

#include "launcher/plan/process_end.hpp"

#include <string_view>

namespace launcher {

enum class ServiceState { pending, starting, started, ready, unready, stopping, exited, failed };
constexpr std::string_view to_string(ServiceState state) {
    switch (state) {
        case ServiceState::pending:
            return "pending";
        case ServiceState::starting:
            return "starting";
        case ServiceState::started:
            return "started";
        case ServiceState::ready:
            return "ready";
        case ServiceState::unready:
            return "unready";
        case ServiceState::stopping:
            return "stopping";
        case ServiceState::exited:
            return "exited";
        case ServiceState::failed:
            return "failed";
    }
    return "unknown";
}

enum class FreezeState { none, suspect, frozen };
constexpr std::string_view to_string(FreezeState state) {
    switch (state) {
        case FreezeState::none:
            return "none";
        case FreezeState::suspect:
            return "suspect";
        case FreezeState::frozen:
            return "frozen";
    }
    return "unknown";
}

}  // namespace launcher
