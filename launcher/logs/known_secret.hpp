/// KnownSecret: a value that must not leave. Source: spec "launcher" section 3.9 rule 1.
#pragma once

#include <string>

namespace launcher::logs {

struct KnownSecret {
    std::string name;  ///< of its variable, for messages
    std::string value;
};

}  // namespace launcher::logs
