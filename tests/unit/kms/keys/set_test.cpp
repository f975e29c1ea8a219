#include "kms/keys/bootstrap.hpp"
#include "kms/keys/key_set.hpp"
#include "tests/support/kms_vectors.hpp"

using namespace kms::keys;
using test_support::original_key_files;

namespace {

constexpr WallTime kNow = WallTime(std::chrono::hours(24 * 20800));

std::string text_of(const KeyFiles& files, KeyFile file) {
    REQUIRE(files[file].has_value());
    return std::string(files[file]->text());
}

void set(KeyFiles& files, KeyFile file, std::string_view content) {
    files[file] = SecretBytes::copy_of(runtime::as_bytes(content));
}

KeySet new_key_set(const std::string& domain) {
    auto keys = NewKeys::generate();
    REQUIRE(keys.has_value());
    auto made = make_key_set(std::move(*keys), domain, {}, kNow);
    if (!made.has_value()) FAIL(made.error().context);
    return std::move(*made);
}

}  // namespace

TEST_CASE("the files of the original are read, and would be written again with the same bytes") {
    const KeyFiles files = original_key_files();
    const auto keys = parse(files);
    REQUIRE(keys.has_value());
    CHECK_FALSE(keys->rpc_certificate_problem.has_value());
    CHECK(keys->domain == "kms.peer.test");
    const KeyFiles again = to_files(*keys, std::nullopt);
    for (const KeyFile file : kKeyFiles) {
        INFO(file_name(file));
        REQUIRE(again[file].has_value() == files[file].has_value());
        if (files[file].has_value()) CHECK(text_of(again, file) == text_of(files, file));
    }
}

TEST_CASE("a new key set has files of the documented form, which are read back") {
    const KeySet made = new_key_set("kms.example");
    const KeyFiles files = to_files(made, "{}");
    for (const KeyFile file : {KeyFile::temp_ca_key, KeyFile::root_ca_key, KeyFile::rpc_key})
        CHECK(files[file]->size() == 241);
    CHECK(files[KeyFile::root_k256_key]->size() == 32);
    CHECK(text_of(files, KeyFile::rpc_domain) == "kms.example");
    CHECK(text_of(files, KeyFile::bootstrap_info) == "{}");
    const auto read = parse(files);
    REQUIRE(read.has_value());
    CHECK(read->root.ca_public_key() == made.root.ca_public_key());
    CHECK(read->root.k256_public_key() == made.root.k256_public_key());
    CHECK(read->domain == "kms.example");
}

TEST_CASE("domains that cannot stand in a certificate or a line of text are refused") {
    const auto domain = GENERATE(values<std::string>({
        "",
        std::string(254, 'a'),
        "two words",
        "line\nend",
        "tab\t",
        "k\xc3\xb6nig.example",
        std::string("nul\0", 4),
    }));
    auto keys = NewKeys::generate();
    REQUIRE(keys.has_value());
    const auto made = make_key_set(std::move(*keys), domain, {}, kNow);
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().code == ErrorCode::invalid_argument);
}

TEST_CASE("domains that existing installations use are accepted") {
    const auto domain =
        GENERATE(values<std::string>({"kms", "kms_1", "*.example.com", "kms.example.", "10.0.0.1",
                                      "::1", std::string(253, 'a')}));
    CHECK(new_key_set(domain).domain == domain);
}

