/// What of an endpoint's URL may be shown. Source: spec "auth-api" section 1.1.
#pragma once

#include <string>
#include <string_view>

namespace auth {

/// "scheme://host[:port]" of an http or https URL: user, password, path, query and fragment are
/// removed, because providers put keys into each of them; a default port is dropped, the host is in
/// lower case. "configured" for text that is no such URL, "" for none.
std::string public_url(std::string_view url);

}  // namespace auth
