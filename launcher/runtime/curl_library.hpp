/// libcurl, loaded when the first client is made and not before: a program that never asks beyond
/// its machine then starts without it. Its functions have their usual names (curl/curl.h).
#pragma once

#include "launcher/runtime/result.hpp"

namespace runtime {

/// Loads the library once for the process; to be called before any of its functions. Any thread.
/// Errors (unavailable): a sentence that names the library and its package.
Result<void> load_curl();

}  // namespace runtime
