/// Facts → the sentence that a person can act on: rules F1 to F11, the first that fits. Pure.
/// Source: spec "launcher" section 6.3; where a rule is read more strictly than its row says,
/// docs/evidence.md says why.
#pragma once

#include "launcher/evidence/facts.hpp"

#include <string>
#include <utility>
#include <vector>

namespace launcher::evidence {

struct Finding {
    std::string rule;      ///< "F1" … "F11"
    std::string sentence;  ///< "lock-up: every worker waits on a lock"
    std::vector<std::pair<std::string, std::string>> facts;  ///< those that the rule used
    bool launcher_fault = false;  ///< F1 on a pipe that the launcher should have drained
};

Finding judge(const Facts& facts);

}  // namespace launcher::evidence
