#include "launcher/plan/start_order.hpp"

#include <algorithm>

namespace launcher {
namespace {

enum class Mark { unseen, open, done };

struct Walk {
    const std::vector<ServicePlan>& services;
    std::vector<Mark> marks;
    std::vector<std::size_t> path;  ///< the services that are being visited, outermost first
    StartOrder result;

    void visit(std::size_t index) {
        if (marks[index] == Mark::done) return;
        if (marks[index] == Mark::open) {
            if (!result.cycle.empty()) return;
            for (auto at = std::find(path.begin(), path.end(), index); at != path.end(); ++at)
                result.cycle.push_back(services[*at].name);
            result.cycle.push_back(services[index].name);
            return;
        }
        marks[index] = Mark::open;
        path.push_back(index);
        for (const auto& [name, state] : services[index].depends_on) {
            const auto found =
                std::find_if(services.begin(), services.end(),
                             [&](const ServicePlan& service) { return service.name == name; });
            if (found != services.end()) visit(static_cast<std::size_t>(found - services.begin()));
        }
        path.pop_back();
        marks[index] = Mark::done;
        result.order.push_back(index);
    }
};

}  // namespace

StartOrder start_order(const std::vector<ServicePlan>& services) {
    Walk walk{services, std::vector<Mark>(services.size(), Mark::unseen), {}, {}};
    for (std::size_t i = 0; i < services.size(); ++i) walk.visit(i);
    return walk.result;
}

}  // namespace launcher
