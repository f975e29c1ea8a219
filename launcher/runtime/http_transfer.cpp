#include "launcher/runtime/http_transfer.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <new>

#include <curl/curl.h>
#include <sys/socket.h>

namespace runtime {

namespace {

constexpr std::size_t kMaxHeadBytes =
    64 * 1024;                             // status line and headers, interim answers included
constexpr std::size_t kMaxUnixPath = 107;  // sockaddr_un::sun_path without its final zero
constexpr long kReadBuffer = 4 * 1024;     // bytes per exchange; curl's 16 KiB are for downloads
constexpr long kDnsCacheSeconds = 5;       // new connections are rare, moved services are not
constexpr long kCaCacheSeconds = 60;  // parsing the roots takes ms; a replaced file is seen soon
constexpr std::size_t kAbandonedLookups = 64;  // threads of lookups that outlived their exchange
constexpr auto kLookupLife =
    std::chrono::seconds(30);  // glibc: 2 tries of 5 s for each of 3 servers
constexpr auto kLookupPause =
    std::chrono::milliseconds(100);  // between lookups while that many hang

bool is_alnum(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0;
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
char lower(char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

/// RFC 9110 section 5.6.2.
bool is_token(std::string_view text) {
    constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        return is_alnum(c) || kMarks.find(c) != std::string_view::npos;
    });
}

bool starts_with_ignoring_case(std::string_view text, std::string_view lower_case_start) {
    return text.size() >= lower_case_start.size() &&
           std::equal(lower_case_start.begin(), lower_case_start.end(), text.begin(),
                      [](char a, char b) { return a == lower(b); });
}

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

/// Host and port, without user info.
std::string_view host_of(std::string_view url) {
    const auto scheme_end = url.find("://");
    if (scheme_end == std::string_view::npos) return {};
    std::string_view host = url.substr(scheme_end + 3);
    host = host.substr(0, host.find_first_of("/?#\\"));
    if (const auto at = host.rfind('@'); at != std::string_view::npos) host.remove_prefix(at + 1);
    return host;
}

/// Numeric hosts and localhost need no lookup: curl knows them. No top-level domain ends in a
/// digit.
bool needs_lookup(std::string_view url) {
    std::string_view host = host_of(url);
    if (host.starts_with('[')) return false;
    host = host.substr(0, host.find(':'));
    return !host.empty() && !is_digit(host.back()) && host != "localhost" &&
           !host.ends_with(".localhost");
}

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
    curl_easy_setopt(easy, option, value);
}

}  // namespace

bool LookupGate::may_begin(TimePoint now) {
    while (!abandoned_.empty() && abandoned_.front() <= now) abandoned_.pop_front();
    if (abandoned_.size() >= kAbandonedLookups && now - last_ < kLookupPause) return false;
    last_ = now;
    return true;
}

void LookupGate::abandon(TimePoint now) {
    abandoned_.push_back(now + kLookupLife);
}

void HttpTransfer::FreeEasy::operator()(void* easy) const {
    curl_easy_cleanup(easy);
}
void HttpTransfer::FreeList::operator()(void* list) const {
    curl_slist_free_all(static_cast<curl_slist*>(list));
}

struct HttpTransfer::Callbacks {
    static int lookup(void*, void*, void* context) {
        HttpTransfer& transfer = *static_cast<HttpTransfer*>(context);
        transfer.lookup_begun_ = true;
        if (!transfer.needs_lookup_) return 0;
        transfer.lookups_stuck_ = !transfer.gate_.may_begin(transfer.clock_.now());
        return transfer.lookups_stuck_ ? 1 : 0;
    }
    // Any other number than that of the bytes ends the transfer.
    static std::size_t header(char* bytes, std::size_t size, std::size_t count, void* context) {
        const std::string_view line(bytes, size * count);
        return static_cast<HttpTransfer*>(context)->add_header_line(line) ? line.size() : 0;
    }
    static std::size_t body(char* bytes, std::size_t size, std::size_t count, void* context) {
        const std::string_view piece(bytes, size * count);
        return static_cast<HttpTransfer*>(context)->add_body(piece) ? piece.size() : 0;
    }
};

