#include "launcher/runtime/http2_connection.hpp"

#include "launcher/runtime/http_exchange.hpp"
#include "launcher/runtime/secret.hpp"

#include <algorithm>
#include <array>
#include <new>

#include <nghttp2/nghttp2.h>

namespace runtime {
namespace {

constexpr std::uint32_t kStreamWindow = 256 * 1024;
constexpr std::int32_t kConnectionWindow = 1024 * 1024;
constexpr std::size_t kFieldOverhead = 32;  ///< RFC 9113 section 6.5.2
constexpr std::size_t kHeadSlack =
    4;  ///< a head so many times too large is not even read to its end
constexpr std::size_t kDropBytes = 64 * 1024 * 1024;  ///< of a body that nobody wants
constexpr std::size_t kQueuedAcks = 100;
constexpr std::size_t kSettingsEntries = 32;
/// Fields that HTTP/2 has no place for (RFC 9113 section 8.2.2).
constexpr std::array<std::string_view, 4> kConnectionFields = {"connection", "keep-alive",
                                                               "transfer-encoding", "upgrade"};

std::string_view text_of(const std::uint8_t* bytes, std::size_t size) {
    return {reinterpret_cast<const char*>(bytes), size};
}

/// Names and values stay where they are until the stream is closed, so nghttp2 need not copy them.
nghttp2_nv field(std::string_view name, std::string_view value) {
    const auto bytes = [](std::string_view text) {
        return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
    };
    return {bytes(name), bytes(value), name.size(), value.size(),
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

bool has_end_flag(const nghttp2_frame* frame) {
    return (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
}

}  // namespace

/// What nghttp2 calls; each hands on to the connection behind `self`.
struct Http2Connection::Callbacks {
    static Http2Connection& connection(void* self) { return *static_cast<Http2Connection*>(self); }

    static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* self) {
        if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            connection(self).begin_stream(frame->hd.stream_id);
        return 0;
    }

    static int header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                      std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                      std::uint8_t, void* self) {
        Http2Stream* stream = connection(self).stream_of(frame->hd.stream_id);
        if (stream == nullptr) return 0;
        const std::size_t size = name_size + value_size + kFieldOverhead;
        stream->head_size += size;  // trailers count, too, though nobody reads them
        if (stream->head_size > kHeadSlack * connection(self).context_.options.bounds.head_bytes) {
            connection(self).context_.counters.heads_refused.add();
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // resets the stream
        }
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            connection(self).add_field(*stream, text_of(name, name_size),
                                       text_of(value, value_size));
        return 0;
    }

    static int data_chunk(nghttp2_session*, std::uint8_t, std::int32_t id,
                          const std::uint8_t* bytes, std::size_t size, void* self) {
        if (Http2Stream* stream = connection(self).stream_of(id))
            connection(self).add_body(*stream, text_of(bytes, size));
        return 0;
    }

    static int frame_received(nghttp2_session*, const nghttp2_frame* frame, void* self) {
        Http2Connection& here = connection(self);
        Http2Stream* stream = here.stream_of(frame->hd.stream_id);
        switch (frame->hd.type) {
            case NGHTTP2_HEADERS:
                if (stream == nullptr) break;
                if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
                    here.end_head(*stream, has_end_flag(frame));
                else if (has_end_flag(frame))
                    here.complete(*stream);
                break;
            case NGHTTP2_DATA:
                if (stream != nullptr && has_end_flag(frame)) here.complete(*stream);
                if (frame->hd.length == 0 && !has_end_flag(frame))
                    here.charge(here.control_frames_);
                break;
            case NGHTTP2_RST_STREAM:
                here.charge(here.resets_);
                break;
            default:
                here.charge(here.control_frames_);
        }
        return 0;
    }

    static int invalid_frame(nghttp2_session*, const nghttp2_frame*, int, void* self) {
        connection(self).charge(connection(self).control_frames_);
        return 0;
    }

    static int frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* self) {
        const bool may_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
        if (!may_end || !has_end_flag(frame)) return 0;
        // Answered before all of the request was here: the rest is dropped. A peer that is still
        // sending might not look at an answer that comes with a reset.
        Http2Connection& here = connection(self);
        if (Http2Stream* stream = here.stream_of(frame->hd.stream_id))
            if (!stream->request_ended)
                here.set_limit(*stream,
                               here.context_.clock.now() + here.context_.options.bounds.body);
        return 0;
    }

    static int stream_closed(nghttp2_session*, std::int32_t id, std::uint32_t, void* self) {
        connection(self).close_stream(id);
        return 0;
    }

