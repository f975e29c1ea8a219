#include "auth/abi/abi.hpp"

#include "tests/unit/auth/boot_bodies.hpp"
#include "tests/unit/auth/recorded.hpp"

#include <algorithm>
#include <random>

#include <catch2/catch.hpp>

using auth::BootKind;
using runtime::Bytes;
using test::repeat;

namespace {

/// Words, as hex digits, one after the other: numbers are padded on the left, "text" on the right.
Bytes words(const std::vector<std::string>& list) {
    std::string digits;
    for (const auto& word : list) digits += std::string(64 - word.size(), '0') + word;
    return *runtime::from_hex(digits);
}

std::string right_padded(std::string_view text) {
    auto digits = runtime::to_hex(runtime::as_bytes(text));
    digits.resize((digits.size() + 63) / 64 * 64, '0');
    return digits;
}

const std::string kMax = repeat("ff", 32);

}  // namespace

TEST_CASE("call data of every recorded exchange, byte for byte") {
    std::size_t compared = 0;
    for (const auto& vector : test::recorded_exchanges()) {
        if (vector.era != "2026-08" || !vector.reaches_chain() || vector.method != "POST") continue;
        // Members that upstream coerces are refused here before they are encoded.
        if (vector.group == "coercion") continue;
        INFO(vector.name);
        const auto request = auth::parse_boot_request(vector.body, {});
        REQUIRE(request.has_value());
        const auto kind =
            vector.path.find("/kms") == std::string::npos ? BootKind::app : BootKind::kms;
        const auto call = auth::abi::encode_boot_call(kind, *request);
        REQUIRE(call.has_value());
        const auto digits = "0x" + runtime::to_hex(*call);
        CHECK(vector.call_of(digits) != nullptr);
        CHECK(auth::abi::called_function(*call) ==
              (kind == BootKind::app ? "isAppAllowed" : "isKmsAllowed"));
        ++compared;
    }
    CHECK(compared >= 80);
    CHECK(runtime::to_hex(auth::abi::encode_gateway_app_id_call()) == "95f51931");
    CHECK(runtime::to_hex(auth::abi::encode_app_implementation_call()) == "25a992da");
    CHECK(auth::abi::called_function(Bytes{1, 2, 3, 4}) == "unknown function");
    CHECK(auth::abi::called_function(Bytes{0x95}) == "unknown function");
}

TEST_CASE("the tuple's variable part") {
    struct Row {
        std::string tcb;
        std::vector<std::string> advisories;
        std::vector<std::string> expected;  // from word 8 on
    };
    const auto row = GENERATE(values<Row>({
        {"", {}, {"120", "140", "0", "0"}},
        {"UpToDate", {}, {"120", "160", "8", right_padded("UpToDate"), "0"}},
        {repeat("x", 32), {}, {"120", "160", "20", right_padded(repeat("x", 32)), "0"}},
        {"", {""}, {"120", "140", "0", "1", "20", "0"}},
        {"",
         {"a", "bc"},
         {"120", "140", "0", "2", "40", "80", "1", right_padded("a"), "2", right_padded("bc")}},
        {"é", {}, {"120", "160", "2", right_padded("é"), "0"}},
    }));
    auto request = test::boot_request();
    request.tcb_status = row.tcb;
    request.advisory_ids = row.advisories;
    const auto call = auth::abi::encode_boot_call(BootKind::app, request);
    REQUIRE(call.has_value());
    const auto rest = runtime::ByteView(*call).subspan(4 + 8 * 32);
    CHECK(runtime::to_hex(rest) == runtime::to_hex(words(row.expected)));
}

TEST_CASE("hexadecimal members are padded on the left and lose their 0x") {
    struct Row {
        std::string app_id;
        std::string word;
    };
    const auto row = GENERATE(values<Row>({
        {"", ""},
        {"0x", ""},
        {"abc", "abc"},
        {"0xABC", "abc"},
        {repeat("75", 20), repeat("75", 20)},
    }));
    auto request = test::boot_request();
    request.app_id = row.app_id;
    const auto call = auth::abi::encode_boot_call(BootKind::kms, request);
    REQUIRE(call.has_value());
    CHECK(runtime::to_hex(runtime::ByteView(*call).subspan(4 + 32, 32)) ==
          runtime::to_hex(words({row.word})));
}

