/// SinkOutput: where a sink's bytes go. Used by the sink's own thread only, except cancel().
/// Source: spec "launcher" sections 3.7 and 3.8.
#pragma once

#include "launcher/plan/plan.hpp"
#include "launcher/runtime/result.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

struct iovec;

namespace launcher::logs {

class SinkOutput {
  public:
    virtual ~SinkOutput() = default;
    /// How many bytes write() wants at most. 0: exactly one record at a time.
    virtual std::size_t group_limit() const = 0;
    /// Writes some of `bytes`; may wait for as long as nobody reads. `new_record` tells that they
    /// begin with a record. Returns the number of bytes written, or a negative errno; -ECANCELED
    /// after cancel().
    virtual long write(std::string_view bytes, bool new_record) = 0;
    /// Ends a wait in write() where that is possible. Any thread.
    virtual void cancel() {}
    /// Opens anew: after a failure, and when a rotation from outside has moved the file. False when
    /// that failed.
    virtual bool reopen() { return true; }
    /// Makes durable what was written. Only at exit.
    virtual void sync() {}
};

/// Whether an error of write() means that nobody will ever read again; other errors are tried again
/// later.
bool closes_sink(int error);

/// A descriptor of somebody else: borrowed, its flags left alone. Pipes and sockets are written in
/// pieces that fit atomically, after a wait that cancel() can end; so a reader that stalls leaves
/// no thread stuck in write(2), and lines of ours do not mix with those of other writers.
std::unique_ptr<SinkOutput> make_descriptor_output(int descriptor);

/// A file of ours, appended to (mode 0640, no symbolic link), rotated between records: path.1 is
/// the newest old file, at most max_files files in all. Errors (invalid_argument): cannot be
/// opened.
runtime::Result<std::unique_ptr<SinkOutput>> make_file_output(const SinkPlan& plan);

/// Sends one entry; the contract of sd_journal_sendv(3).
using JournalSend = std::function<int(const iovec* fields, int count)>;
/// The journal; records are packed by JournalEncoder. `send` may be empty: libsystemd's. Errors
/// (invalid_argument): no journal listens on this machine.
runtime::Result<std::unique_ptr<SinkOutput>> make_journal_output(JournalSend send);

/// Whether JOURNAL_STREAM ("device:inode") names what `descriptor` is connected to.
bool is_journal_stream(std::string_view journal_stream, int descriptor);

}  // namespace launcher::logs