    static ssize_t read_body(nghttp2_session*, std::int32_t, std::uint8_t* into, std::size_t room,
                             std::uint32_t* flags, nghttp2_data_source* source, void*) {
        auto& stream = *static_cast<Http2Stream*>(source->ptr);
        const std::string_view rest = std::string_view(stream.reply.body).substr(stream.body_sent);
        const std::size_t size = std::min(room, rest.size());
        std::copy_n(rest.data(), size, into);
        stream.body_sent += size;
        if (size == rest.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
        return static_cast<ssize_t>(size);
    }

    static const nghttp2_session_callbacks* table() {
        static const nghttp2_session_callbacks* const made = [] {
            nghttp2_session_callbacks* table = nullptr;
            if (nghttp2_session_callbacks_new(&table) != 0) throw std::bad_alloc();
            nghttp2_session_callbacks_set_on_begin_headers_callback(table, begin_headers);
            nghttp2_session_callbacks_set_on_header_callback(table, header);
            nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table, data_chunk);
            nghttp2_session_callbacks_set_on_frame_recv_callback(table, frame_received);
            nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(table, invalid_frame);
            nghttp2_session_callbacks_set_on_frame_send_callback(table, frame_sent);
            nghttp2_session_callbacks_set_on_stream_close_callback(table, stream_closed);
            return table;
        }();
        return made;
    }

    static const nghttp2_option* session_options() {
        static const nghttp2_option* const made = [] {
            nghttp2_option* option = nullptr;
            if (nghttp2_option_new(&option) != 0) throw std::bad_alloc();
            nghttp2_option_set_no_closed_streams(option, 1);
            nghttp2_option_set_max_outbound_ack(option, kQueuedAcks);
            nghttp2_option_set_max_settings(option, kSettingsEntries);
            return option;
        }();
        return made;
    }
};

Http2Connection::Http2Connection(HttpSessionContext& context, HttpServerRequest peer)
    : context_(context),
      peer_(std::move(peer)),
      resets_(context.options.bounds.stream_resets, context.clock.now()),
      control_frames_(context.options.bounds.control_frames, context.clock.now()) {
    if (nghttp2_session_server_new2(&session_, Callbacks::table(), this,
                                    Callbacks::session_options()) != 0)
        throw std::bad_alloc();
    context_.counters.http2_connections.add();
    const HttpBounds& bounds = context_.options.bounds;
    const std::array<nghttp2_settings_entry, 4> settings = {{
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, static_cast<std::uint32_t>(bounds.streams)},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(bounds.head_bytes)},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    }};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}

Http2Connection::~Http2Connection() {
    nghttp2_session_del(session_);
}

bool Http2Connection::receive(std::string_view bytes) {
    const ssize_t used = nghttp2_session_mem_recv(
        session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    if (used == NGHTTP2_ERR_FLOODED && !std::exchange(flooded_, true))
        context_.counters.http2_floods.add();
    return used >= 0 && static_cast<std::size_t>(used) == bytes.size() && !flooded_;
}

std::vector<Http2Connection::StreamPtr> Http2Connection::take_complete() {
    return std::exchange(complete_, {});
}

void Http2Connection::produce(std::string& into, std::size_t enough) {
    while (into.size() < enough) {
        const std::uint8_t* bytes = nullptr;
        const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
        if (size <= 0) return;
        into.append(text_of(bytes, static_cast<std::size_t>(size)));
    }
}

bool Http2Connection::finished() const {
    return (shutting_down_ && open_.empty()) ||
           (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0);
}

void Http2Connection::shut_down() {
    if (std::exchange(shutting_down_, true)) return;
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                          nullptr, 0);
}

void Http2Connection::disconnect() {
    while (!open_.empty()) close_stream(open_.begin()->first);
    complete_.clear();
}

void Http2Connection::charge(FrameBudget& budget) {
    if (flooded_ || budget.take(context_.clock.now())) return;
    flooded_ = true;
    context_.counters.http2_floods.add();
    nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
}

Http2Stream* Http2Connection::stream_of(std::int32_t id) const {
    const auto found = open_.find(id);
    return found == open_.end() ? nullptr : found->second.get();
}

void Http2Connection::set_limit(Http2Stream& stream, TimePoint limit) {
    stream.limit = limit;
    next_limit_ = std::min(next_limit_, limit);
}

void Http2Connection::begin_stream(std::int32_t id) {
    auto stream = std::make_shared<Http2Stream>();
    stream->id = id;
    stream->request = peer_;
    set_limit(*stream, context_.clock.now() + context_.options.bounds.head);
    open_.emplace(id, std::move(stream));
}

void Http2Connection::add_field(Http2Stream& stream, std::string_view name,
                                std::string_view value) {
    const HttpBounds& bounds = context_.options.bounds;
    HttpServerRequest& request = stream.request;
    if (stream.head_size > bounds.head_bytes || request.headers.size() >= bounds.head_fields)
        stream.refused_with = 431;
    if (name == ":path" && value.size() > bounds.target_bytes) stream.refused_with = 414;
    if (stream.refused_with != 0) return;
    if (name == ":method")
        request.method = value;
    else if (name == ":path")
        request.target = value;
    else if (name == ":authority")
        request.headers.push_back({"host", std::string(value)});
    else if (!name.starts_with(':'))
        request.headers.push_back({std::string(name), std::string(value)});
}

