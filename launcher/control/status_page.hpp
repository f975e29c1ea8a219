/// The status page: one self-contained HTML document that asks /status every two seconds and draws
/// what it says. It holds no data of its own. Source: issue "status page"; CSP Level 3 for the
/// hashes.
#pragma once

#include <string>
#include <string_view>

namespace launcher {

/// The whole document; the same text always.
const std::string& status_page();
/// Its Content-Security-Policy: nothing but the page's own style and script (by hash) and requests
/// to where it came from.
const std::string& status_page_policy();

}  // namespace launcher
