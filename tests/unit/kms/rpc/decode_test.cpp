#include "kms/rpc/decode.hpp"

#include "kms/rpc/kms.pb.h"

#include <string>

#include <catch2/catch.hpp>

using namespace kms;

namespace {

/// What decoding gave: "app_id=00ff" style text of the fields, or the error.
struct Row {
    std::string name;
    std::string input;
    std::string outcome;
};

std::string show(const wire::AppId& message) {
    std::string hex;
    for (const char c : message.app_id()) {
        constexpr std::string_view kDigits = "0123456789abcdef";
        hex += kDigits[static_cast<unsigned char>(c) >> 4];
        hex += kDigits[static_cast<unsigned char>(c) & 0xF];
    }
    return "app_id=" + hex;
}

std::string show(const wire::GetAppKeyRequest& message) {
    return "api_version=" + std::to_string(message.api_version()) +
           " vm_config=" + message.vm_config();
}

template <class Message, class Decode>
std::string outcome(const MessageSchema& schema, Decode decode, const std::string& input) {
    Message message;
    const auto decoded = decode(schema, input, message);
    return decoded ? show(message) : decoded.error().context;
}

}  // namespace

TEST_CASE("JSON into a message with one bytes field") {
    const auto row = GENERATE(values<Row>({
        {"nothing", "", "app_id="},
        {"empty object", "{}", "app_id="},
        {"white space around", " \t\r\n{ } \n", "app_id="},
        {"plain", R"({"app_id":"0a0B"})", "app_id=0a0b"},
        {"prefixes", R"({"app_id":"0x0xff"})", "app_id=ff"},
        {"upper-case prefix", R"({"app_id":"0Xff"})",
         "Invalid character 'X' at position 1 at line 1 column 17"},
        {"odd digits", R"({"app_id":"abc"})", "Odd number of digits at line 1 column 16"},
        {"odd digits, another member follows", R"({"app_id":"abc" ,"x":1})",
         "Odd number of digits at line 1 column 16"},
        {"a byte that is no ASCII", "{\"app_id\":\"\xC3\xA9\"}",
         "Invalid character '\xC3\x83' at position 0 at line 1 column 15"},
        {"a quote as digit", R"({"app_id":"'0"})",
         R"(Invalid character '\'' at position 0 at line 1 column 15)"},
        {"null", R"({"app_id":null})", "invalid type: null, expected a string at line 1 column 14"},
        {"false", R"({"app_id":false})",
         "invalid type: boolean `false`, expected a string at line 1 column 15"},
        {"number", R"({"app_id":1})",
         "invalid type: integer `1`, expected a string at line 1 column 11"},
        {"negative number", R"({"app_id":-7})",
         "invalid type: integer `-7`, expected a string at line 1 column 12"},
        {"real number", R"({"app_id":1e21})",
         "invalid type: floating point `1e21`, expected a string at line 1 column 14"},
        {"list", R"({"app_id":[1]})",
         "invalid type: sequence, expected a string at line 1 column 10"},
        {"object", R"({"app_id":{}})", "invalid type: map, expected a string at line 1 column 10"},
        {"nonsense", R"({"app_id":x})", "expected value at line 1 column 11"},
        {"half a word", R"({"app_id":nul})", "expected ident at line 1 column 14"},
        {"array form", R"(["ff"])", "app_id=ff"},
        {"empty array", "[]", "app_id="},
        {"array too long", R"(["ff",1])", "trailing characters at line 1 column 7"},
        {"array with trailing comma", R"(["ff",])", "trailing comma at line 1 column 7"},
        {"array not closed", R"(["ff")", "EOF while parsing a list at line 1 column 5"},
        {"bad value in an array", R"(["f"])", "Odd number of digits at line 1 column 5"},
        {"unknown members", R"({"foo":{"a":[1,2,{"b":null}]},"app_id":"01","z":-1.5e3})",
         "app_id=01"},
        {"camel case is unknown", R"({"appId":"01"})", "app_id="},
        {"duplicate", R"({"app_id":"00","app_id":"01"})",
         "duplicate field `app_id` at line 1 column 23"},
        {"duplicate unknown", R"({"x":1,"x":2,"app_id":"01"})", "app_id=01"},
        {"something after it", R"({"app_id":"00"} x)", "trailing characters at line 1 column 17"},
        {"null on top", "null", "invalid type: null, expected struct AppId at line 1 column 4"},
        {"text on top", R"("x\n")",
         R"(invalid type: string "x\n", expected struct AppId at line 1 column 5)"},
        {"number on top", "5",
         "invalid type: integer `5`, expected struct AppId at line 1 column 1"},
        {"no value", R"({"app_id":)", "EOF while parsing a value at line 1 column 10"},
        {"no colon", R"({"app_id" "x"})", "expected `:` at line 1 column 11"},
        {"nothing after the key", R"({"app_id")", "EOF while parsing an object at line 1 column 9"},
        {"brace only", "{", "EOF while parsing an object at line 1 column 1"},
        {"blanks only", "  ", "EOF while parsing a value at line 1 column 2"},
        {"no comma", R"({"a":1 "b":2})", "expected `,` or `}` at line 1 column 8"},
        {"trailing comma", R"({"app_id":"00",})", "trailing comma at line 1 column 16"},
        {"end after comma", R"({"app_id":"00",)", "EOF while parsing a value at line 1 column 15"},
        {"key without quotes", "{app_id:1}", "key must be a string at line 1 column 2"},
        {"second key without quotes", R"({"a":1,b:2})", "key must be a string at line 1 column 8"},
        {"line numbers", "{\n \"app_id\":\n  1}",
         "invalid type: integer `1`, expected a string at line 3 column 3"},
        {"escaped digits", R"({"app_id":"\u0030\u0031"})", "app_id=01"},
        {"escaped key", R"({"app\u005fid":"01"})", "app_id=01"},
        {"unknown escape", R"({"app_id":"\q"})", "invalid escape at line 1 column 13"},
        {"escape of three digits", R"({"app_id":"\u00g0"})", "invalid escape at line 1 column 17"},
        {"escape at the end", R"({"app_id":"\u00)",
         "EOF while parsing a string at line 1 column 15"},
        {"lone surrogate", R"({"app_id":"\udc00"})",
         "lone leading surrogate in hex escape at line 1 column 17"},
        {"half a pair", R"({"app_id":"\ud800x"})",
         "unexpected end of hex escape at line 1 column 18"},
        {"control character", "{\"app_id\":\"\x01\"}",
         "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 12"},
        {"text not closed", R"({"app_id":"00)", "EOF while parsing a string at line 1 column 13"},
        {"not UTF-8", "{\"app_id\":\"\xff\"}", "invalid unicode code point at line 1 column 13"},
        {"skipped text may be any bytes", "{\"x\":\"\xff\",\"app_id\":\"01\"}", "app_id=01"},
        {"skipped number may be any size", R"({"x":1e999,"app_id":"01"})", "app_id=01"},
        {"skipped number with two leading zeros", R"({"x":00,"app_id":"01"})",
         "invalid number at line 1 column 7"},
        {"skipped list not closed", R"({"x":[1)", "EOF while parsing a list at line 1 column 7"},
        {"skipped list with two commas", R"({"x":[1,,2]})", "expected value at line 1 column 9"},
        {"skipped list without comma", R"({"x":[1 2]})", "expected `,` or `]` at line 1 column 9"},
        {"skipped object with a bad key", R"({"x":{1:2}})",
         "key must be a string at line 1 column 7"},
        {"mismatched brackets", R"({"x":[}})", "expected value at line 1 column 7"},
        {"byte order mark", "\xEF\xBB\xBF{}", "expected value at line 1 column 1"},
    }));
    INFO(row.name);
    CHECK(outcome<wire::AppId>(kAppIdSchema, decode_json, row.input) == row.outcome);
}

