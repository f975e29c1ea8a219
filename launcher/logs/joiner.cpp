#include "launcher/logs/joiner.hpp"

namespace launcher::logs {
namespace {

/// Lines that belong to an error's report although they are not indented: anyhow's chain, the brace
/// that closes the properties of a JavaScript error.
bool continues_error(std::string_view line) {
    return line == "}" || line.starts_with("Caused by:") || line.starts_with("Stack backtrace:") ||
           line.starts_with("Location:");
}

bool ends_panic(std::string_view line) {
    return line.starts_with("note: run with") || line.starts_with("note: Some details are omitted");
}

}  // namespace

bool Joiner::continues(const JoinLine& line, LineStart start) const {
    if (!open_ || !multiline_ || open_text_.partial || line.part != 0 || line.partial) return false;
    if (line.stamp.steady - last_ > kOpenFor || open_text_.lines >= kMaxLines) return false;
    if (open_text_.text.size() + 1 + line.text.size() > kMaxBytes) return false;
    if (start == LineStart::indented) return true;
    if (start == LineStart::tracing || start == LineStart::json) return false;
    if (block_) return start != LineStart::panic;
    if (start != LineStart::other) return false;
    if (open_text_.start == LineStart::error) return continues_error(line.text);
    return open_text_.start == LineStart::tracing;
}

void Joiner::push(const JoinLine& line, Output& output) {
    const LineStart start = line.part > 1 ? LineStart::other : line_start(line.text, format_);
    if (continues(line, start)) {
        settle();
        storage_.append(1, '\n').append(line.text);
        open_text_.text = storage_;
        ++open_text_.lines;
        open_text_.suspicious |= line.suspicious;
        last_ = line.stamp.steady;
        if (block_ && ends_panic(line.text)) block_ = false;
        return;
    }
    close(output);
    open_text_ = {line.text, start, line.stamp, 1, line.part, line.partial, line.suspicious};
    open_ = true;
    owned_ = false;
    block_ = start == LineStart::panic;
    last_ = line.stamp.steady;
    if (!multiline_ || line.part != 0 || line.partial) {
        close(output);
    } else if (!line.borrowed) {
        settle();
    }
}

void Joiner::settle() {
    if (!open_ || owned_) return;
    storage_.assign(open_text_.text);
    open_text_.text = storage_;
    owned_ = true;
}

std::optional<runtime::TimePoint> Joiner::closes_at() const {
    if (!open_) return std::nullopt;
    return last_ + kOpenFor;
}

void Joiner::expire(runtime::TimePoint now, Output& output) {
    if (open_ && now >= last_ + kOpenFor) close(output);
}

void Joiner::close(Output& output) {
    if (!open_) return;
    open_ = false;
    output.record(open_text_);
}

}  // namespace launcher::logs
