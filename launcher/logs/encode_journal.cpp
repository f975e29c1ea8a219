#include "launcher/logs/characters.hpp"
#include "launcher/logs/encode.hpp"

#include <charconv>
#include <cstring>

namespace launcher::logs {
namespace {

constexpr std::size_t kMaxName = 64;

/// A fixed id per kind of event of the launcher, by which journalctl and its catalogue find them.
std::string_view message_id(std::string_view action) {
    struct Row {
        std::string_view action, id;
    };
    static constexpr Row kRows[] = {
        {"service-start", "5d1c6d0e7a0f4b0e9a3f0c5d8e2b7a11"},
        {"service-ready", "8f0b2a94c3e14d7b8d5e6a1f9c042e33"},
        {"service-exit", "1e7f3c58a9d24c66b0f4d2e85b9a6c47"},
        {"probe-change", "c24e9b7d06f84a1f93a85d7e1b3c0f52"},
        {"freeze-suspect", "72b5d8e1f3c94e0aa6d0b9c4e7185f64"},
        {"freeze-begin", "e90d4c7a15b346f8bd2c8e6f0a7193d5"},
        {"freeze-class", "3ab8f16c92e74d05871fd0a4c5e6b2f8"},
        {"freeze-end", "b6c1e05d7f8a4293a4e9107d2c3f5b86"},
        {"evidence", "04f7a2d9e6c84b5195d3b08e7a1c6f29"},
        {"log-dropped", "9d3e5b80f1a74c2db86e4f90a2d7c15b"},
        {"stop-begin", "6f82c4a0d9b14e738c5a1f3e7d06b9e2"},
        {"launcher-exit", "d1a97e3f5c0b48629f7e2d84b6c0a5f3"},
        {"config-loaded", "2c5f0b8e6d9a4d17b3e8a4c1f97d6058"},
        {"cert-changed", "a8e64d1b3f7c4950be27f5c09d8a163c"},
        {"panic", "47d0c9f2b8e54a6c9f1b6e3da5087c94"},
    };
    for (const Row& row : kRows) {
        if (row.action == action) return row.id;
    }
    return {};
}

/// Packs fields one after the other; the length of a field is known only when it is complete.
class Packer {
  public:
    explicit Packer(TextBuffer& out) : out_(out) {}
    void begin(std::string_view name) {
        start_ = out_.size();
        out_.reserve(sizeof(std::uint32_t));
        out_.commit(sizeof(std::uint32_t));
        out_.append(name);
        out_.append('=');
    }
    void end() {
        const auto size = static_cast<std::uint32_t>(out_.size() - start_ - sizeof(std::uint32_t));
        char bytes[sizeof size];
        std::memcpy(bytes, &size, sizeof size);
        out_.overwrite(start_, {bytes, sizeof bytes});
    }
    void text(std::string_view name, std::string_view value) {
        if (value.empty()) return;
        begin(name);
        append_text_escaped(out_, value, "");
        end();
    }
    template <class Number>
    void number(std::string_view name, Number value) {
        char digits[24];
        const auto last = std::to_chars(digits, digits + sizeof digits, value).ptr;
        text(name, {digits, static_cast<std::size_t>(last - digits)});
    }

  private:
    TextBuffer& out_;
    std::size_t start_ = 0;
};

/// "KMS_F_" and the name in what the journal allows.
std::string_view field_name(std::string_view name, std::string& room) {
    room = "KMS_F_";
    for (const char c : name.substr(0, kMaxName - room.size())) {
        const bool lower = c >= 'a' && c <= 'z';
        const bool allowed = lower || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        room += lower ? static_cast<char>(c - 0x20) : allowed ? c : '_';
    }
    return room;
}

}  // namespace

int syslog_priority(const RecordView& record) {
    switch (record.level) {
        case runtime::LogLevel::trace:
        case runtime::LogLevel::debug:
            return 7;
        case runtime::LogLevel::info:
            return record.stream == Stream::none && !record.action.empty() ? 5 : 6;
        case runtime::LogLevel::warn:
            return 4;
        case runtime::LogLevel::error:
            return 3;
        default:
            return 2;
    }
}

void JournalEncoder::encode(const RecordView& record, TextBuffer& out) {
    Packer pack(out);
    pack.begin("MESSAGE");
    append_text_escaped(out, record.message, "");
    pack.end();
    pack.number("PRIORITY", syslog_priority(record));
    pack.text("SYSLOG_IDENTIFIER", record.service);
    if (record.pid != 0) pack.number("SYSLOG_PID", record.pid);
    pack.text("KMS_SERVICE", record.service);
    if (record.stream != Stream::none)
        pack.text("KMS_STREAM", record.stream == Stream::out ? "stdout" : "stderr");
    pack.text("KMS_TARGET", record.logger);
    pack.number("KMS_SEQ", record.sequence);
    if (record.service_time) {
        char time[TimestampWriter::kMicroseconds];
        times_.write_microseconds(*record.service_time, time);
        pack.text("KMS_TIME", {time, sizeof time});
    }
    pack.text("CODE_FILE", record.code_file);
    if (record.code_line != 0) pack.number("CODE_LINE", record.code_line);
    pack.text("KMS_ACTION", record.action);
    pack.text("MESSAGE_ID", message_id(record.action));
    pack.text("KMS_ERROR_TYPE", record.error_type);
    pack.text("KMS_ERROR_MESSAGE", record.error_message);
    pack.text("KMS_ERROR_STACK", record.error_stack);
    pack.text("KMS_HTTP_METHOD", record.http_method);
    pack.text("KMS_URL_PATH", record.url_path);
    if (record.http_status) pack.number("KMS_HTTP_STATUS", *record.http_status);
    if (record.partial) pack.text("KMS_PARTIAL", "true");
    if (record.part != 0) pack.number("KMS_PART", record.part);
    std::string room;
    for (const SpanView& span : record.spans) pack.text("KMS_SPAN", span.name);
    for (const FieldView& field : record.span_fields)
        pack.text(field_name(field.name, room), field.value);
    for (const FieldView& field : record.fields)
        pack.text(field_name(field.name, room), field.value);
    pack.text("KMS_ORIGINAL", record.original);
}

void JournalEncoder::unpack(std::string_view entry, std::vector<std::string_view>& fields) {
    fields.clear();
    while (entry.size() >= sizeof(std::uint32_t)) {
        std::uint32_t size = 0;
        std::memcpy(&size, entry.data(), sizeof size);
        entry.remove_prefix(sizeof size);
        if (size > entry.size()) return;
        fields.push_back(entry.substr(0, size));
        entry.remove_prefix(size);
    }
}

}  // namespace launcher::logs