HttpTransfer::HttpTransfer(CurlLoop& curl_loop, LookupGate& gate, const Clock& clock,
                           const std::string& user_agent)
    : gate_(gate), clock_(clock), easy_(curl_easy_init()) {
    static_assert(std::tuple_size_v<decltype(error_text_)> >= CURL_ERROR_SIZE);
    if (!easy_) throw std::bad_alloc();
    curl_loop.adopt(easy_.get(), *this);
    set(easy, CURLOPT_NOSIGNAL, 1L);
    set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    set(easy, CURLOPT_FOLLOWLOCATION, 0L);
    set(easy, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
    set(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    set(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(easy, CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
    set(easy, CURLOPT_CA_CACHE_TIMEOUT, kCaCacheSeconds);
    set(easy, CURLOPT_PROXY, "");
    set(easy, CURLOPT_BUFFERSIZE, kReadBuffer);
    set(easy, CURLOPT_HEADERFUNCTION, &Callbacks::header);
    set(easy, CURLOPT_HEADERDATA, this);
    set(easy, CURLOPT_WRITEFUNCTION, &Callbacks::body);
    set(easy, CURLOPT_WRITEDATA, this);
    set(easy, CURLOPT_ERRORBUFFER, error_text_.data());
    set(easy, CURLOPT_RESOLVER_START_FUNCTION, &Callbacks::lookup);
    set(easy, CURLOPT_RESOLVER_START_DATA, this);
    if (!user_agent.empty()) set(easy, CURLOPT_USERAGENT, user_agent.c_str());
}

HttpFaultText HttpTransfer::prepare(HttpClientRequest new_request, Deadline deadline, TimePoint now,
                                    Policy policy) {
    request_ = std::move(new_request);
    result = {};
    deadline_ = deadline;
    started_ = now;
    connect_by_ = deadline.narrowed(now, request_.connect_timeout).at();
    error_text_[0] = '\0';
    head_bytes_ = 0;
    line_status_ = 0;
    head_complete_ = too_large_ = lookup_begun_ = lookups_stuck_ = false;
    needs_lookup_ = request_.unix_socket.empty() && needs_lookup(request_.url);

    // curl would take the first word of the path for a missing host.
    if ((!starts_with_ignoring_case(request_.url, "http://") && !is_https()) ||
        host_of(request_.url).empty())
        return {HttpFault::bad_url, "the URL does not begin with http:// or https:// and a host"};
    if (request_.unix_socket.size() > kMaxUnixPath)
        return {HttpFault::bad_url, "the path of the unix socket is longer than 107 bytes"};
    if (!is_token(request_.method))
        return {HttpFault::internal, "the request's method is not a word"};

    const bool has_body =
        request_.method != "HEAD" && (!request_.body.empty() || request_.method == "POST");
    if (HttpFaultText refusal = set_headers(has_body); refusal.fault != HttpFault::none)
        return refusal;
    set_method(has_body);
    set(easy, CURLOPT_URL, request_.url.c_str());
    // The head of an answer to HEAD announces a body that never comes. 0 is no bound; add_body()
    // keeps it then.
    set(easy, CURLOPT_MAXFILESIZE_LARGE,
        static_cast<curl_off_t>(request_.method == "HEAD" ? 0 : request_.max_response_bytes));
    const auto connect_time =
        std::chrono::ceil<std::chrono::milliseconds>(connect_by_ - started_).count();
    set(easy, CURLOPT_CONNECTTIMEOUT_MS, std::max(static_cast<long>(connect_time), 1L));
    set(easy, CURLOPT_FRESH_CONNECT, request_.new_connection ? 1L : 0L);
    set(easy, CURLOPT_FORBID_REUSE, request_.new_connection || !policy.keep_connection ? 1L : 0L);
    set(easy, CURLOPT_DNS_CACHE_TIMEOUT, policy.trust_known_addresses ? kDnsCacheSeconds : 0L);
    const bool rare =
        is_https() || !request_.unix_socket.empty() || request_.use_proxy_from_environment;
    if (rare || rare_options_set_) set_rare_options();
    return {};
}

HttpFaultText HttpTransfer::set_headers(bool has_body) {
    curl_slist* list = nullptr;
    header_list_.reset();
    const auto add = [&](const std::string& line) {
        curl_slist* longer = curl_slist_append(list, line.c_str());
        if (longer == nullptr) throw std::bad_alloc();
        if (list == nullptr) header_list_.reset(longer);
        list = longer;
    };
    bool has_content_type = false;
    std::string line;
    for (const auto& [name, value] : request_.headers) {
        if (!is_token(name) ||
            value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
            return {HttpFault::internal,
                    "a header of the request has a broken name or a line break"};
        if (name.size() == 12 && starts_with_ignoring_case(name, "content-type"))
            has_content_type = true;
        // curl's notation: a header without a value ends in a semicolon.
        line.assign(name).append(value.empty() ? ";" : ": ").append(value);
        add(line);
    }
    if (has_body) {
        add("Expect:");  // no wait for 100 Continue, which many servers never send
        if (!has_content_type) add("Content-Type:");
    }
    set(easy, CURLOPT_HTTPHEADER, list);
    return {};
}

void HttpTransfer::set_method(bool has_body) {
    if (has_body) {
        set(easy, CURLOPT_POST, 1L);
        set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
        set(easy, CURLOPT_POSTFIELDS, request_.body.data());
    } else if (request_.method == "HEAD") {
        set(easy, CURLOPT_NOBODY, 1L);
    } else {
        set(easy, CURLOPT_HTTPGET, 1L);
    }
    const bool standard =
        request_.method == (has_body ? "POST" : "GET") || request_.method == "HEAD";
    set(easy, CURLOPT_CUSTOMREQUEST, standard ? nullptr : request_.method.c_str());
}

void HttpTransfer::set_rare_options() {
    const HttpClientTls& tls = request_.tls;
    rare_options_set_ = true;
    set(easy, CURLOPT_UNIX_SOCKET_PATH,
        request_.unix_socket.empty() ? nullptr : request_.unix_socket.c_str());
    set(easy, CURLOPT_PROXY, request_.use_proxy_from_environment ? nullptr : "");
    set(easy, CURLOPT_SSL_VERIFYPEER, tls.verify_peer ? 1L : 0L);
    set(easy, CURLOPT_SSL_VERIFYHOST, tls.verify_peer && tls.verify_name ? 2L : 0L);
    set(easy, CURLOPT_CERTINFO, tls.tell_certificate ? 1L : 0L);
    // curl keeps parsed roots only when they come from one file; a directory beside it is then left
    // out.
    const curl_version_info_data* built = curl_version_info(CURLVERSION_NOW);
    const char* file = tls.ca_file.empty() ? built->cainfo : tls.ca_file.c_str();
    const bool own_roots = !tls.ca_pem.empty();
    set(easy, CURLOPT_CAINFO, own_roots ? nullptr : file);
    set(easy, CURLOPT_CAPATH, own_roots || file != nullptr ? nullptr : built->capath);
    // Borrowed, not copied: the request outlives the transfer, and keys do not multiply.
    const auto set_pem = [&](CURLoption option, std::string& pem) {
        curl_blob view{pem.data(), pem.size(), CURL_BLOB_NOCOPY};
        set(easy, option, pem.empty() ? nullptr : &view);
    };
    set_pem(CURLOPT_CAINFO_BLOB, request_.tls.ca_pem);
    set_pem(CURLOPT_SSLCERT_BLOB, request_.tls.client_certificate_pem);
    set_pem(CURLOPT_SSLKEY_BLOB, request_.tls.client_key_pem);
}

void HttpTransfer::clear() {
    request_ = {};
    result = {};
}

/// Takes one line of the head; false when the head is too large. Interim answers (1xx) leave
/// nothing behind, trailers are not looked at.
bool HttpTransfer::add_header_line(std::string_view line) {
    head_bytes_ += line.size();
    if (head_bytes_ > kMaxHeadBytes) {
        too_large_ = true;
        return false;
    }
    if (head_complete_) return true;
    if (line.starts_with("HTTP/")) {
        result.headers.clear();
        line_status_ = 0;
        if (const auto space = line.find(' '); space != std::string_view::npos) {
            const std::string_view digits = line.substr(space + 1, 3);
            std::from_chars(digits.data(), digits.data() + digits.size(), line_status_);
        }
        return true;
    }
    if (line == "\r\n" || line == "\n") {
        head_complete_ = line_status_ >= 200;
        return true;
    }
    if (line.starts_with(' ') || line.starts_with('\t')) {  // a folded line, RFC 9112 section 5.2
        if (!result.headers.empty()) result.headers.back().second.append(" ").append(trimmed(line));
        return true;
    }
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return true;
    std::string name(trimmed(line.substr(0, colon)));
    std::transform(name.begin(), name.end(), name.begin(), lower);
    result.headers.emplace_back(std::move(name), trimmed(line.substr(colon + 1)));
    return true;
}

bool HttpTransfer::add_body(std::string_view bytes) {
    if (bytes.size() > request_.max_response_bytes - result.body.size()) {
        too_large_ = true;
        return false;
    }
    result.body.append(bytes);
    return true;
}

void HttpTransfer::succeed(TimePoint now) {
    // To curl the end of the connection within the head is the end of the head.
    if (!head_complete_) return fail(CURLE_PARTIAL_FILE, now);
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    result.status = static_cast<unsigned>(status);
    if (request_.tls.tell_certificate) result.peer_certificate = peer_certificate();
    measure(now);
}

/// libcurl's notes on the first certificate of the server's chain; one of them is its PEM text.
std::string HttpTransfer::peer_certificate() const {
    constexpr std::string_view kLabel = "Cert:";
    curl_certinfo* chain = nullptr;
    if (curl_easy_getinfo(easy, CURLINFO_CERTINFO, &chain) != CURLE_OK || chain == nullptr ||
        chain->num_of_certs < 1)
        return {};
    for (const curl_slist* note = chain->certinfo[0]; note != nullptr; note = note->next)
        if (const std::string_view text = note->data; text.starts_with(kLabel))
            return std::string(text.substr(kLabel.size()));
    return {};
}

void HttpTransfer::fail(int curl_code, TimePoint now) {
    if (curl_code == CURLE_OPERATION_TIMEDOUT) return time_out(connect_by_, now);
    const std::string place = where();
    HttpEnding ending;
    ending.curl_code = curl_code;
    long os_errno = 0;
    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_errno);
    curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &ending.verify_result);
    ending.os_errno = static_cast<int>(os_errno);
    ending.open_errno = open_errno;
    ending.curl_text = error_text_.data();
    ending.stage = stage();
    ending.sent = sent;
    ending.reused = sent && !sent_on_new;
    ending.too_large = too_large_;
    ending.lookups_stuck = lookups_stuck_;
    ending.where = place;
    ending.ca_file = request_.tls.ca_file;
    HttpFaultText explained = explain(ending);
    fail(explained.fault, std::move(explained.text), now);
}

void HttpTransfer::fail(HttpFault fault, std::string detail, TimePoint now) {
    // Whatever had arrived is dropped: half an answer must not be taken for one.
    result = failed_exchange({fault, std::move(detail)});
    measure(now);
}

void HttpTransfer::time_out(TimePoint limit, TimePoint now) {
    const auto span = std::chrono::round<std::chrono::milliseconds>(limit - started_);
    fail(HttpFault::timed_out, explain_timeout(stage(), span, where()), now);
}

void HttpTransfer::measure(TimePoint now) {
    const auto span = [&](CURLINFO info) {
        curl_off_t microseconds = 0;
        curl_easy_getinfo(easy, info, &microseconds);
        return std::chrono::microseconds(microseconds);
    };
    result.request_sent = sent;
    result.answer_began = head_bytes_ > 0;
    result.reused_connection = sent && !sent_on_new;
    if (!result.reused_connection) {
        result.times.resolved = span(CURLINFO_NAMELOOKUP_TIME_T);
        result.times.connected = span(CURLINFO_CONNECT_TIME_T);
        result.times.tls = span(CURLINFO_APPCONNECT_TIME_T);
    }
    result.times.first_byte = span(CURLINFO_STARTTRANSFER_TIME_T);
    result.times.total = std::chrono::duration_cast<std::chrono::microseconds>(now - started_);
}

HttpStage HttpTransfer::stage() const {
    if (sent) {
        if (head_complete_) return HttpStage::body;
        return head_bytes_ > 0 ? HttpStage::head : HttpStage::answer;
    }
    if (!opened && request_.unix_socket.empty()) return HttpStage::lookup;
    // curl tells the time of the connection only once TLS is there, too.
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    const bool connected =
        ::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
    return connected && is_https() ? HttpStage::tls : HttpStage::connect;
}

std::string HttpTransfer::where() const {
    return request_.unix_socket.empty() ? url_origin(request_.url)
                                        : "unix socket " + request_.unix_socket;
}

bool HttpTransfer::is_https() const {
    return starts_with_ignoring_case(request_.url, "https://");
}

std::string url_origin(std::string_view url) {
    constexpr std::string_view kMarks = "-._~%:[]";
    const std::string_view scheme = url.substr(0, std::min(url.find("://"), url.size()));
    const std::string_view host = host_of(url);
    const bool readable = std::all_of(host.begin(), host.end(), [&](char c) {
        return is_alnum(c) || static_cast<unsigned char>(c) >= 0x80 ||
               kMarks.find(c) != std::string_view::npos;
    });
    if (!is_token(scheme) || host.empty() || !readable) return "(not a URL)";
    // A port that is no number may be a piece of a password with an unescaped slash.
    const auto colon = host.find_last_of(":]");
    if (colon != std::string_view::npos && host[colon] == ':') {
        const std::string_view port = host.substr(colon + 1);
        if (!std::all_of(port.begin(), port.end(), is_digit)) return "(not a URL)";
    }
    return std::string(scheme).append("://").append(host);
}

}  // namespace runtime
