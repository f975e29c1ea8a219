#include "tests/support/http2_client.hpp"

#include <algorithm>
#include <stdexcept>

#include <nghttp2/nghttp2.h>

namespace test {
namespace {

nghttp2_nv field(const std::string& name, const std::string& value) {
    const auto bytes = [](const std::string& text) {
        return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
    };
    return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

struct Http2Client::Callbacks {
    static Http2Client& client(void* self) { return *static_cast<Http2Client*>(self); }

    static int header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                      std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                      std::uint8_t, void* self) {
        const auto text = [](const std::uint8_t* bytes, std::size_t size) {
            return std::string(reinterpret_cast<const char*>(bytes), size);
        };
        Http2Answer& answer = client(self).answers_[frame->hd.stream_id];
        answer.headers[text(name, name_size)] = text(value, value_size);
        if (answer.headers[":status"].starts_with('1')) {
            ++answer.informational;
            answer.headers.clear();
        }
        return 0;
    }
    static int data(nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* bytes,
                    std::size_t size, void* self) {
        client(self).answers_[stream].body.append(reinterpret_cast<const char*>(bytes), size);
        return 0;
    }
    static int frame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
        if (frame->hd.type == NGHTTP2_GOAWAY) {
            client(self).goaway_ = true;
            client(self).goaway_error_ = frame->goaway.error_code;
        }
        if (frame->hd.stream_id != 0 && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
            client(self).answers_[frame->hd.stream_id].complete = true;
        return 0;
    }
    static int closed(nghttp2_session*, std::int32_t stream, std::uint32_t error, void* self) {
        client(self).answers_[stream].closed = true;
        client(self).answers_[stream].error = error;
        return 0;
    }
    static ssize_t body(nghttp2_session*, std::int32_t stream, std::uint8_t* into, std::size_t room,
                        std::uint32_t* flags, nghttp2_data_source*, void* self) {
        auto& [text, sent] = client(self).bodies_[stream];
        const std::size_t size = std::min(room, text.size() - sent);
        std::copy_n(text.data() + sent, size, into);
        sent += size;
        if (sent == text.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
        return static_cast<ssize_t>(size);
    }
};

Http2Client::Http2Client() {
    nghttp2_session_callbacks* table = nullptr;
    if (nghttp2_session_callbacks_new(&table) != 0) throw std::runtime_error("out of memory");
    nghttp2_session_callbacks_set_on_header_callback(table, Callbacks::header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table, Callbacks::data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(table, Callbacks::frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(table, Callbacks::closed);
    const int failed = nghttp2_session_client_new(&session_, table, this);
    nghttp2_session_callbacks_del(table);
    if (failed != 0) throw std::runtime_error("out of memory");
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
}

Http2Client::~Http2Client() {
    nghttp2_session_del(session_);
}

std::int32_t Http2Client::request(const std::string& method, const std::string& path,
                                  const Fields& fields, const std::string& body, bool open_ended) {
    const std::string names[] = {":method", ":scheme", ":path", ":authority"};
    const std::string values[] = {method, "https", path, "kms.test"};
    std::vector<nghttp2_nv> all;
    for (std::size_t i = 0; i < 4; ++i) all.push_back(field(names[i], values[i]));
    for (const auto& [name, value] : fields) all.push_back(field(name, value));
    if (open_ended)
        return nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, -1, nullptr, all.data(),
                                      all.size(), nullptr);
    nghttp2_data_provider provider{};
    provider.read_callback = Callbacks::body;
    const std::int32_t stream = nghttp2_submit_request(session_, nullptr, all.data(), all.size(),
                                                       body.empty() ? nullptr : &provider, nullptr);
    bodies_[stream] = {body, 0};
    return stream;
}

void Http2Client::reset(std::int32_t stream) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
}

void Http2Client::ping() {
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
}

void Http2Client::stream_window(std::uint32_t bytes) {
    const nghttp2_settings_entry entry{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, bytes};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &entry, 1);
}

std::string Http2Client::output() {
    std::string text;
    while (true) {
        const std::uint8_t* bytes = nullptr;
        const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
        if (size <= 0) return text;
        text.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
    }
}

bool Http2Client::input(std::string_view bytes) {
    return nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                    bytes.size()) == static_cast<ssize_t>(bytes.size());
}

std::string http2_frame(std::uint8_t type, std::uint8_t flags, std::int32_t stream,
                        std::string_view payload) {
    const auto byte = [](std::size_t value) { return static_cast<char>(value & 0xFF); };
    const std::size_t size = payload.size();
    const auto id = static_cast<std::uint32_t>(stream);
    std::string frame = {byte(size >> 16), byte(size >> 8), byte(size),    byte(type), byte(flags),
                         byte(id >> 24),   byte(id >> 16),  byte(id >> 8), byte(id)};
    return frame.append(payload);
}

}  // namespace test
