// How fast one core turns lines of services into JSON lines: split, parse, join, redact, filter,
// encode.
//
//     log_bench [seconds per corpus [CORPUS]]
//     log_bench write DIRECTORY
//
// Prints one row per corpus; or writes each corpus into a file, for other programs to read. The
// corpora are made here, in the forms that tracing-subscriber and pino write.
#include "launcher/logs/encode.hpp"
#include "launcher/logs/line_splitter.hpp"
#include "launcher/logs/raw_queue.hpp"
#include "launcher/logs/stream_processor.hpp"

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>

namespace {

using namespace launcher::logs;
using launcher::LogFormat;
using Clock = std::chrono::steady_clock;

/// Repeatable numbers; quality does not matter here.
class Random {
  public:
    std::uint32_t below(std::uint32_t bound) {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return static_cast<std::uint32_t>(state_ >> 33) % bound;
    }
    std::string hex(std::size_t digits) {
        std::string text;
        for (std::size_t i = 0; i < digits; ++i) text += "0123456789abcdef"[below(16)];
        return text;
    }
    std::string number(std::uint32_t bound) { return std::to_string(below(bound)); }

  private:
    std::uint64_t state_ = 42;
};

std::string two(std::uint32_t value) {
    return (value < 10 ? "0" : "") + std::to_string(value);
}

std::string rfc3339(Random& random) {
    std::string micros = random.number(1'000'000);
    micros.insert(0, 6 - micros.size(), '0');
    return "2026-11-22T20:" + two(random.below(60)) + ":" + two(random.below(60)) + "." + micros +
           "Z";
}

std::string tracing_line(Random& random) {
    const std::string time = rfc3339(random);
    switch (random.below(8)) {
        case 0:
            return time + "  INFO rocket::server: POST /prpc/KMS.GetAppKey?json application/json:";
        case 1:
            return time +
                   "  INFO rocket::server::_: Matched: (rpc_post) POST /prpc/<method>?<query..>";
        case 2:
            return time + "  INFO rocket::server: Outcome: Success(200 OK)";
        case 3:
            return time +
                   "  INFO dstack_kms::main_service: app key released app_id=" + random.hex(40) +
                   " instance_id=" + random.hex(40) + " elapsed_ms=" + random.number(400);
        case 4:
            return time + " DEBUG request{id=" + random.number(100000) +
                   " path=\"/prpc/KMS.GetMeta\"}:inner: dstack_kms::main_service: verified quote "
                   "status=200 mrtd=" +
                   random.hex(64);
        case 5:
            return time +
                   "  WARN dstack_kms::main_service::upgrade_authority: webhook slow "
                   "url=http://127.0.0.1:9200/ "
                   "after=2s err=Custom { kind: Other, error: \"boom\" }";
        case 6:
            return time +
                   "  INFO ra_tls::attestation: quote verified, tcb status: OutOfDate, advisories: "
                   "[]";
        default:
            return time + " DEBUG hyper::proto::h1::io: flushed " + random.number(4000) +
                   " bytes conn=" + random.number(1000);
    }
}

std::string tracing_json_line(Random& random) {
    return "{\"timestamp\":\"" + rfc3339(random) +
           "\",\"level\":\"INFO\",\"fields\":{\"message\":\"app key released\",\"app_id\":\"" +
           random.hex(40) + "\",\"elapsed_ms\":" + random.number(400) +
           "},\"target\":\"dstack_kms::main_service\",\"span\":{\"id\":7,\"name\":\"request\"},"
           "\"spans\":[{\"id\":7,"
           "\"name\":\"request\"}]}";
}

std::string pino_line(Random& random) {
    const std::string front = "{\"level\":30,\"time\":17638445" + random.number(90000) +
                              "000,\"pid\":17,\"hostname\":\"b3c0\"";
    const std::string id = random.number(100000);
    switch (random.below(3)) {
        case 0:
            return front + ",\"reqId\":\"req-" + id +
                   "\",\"req\":{\"method\":\"POST\",\"url\":\"/bootAuth/app\",\"host\":"
                   "\"127.0.0.1:9200\",\"remoteAddress\":\"127.0.0.1\",\"remotePort\":" +
                   random.number(60000) + "},\"msg\":\"incoming request\"}";
        case 1:
            return front + ",\"reqId\":\"req-" + id +
                   "\",\"res\":{\"statusCode\":200},\"responseTime\":" + random.number(1000) +
                   ".4521230459213257,\"msg\":\"request completed\"}";
        default:
            return front + ",\"appId\":\"0x" + random.hex(40) + "\",\"composeHash\":\"0x" +
                   random.hex(64) + "\",\"isAllowed\":true,\"msg\":\"boot info checked\"}";
    }
}

std::string plain_line(Random& random) {
    return "server worker " + random.number(16) + " accepted connection from 10.0." +
           random.number(255) + "." + random.number(255) + " port " + random.number(60000);
}

class Sink final : public LineSplitter::Output, public StreamProcessor::Output {
  public:
    Sink(LogFormat format, const Redactor& redactor)
        : processor_({"kms", Stream::out, 17}, plan(format), targets_, redactor, *this) {}

