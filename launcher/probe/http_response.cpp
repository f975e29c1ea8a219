#include "launcher/probe/http_response.hpp"

#include <algorithm>
#include <limits>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace launcher {
namespace {

namespace http = boost::beast::http;
namespace json = boost::json;
using Parser = http::response_parser<http::string_body>;
constexpr std::string_view kBeginning = "HTTP/1.";
constexpr std::size_t kFirst = 64;

bool is_token(std::string_view text) {
    static constexpr std::string_view kExtra = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               kExtra.find(c) != std::string_view::npos;
    });
}

bool same_name(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
        const auto lower = [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        };
        return lower(x) == lower(y);
    });
}

/// Whether this is less than an end of a chunked body ("0", CR LF, CR LF, perhaps behind the CR LF
/// of the chunk before it), and may become one.
bool may_be_cut_end(std::string_view bytes) {
    constexpr std::size_t kShortest = 5;
    if (bytes.size() >= kShortest) return false;
    if (bytes.starts_with("\r\n")) bytes.remove_prefix(2);
    return bytes.empty() || bytes == "\r" || bytes.front() == '0';
}

/// Short plain words may be shown; anything longer could be a key in an error text.
std::string shown(std::string_view value) {
    const bool word = value.size() <= 16 && std::all_of(value.begin(), value.end(), [](char c) {
                          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                 (c >= '0' && c <= '9') || c == '-' || c == '_';
                      });
    return word ? "'" + std::string(value) + "'" : "another value";
}

std::string as_plain_text(const json::value& value) {
    return value.is_string() ? std::string(value.get_string()) : json::serialize(value);
}

