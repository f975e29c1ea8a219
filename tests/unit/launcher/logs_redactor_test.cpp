#include "launcher/logs/encode.hpp"
#include "launcher/logs/secret_forms.hpp"
#include "tests/unit/launcher/logs_collect.hpp"

#include <algorithm>

#include <catch2/catch.hpp>

using namespace launcher::logs;
using test::Collect;
using test::field;

namespace {

const std::string kUrl = "https://mainnet.infura.io/v3/0123456789abcdef0123456789abcdef";
const std::string kHex64 = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

std::string base64(std::string_view text) {
    // The first form without neighbours is enough to test against.
    static constexpr char kAlphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t i = 0; i < text.size(); i += 3) {
        unsigned group = 0;
        for (std::size_t j = 0; j < 3; ++j) {
            group =
                group << 8 | (i + j < text.size() ? static_cast<unsigned char>(text[i + j]) : 0u);
        }
        for (std::size_t j = 0; j < 4; ++j) {
            out += i + j > text.size() ? '=' : kAlphabet[group >> (18 - 6 * j) & 63];
        }
    }
    return out;
}

}  // namespace

TEST_CASE("texts that are secret by their shape") {
    struct Row {
        std::string text, clean;
    };
    const auto row = GENERATE(values<Row>({
        {"see https://user:pass@host/x", "see https://[redacted]@host/x"},
        {"see https://key@host/x", "see https://[redacted]@host/x"},
        {"see https://u:p@ss@host/x", "see https://[redacted]@host/x"},
        {"mail bob@example.org or http://host/a@b", "mail bob@example.org or http://host/a@b"},
        {"GET /x?api_key=abc&n=1", "GET /x?api_key=[redacted]&n=1"},
        {"GET /x?n=1&API-KEY=abc#f", "GET /x?n=1&API-KEY=[redacted]#f"},
        {"GET "
         "/x?token=a&access_token=b&sig=c&signature=d&secret=e&password=f&auth=g&key=h&apikey=i",
         "GET "
         "/x?token=[redacted]&access_token=[redacted]&sig=[redacted]&signature=[redacted]&secret=["
         "redacted]&password="
         "[redacted]&auth=[redacted]&key=[redacted]&apikey=[redacted]"},
        {"GET /x?monkey=abc&keys=1&token=", "GET /x?monkey=abc&keys=1&token="},
        {"Authorization: Basic dXNlcjpwYXNz rest", "Authorization: Basic [redacted] rest"},
        {"authorization=abcdef rest", "authorization=[redacted] rest"},
        {"{\\\"Authorization\\\":\\\"Bearer abc.def\\\"}",
         "{\\\"Authorization\\\":\\\"Bearer [redacted]\\\"}"},
        {"Authorization: Digest username=\"a\", response=\"b\"",
         "Authorization: Digest [redacted]"},
        {"sent Bearer abc.def-ghi to it", "sent Bearer [redacted] to it"},
        {"needs authorization now", "needs authorization now"},
        {"private_key=" + kHex64, "private_key=[redacted]"},
        {"private key: 0x" + kHex64 + " end", "private key: 0x[redacted] end"},
        {"the seed is " + kHex64, "the seed is [redacted]"},
        {"sk=" + kHex64 + ", k256_sk: " + kHex64, "sk=[redacted], k256_sk: [redacted]"},
        {"mnemonic " + kHex64, "mnemonic [redacted]"},
        {kHex64, kHex64},
        {"hash " + kHex64 + " mrtd=" + kHex64, "hash " + kHex64 + " mrtd=" + kHex64},
        {"disk=" + kHex64 + " task " + kHex64, "disk=" + kHex64 + " task " + kHex64},
        {"seed=" + kHex64 + "0", "seed=" + kHex64 + "0"},
        {"seed=" + kHex64.substr(1), "seed=" + kHex64.substr(1)},
        {"a -----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY----- b", "a [redacted] b"},
        {"a -----BEGIN EC PRIVATE KEY-----\\nabc\\n-----END EC PRIVATE KEY-----\\n b",
         "a [redacted]\\n b"},
        {"a -----BEGIN PRIVATE KEY-----\nabc", "a [redacted]"},
        {"-----BEGIN CERTIFICATE-----\nabc", "-----BEGIN CERTIFICATE-----\nabc"},
        {"-----BEGIN PUBLIC KEY-----\nabc", "-----BEGIN PUBLIC KEY-----\nabc"},
        {"https://u:p@h/?key=v Bearer t", "https://[redacted]@h/?key=[redacted] Bearer [redacted]"},
    }));
    const Redactor redactor({});
    INFO(row.text);
    CHECK(redactor.redact(row.text) == row.clean);
    CHECK((redactor.suspicious(row.text) || row.text == row.clean));
    // At the end of a long text, and inside of one without blanks in front.
    const std::string front(301, ' ');
    CHECK(redactor.redact(front + row.text) == front + row.clean);
    CHECK((redactor.suspicious(front + row.text) || row.text == row.clean));
}