    void line(const LineView& line) override {
        block_.append({0, line.partial, line.last, false, line.part, stamp_, line.text});
    }
    void record(RecordView& record, std::string_view, bool) override {
        ++records_;
        if (!filter_.enabled(events_.build(record))) return;
        record.sequence = ++sequence_;
        out_.clear();
        encoder_.encode(record, out_);
        bytes_ += out_.size();
    }
    void turn() {
        std::size_t at = 0;
        for (RawLine raw; block_.read(at, raw);) {
            processor_.line({raw.text, raw.part, raw.partial, raw.last}, raw.stamp);
        }
        processor_.settle();
        block_.clear(1 << 20);
        stamp_ = {std::chrono::system_clock::now(), Clock::now()};
    }
    std::uint64_t records() const { return records_; }
    std::uint64_t bytes() const { return bytes_; }

  private:
    static launcher::ServicePlan::Log plan(LogFormat format) {
        launcher::ServicePlan::Log plan;
        plan.format = format;
        return plan;
    }
    RawBlock block_{RawQueue::kBlock};
    KnownTargets targets_;
    StreamProcessor processor_;
    Stamp stamp_;
    runtime::LogFilter filter_;
    EventBuilder events_;
    JsonEncoder encoder_;
    TextBuffer out_;
    std::uint64_t records_ = 0, sequence_ = 0, bytes_ = 0;
};

/// Processor time of this process: what other processes take of the core must not count.
double cpu_seconds() {
    return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

struct Corpus {
    const char* name;
    LogFormat format;
    std::string (*make)(Random&);
};
constexpr Corpus kCorpora[] = {{"tracing text", LogFormat::automatic, tracing_line},
                               {"tracing json", LogFormat::automatic, tracing_json_line},
                               {"pino", LogFormat::automatic, pino_line},
                               {"plain", LogFormat::automatic, plain_line}};

std::string text_of(const Corpus& corpus, std::uint64_t& lines) {
    Random random;
    std::string text;
    while (text.size() < 16u << 20) {
        text += corpus.make(random);
        text += '\n';
        ++lines;
    }
    return text;
}

int write_all(const std::string& directory) {
    for (const Corpus& each : kCorpora) {
        std::uint64_t lines = 0;
        const std::string text = text_of(each, lines);
        std::FILE* file = std::fopen((directory + "/" + each.name).c_str(), "w");
        if (file == nullptr || std::fwrite(text.data(), 1, text.size(), file) != text.size() ||
            std::fclose(file) != 0) {
            std::perror(directory.c_str());
            return 1;
        }
    }
    return 0;
}

void run(const Corpus& what, double seconds) {
    constexpr std::size_t kTurn = 64 * 1024;
    std::uint64_t lines = 0;
    const std::string corpus = text_of(what, lines);
    const Redactor redactor(
        {{"ETH_RPC_URL", "https://mainnet.infura.io/v3/0123456789abcdef0123456789abcdef"},
         {"ADMIN_TOKEN", "correct horse battery staple"}});
    Sink sink(what.format, redactor);
    LineSplitter splitter(64 * 1024);
    std::uint64_t rounds = 0;
    const auto begin = Clock::now();
    const double busy_before = cpu_seconds();
    double elapsed = 0;
    do {
        for (std::size_t at = 0; at < corpus.size(); at += kTurn) {
            splitter.feed(std::string_view(corpus).substr(at, kTurn), begin, sink);
            sink.turn();
        }
        ++rounds;
        elapsed = cpu_seconds() - busy_before;
    } while (elapsed < seconds);
    const double read = static_cast<double>(rounds * corpus.size()) / elapsed / 1e6;
    const double rate = static_cast<double>(rounds * lines) / elapsed / 1e6;
    std::printf(
        "%-14s %6.2f M lines/s  %7.1f MB/s in  %7.1f MB/s out  %6.1f bytes/line  %5.0f ns/line\n",
        what.name, rate, read, static_cast<double>(sink.bytes()) / elapsed / 1e6,
        static_cast<double>(corpus.size()) / static_cast<double>(lines), 1e3 / rate);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 2 && std::string_view(argv[1]) == "write") return write_all(argv[2]);
    const double seconds = argc > 1 ? std::atof(argv[1]) : 1.0;
    const std::string_view only = argc > 2 ? argv[2] : "";
    for (const Corpus& corpus : kCorpora)
        if (only.empty() || only == corpus.name) run(corpus, seconds);
}
