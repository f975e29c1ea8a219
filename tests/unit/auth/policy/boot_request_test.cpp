#include "auth/policy/boot_request.hpp"

#include "tests/unit/auth/boot_bodies.hpp"

#include <catch2/catch.hpp>

using auth::parse_boot_request;
using auth::RequestRules;
using test::boot_body;
using test::Members;
using test::repeat;

namespace {

/// The text of the refusal, or "accepted".
std::string outcome(const std::string& body, const RequestRules& rules = {}) {
    const auto parsed = parse_boot_request(body, rules);
    return parsed ? "accepted" : parsed.error().context;
}

std::string list_of(std::size_t count, const std::string& item) {
    std::string out = "[";
    for (std::size_t i = 0; i < count; ++i) out.append(i == 0 ? "" : ",").append(item);
    return out + "]";
}

std::string quoted(const std::string& text) {
    return '"' + text + '"';
}

}  // namespace

TEST_CASE("a whole request is read member by member") {
    const auto parsed =
        parse_boot_request(boot_body({{"advisoryIds", R"(["INTEL-SA-00837","a\n\u00e9"])"},
                                      {"teeVariant", "\"dstack-tdx\""},
                                      {"keyProviderInfo", "{\"appId\":[\"x\",{\"y\":null}]}"}}),
                           {});
    REQUIRE(parsed.has_value());
    CHECK(parsed->mr_aggregated == repeat("b1", 32));
    CHECK(parsed->os_image_hash == repeat("a1", 32));
    CHECK(parsed->app_id == repeat("75", 20));
    CHECK(parsed->compose_hash == repeat("d1", 32));
    CHECK(parsed->instance_id == repeat("44", 20));
    CHECK(parsed->device_id == repeat("e1", 32));
    CHECK(parsed->mr_system == repeat("f1", 32));
    CHECK(parsed->tcb_status == "UpToDate");
    CHECK(parsed->advisory_ids == std::vector<std::string>{"INTEL-SA-00837", "a\n\u00e9"});
}

TEST_CASE("the three optional members may be absent or null") {
    const std::string absent = GENERATE(std::string(), std::string("null"));
    const auto parsed = parse_boot_request(
        boot_body({{"mrSystem", absent}, {"tcbStatus", absent}, {"advisoryIds", absent}}), {});
    REQUIRE(parsed.has_value());
    CHECK(parsed->mr_system.empty());
    CHECK(parsed->tcb_status.empty());
    CHECK(parsed->advisory_ids.empty());
}

TEST_CASE("of duplicate members the last counts") {
    const std::string good = boot_body();
    const std::string start = good.substr(0, good.size() - 1);
    CHECK(parse_boot_request(start + R"(,"appId":"ab"})", {})->app_id == "ab");
    CHECK(outcome(start + R"(,"appId":7})") == "'appId' must be text, not a number");
    CHECK(outcome(R"({"appId":7,)" + good.substr(1)) == "accepted");
    CHECK(outcome(R"({"advisoryIds":[1,2],)" + good.substr(1)) == "accepted");
    CHECK(parse_boot_request(start + R"(,"advisoryIds":["a"],"advisoryIds":["b"]})", {})
              ->advisory_ids == std::vector<std::string>{"b"});
    CHECK(parse_boot_request(start + R"(,"tcbStatus":null})", {})->tcb_status.empty());
}

