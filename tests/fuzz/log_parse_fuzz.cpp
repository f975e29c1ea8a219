// Whatever bytes a service writes, however they arrive: every line ends up in exactly one record,
// every record is one line of well-formed JSON, nothing forges a line of text, and no secret gets
// through.
#include "launcher/logs/encode.hpp"
#include "launcher/logs/json_scan.hpp"
#include "launcher/logs/line_splitter.hpp"
#include "launcher/logs/raw_queue.hpp"
#include "launcher/logs/stream_processor.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace launcher::logs;

// Begins with a letter that no escape ends with, so that an escape and what follows it cannot look
// like it.
constexpr std::string_view kSecret = "swordfish-horse";

void require(bool holds) {
    if (!holds) std::abort();
}

const Redactor& redactor() {
    static const Redactor the({{"TOKEN", std::string(kSecret)}});
    return the;
}

class Harness final : public LineSplitter::Output, public StreamProcessor::Output {
  public:
    explicit Harness(const launcher::ServicePlan::Log& plan)
        : processor_({"kms", Stream::out, 17}, plan, targets_, redactor(), *this) {}

    void line(const LineView& line) override {
        ++lines_in_;
        block_.append({0, line.partial, line.last, false, line.part, stamp_, line.text});
    }
    void record(RecordView& record, std::string_view, bool) override {
        lines_out_ += record.lines;
        check_json(record);
        check_text(record);
        check_journal(record);
    }
    void settle() {
        std::size_t at = 0;
        for (RawLine raw; block_.read(at, raw);) {
            processor_.line({raw.text, raw.part, raw.partial, raw.last}, raw.stamp);
        }
        processor_.settle();
        block_.clear(1 << 20);
        stamp_.steady += std::chrono::milliseconds(20);
    }
    void finish() {
        settle();
        processor_.finish();
        require(lines_out_ >= lines_in_ || lines_in_ - lines_out_ <= 1);
    }
    const Stamp& stamp() const { return stamp_; }

  private:
    void check_json(const RecordView& record) {
        out_.clear();
        json_.encode(record, out_);
        const std::string_view text = out_.view();
        require(text.ends_with("}\n") && text.find('\n') == text.size() - 1);
        require(read_json_object(text.substr(0, text.size() - 1), members_));
        require(text.find(kSecret) == std::string_view::npos);
        for (const char c : text)
            require(static_cast<unsigned char>(c) >= 0x20 ? c != 0x7F : c == '\n');
    }
    void check_text(const RecordView& record) {
        out_.clear();
        text_.encode(record, out_);
        std::string_view text = out_.view();
        require(text.ends_with('\n'));
        text.remove_suffix(1);
        require(text.find(kSecret) == std::string_view::npos);
        for (std::size_t i = 0; i < text.size(); ++i) {
            const auto c = static_cast<unsigned char>(text[i]);
            require(c >= 0x20 ? c != 0x7F : c == '\t' || c == '\n');
            if (c == '\n') require(text.substr(i + 1).starts_with("    | "));
        }
    }
    void check_journal(const RecordView& record) {
        out_.clear();
        journal_.encode(record, out_);
        std::vector<std::string_view> fields;
        JournalEncoder::unpack(out_.view(), fields);
        std::size_t size = 0;
        for (const std::string_view field : fields) size += field.size() + sizeof(std::uint32_t);
        require(size == out_.size() && fields.front().starts_with("MESSAGE="));
    }

    RawBlock block_{RawQueue::kBlock};
    KnownTargets targets_;
    StreamProcessor processor_;
    Stamp stamp_{std::chrono::system_clock::time_point(std::chrono::seconds(1'795'000'000)),
                 runtime::TimePoint(std::chrono::hours(1))};
    std::uint64_t lines_in_ = 0, lines_out_ = 0;
    TextBuffer out_;
    JsonEncoder json_;
    TextEncoder text_{false};
    JournalEncoder journal_;
    std::vector<JsonMember> members_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    launcher::ServicePlan::Log plan;
    plan.format = static_cast<launcher::LogFormat>(data[0] % 5);
    plan.multiline = (data[0] & 0x20) == 0;
    plan.fields = (data[0] & 0x40) == 0;
    plan.keep_original = (data[0] & 0x80) != 0;
    const std::size_t piece = 1 + data[1] % 64u * 16u;
    const std::string bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
    Harness harness(plan);
    LineSplitter splitter((data[1] & 0x80) != 0 ? 64 : 64 * 1024);
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        splitter.feed(std::string_view(bytes).substr(at, piece), harness.stamp().steady, harness);
        harness.settle();
    }
    splitter.finish(harness);
    harness.finish();
    return 0;
}