TEST_CASE("JSON into a message with a number and a text") {
    const auto row = GENERATE(values<Row>({
        {"both", R"({"vm_config":"é\"\ud83d\ude00","api_version":7})",
         "api_version=7 vm_config=é\"😀"},
        {"largest", R"({"api_version":4294967295})", "api_version=4294967295 vm_config="},
        {"too large", R"({"api_version":4294967296})",
         "invalid value: integer `4294967296`, expected u32 at line 1 column 25"},
        {"larger than 64 bits", R"({"api_version":18446744073709551616})",
         "invalid type: floating point `1.8446744073709552e19`, expected u32 at line 1 column 35"},
        {"negative", R"({"api_version":-1})",
         "invalid value: integer `-1`, expected u32 at line 1 column 17"},
        {"negative zero", R"({"api_version":-0})",
         "invalid type: floating point `-0.0`, expected u32 at line 1 column 17"},
        {"with fraction", R"({"api_version":1.50})",
         "invalid type: floating point `1.5`, expected u32 at line 1 column 19"},
        {"exponent", R"({"api_version":1e0})",
         "invalid type: floating point `1.0`, expected u32 at line 1 column 18"},
        {"beyond every range", R"({"api_version":1e999})",
         "number out of range at line 1 column 20"},
        {"leading zero", R"({"api_version":01})", "invalid number at line 1 column 17"},
        {"sign only", R"({"api_version":-})", "invalid number at line 1 column 17"},
        {"point only", R"({"api_version":1.})", "invalid number at line 1 column 18"},
        {"text", R"({"api_version":"1"})",
         R"(invalid type: string "1", expected u32 at line 1 column 18)"},
        {"true", R"({"api_version":true})",
         "invalid type: boolean `true`, expected u32 at line 1 column 19"},
        {"array form", R"([1,"x"])", "api_version=1 vm_config=x"},
        {"short array form", "[1]", "api_version=1 vm_config="},
        {"array form without comma", R"([1 "x"])", "expected `,` or `]` at line 1 column 4"},
    }));
    INFO(row.name);
    CHECK(outcome<wire::GetAppKeyRequest>(kGetAppKeyRequestSchema, decode_json, row.input) ==
          row.outcome);
}