TEST_CASE("members that cannot be encoded are errors that name them") {
    const auto bad = GENERATE(values<std::string>({"xyz", repeat("ab", 33), "0x0x12", "12 "}));
    auto request = test::boot_request();
    request.device_id = bad;
    const auto call = auth::abi::encode_boot_call(BootKind::app, request);
    REQUIRE_FALSE(call.has_value());
    CHECK_THAT(call.error().context, Catch::StartsWith("deviceId is not hexadecimal"));
    CHECK(call.error().context.find(bad) == std::string::npos);
}

TEST_CASE("verdicts that are understood") {
    struct Row {
        std::string name;
        std::vector<std::string> answer;
        bool allowed;
        std::string reason;
    };
    const auto row = GENERATE(values<Row>({
        {"allowed", {"1", "40", "0"}, true, ""},
        {"denied with a reason", {"0", "40", "2", right_padded("no")}, false, "no"},
        {"extra words", {"1", "40", "0", "7", "7"}, true, ""},
        {"a gap before the text", {"0", "80", "ff", "ff", "2", right_padded("no")}, false, "no"},
        {"offset zero: the flag is the length", {"0", "0"}, false, ""},
        {"NUL in the reason",
         {"0", "40", "1", "00" + repeat("0", 62)},
         false,
         std::string(1, '\0')},
        {"31 bytes", {"0", "40", "1f", right_padded(repeat("x", 31))}, false, repeat("x", 31)},
        {"33 bytes",
         {"0", "40", "21", repeat("78", 32), right_padded("x")},
         false,
         repeat("x", 33)},
        {"not zero in the padding", {"0", "40", "1", repeat("78", 32)}, false, "x"},
    }));
    INFO(row.name);
    const auto verdict = auth::abi::decode_verdict(words(row.answer));
    REQUIRE(verdict.has_value());
    CHECK(verdict->is_allowed == row.allowed);
    CHECK(verdict->reason == row.reason);
}

TEST_CASE("verdicts that are not, one way to be wrong each") {
    struct Row {
        std::string name;
        Bytes answer;
        std::string words;
    };
    auto cut = words({"1", "40", "0"});
    cut.pop_back();
    auto unpadded = words({"0", "40", "2", right_padded("no")});
    unpadded.pop_back();
    const std::vector<Row> table = {
        {"nothing", {}, "flag"},
        {"one byte", {1}, "flag"},
        {"31 bytes", Bytes(31, 0), "flag"},
        {"one word", words({"1"}), "offset"},
        {"two words, no length", words({"1", "40"}), "length"},
        {"cut length word", cut, "length"},
        {"flag 2", words({"2", "40", "0"}), "flag"},
        {"flag with a high bit", words({"8" + repeat("0", 62) + "1", "40", "0"}), "flag"},
        {"flag 2^256-1", words({kMax, "40", "0"}), "flag"},
        {"flag 2^64+1", words({"10000000000000001", "40", "0"}), "flag"},
        {"allowed, with the flag as the length", words({"1", "0", "0"}), "before it"},
        {"allowed, with the offset as the length", words({"1", "20", "0", "0"}), "before it"},
        {"allowed, text one byte too early", words({"1", "3f", "0"}), "before it"},
        {"offset past the end", words({"1", "60", "0"}), "length"},
        {"offset of 2^256-1", words({"1", kMax, "0"}), "offset"},
        {"offset of 2^64", words({"1", "10000000000000000", "0"}), "offset"},
        {"offset of 2^64-1", words({"1", repeat("ff", 8), "0"}), "offset"},
        {"offset of 2^64-32, which would wrap", words({"1", "ffffffffffffffe0", "0"}), "offset"},
        {"offset in the middle of the last word", words({"1", "41", "0"}), "length"},
        {"length of 2^256-1", words({"1", "40", kMax}), "length"},
        {"length of 2^64-1", words({"1", "40", repeat("ff", 8)}), "length"},
        {"length of 1 without a word", words({"1", "40", "1"}), "longer"},
        {"length one more than is there", words({"1", "40", "21", right_padded("x")}), "longer"},
        {"text not padded", unpadded, "longer"},
        {"not UTF-8", words({"1", "40", "1", "ff" + repeat("0", 62)}), "UTF-8"},
        {"overlong", words({"1", "40", "2", "c080" + repeat("0", 60)}), "UTF-8"},
        {"surrogate", words({"1", "40", "3", "eda080" + repeat("0", 58)}), "UTF-8"},
        {"cut character", words({"1", "40", "1", "c3" + repeat("0", 62)}), "UTF-8"},
    };
    for (const auto& row : table) {
        INFO(row.name);
        const auto verdict = auth::abi::decode_verdict(row.answer);
        REQUIRE_FALSE(verdict.has_value());
        CHECK(verdict.error().code == runtime::ErrorCode::invalid_argument);
        CHECK_THAT(verdict.error().context, Catch::Contains(row.words));
    }
}

