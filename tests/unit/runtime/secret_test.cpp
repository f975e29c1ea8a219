#include "launcher/runtime/secret.hpp"

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace runtime;

static_assert(!std::is_copy_constructible_v<SecretBytes> &&
              !std::is_copy_assignable_v<SecretBytes>);
static_assert(!std::is_copy_constructible_v<Secret<32>> &&
              std::is_nothrow_move_constructible_v<Secret<32>>);

namespace {

bool all_zero(ByteView bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b == 0; });
}

/// The VmFlags of the mapping that holds `address`, such as "rd wr mr mw me lo ac dd".
std::string mapping_flags(const void* address) {
    std::ifstream smaps("/proc/self/smaps");
    std::string line;
    bool inside = false;
    while (std::getline(smaps, line)) {
        unsigned long start = 0;
        unsigned long end = 0;
        if (std::sscanf(line.c_str(), "%lx-%lx ", &start, &end) == 2) {
            const auto at = reinterpret_cast<unsigned long>(address);
            inside = at >= start && at < end;
        } else if (inside && line.starts_with("VmFlags:")) {
            return line.substr(8) + " ";
        }
    }
    return "";
}

}  // namespace

TEST_CASE("a secret starts as zeros, small or large") {
    for (const std::size_t size : {1U, 32U, 256U, 257U, 5000U}) {
        INFO(size);
        SecretBytes secret(size);
        CHECK(secret.size() == size);
        CHECK(!secret.empty());
        CHECK(all_zero(secret.view()));
        std::fill(secret.writable().begin(), secret.writable().end(), std::uint8_t{0xa5});
        CHECK(secret.view().back() == 0xa5);
    }
    CHECK(SecretBytes().empty());
    CHECK(SecretBytes(0).view().empty());
}

TEST_CASE("memory that held a small secret is zero when it is used again") {
    const std::uint8_t* place = nullptr;
    {
        const SecretBytes secret = SecretBytes::copy_of(as_bytes("correct horse battery staple"));
        place = secret.view().data();
    }
    // The place was given back and the next secret of the size class gets it.
    const SecretBytes next(28);
    CHECK(next.view().data() == place);
    CHECK(all_zero(next.view()));
    CHECK(all_zero({place, 256}));
}

TEST_CASE("moving empties the source, cloning does not") {
    SecretBytes a = SecretBytes::copy_of(as_bytes("secret"));
    SecretBytes b = std::move(a);
    CHECK(a.empty());  // NOLINT(bugprone-use-after-move): that is the promise
    CHECK(b.text() == "secret");
    const SecretBytes c = b.clone();
    CHECK(c.text() == "secret");
    CHECK(c.view().data() != b.view().data());
    a = std::move(b);
    CHECK(a.text() == "secret");
    SecretBytes& self = a;
    a = std::move(self);
    CHECK(a.text() == "secret");
}

TEST_CASE("secrets of a fixed size refuse other sizes") {
    const Bytes bytes(32, 7);
    Secret<32> secret = Secret<32>::copy_of(bytes).value();
    CHECK(std::equal(secret.view().begin(), secret.view().end(), bytes.begin()));
    const auto short_one = Secret<32>::copy_of(ByteView(bytes).first(31));
    REQUIRE(!short_one.has_value());
    CHECK(short_one.error().context == "a secret of 32 bytes was expected, not 31");
    const Secret<32> clone = secret.clone();
    secret.writable()[0] = 8;
    CHECK(clone.view()[0] == 7);
}

TEST_CASE("many secrets live at once without sharing memory") {
    std::vector<SecretBytes> secrets;
    std::set<const std::uint8_t*> places;
    for (std::uint8_t i = 0; i < 200; ++i) {
        secrets.push_back(SecretBytes::copy_of(Bytes(100, i)));
        places.insert(secrets.back().view().data());
    }
    CHECK(places.size() == 200);
    for (std::uint8_t i = 0; i < 200; ++i) CHECK(secrets[i].view()[99] == i);
}

TEST_CASE("secrets are kept out of core dumps") {
    for (const std::size_t size : {32U, 8192U}) {
        const SecretBytes secret(size);
        const std::string flags = mapping_flags(secret.view().data());
        if (flags.empty()) {
            WARN("skipped: this machine shows no VmFlags");
            return;
        }
        INFO(flags);
        CHECK(flags.find(" dd ") != std::string::npos);
    }
}

TEST_CASE("a wiped string is empty") {
    std::string text = "a password that is longer than the small string buffer";
    const char* place = text.data();
    const std::size_t size = text.size();
    wipe(text);
    CHECK(text.empty());
    CHECK(text.data() == place);
    // The buffer still belongs to the string: its capacity did not change.
    CHECK(text.capacity() >= size);
    text.resize(size);
    CHECK(text == std::string(size, '\0'));
}

TEST_CASE("comparison in constant time compares") {
    CHECK(equal_constant_time(as_bytes("abc"), as_bytes("abc")));
    CHECK(!equal_constant_time(as_bytes("abc"), as_bytes("abd")));
    CHECK(!equal_constant_time(as_bytes("abc"), as_bytes("ab")));
    CHECK(equal_constant_time({}, {}));
}

TEST_CASE("core dumps can be forbidden") {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        forbid_core_dumps();
        rlimit limit{};
        ::getrlimit(RLIMIT_CORE, &limit);
        const bool good =
            limit.rlim_cur == 0 && limit.rlim_max == 0 && ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
        ::_exit(good ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}
