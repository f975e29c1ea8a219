// How long a quote takes: verified cold, with collateral held, with the platform seen before, and
// parsed only; with the allocations of each. Arguments: QUOTE COLLATERAL.json NOW [SECONDS
// [ROOT.der]]. One thread.
#include "kms/verify/verify.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <new>
#include <sstream>
#include <vector>

#include <openssl/crypto.h>

namespace {

std::size_t allocations = 0;

}  // namespace

void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

namespace {

void* counted_malloc(std::size_t size, const char*, int) {
    ++allocations;
    return std::malloc(size);
}
void* counted_realloc(void* memory, std::size_t size, const char*, int) {
    ++allocations;
    return std::realloc(memory, size);
}
void counted_free(void* memory, const char*, int) {
    std::free(memory);
}

std::string read(const char* path) {
    const std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

/// Processor time of this thread, in microseconds: what others do on the machine is not in it.
double cpu_time() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

/// Runs for so much processor time, in rounds; the median round counts.
template <class Work>
void measure(const char* name, double seconds, std::size_t round, Work work) {
    work();
    const std::size_t before = allocations;
    work();
    const std::size_t allocated = allocations - before;
    std::vector<double> rounds;
    const double end = cpu_time() + seconds * 1e6;
    while (cpu_time() < end) {
        const double start = cpu_time();
        for (std::size_t i = 0; i < round; ++i) work();
        rounds.push_back((cpu_time() - start) / static_cast<double>(round));
    }
    std::ranges::nth_element(rounds,
                             rounds.begin() + static_cast<std::ptrdiff_t>(rounds.size() / 2));
    const double median = rounds[rounds.size() / 2];
    std::printf("%-28s %9.2f us %10.0f/s %6zu allocations\n", name, median, 1e6 / median,
                allocated);
    std::fflush(stdout);
}

[[noreturn]] void fail(const std::string& why) {
    std::fprintf(stderr, "verify_bench: %s\n", why.c_str());
    std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
    CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free);
    if (argc < 4) fail("usage: verify_bench QUOTE COLLATERAL.json NOW [SECONDS [ROOT.der]]");
    const std::string quote_text = read(argv[1]);
    const runtime::ByteView quote = runtime::as_bytes(quote_text);
    auto collateral = kms::parse_collateral(read(argv[2]));
    if (!collateral) fail(collateral.error().context);
    const kms::UnixSeconds now = std::atoll(argv[3]);
    const double seconds = argc > 4 ? std::atof(argv[4]) : 2;
    kms::TrustAnchor anchor = kms::TrustAnchor::intel();
    if (argc > 5) {
        const std::string der = read(argv[5]);
        auto given = kms::TrustAnchor::create(runtime::as_bytes(der));
        if (!given) fail(given.error().context);
        anchor = std::move(*given);
    }

    const auto require_good = [](const kms::Verdict<kms::QuoteReport>& verdict) {
        if (!verdict)
            fail(std::string(to_string(verdict.error().stage)) + ": " + verdict.error().reason);
    };
    measure("parse", seconds / 4, 1000, [&] {
        if (!kms::parse_quote(quote)) fail("the quote cannot be parsed");
    });
    measure("cold", seconds, 20,
            [&] { require_good(kms::verify_quote(quote, *collateral, anchor, now)); });
    const auto held = kms::VerifiedCollateral::create(*collateral, anchor, now);
    if (!held) fail(held.error().reason);
    measure("collateral held", seconds, 50,
            [&] { require_good(kms::verify_quote(quote, *held, now, nullptr)); });
    kms::PlatformCache cache(16);
    measure("platform seen before", seconds, 100,
            [&] { require_good(kms::verify_quote(quote, *held, now, &cache)); });
    return 0;
}
