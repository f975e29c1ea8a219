/// The effective configuration, key by key, for print-config and for the digest.
#pragma once

#include "launcher/plan/plan_loader.hpp"

namespace launcher {

/// Every key of `plan` that has a value, with its origin in `document`. Secrets appear as [set] or
/// [unset].
std::vector<EffectiveValue> effective_config(const Plan& plan,
                                             const runtime::ConfigDocument& document,
                                             const Environment& environment);

}  // namespace launcher