TEST_CASE("members are checked, and the first mistake in their order is named") {
    struct Row {
        std::string name;
        Members changes;
        std::string expected;
    };
    const auto row = GENERATE(values<Row>({
        {"missing mrAggregated", {{"mrAggregated", ""}}, "'mrAggregated' is missing"},
        {"missing osImageHash", {{"osImageHash", ""}}, "'osImageHash' is missing"},
        {"missing appId", {{"appId", ""}}, "'appId' is missing"},
        {"missing composeHash", {{"composeHash", ""}}, "'composeHash' is missing"},
        {"missing instanceId", {{"instanceId", ""}}, "'instanceId' is missing"},
        {"missing deviceId", {{"deviceId", ""}}, "'deviceId' is missing"},
        {"two missing", {{"deviceId", ""}, {"appId", ""}}, "'appId' is missing"},
        {"null where required", {{"appId", "null"}}, "'appId' must be text, not null"},
        {"number", {{"appId", "1"}}, "'appId' must be text, not a number"},
        {"negative", {{"appId", "-1"}}, "'appId' must be text, not a number"},
        {"large", {{"appId", "18446744073709551615"}}, "'appId' must be text, not a number"},
        {"fraction", {{"appId", "1.5e3"}}, "'appId' must be text, not a number"},
        {"boolean", {{"deviceId", "true"}}, "'deviceId' must be text, not true or false"},
        {"list of one", {{"appId", "[\"ab\"]"}}, "'appId' must be text, not a list"},
        {"object", {{"appId", "{\"appId\":\"ab\"}"}}, "'appId' must be text, not an object"},
        {"number for mrSystem", {{"mrSystem", "0"}}, "'mrSystem' must be text, not a number"},
        {"list for tcbStatus", {{"tcbStatus", "[]"}}, "'tcbStatus' must be text, not a list"},
        {"text for advisoryIds",
         {{"advisoryIds", "\"a\""}},
         "'advisoryIds' must be a list of texts, not text"},
        {"object for advisoryIds",
         {{"advisoryIds", "{}"}},
         "'advisoryIds' must be a list of texts, not an object"},
        {"number in advisoryIds",
         {{"advisoryIds", "[\"a\",1]"}},
         "'advisoryIds' must be a list of texts, but holds a number"},
        {"null in advisoryIds",
         {{"advisoryIds", "[null]"}},
         "'advisoryIds' must be a list of texts, but holds null"},
        {"list in advisoryIds",
         {{"advisoryIds", "[[\"a\"]]"}},
         "'advisoryIds' must be a list of texts, but holds a list"},
        {"object in advisoryIds",
         {{"advisoryIds", "[{\"a\":\"b\"}]"}},
         "'advisoryIds' must be a list of texts, but holds an object"},
        {"empty hex", {{"appId", "\"\""}}, "accepted"},
        {"0x alone", {{"appId", "\"0x\""}}, "accepted"},
        {"odd", {{"appId", "\"abc\""}}, "accepted"},
        {"prefix and full", {{"appId", quoted("0x" + repeat("aB", 20))}}, "accepted"},
        {"capital prefix",
         {{"appId", "\"0Xab\""}},
         "'appId' must be hexadecimal digits after an optional 0x"},
        {"two prefixes",
         {{"appId", "\"0x0xab\""}},
         "'appId' must be hexadecimal digits after an optional 0x"},
        {"blank",
         {{"appId", "\" ab\""}},
         "'appId' must be hexadecimal digits after an optional 0x"},
        {"line feed",
         {{"appId", "\"ab\\n\""}},
         "'appId' must be hexadecimal digits after an optional 0x"},
        {"NUL",
         {{"appId", "\"ab\\u0000\""}},
         "'appId' must be hexadecimal digits after an optional 0x"},
        {"letters",
         {{"mrSystem", "\"not-hex\""}},
         "'mrSystem' must be hexadecimal digits after an optional 0x"},
        {"41 digits",
         {{"appId", quoted(repeat("ab", 20) + "c")}},
         "'appId' has 41 digits, more than 40"},
        {"66 digits",
         {{"mrAggregated", quoted("0x" + repeat("ab", 33))}},
         "'mrAggregated' has 66 digits, more than 64"},
        {"tcbStatus 128", {{"tcbStatus", quoted(repeat("\u00e9", 128))}}, "accepted"},
        {"tcbStatus 129",
         {{"tcbStatus", quoted(repeat("\u00e9", 129))}},
         "'tcbStatus' is longer than 128 characters"},
        {"128 advisories", {{"advisoryIds", list_of(128, "\"a\"")}}, "accepted"},
        {"129 advisories",
         {{"advisoryIds", list_of(129, "\"a\"")}},
         "'advisoryIds' has 129 items, more than 128"},
        {"advisory 256",
         {{"advisoryIds", "[" + quoted(repeat("\U0001F600", 256)) + "]"}},
         "accepted"},
        {"advisory 257",
         {{"advisoryIds", "[" + quoted(repeat("a", 257)) + "]"}},
         "an item of 'advisoryIds' is longer than 256 characters"},
    }));
    INFO(row.name);
    CHECK(outcome(boot_body(row.changes)) == row.expected);
}

