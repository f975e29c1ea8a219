/// RecordView: a record as the pipeline handles it, made of views into the line it was read from.
/// One is reused for every line of a stream, so that an ordinary line costs no allocation. Source:
/// spec "launcher" section 3.7.
#pragma once

#include "launcher/logs/record.hpp"
#include "launcher/logs/text_buffer.hpp"
#include "launcher/runtime/log_filter.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace launcher::logs {

enum class FieldKind : std::uint8_t {
    text,     ///< any characters, not escaped
    literal,  ///< a JSON number, true, false or null
    json,     ///< a JSON array or object that may stand in our output as it is
};
struct FieldView {
    std::string_view name;
    std::string_view value;
    FieldKind kind = FieldKind::text;
    /// The name, and a text's value, are known to hold nothing that JSON escapes.
    bool plain = false;
};
/// A span and which of RecordView::span_fields are its own.
struct SpanView {
    std::string_view name;
    std::uint32_t first_field = 0, fields = 0;
};

/// Everything of a record that has a fixed size.
struct RecordValues {
    std::chrono::system_clock::time_point timestamp{}, received{};
    std::optional<std::chrono::system_clock::time_point>
        service_time;  ///< as the line says, plausible or not
    runtime::LogLevel level = runtime::LogLevel::info;
    Stream stream = Stream::none;
    bool partial = false;
    bool decoded =
        false;  ///< some text here is not a part of the line as it was: escapes were resolved
    std::uint32_t part = 0;
    std::uint32_t lines = 1;  ///< lines of the service that this record holds
    std::uint32_t bytes = 0;  ///< and how long they are
    std::uint32_t fields_dropped = 0, invalid_utf8 = 0, code_line = 0;
    int pid = 0;
    std::uint64_t sequence = 0;
    std::string_view message, service, logger, action;
    std::string_view target;  ///< what filters look at; equal to logger when that is known
    std::string_view error_type, error_message, error_stack, http_method, url_path, code_file,
        original;
    std::optional<unsigned> http_status;
    std::string_view request_id;    ///< fastify's reqId
    std::uint16_t remote_port = 0;  ///< of a loopback peer; 0 = unknown or not loopback
};

struct RecordView : RecordValues {
    static constexpr std::size_t kMaxFields = 64;
    static constexpr std::size_t kMaxSpans = 32;

    std::vector<SpanView> spans;
    std::vector<FieldView> span_fields, fields;

    /// Back to the defaults; the vectors keep their memory.
    void clear();
    /// Adds a field, or counts it as dropped when there are too many or the name is taken.
    void add_field(std::string_view name, std::string_view value, FieldKind kind,
                   bool plain = false);
    /// The same for the span that was added last.
    void add_span_field(std::string_view name, std::string_view value, FieldKind kind);
    void add_span(std::string_view name);
};

/// Borrows everything from `record`; number texts are put into `arena`.
void view_of(const Record& record, TextArena& arena, RecordView& view);
/// An owning copy.
Record to_record(const RecordView& view);

/// A view of a record as the filters see it. Holds the memory of the arrays between calls.
class EventBuilder {
  public:
    /// Borrows from `view`; valid until the next call.
    runtime::LogEventView build(const RecordView& view);

  private:
    std::vector<runtime::LogFieldView> fields_, span_fields_;
    std::vector<runtime::LogSpanView> spans_;
};

}  // namespace launcher::logs