TEST_CASE(
    "a damaged key file is refused with its name, the reason and what to do, and without its "
    "content") {
    struct Row {
        KeyFile file;
        std::string content, reason;
    };
    const std::string certificate = text_of(original_key_files(), KeyFile::root_ca_certificate);
    const std::string rpc_key = text_of(original_key_files(), KeyFile::rpc_key);
    const auto row = GENERATE_COPY(values<Row>({
        {KeyFile::root_ca_key, "", "it is empty"},
        {KeyFile::root_ca_key, "garbage", "no line -----BEGIN"},
        {KeyFile::root_ca_key, rpc_key.substr(0, 100), "cut off"},
        {KeyFile::root_ca_key, certificate, "not a P-256 private key"},
        {KeyFile::temp_ca_key, "garbage", "no line -----BEGIN"},
        {KeyFile::rpc_key, "garbage", "no line -----BEGIN"},
        {KeyFile::root_k256_key, "", "it is empty"},
        {KeyFile::root_k256_key, std::string(31, 'k'), "31 bytes"},
        {KeyFile::root_k256_key, std::string(33, 'k'), "33 bytes"},
        {KeyFile::root_k256_key, std::string(64, '1'), "64 bytes"},
        {KeyFile::root_k256_key, std::string(32, '\0'), "not a secp256k1 private key"},
        {KeyFile::root_k256_key, std::string(32, '\xff'), "not a secp256k1 private key"},
        {KeyFile::root_ca_certificate, "", "it is empty"},
        {KeyFile::root_ca_certificate, "garbage", "no line -----BEGIN"},
        {KeyFile::root_ca_certificate, rpc_key, "not a certificate"},
        {KeyFile::temp_ca_certificate, certificate.substr(0, 300), "cut off"},
    }));
    INFO(file_name(row.file) << ": " << row.reason);
    KeyFiles files = original_key_files();
    set(files, row.file, row.content);
    const auto keys = parse(files);
    REQUIRE_FALSE(keys.has_value());
    CHECK(keys.error().code == ErrorCode::invalid_argument);
    CHECK_THAT(keys.error().context, Catch::Contains("'" + std::string(file_name(row.file)) + "'"));
    CHECK_THAT(keys.error().context, Catch::Contains(row.reason));
    CHECK_THAT(keys.error().context, Catch::Contains("restore this file from a backup"));
    CHECK_THAT(keys.error().context, !Catch::Contains("kkkk") && !Catch::Contains("MIGH"));
}

TEST_CASE("a CA certificate for another key is refused with both names") {
    struct Row {
        KeyFile certificate, key;
    };
    const auto row = GENERATE(values<Row>({{KeyFile::root_ca_certificate, KeyFile::root_ca_key},
                                           {KeyFile::temp_ca_certificate, KeyFile::temp_ca_key}}));
    const KeyFiles other = to_files(new_key_set("kms.example"), std::nullopt);
    KeyFiles files = original_key_files();
    SECTION("the certificate was exchanged") {
        set(files, row.certificate, text_of(other, row.certificate));
    }
    SECTION("the key was exchanged") {
        set(files, row.key, text_of(other, row.key));
    }
    const auto keys = parse(files);
    REQUIRE_FALSE(keys.has_value());
    CHECK(keys.error().code == ErrorCode::invalid_argument);
    CHECK_THAT(keys.error().context,
               Catch::Contains("'" + std::string(file_name(row.certificate)) + "'") &&
                   Catch::Contains("'" + std::string(file_name(row.key)) + "'") &&
                   Catch::Contains("same backup"));
}

TEST_CASE("a damaged rpc.crt is no reason to refuse the keys, but is told") {
    struct Row {
        std::string content, reason;
    };
    const auto row =
        GENERATE(values<Row>({{"", "it is empty"}, {"garbage", "no line -----BEGIN"}}));
    KeyFiles files = original_key_files();
    set(files, KeyFile::rpc_certificate, row.content);
    const auto keys = parse(files);
    REQUIRE(keys.has_value());
    REQUIRE(keys->rpc_certificate_problem.has_value());
    CHECK_THAT(*keys->rpc_certificate_problem,
               Catch::Contains("'rpc.crt'") && Catch::Contains(row.reason));
}

TEST_CASE("an rpc.crt for another key is told") {
    KeyFiles files = original_key_files();
    set(files, KeyFile::rpc_certificate, text_of(files, KeyFile::root_ca_certificate));
    const auto keys = parse(files);
    REQUIRE(keys.has_value());
    CHECK_THAT(keys->rpc_certificate_problem.value_or(""),
               Catch::Contains("does not belong to 'rpc.key'"));
}

TEST_CASE("the domain is read without the space around it") {
    struct Row {
        std::string content;
        std::optional<std::string> domain;
    };
    const auto row = GENERATE(values<Row>({{"kms.example", "kms.example"},
                                           {" kms.example\r\n", "kms.example"},
                                           {"\n", std::nullopt},
                                           {"", std::nullopt}}));
    KeyFiles files = original_key_files();
    set(files, KeyFile::rpc_domain, row.content);
    const auto keys = parse(files);
    REQUIRE(keys.has_value());
    CHECK(keys->domain == row.domain);
}

TEST_CASE("the temp CA key is given to clients as its file has it") {
    KeyFiles files = original_key_files();
    const std::string text = "# a comment\n" + text_of(files, KeyFile::temp_ca_key) + "\n";
    set(files, KeyFile::temp_ca_key, text);
    const auto keys = parse(files);
    REQUIRE(keys.has_value());
    CHECK(keys->temp_ca_key_text.text() == text);
}
