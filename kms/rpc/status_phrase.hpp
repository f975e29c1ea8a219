/// An HTTP status as people read it.
#pragma once

#include <string>

namespace kms {

/// "404 Not Found"; a status without a phrase of its own is its number alone.
std::string status_phrase(unsigned status);

}  // namespace kms