TEST_CASE("of a URL only what is secret goes") {
    const Redactor redactor({{"ETH_RPC_URL", kUrl}});
    CHECK(redactor.redact("using " + kUrl + " now") ==
          "using https://mainnet.infura.io/v3/[redacted] now");
    struct Row {
        std::string url, text, clean;
    };
    const auto row = GENERATE(values<Row>({
        {"https://bob:hunter22@h.example/p", "hunter22 bob:hunter22", "[redacted] [redacted]"},
        {"https://h.example/p?project=abcdefgh&x=short", "abcdefgh short", "[redacted] short"},
        {"https://h.example/short/path", "https://h.example/short/path", "[redacted]"},
        {"http://10.0.0.5:8545", "http://10.0.0.5:8545/x", "[redacted]/x"},
        {"https://h.example/a-segment_of-16chars/b", "a-segment_of-16chars h.example",
         "[redacted] h.example"},
        {"https://u:p%40ssword@h/", "p%40ssword p@ssword", "[redacted] [redacted]"},
    }));
    INFO(row.url);
    const Redactor one({{"SOME_URL", row.url}});
    CHECK(one.redact(row.text) == row.clean);
}

TEST_CASE("a known value is found in every form and every place") {
    const std::string secret = "p\"a/s s\\w%rd=&\xC3\xA9-0123";
    Collect collect({}, {{"TOKEN", secret}, {"ETH_RPC_URL", kUrl}});
    const Redactor& redactor = collect.redactor;
    std::vector<std::string> texts;
    for (const std::string& form : secret_forms(secret)) texts.push_back("x " + form + " y");
    for (const std::string& text : texts) {
        INFO(text);
        CHECK(redactor.suspicious(text));
        const std::string clean = redactor.redact(text);
        CHECK(contains(clean, "[redacted]"));
        CHECK(clean.substr(0, 2) == "x ");
        CHECK(clean.substr(clean.size() - 2) == " y");
    }
    for (const std::string front : {"", "a", "ab", "user:"}) {
        INFO(front);
        const std::string text = "Basic " + base64(front + secret + "tail");
        CHECK(contains(redactor.redact(text), "[redacted]"));
    }
    CHECK(collect.one("v=" + secret).message.find("0123") == std::string::npos);
}

TEST_CASE("a hundred secrets and their neighbours") {
    std::vector<KnownSecret> secrets;
    for (int i = 0; i < 100; ++i) {
        secrets.push_back({"S" + std::to_string(i), "secret-" + std::to_string(i * 7919 % 1000) +
                                                        "-value-" + std::to_string(i)});
    }
    const Redactor redactor(secrets);
    for (const KnownSecret& secret : secrets) {
        const std::string text = "a " + secret.value + secret.value + " b";
        REQUIRE(redactor.suspicious(text));
        REQUIRE_FALSE(contains(redactor.redact(text), "value"));
    }
    const std::string overlap = "x" + secrets[1].value.substr(0, 8) + secrets[2].value;
    CHECK(redactor.redact(overlap) == "x" + secrets[1].value.substr(0, 8) + "[redacted]");
}