std::optional<std::string> json_mismatch(const ProbePlan& plan, std::string_view body) {
    boost::system::error_code error;
    const json::value document = json::parse({body.data(), body.size()}, error);
    if (error) return "the body is not JSON";
    for (const auto& [pointer, expected] : plan.expect_json) {
        const json::value* found = document.find_pointer(pointer, error);
        if (error || found == nullptr) return "the JSON body has nothing at '" + pointer + "'";
        if (const std::string text = as_plain_text(*found); text != expected)
            return "the JSON body has " + shown(text) + " at '" + pointer + "', not '" + expected +
                   "'";
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::string> request_text(const ProbePlan& plan, std::string_view authority,
                                        std::string_view target) {
    if (!is_token(plan.method)) return std::nullopt;
    std::string host(authority);
    std::string agent = "kms-launcher-probe/" KMS_LAUNCHER_VERSION;
    std::string accept = "*/*";
    std::string others;
    for (const auto& [name, value] : plan.headers) {
        if (!is_token(name) ||
            value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
            return std::nullopt;
        if (same_name(name, "host"))
            host = value;
        else if (same_name(name, "user-agent"))
            agent = value;
        else if (same_name(name, "accept"))
            accept = value;
        else
            others.append(name).append(": ").append(value).append("\r\n");
    }
    std::string text;
    text.append(plan.method).append(" ").append(target).append(" HTTP/1.1\r\nHost: ").append(host);
    text.append("\r\nUser-Agent: ")
        .append(agent)
        .append("\r\nAccept: ")
        .append(accept)
        .append("\r\n")
        .append(others);
    text.append("Connection: close\r\n\r\n");
    return text;
}

struct ResponseReader::Impl {
    bool head_only = false;
    std::size_t max_body = 0;
    std::unique_ptr<Parser> parser;
    std::string pending;  ///< of the head all bytes so far; of the body what was not taken yet
    State state = State::head;
    bool any_bytes = false;
    bool overlong = false;  ///< the announced length is beyond max_body
    std::string kept;       ///< the body so far
    std::string detail;
    unsigned status = 0;

    void restart() {
        parser = std::make_unique<Parser>();
        parser->header_limit(static_cast<std::uint32_t>(kMaxHead));
        // Our own limit keeps the beginning of a long body instead of refusing it.
        parser->body_limit(std::numeric_limits<std::uint64_t>::max());
        parser->eager(false);
        parser->skip(head_only);
    }

    void broken(const boost::system::error_code& error) {
        state = State::malformed;
        detail = error == http::error::header_limit ? "the head of the answer is longer than 16 KiB"
                                                    : "the answer is not HTTP: " + error.message();
    }

    void on_head() {
        status = parser->get().result_int();
        const auto length = parser->content_length();
        state = parser->is_done() ? State::done : State::body;
        // Beast would reserve memory for what the peer only claims to send; such a body is taken
        // here instead.
        overlong = state == State::body && length && *length > max_body;
    }

    /// Whether the next answer's head is complete; nothing while it is not.
    std::optional<boost::system::error_code> parse_head(std::size_t& used) {
        // From the start each time: Beast, once it has asked for more, looks at nothing before the
        // head's end, so that a peer which speaks another protocol in small pieces would seem to
        // be silent.
        restart();
        boost::system::error_code error;
        used = 0;
        while (!error && !parser->is_header_done() && used < pending.size())
            used += parser->put(boost::asio::buffer(pending.data() + used, pending.size() - used),
                                error);
        if (error == http::error::need_more) error = {};
        if (error || parser->is_header_done()) return error;
        if (pending.size() > kMaxHead) return make_error_code(http::error::header_limit);
        return std::nullopt;
    }

    void read_head() {
        while (state == State::head && !pending.empty()) {
            const auto first = std::string_view(pending).substr(0, kBeginning.size());
            if (!kBeginning.starts_with(first))
                return broken(make_error_code(http::error::bad_version));
            std::size_t used = 0;
            const auto error = parse_head(used);
            if (!error) return;
            if (*error) return broken(*error);
            pending.erase(0, used);
            const unsigned code = parser->get().result_int();
            // Interim answers come before the real one.
            if (code / 100 != 1 || code == 101) on_head();
        }
    }

    void read_body() {
        if (overlong) {
            kept += pending;
            pending.clear();
            if (kept.size() >= max_body) truncate();
            return;
        }
        while (state == State::body && !pending.empty()) {
            // Beast asserts that the end of a chunked body comes with its five bytes at once.
            if (parser->chunked() && may_be_cut_end(pending)) return;
            boost::system::error_code error;
            const std::size_t used = parser->put(boost::asio::buffer(pending), error);
            pending.erase(0, used);
            std::string& body = parser->get().body();
            kept += body;
            body.clear();
            if (kept.size() > max_body) return truncate();
            if (error == http::error::need_more) return;
            if (error) return broken(error);
            if (parser->is_done()) state = State::done;
        }
    }

    void truncate() {
        kept.resize(max_body);
        state = State::truncated;
    }
};

ResponseReader::ResponseReader(bool head_only, std::size_t max_body)
    : impl_(std::make_unique<Impl>()) {
    impl_->head_only = head_only;
    impl_->max_body = max_body;
    impl_->restart();
}
ResponseReader::~ResponseReader() = default;

ResponseReader::State ResponseReader::feed(std::string_view bytes) {
    Impl& impl = *impl_;
    impl.any_bytes = impl.any_bytes || !bytes.empty();
    impl.pending += bytes;
    // What a line says is known at its end; and the first bytes tell whether it is HTTP at all.
    const bool news = bytes.find('\n') != std::string_view::npos || impl.pending.size() < kFirst ||
                      impl.pending.size() > kMaxHead;
    if (impl.state == State::head && news) impl.read_head();
    if (impl.state == State::body) impl.read_body();
    return impl.state;
}

ResponseReader::State ResponseReader::finish() {
    Impl& impl = *impl_;
    if (impl.state == State::head) impl.read_head();
    if (impl.state == State::head) {
        impl.state = State::cut;
    } else if (impl.state == State::body) {
        boost::system::error_code error;
        impl.parser->put_eof(error);
        impl.state = error ? State::cut : State::done;
    }
    return impl.state;
}

ResponseReader::State ResponseReader::state() const {
    return impl_->state;
}
unsigned ResponseReader::status() const {
    return impl_->status;
}
bool ResponseReader::any_bytes() const {
    return impl_->any_bytes;
}
const std::string& ResponseReader::body() const {
    return impl_->kept;
}
const std::string& ResponseReader::detail() const {
    return impl_->detail;
}

bool status_expected(const ProbePlan& plan, unsigned status) {
    if (plan.expect_status.empty()) return status >= 200 && status <= 399;
    return std::find(plan.expect_status.begin(), plan.expect_status.end(), status) !=
           plan.expect_status.end();
}

std::optional<std::string> body_mismatch(const ProbePlan& plan, std::string_view body,
                                         bool truncated) {
    const bool checked = plan.expect_body || plan.expect_contains || !plan.expect_json.empty();
    if (!checked) return std::nullopt;
    if (plan.expect_contains && body.find(*plan.expect_contains) == std::string_view::npos)
        return "the body (" + std::to_string(body.size()) +
               " bytes) does not contain the expected text";
    if (truncated && (plan.expect_body || !plan.expect_json.empty()))
        return "the body is longer than " + std::to_string(plan.max_body) + " bytes";
    if (plan.expect_body && body != *plan.expect_body)
        return "the body (" + std::to_string(body.size()) + " bytes) is not the expected text";
    if (!plan.expect_json.empty()) return json_mismatch(plan, body);
    return std::nullopt;
}

}  // namespace launcher