TEST_CASE("skipping hostile nesting neither fails nor uses the stack") {
    const std::string deep =
        "{\"x\":" + std::string(200'000, '[') + std::string(200'000, ']') + ",\"app_id\":\"01\"}";
    CHECK(outcome<wire::AppId>(kAppIdSchema, decode_json, deep) == "app_id=01");
    const std::string open = "{\"x\":" + std::string(100'000, '[');
    CHECK(outcome<wire::AppId>(kAppIdSchema, decode_json, open) ==
          "EOF while parsing a list at line 1 column 100005");
}

TEST_CASE("query strings") {
    const auto row = GENERATE(values<Row>({
        {"nothing", "", "app_id="},
        {"plain", "app_id=00ff", "app_id=00ff"},
        {"prefix", "app_id=0xff", "app_id=ff"},
        {"among others", "json&app_id=01&x=2", "app_id=01"},
        {"no equals sign", "app_id", "app_id="},
        {"empty pairs", "&&app_id=01&", "app_id=01"},
        {"encoded key and value", "app%5Fid=%30%31", "app_id=01"},
        {"plus is a space", "app_id=0+0", "Odd number of digits"},
        {"not hexadecimal", "app_id=zz", "Invalid character 'z' at position 0"},
        {"semicolon does not separate", "app_id=00;x=1", "Invalid character ';' at position 2"},
        {"broken percent sign stays", "app_id=%zz", "Odd number of digits"},
        {"not UTF-8", "app_id=%ff", "invalid utf-8 sequence of 1 bytes from index 0"},
        {"UTF-8 cut short", "app_id=00%e2%82", "incomplete utf-8 byte sequence from index 2"},
        {"twice", "app_id=00&app_id=01", "Multiple values for one key: \"app_id\""},
        {"unknown key twice", "x=1&x=2&app_id=01", "app_id=01"},
        {"list form", "app_id[]=00", "invalid type: sequence, expected a string"},
        {"list form with index", "app_id[0]=00", "invalid type: sequence, expected a string"},
        {"map form", "app_id[x]=00", "invalid type: map, expected a string"},
        {"unknown key with brackets", "a[b=1&x[y][z]=2&app_id=01", "app_id=01"},
        {"empty key", "=5", "app_id="},
    }));
    INFO(row.name);
    CHECK(outcome<wire::AppId>(kAppIdSchema, decode_query, row.input) == row.outcome);
}

TEST_CASE("numbers in query strings") {
    const auto row = GENERATE(values<Row>({
        {"plain", "api_version=1&vm_config=a+b%26", "api_version=1 vm_config=a b&"},
        {"leading zeros", "api_version=0001", "api_version=1 vm_config="},
        {"one plus", "api_version=%2b1", "api_version=1 vm_config="},
        {"two pluses", "api_version=%2b%2b1", "invalid digit found in string"},
        {"plus only", "api_version=%2b", "invalid digit found in string"},
        {"minus", "api_version=-1", "invalid digit found in string"},
        {"empty", "api_version=", "cannot parse integer from empty string"},
        {"largest", "api_version=4294967295", "api_version=4294967295 vm_config="},
        {"too large", "api_version=4294967296", "number too large to fit in target type"},
        {"list", "api_version[]=1", "invalid type: sequence, expected u32"},
    }));
    INFO(row.name);
    CHECK(outcome<wire::GetAppKeyRequest>(kGetAppKeyRequestSchema, decode_query, row.input) ==
          row.outcome);
}

namespace {

std::string bytes(std::string_view hex) {
    std::string out;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
        out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
    return out;
}

constexpr const char* kFailed = "failed to decode Protobuf message: ";

}  // namespace

TEST_CASE("protobuf") {
    const auto row = GENERATE(values<Row>({
        {"nothing", "", "app_id="},
        {"plain", "0a0201ff", "app_id=01ff"},
        {"the last one counts", "0a01010a0102", "app_id=02"},
        {"unknown fields of every type", "1202686998060119000000000000000025000000000a0101",
         "app_id=01"},
        {"unknown group", "13140a0101", "app_id=01"},
        {"nested unknown groups", "131b08011c140a0101", "app_id=01"},
        {"field cut short", "0a1411", "AppId.app_id: buffer underflow"},
        {"length cut short", "0a80", "AppId.app_id: invalid varint"},
        {"wrong wire type", "0801",
         "AppId.app_id: invalid wire type: Varint (expected LengthDelimited)"},
        {"end of a group nobody opened", "0c",
         "AppId.app_id: invalid wire type: EndGroup (expected LengthDelimited)"},
        {"end of an unknown group nobody opened", "14", "unexpected end group tag"},
        {"another group's end", "13240a0101", "unexpected end group tag"},
        {"group not closed", "13", "invalid varint"},
        {"tag 0", "00", "invalid tag value: 0"},
        {"wire type 7", "0f", "invalid wire type value: 7"},
        {"key of more than 32 bits", "8080808010", "invalid key value: 4294967296"},
        {"varint of eleven bytes", "ffffffffffffffffffffff", "invalid varint"},
        {"varint of 65 bits", "10ffffffffffffffffff02", "invalid varint"},
        {"unknown field cut short", "1205aa", "buffer underflow"},
        {"huge length", "12ffffffffffffffffff01", "buffer underflow"},
    }));
    INFO(row.name);
    const bool good = row.outcome.starts_with("app_id=");
    CHECK(outcome<wire::AppId>(kAppIdSchema, decode_protobuf, bytes(row.input)) ==
          (good ? "" : kFailed) + row.outcome);
}

TEST_CASE("protobuf numbers and texts") {
    const auto row = GENERATE(values<Row>({
        {"both", "0802120161", "api_version=2 vm_config=a"},
        {"the upper bits of a long number are dropped", "088180808010", "api_version=1 vm_config="},
        {"not UTF-8", "1201ff",
         "GetAppKeyRequest.vm_config: invalid string value: data is not UTF-8 encoded"},
        {"number cut short", "08", "GetAppKeyRequest.api_version: invalid varint"},
    }));
    INFO(row.name);
    const bool good = row.outcome.starts_with("api_version=");
    CHECK(outcome<wire::GetAppKeyRequest>(kGetAppKeyRequestSchema, decode_protobuf,
                                          bytes(row.input)) == (good ? "" : kFailed) + row.outcome);
}

TEST_CASE("groups nest a hundred deep and no deeper") {
    const std::string hundred = std::string(100, '\x13') + std::string(100, '\x14');
    CHECK(outcome<wire::AppId>(kAppIdSchema, decode_protobuf, hundred) == "app_id=");
    const std::string more = std::string(101, '\x13') + std::string(101, '\x14');
    CHECK(outcome<wire::AppId>(kAppIdSchema, decode_protobuf, more) ==
          std::string(kFailed) + "recursion limit reached");
}

TEST_CASE("what libprotobuf writes is read back") {
    wire::SignCertRequest sent;
    sent.set_api_version(2);
    sent.set_csr(std::string("\0\xff", 2));
    sent.set_signature(std::string(300, 'x'));
    sent.set_vm_config("{}");
    wire::SignCertRequest got;
    REQUIRE(decode_protobuf(kSignCertRequestSchema, sent.SerializeAsString(), got).has_value());
    CHECK(got.SerializeAsString() == sent.SerializeAsString());
}
