/// HttpTransfer: one HTTP exchange on one libcurl easy handle: options in, answer or fault out. No
/// clock and no Asio; http_client.cpp starts and ends it, and uses handles again, because making
/// one costs more than a request.
#pragma once

#include "launcher/runtime/curl_loop.hpp"
#include "launcher/runtime/http_client.hpp"
#include "launcher/runtime/http_fault.hpp"

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

namespace runtime {

/// Bounds the threads of name lookups. A lookup runs in a thread of libcurl that nobody can end;
/// one whose exchange is over goes on until the C library gives up. While many of those hang, new
/// lookups come one by one: so the threads stay few, and the first lookup after the name servers
/// work again still succeeds.
class LookupGate {
  public:
    bool may_begin(TimePoint now);
    /// An exchange ended in the middle of its lookup.
    void abandon(TimePoint now);

  private:
    std::deque<TimePoint> abandoned_;  ///< when each can be taken to have ended
    TimePoint last_{};
};

class HttpTransfer : public CurlWire {
  public:
    /// `gate` and `clock` must outlive it. Throws std::bad_alloc when libcurl has no memory.
    HttpTransfer(CurlLoop& loop, LookupGate& gate, const Clock& clock,
                 const std::string& user_agent);

    struct Policy {
        bool keep_connection = true;
        bool trust_known_addresses = true;  ///< otherwise names are looked up anew
    };
    /// Sets everything up for one exchange. Nothing, or why it cannot even begin.
    HttpFaultText prepare(HttpClientRequest new_request, Deadline deadline, TimePoint now,
                          Policy policy);
    /// Frees what the last exchange held; the options of libcurl may still point there until
    /// prepare().
    void clear();

    /// Each fills in `result`. The transfer must still be in the loop.
    void succeed(TimePoint now);
    void fail(int curl_code, TimePoint now);
    void fail(HttpFault fault, std::string detail, TimePoint now);
    void time_out(TimePoint limit, TimePoint now);

    Deadline deadline() const { return deadline_; }
    /// When the connection must be there.
    TimePoint connect_by() const { return connect_by_; }
    /// A thread of libcurl is looking up a name.
    bool in_lookup() const { return lookup_begun_ && !opened && !sent && needs_lookup_; }

    HttpExchange result;

  private:
    struct Callbacks;
    struct FreeEasy {
        void operator()(void* easy) const;
    };
    struct FreeList {
        void operator()(void* list) const;
    };

    HttpFaultText set_headers(bool has_body);
    void set_method(bool has_body);
    void set_rare_options();
    bool add_header_line(std::string_view line);
    bool add_body(std::string_view bytes);
    void measure(TimePoint now);
    std::string peer_certificate() const;
    HttpStage stage() const;
    std::string where() const;
    bool is_https() const;

    LookupGate& gate_;
    const Clock& clock_;
    std::unique_ptr<void, FreeEasy> easy_;  ///< the same as CurlWire::easy
    std::unique_ptr<void, FreeList> header_list_;
    std::array<char, 256> error_text_{};  ///< CURL_ERROR_SIZE
    bool rare_options_set_ = false;       ///< by this exchange or an earlier one

    HttpClientRequest request_;
    Deadline deadline_{TimePoint{}};
    TimePoint started_, connect_by_;

    std::size_t head_bytes_ = 0;
    unsigned line_status_ = 0;  ///< of the latest status line
    bool head_complete_ = false;
    bool too_large_ = false;
    bool needs_lookup_ = false;  ///< by a thread of libcurl
    bool lookup_begun_ = false;
    bool lookups_stuck_ = false;
};

}  // namespace runtime