TEST_CASE("what is no JSON object is refused with the place") {
    struct Row {
        std::string name;
        std::string body;
        std::string expected;
    };
    const std::string good = boot_body();
    const auto row = GENERATE_COPY(values<Row>({
        {"empty", "", "the body is empty"},
        {"only a byte-order mark", "\xEF\xBB\xBF", "the body is empty"},
        {"byte-order mark", "\xEF\xBB\xBF" + good, "accepted"},
        {"two byte-order marks", "\xEF\xBB\xBF\xEF\xBB\xBF" + good, "malformed JSON at byte 0"},
        {"blanks around", " \r\n\t" + good + " \n", "accepted"},
        {"list", "[]", "the body must be a JSON object, not a list"},
        {"list of object", "[" + good + "]", "the body must be a JSON object, not a list"},
        {"null", "null", "the body must be a JSON object, not null"},
        {"text", "\"x\"", "the body must be a JSON object, not a text"},
        {"number", "1", "the body must be a JSON object, not a number"},
        {"boolean", "false", "the body must be a JSON object, not true or false"},
        {"no quotes", "{bad", "malformed JSON at byte 1"},
        {"cut", good.substr(0, good.size() - 1),
         "malformed JSON at byte " + std::to_string(good.size() - 1)},
        {"trailing comma", good.substr(0, good.size() - 1) + ",}",
         "malformed JSON at byte " + std::to_string(good.size())},
        {"comment", "/**/" + good, "malformed JSON at byte 0"},
        {"second value", good + "{}", "malformed JSON at byte " + std::to_string(good.size())},
        {"NaN", boot_body({{"x", "NaN"}}),
         "malformed JSON at byte " + std::to_string(boot_body({{"x", "N"}}).size() - 2)},
        {"invalid UTF-8 in a value", boot_body({{"tcbStatus", "\"\xFF\""}}), "malformed"},
        {"overlong UTF-8", boot_body({{"tcbStatus", "\"\xC0\x80\""}}), "malformed"},
        {"surrogate in UTF-8", boot_body({{"tcbStatus", "\"\xED\xA0\x80\""}}), "malformed"},
        {"cut UTF-8", boot_body({{"tcbStatus", "\"\xE2\x82\""}}), "malformed"},
        {"invalid UTF-8 in an unknown member", boot_body({{"x", "\"\xFF\""}}), "malformed"},
        {"unpaired surrogate escape", boot_body({{"tcbStatus", "\"\\ud800\""}}), "malformed"},
        {"surrogate pair escape", boot_body({{"tcbStatus", "\"\\ud83d\\ude00\""}}), "accepted"},
        {"raw control character", boot_body({{"tcbStatus", "\"a\nb\""}}), "malformed"},
        {"__proto__", boot_body({{"__proto__", "{}"}}), "a member named __proto__ is not accepted"},
        {"__proto__ escaped", boot_body({{"\\u005f_proto__", "1"}}),
         "a member named __proto__ is not accepted"},
        {"__proto__ inside", boot_body({{"x", "[{\"__proto__\":1}]"}}),
         "a member named __proto__ is not accepted"},
        {"__proto__ as a value", boot_body({{"tcbStatus", "\"__proto__\""}}), "accepted"},
        {"longer than __proto__", boot_body({{"__proto__and_more_of_it", "1"}}), "accepted"},
        {"name that starts like ours", boot_body({{"appIdappIdappIdappIdappId", "1"}}), "accepted"},
    }));
    INFO(row.name);
    if (row.expected == "malformed")
        CHECK_THAT(outcome(row.body), Catch::StartsWith("malformed JSON at byte "));
    else
        CHECK(outcome(row.body) == row.expected);
}

