/// What of an endpoint's URL may be shown. Source: spec "auth-api" section 1.1.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace auth {

/// "scheme://host[:port]" of an http or https URL: user, password, path, query and fragment are
/// removed, because providers put keys into each of them; a default port is dropped, the host is in
/// lower case. "configured" for text that is no such URL, "" for none.
std::string public_url(std::string_view url);

/// The pieces of a URL that must not be shown: user and password, path, query, fragment, and within
/// them whatever is long enough to be a key; as they stand and percent-decoded. Longest first.
std::vector<std::string> url_secrets(std::string_view url);
/// `text` with each of `secrets` replaced by "[redacted]".
std::string without_secrets(std::string text, const std::vector<std::string>& secrets);

}  // namespace auth