TEST_CASE("secrets in records: message, fields, spans, names, errors, original") {
    launcher::ServicePlan::Log plan;
    plan.keep_original = true;
    Collect collect(plan, {{"TOKEN", "correct-horse"}});
    for (
        const char* line : {
            "plain correct-horse text",
            "2026-11-22T20:49:30.754812Z  INFO req{t=correct-horse}:correct-horse: lines: m "
            "correct-horse a=correct-horse",
            R"({"level":30,"msg":"correct-horse","a":"correct-horse","b":{"c":["correct-horse"],"correct-horse":1}})",
            R"({"level":30,"msg":"corr\u0065ct-horse","a":"corr\u0065ct-horse","b":{"c":["corr\u0065ct-horse"]}})",
            R"({"level":50,"err":{"type":"correct-horse","message":"correct-horse","stack":"correct-horse"},"msg":"x"})",
            R"({"level":30,"req":{"method":"GET","url":"/correct-horse?x=correct-horse"},"correct-horse":"x","msg":"x"})",
            R"({"timestamp":"2026-11-22T20:49:30.754812Z","level":"INFO","message":"m","target":"correct-horse"})",
            "2026-11-22T20:49:30.754812Z  INFO lines: m d=\"corr\\u{65}ct-horse\"",
            "\x1B[31mcorrect\x1B[0m-horse",
        }) {
        INFO(line);
        const Record record = collect.one(line);
        CHECK_FALSE(contains(to_json_line(record), "correct-horse"));
        CHECK_FALSE(contains(to_json_line(record), "ct-horse\""));
        CHECK(contains(to_json_line(record), "[redacted]"));
        CHECK_FALSE(contains(to_text_line(record, false), "correct-horse"));
        CHECK(collect.any_redacted);
        collect.any_redacted = false;
    }
}

TEST_CASE("a number that is a secret does not stay a number") {
    Collect collect({}, {{"PIN_TOKEN", "12345678"}});
    CHECK(field(collect.one(R"({"level":30,"a":12345678,"b":7})").fields, "a") == "[redacted]");
}

TEST_CASE("fields whose name says it all") {
    Collect collect;
    const Record json = collect.one(
        R"({"level":30,"password":"x","req":{"method":"GET","headers":{"authorization":"zzz","x":"y"}},"tokens":5,"msg":"m"})");
    CHECK(field(json.fields, "password") == "[redacted]");
    CHECK(field(json.fields, "req") == R"({"headers":{"authorization":"[redacted]","x":"y"}})");
    CHECK(field(json.fields, "tokens") == "#5");
    const Record text = collect.one(
        "2026-11-22T20:49:30.754812Z  INFO lines: m access_token=abc client_secret=\"d e\" n=1");
    CHECK(field(text.fields, "access_token") == "[redacted]");
    CHECK(field(text.fields, "client_secret") == "[redacted]");
    CHECK(field(text.fields, "n") == "#1");
    const Record seed = collect.one(
        "2026-11-22T20:49:30.754812Z  INFO lines: m root_seed=" + kHex64 + " mrtd=" + kHex64);
    CHECK(field(seed.fields, "root_seed") == "[redacted]");
    CHECK(field(seed.fields, "mrtd") == kHex64);
}

TEST_CASE("a private key over several lines") {
    const std::string body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7";
    for (const std::string front : {"", "2026-11-22T20:49:30.754812Z  INFO lines: ", "    "}) {
        Collect collect;
        INFO(front);
        collect.push("before");
        collect.push(front + "-----BEGIN RSA PRIVATE KEY-----");
        collect.push(front + body);
        collect.push(front + "Zg==");
        collect.push(front + "-----END RSA PRIVATE KEY-----");
        collect.push("after");
        collect.processor.close();
        std::string all;
        std::uint32_t lines = 0;
        for (const std::uint32_t count : collect.lines) lines += count;
        for (const Record& record : collect.records) all += to_json_line(record);
        CHECK(lines == 6);
        CHECK_FALSE(contains(all, "MIIE"));
        CHECK_FALSE(contains(all, "Zg=="));
        CHECK(contains(all, "\"message\":\"before"));
        CHECK(contains(all, "after"));
    }
}

TEST_CASE("a key block ends after 200 lines") {
    Collect collect;
    collect.push("-----BEGIN PRIVATE KEY-----");
    for (int i = 0; i < 200; ++i) collect.push("line");
    CHECK(collect.records.size() >= 100);
    collect.push("line 201");
    collect.processor.close();
    CHECK(collect.records.back().message == "line 201");
    CHECK(collect.records[collect.records.size() - 2].message == "[redacted]");
}

TEST_CASE("a secret of several lines is known line by line") {
    const std::string pem =
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nEFAASCBKcwggSjAgEAAoIB\n-----END "
        "PRIVATE KEY-----\n";
    Collect collect({}, {{"TLS_KEY", pem}});
    CHECK(collect.one("got EFAASCBKcwggSjAgEAAoIB here").message == "got [redacted] here");
}

