/// Records as bytes: JSON lines, text, journal entries. Source: spec "launcher" section 3.7.
#pragma once

#include "launcher/logs/record_view.hpp"
#include "launcher/logs/text_buffer.hpp"
#include "launcher/logs/timestamp.hpp"

#include <string_view>
#include <vector>

namespace launcher::logs {

/// ECS fields on one line, with its LF. Nothing a service writes can break the line or leave its
/// string.
class JsonEncoder {
  public:
    void encode(const RecordView& record, TextBuffer& out);

  private:
    TimestampWriter times_;
};

/// "2026-11-22T20:49:30.754Z INFO  kms      dstack_kms::main_service: message key=value", with its
/// LF. Further lines of a message begin with blanks and a bar.
class TextEncoder {
  public:
    explicit TextEncoder(bool colour) : colour_(colour) {}
    void encode(const RecordView& record, TextBuffer& out);

  private:
    bool colour_;
    TimestampWriter times_;
};

/// Fields of the journal, packed: each "NAME=value" behind its length, so that an entry can wait in
/// a queue of bytes.
class JournalEncoder {
  public:
    void encode(const RecordView& record, TextBuffer& out);
    /// The fields of a packed entry, borrowed from it.
    static void unpack(std::string_view entry, std::vector<std::string_view>& fields);

  private:
    TimestampWriter times_;
};

/// PRIORITY of syslog for a level; records of the launcher itself at info are notices.
int syslog_priority(const RecordView& record);

}  // namespace launcher::logs
