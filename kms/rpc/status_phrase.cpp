#include "kms/rpc/status_phrase.hpp"

#include <boost/beast/http/status.hpp>

namespace kms {

std::string status_phrase(unsigned status) {
    namespace http = boost::beast::http;
    std::string text = std::to_string(status);
    const http::status known = http::int_to_status(status);
    if (known == http::status::unknown) return text;
    const auto phrase = http::obsolete_reason(known);
    return text.append(" ").append(phrase.data(), phrase.size());
}

}  // namespace kms
