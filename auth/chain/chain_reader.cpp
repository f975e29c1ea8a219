#include "auth/chain/chain_reader.hpp"

#include "launcher/runtime/log.hpp"

#include <utility>

namespace auth {
namespace {

using runtime::Deadline;
using runtime::kv;
using runtime::Task;

constexpr auto kBetweenLines = std::chrono::seconds(10);

/// Counts one read, however its coroutine ends.
class AtWork {
  public:
    explicit AtWork(std::shared_ptr<std::size_t> count) : count_(std::move(count)) { ++*count_; }
    ~AtWork() { --*count_; }
    AtWork(const AtWork&) = delete;
    AtWork& operator=(const AtWork&) = delete;

  private:
    std::shared_ptr<std::size_t> count_;
};

/// Whether another endpoint would say the same, or must not be asked.
bool is_final(const Failure& failure) {
    return failure.kind == FailureKind::reverted || failure.kind == FailureKind::busy;
}

}  // namespace

ChainReader::ChainReader(runtime::HttpClient& client, runtime::Clock& clock, ChainOptions options)
    : clock_(clock), options_(std::move(options)) {
    for (const auto& url : options_.endpoints)
        endpoints_.emplace_back(client, clock, options_, url);
}

Task<Answer<ChainReading>> ChainReader::read(const std::vector<runtime::Bytes>& call_data,
                                             Deadline deadline) {
    if (*at_work_ >= options_.max_reads) {
        ++refused_;
        co_return tl::unexpected(Failure{FailureKind::busy, 0});
    }
    const AtWork one(at_work_);
    std::vector<std::string> texts;
    texts.reserve(call_data.size());
    for (const auto& data : call_data) texts.push_back("0x" + runtime::to_hex(data));
    co_return co_await read_any(std::move(texts), deadline);
}

Task<Answer<ChainReading>> ChainReader::read_any(std::vector<std::string> call_data,
                                                 Deadline deadline) {
    const std::size_t count = endpoints_.size();
    const std::size_t first = preferred_;
    std::optional<Failure> told;
    std::size_t told_by = count;
    for (std::size_t turn = 0; turn < count; ++turn) {
        const auto now = clock_.now();
        if (deadline.expired(now)) break;
        const std::size_t place = (first + turn) % count;
        const bool last = turn + 1 == count;
        const auto share = deadline.remaining(now) / (last ? 1 : 2);
        auto outcome = co_await endpoints_[place].read(call_data, deadline.narrowed(now, share));
        if (outcome) {
            preferred_ = place;
            compare_chain(*outcome);
            co_return std::move(*outcome);
        }
        if (is_final(outcome.error())) co_return tl::unexpected(outcome.error());
        if (place < told_by) {
            told = outcome.error();
            told_by = place;
        }
    }
    // Another one begins the next time, so that each gets the larger share of time once.
    preferred_ = (first + 1) % count;
    co_return tl::unexpected(told.value_or(Failure{FailureKind::timed_out, 0}));
}

/// Without a configured chain id any chain will do, but a change is never passed over in silence.
void ChainReader::compare_chain(const ChainReading& reading) {
    const auto before = std::exchange(last_chain_id_, reading.chain_id);
    if (!before || *before == reading.chain_id || clock_.now() < next_chain_line_) return;
    next_chain_line_ = clock_.now() + kBetweenLines;
    runtime::log_warn(
        "auth::chain", "the chain id has changed; set ETH_CHAIN_ID to accept only one",
        {kv("endpoint", reading.endpoint), kv("before", *before), kv("now", reading.chain_id)});
}

void ChainReader::observe(const ExchangeObserver& observer) {
    for (auto& endpoint : endpoints_) endpoint.observe(observer);
}

}  // namespace auth