TEST_CASE("every truncation of a verdict is refused") {
    const auto whole = words({"1", "40", "21", repeat("78", 32), right_padded("x")});
    REQUIRE(auth::abi::decode_verdict(whole).has_value());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        INFO(size);
        CHECK_FALSE(auth::abi::decode_verdict(runtime::ByteView(whole).first(size)).has_value());
    }
}

TEST_CASE("no changed byte turns a denial into an allowance, except in the flag") {
    const auto denial = words({"0", "40", "2", right_padded("no")});
    std::size_t allowed = 0;
    for (std::size_t at = 0; at < denial.size(); ++at)
        for (unsigned value = 0; value < 256; ++value) {
            auto changed = denial;
            changed[at] = static_cast<std::uint8_t>(value);
            const auto verdict = auth::abi::decode_verdict(changed);
            if (!verdict || !verdict->is_allowed) continue;
            ++allowed;
            CHECK(at == 31);
            CHECK(value == 1);
        }
    CHECK(allowed == 1);
}

TEST_CASE("random answers are decoded without harm, and what is decoded is UTF-8") {
    std::mt19937 random(20261125);
    std::size_t decoded = 0;
    for (int round = 0; round < 20'000; ++round) {
        Bytes answer(random() % 200, 0);
        // Mostly zeros with a few low numbers: offsets and lengths that nearly fit.
        for (auto& byte : answer)
            if (random() % 8 == 0) byte = static_cast<std::uint8_t>(random());
        if (const auto verdict = auth::abi::decode_verdict(answer)) {
            ++decoded;
            CHECK(runtime::is_utf8(verdict->reason));
        }
        if (const auto text = auth::abi::decode_text(answer)) CHECK(runtime::is_utf8(*text));
        if (const auto address = auth::abi::decode_address(answer)) CHECK(address->size() == 42);
    }
    CHECK(decoded > 0);
}

TEST_CASE("a text alone") {
    CHECK(auth::abi::decode_text(words({"20", "2", right_padded("gw")})).value_or("?") == "gw");

    CHECK(auth::abi::decode_text(words({"20", "0"})).value_or("?").empty());
    CHECK_FALSE(auth::abi::decode_text({}).has_value());
    CHECK_FALSE(auth::abi::decode_text(words({"0", "0"})).has_value());  // its own length
    CHECK_FALSE(auth::abi::decode_text(words({"20"})).has_value());
    CHECK_FALSE(auth::abi::decode_text(words({"20", "1"})).has_value());
    CHECK_FALSE(auth::abi::decode_text(words({kMax, "1"})).has_value());
}

TEST_CASE("addresses") {
    const std::string digits = "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed";
    const auto address = auth::abi::decode_address(words({digits}));
    REQUIRE(address.has_value());
    CHECK(*address == "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed");
    CHECK(auth::abi::decode_address(words({digits, "1"})).has_value());
    CHECK_FALSE(auth::abi::decode_address({}).has_value());
    CHECK_FALSE(auth::abi::decode_address(*runtime::from_hex(digits)).has_value());
    CHECK_FALSE(auth::abi::decode_address(words({"1" + digits})).has_value());
    CHECK(*auth::abi::decode_address(words({"0"})) == "0x" + repeat("0", 40));
}

TEST_CASE("EIP-55, the examples of its text") {
    for (const std::string address : {"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
                                      "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
                                      "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
                                      "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
                                      "0x52908400098527886E0F7030069857D2E4169EE7",
                                      "0xde709f2102306220921060314715629080e2fb77"}) {
        INFO(address);
        CHECK(auth::abi::checksum_address(*runtime::from_hex(address.substr(2))) == address);
        CHECK(auth::abi::is_address(address));
    }
}

TEST_CASE("addresses of a configuration") {
    const std::string good = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    struct Row {
        std::string text;
        bool expected;
    };
    const auto row = GENERATE_COPY(values<Row>({
        {good, true},
        {good.substr(2), true},
        {"0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", true},
        {"0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED", true},
        {"0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", false},  // one letter of the wrong case
        {"0X5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", false},
        {good + "0", false},
        {good.substr(0, 41), false},
        {"0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaeg", false},
        {"", false},
        {"0x", false},
        {"vitalik.eth", false},
    }));
    INFO(row.text);
    CHECK(auth::abi::is_address(row.text) == row.expected);
}
