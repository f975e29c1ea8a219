/// Environment files, as dstack's auth-eth reads one named ".env" from its working directory.
///
/// Pure. Source: spec "auth-api" section 1.5.
#pragma once

#include "auth/webhook/settings.hpp"

#include <string>
#include <string_view>

namespace auth {

inline constexpr std::size_t kMaxEnvFileBytes = 64 * 1024;

/// Adds the variables of `text` to `environment`; those that are there already win. A line is
/// NAME=VALUE, with or without "export" before it; blanks around both are dropped, and so is a pair
/// of quotes around the value. A # begins a comment at the start of a line, and after a blank that
/// follows a value without quotes. Of a name that occurs twice the last counts. Lines of another
/// form are told as warnings, by their number and never by what they say; `file` is for those.
void add_env_file(std::string_view text, const std::string& file, Environment& environment,
                  runtime::ConfigProblems& problems);

}  // namespace auth