TEST_CASE("secrets that lie across the parts of a long line") {
    const std::string secret = "correct-horse-battery-staple";
    for (std::size_t into = 0; into <= secret.size() + 1; ++into) {
        Collect collect({}, {{"TOKEN", secret}});
        LineSplitter splitter(2048);
        const std::string text = std::string(2048 - into, 'x') + secret + std::string(100, 'y');
        splitter.feed(text + "\n", collect.stamp.steady, collect);
        collect.processor.finish();
        std::string all;
        for (const Record& record : collect.records) all += record.message;
        INFO(into);
        REQUIRE(all == std::string(2048 - into, 'x') + "[redacted]" + std::string(100, 'y'));
        REQUIRE(collect.records.back().partial == false);
    }
    for (std::size_t into = 0; into <= 40; ++into) {
        Collect collect;
        LineSplitter splitter(2048);
        std::string front;
        while (front.size() < 2048 - into) front += "word ";
        front.resize(2048 - into, ' ');
        splitter.feed(front + " https://user:passw0rd@host/ Bearer tokentoken end\n",
                      collect.stamp.steady, collect);
        std::string all;
        for (const Record& record : collect.records) all += record.message;
        INFO(into);
        REQUIRE_FALSE(contains(all, "passw0rd"));
        REQUIRE_FALSE(contains(all, "tokentoken"));
        REQUIRE(contains(all, "end"));
    }
}

TEST_CASE("what was held back of an unfinished line comes out at the end of the stream") {
    Collect collect({}, {{"TOKEN", "correct-horse"}});
    LineSplitter splitter(1024);
    splitter.feed("say correct-", collect.stamp.steady, collect);
    splitter.expire(collect.stamp.steady + LineSplitter::kSilence, collect);
    REQUIRE(collect.records.size() == 1);
    CHECK(collect.records[0].message == "say ");
    collect.processor.finish();
    REQUIRE(collect.records.size() == 2);
    CHECK(collect.records[1].message == "correct-");
    CHECK(collect.records[1].partial);
}

TEST_CASE("values that are too short are refused; losses are counted by rule") {
    const Redactor redactor({{"SHORT_KEY", "12345"}, {"LONG_KEY", "123456"}});
    CHECK(redactor.refused() == std::vector<std::string>{"SHORT_KEY"});
    CHECK(redactor.redact("a 12345 b") == "a 12345 b");
    CHECK(redactor.redact("a 123456 b https://u:p@h/") == "a [redacted] b https://[redacted]@h/");
    const auto counts = redactor.counts();
    REQUIRE(counts.size() == kRedactionRules);
    const auto count = [&](std::string_view rule) {
        return std::find_if(counts.begin(), counts.end(),
                            [&](const auto& row) { return row.first == rule; })
            ->second;
    };
    CHECK(count("known_value") == 1);
    CHECK(count("url_user") == 1);
    CHECK(count("private_key") == 0);
}

TEST_CASE("a thousand public hashes stay") {
    const Redactor redactor({{"ETH_RPC_URL", kUrl}});
    std::uint64_t state = 1;
    for (int i = 0; i < 1000; ++i) {
        std::string hash;
        for (int digit = 0; digit < 64; ++digit) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            hash += "0123456789abcdef"[state >> 60];
        }
        const std::string line =
            "compose_hash=" + hash + " app " + hash.substr(0, 40) + " 0x" + hash;
        REQUIRE(redactor.redact(line) == line);
    }
}

TEST_CASE("the quick filter misses nothing that the exact search finds") {
    std::vector<std::string> patterns;
    std::uint64_t state = 7;
    const auto random = [&](std::size_t size) {
        std::string text;
        while (text.size() < size) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            text += static_cast<char>('a' + (state >> 33) % 4);
        }
        return text;
    };
    WindowFilter filter;
    for (int i = 0; i < 30; ++i) {
        patterns.push_back(random(6 + static_cast<std::size_t>(i % 9)));
        filter.add(patterns.back());
    }
    const MultiPattern search(patterns);
    std::size_t hits = 0;
    for (int i = 0; i < 3000; ++i) {
        const std::string text = random(static_cast<std::size_t>(i % 200));
        std::vector<Interval> found;
        search.find(text, found);
        // What a straightforward search says.
        std::size_t expected = 0;
        for (std::size_t end = 1; end <= text.size(); ++end) {
            expected +=
                std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
                    return std::string_view(text).substr(0, end).ends_with(pattern);
                });
        }
        REQUIRE(found.size() == expected);
        for (const Interval& place : found) {
            REQUIRE(std::find(patterns.begin(), patterns.end(),
                              text.substr(place.begin, place.end - place.begin)) != patterns.end());
        }
        if (!found.empty()) REQUIRE(filter.may_contain(text));
        hits += found.empty() ? 0 : 1;
    }
    CHECK(hits > 100);
}