TEST_CASE("depth and size are bounded") {
    const auto nested = [](std::size_t depth) {
        return boot_body({{"x", repeat("[", depth) + repeat("]", depth)}});
    };
    CHECK(outcome(nested(auth::kMaxJsonDepth - 1)) == "accepted");
    CHECK(outcome(nested(auth::kMaxJsonDepth)) == "the JSON is nested deeper than 32 levels");
    CHECK(outcome(nested(100'000)) == "the JSON is nested deeper than 32 levels");

    const auto padded = [](std::size_t size) {
        return boot_body(
            {{"x", '"' + std::string(size - boot_body({{"x", "\"\""}}).size(), 'y') + '"'}});
    };
    CHECK(outcome(padded(auth::kMaxRequestBytes)) == "accepted");
    CHECK(outcome(padded(auth::kMaxRequestBytes + 1)) == "the body is longer than 1 MiB");
    CHECK(outcome(boot_body({{"x", list_of(400'000, "0")}})) == "accepted");
    CHECK(outcome(boot_body({{"x", "\"" + repeat("\\n", 400'000) + "\""}})) == "accepted");
}

TEST_CASE("with full lengths, the members a decision rests on are empty or whole") {
    const RequestRules strict{.check_hex = true, .full_lengths = true};
    CHECK(outcome(boot_body(), strict) == "accepted");
    CHECK(
        outcome(boot_body({{"osImageHash", "\"\""}, {"instanceId", "\"\""}, {"mrSystem", "\"\""}}),
                strict) == "accepted");
    CHECK(outcome(boot_body({{"composeHash", quoted("0x" + repeat("d1", 32))}}), strict) ==
          "accepted");
    CHECK(outcome(boot_body({{"instanceId", "\"ab\""}, {"mrSystem", "\"ab\""}}), strict) ==
          "accepted");
    for (const std::string name : {"mrAggregated", "osImageHash", "composeHash", "deviceId"}) {
        INFO(name);
        CHECK(outcome(boot_body({{name, quoted(repeat("d1", 31))}}), strict) ==
              "'" + name + "' has 62 digits where 64 or none are expected");
    }
    CHECK(outcome(boot_body({{"appId", quoted(repeat("75", 19))}}), strict) ==
          "'appId' has 38 digits where 40 or none are expected");
}

TEST_CASE("without the hexadecimal check any text passes, but types still count") {
    const RequestRules loose{.check_hex = false, .full_lengths = false};
    CHECK(outcome(boot_body({{"appId", "\"hello\""}, {"mrAggregated", quoted(repeat("z", 500))}}),
                  loose) == "accepted");
    CHECK(outcome(boot_body({{"appId", "1"}}), loose) == "'appId' must be text, not a number");
    CHECK(outcome(boot_body({{"appId", ""}}), loose) == "'appId' is missing");
}

TEST_CASE("a request damaged at any byte is refused or read as another request, never half") {
    const std::string good = boot_body({{"advisoryIds", R"(["INTEL-SA-00837"])"}});
    for (std::size_t i = 0; i < good.size(); ++i)
        for (const char c : {'\0', '"', '{', '}', '[', ']', ',', ':', '\\', '\xFF', '0', 'z'}) {
            std::string damaged = good;
            damaged[i] = c;
            const auto parsed =
                parse_boot_request(damaged, {.check_hex = true, .full_lengths = true});
            if (!parsed) {
                CHECK_FALSE(parsed.error().context.empty());
                continue;
            }
            CHECK(parsed->app_id.size() == 40);
            CHECK(parsed->compose_hash.size() == 64);
            CHECK(parsed->mr_aggregated.size() == 64);
        }
    for (std::size_t size = 0; size < good.size(); ++size)
        CHECK_FALSE(parse_boot_request(std::string_view(good).substr(0, size), {}).has_value());
}