void Http2Connection::end_head(Http2Stream& stream, bool last_frame) {
    stream.request_ended = last_frame;
    if (stream.refused_with != 0) return refuse(stream);
    split_target(stream.request);
    if (last_frame) return complete(stream);
    const HttpServerOptions& options = context_.options;
    stream.stage = Http2Stream::Stage::body;
    stream.body_since = context_.clock.now();
    stream.body_limit =
        options.body_limit ? options.body_limit(stream.request) : options.bounds.body_bytes;
    set_limit(stream, stream.body_since + options.bounds.body);
    if (stream.request.header("expect") == "100-continue") {
        const nghttp2_nv status = field(":status", "100");
        nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream.id, nullptr, &status, 1,
                               nullptr);
    }
}

void Http2Connection::add_body(Http2Stream& stream, std::string_view piece) {
    if (stream.stage != Http2Stream::Stage::body) {  // refused, or found too large
        stream.dropped += piece.size();
        if (stream.dropped > kDropBytes)
            nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, NGHTTP2_NO_ERROR);
        return;
    }
    HttpServerRequest& request = stream.request;
    if (request.body.size() + piece.size() > stream.body_limit) {
        drop_body(stream);
        request.body_fault = BodyFault::too_large;
        return complete(stream);
    }
    if (!hold_body(context_, piece.size())) {
        stream.refused_with = 503;
        return refuse(stream);
    }
    request.body.append(piece);
    set_limit(stream, stream.body_since + body_time(context_.options.bounds, request.body.size()));
}

void Http2Connection::drop_body(Http2Stream& stream) {
    release_body(context_, stream.request.body.size());
    stream.request.body = {};
}

void Http2Connection::complete(Http2Stream& stream) {
    using Stage = Http2Stream::Stage;
    if (stream.request.body_fault == BodyFault::none) stream.request_ended = true;
    if (stream.stage != Stage::head && stream.stage != Stage::body) return;
    stream.stage = Stage::at_work;
    stream.limit = TimePoint::max();
    complete_.push_back(open_.at(stream.id));
}

void Http2Connection::refuse(Http2Stream& stream) {
    if (stream.stage == Http2Stream::Stage::head) context_.counters.heads_refused.add();
    drop_body(stream);
    stream.stage = Http2Stream::Stage::at_work;
    HttpServerReply reply;
    reply.status = stream.refused_with;
    answer(open_.at(stream.id), std::move(reply));
}

void Http2Connection::close_stream(std::int32_t id) {
    const auto found = open_.find(id);
    if (found == open_.end()) return;
    Http2Stream& stream = *found->second;
    stream.stage = Http2Stream::Stage::closed;
    if (!stream.has_handler) drop_body(stream);  // a handler may still read it
    if (stream.reply.secret) wipe(stream.reply.body);
    open_.erase(found);
}

void Http2Connection::answer(const StreamPtr& stream, HttpServerReply reply) {
    drop_body(*stream);  // whoever answers has read it
    if (stream->stage != Http2Stream::Stage::at_work) {
        if (reply.secret) wipe(reply.body);
        return;
    }
    stream->reply = std::move(reply);
    stream->stage = Http2Stream::Stage::answer;
    set_limit(*stream, context_.clock.now() + context_.options.bounds.write);
    submit(*stream);
}

void Http2Connection::submit(Http2Stream& stream) {
    HttpServerReply& reply = stream.reply;
    stream.status_text = std::to_string(reply.status);
    stream.length_text = std::to_string(reply.body.size());
    stream.date_text = date_now(context_);
    std::vector<nghttp2_nv> fields;
    fields.reserve(reply.headers.size() +
                   (reply.common_headers ? reply.common_headers->size() : 0) + 4);
    fields.push_back(field(":status", stream.status_text));
    if (!reply.content_type.empty()) fields.push_back(field("content-type", reply.content_type));
    for (HttpHeader& header : reply.headers) {
        for (char& c : header.name)
            if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        if (std::find(kConnectionFields.begin(), kConnectionFields.end(), header.name) ==
            kConnectionFields.end())
            fields.push_back(field(header.name, header.value));
    }
    if (reply.common_headers)
        for (const HttpHeader& header : *reply.common_headers)
            fields.push_back(field(header.name, header.value));
    fields.push_back(field("content-length", stream.length_text));
    fields.push_back(field("date", stream.date_text));
    nghttp2_data_provider body{};
    body.source.ptr = &stream;
    body.read_callback = Callbacks::read_body;
    const bool without_body = reply.body.empty() || stream.request.method == "HEAD";
    nghttp2_submit_response(session_, stream.id, fields.data(), fields.size(),
                            without_body ? nullptr : &body);
}

bool Http2Connection::expire_streams(TimePoint now) {
    if (now < next_limit_) return false;
    using Stage = Http2Stream::Stage;
    next_limit_ = TimePoint::max();
    bool any = false;
    for (const auto& [id, stream] : open_) {
        if (now < stream->limit) {
            next_limit_ = std::min(next_limit_, stream->limit);
            continue;
        }
        HttpServerCounters& counters = context_.counters;
        Counter& counter = stream->stage == Stage::head   ? counters.timeouts_head
                           : stream->stage == Stage::body ? counters.timeouts_body
                                                          : counters.timeouts_write;
        counter.add();
        stream->limit = TimePoint::max();
        nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        any = true;
    }
    return any;
}

}  // namespace runtime
