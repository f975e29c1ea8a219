#include "kms/config/kms_config.hpp"
#include "tests/support/temporary_directory.hpp"

#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>

using namespace kms;
using namespace std::chrono_literals;

namespace {

struct Read {
    KmsConfig config;
    runtime::ConfigProblems problems;
};

Read read(const std::string& toml) {
    Read read;
    runtime::ConfigDocument document;
    document.merge_toml(toml, "kms.toml", read.problems);
    read.config = read_config(document, read.problems);
    return read;
}

void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
}

}  // namespace

TEST_CASE("nothing configured: upstream's defaults") {
    const auto [config, problems] = read("");
    CHECK(problems.list().empty());
    CHECK(config.rpc.to_string() == "0.0.0.0:8000");
    CHECK(config.cert_dir == "/etc/kms/certs");
    CHECK(config.tls.certs == "/etc/kms/certs/rpc.crt");
    CHECK(config.auth_api == AuthApiType::webhook);
    CHECK(config.webhook_url == "http://auth-api:8000");
    CHECK(config.onboard.enabled);
    CHECK(config.onboard.quote_enabled);
    CHECK(config.image.download_timeout == 120s);
    CHECK(config.bounds.facts_wait == 40ms);
    CHECK(config.ident == "Rocket");
}

TEST_CASE("every key is read") {
    const auto [config, problems] = read(R"(
keep_alive = 0
workers = 4
[default]
ident = "DStack KMS"
limits = { json = "5MiB" }
[rpc]
address = "127.0.0.1"
port = 9100
ident = "mine"
workers = 8
[rpc.limits]
GetMeta = 5
signcert = "2MiB"
[rpc.tls]
key = "k"
certs = "c"
[rpc.tls.mutual]
ca_certs = "a"
mandatory = true
[core]
cert_dir = "certs"
subject_postfix = ".dstack"
pccs_url = "https://pccs"
admin_token_hash = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
site_name = "here"
[core.image]
verify = false
cache_dir = "d"
download_url = "u"
download_timeout = "never"
[core.auth_api]
type = "dev"
[core.auth_api.webhook]
url = "http://127.0.0.1:9200"
[core.auth_api.dev]
gateway_app_id = "gw"
[core.onboard]
enabled = false
auto_bootstrap_domain = "kms.test"
quote_enabled = false
address = "127.0.0.2"
port = 9101
[core.metrics]
enabled = false
[core.bounds]
handshake = "1s"
first_byte = "2s"
head = "3s"
body = "4s"
handler = "5s"
write = "6s"
idle = "7s"
head_size = "64KiB"
connections = 10
connections_per_address = 5
requests = 6
webhook_connect = "8s"
webhook_info = "9s"
webhook_decision = "10s"
webhook_decisions = 7
facts_fresh = "0ms"
facts_settled = "0ms"
facts_wait = "30ms"
stop = "2s"
)");
    CHECK(problems.to_string() == "");
    CHECK(config.rpc.to_string() == "127.0.0.1:9100");
    CHECK(config.ident == "mine");
    CHECK_FALSE(config.keep_alive);
    CHECK(config.body_limits ==
          std::map<std::string, std::uint64_t>{{"getmeta", 5}, {"signcert", 2 * 1024 * 1024}});
    CHECK(config.tls.mutual_mandatory);
    CHECK(config.admin_token_hash.size() == 32);
    CHECK_FALSE(config.image.download_timeout.has_value());
    CHECK(config.auth_api == AuthApiType::dev);
    CHECK(config.dev_gateway_app_id == "gw");
    CHECK(config.onboard.auto_bootstrap_domain == "kms.test");
    CHECK_FALSE(config.onboard.quote_enabled);
    CHECK_FALSE(config.metrics_enabled);
    CHECK(config.bounds.handshake == 1s);
    CHECK(config.bounds.webhook_decisions == 7);
    CHECK(config.bounds.facts_fresh == 0ms);
    CHECK(config.bounds.stop == 2s);

    // What is printed is a configuration that reads back as the same, but for its secrets.
    auto printed = to_toml(config);
    CHECK(printed.find("2c26") == std::string::npos);
    CHECK_THAT(printed, Catch::Contains("admin_token_hash = \"<redacted>\""));
    const auto again = read(printed.replace(printed.find("<redacted>"), 10, ""));
    CHECK(again.problems.to_string() == "");
    CHECK(to_toml(again.config) == printed);
}

TEST_CASE("all mistakes at once, each with its place") {
    const auto [config, problems] = read(
        "[rpc]\n"
        "port = \"9100\"\n"
        "addres = \"127.0.0.1\"\n"
        "[core]\n"
        "admin_token_hash = \"0x00\"\n"
        "[core.auth_api]\n"
        "type = \"none\"\n"
        "[core.auth_api.webhook]\n"
        "url = \"auth:8000\"\n"
        "[core.image]\n"
        "verify = 1\n"
        "download_timeout = \"2\"\n"
        "[core.bounds]\n"
        "idle = \"0s\"\n");
    CHECK(problems.has_errors());
    const std::string text = problems.to_string();
    for (const std::string place :
         {"kms.toml:2:8: error", "kms.toml:3:1: warning", "kms.toml:5:", "kms.toml:7:8: error",
          "kms.toml:9:7: error", "kms.toml:11:10: error", "kms.toml:12:20: error",
          "kms.toml:14:8: error"})
        CHECK_THAT(text, Catch::Contains(place));
    CHECK_THAT(text, Catch::Contains("did you mean 'address'?"));
    CHECK(config.rpc.port == 8000);  // a key with a mistake keeps its default
}

TEST_CASE("unknown keys are warnings, as upstream ignores them") {
    const auto [config, problems] = read("[core]\nbondage = 1\n[later]\nx = 1\n");
    CHECK_FALSE(problems.has_errors());
    CHECK(problems.list().size() == 2);
}

TEST_CASE("listening addresses") {
    CHECK(ListenConfig{"0.0.0.0", 1}.to_string() == "0.0.0.0:1");
    CHECK(ListenConfig{"127.0.0.1:2", 1}.to_string() == "127.0.0.1:2");
    CHECK(ListenConfig{"::", 1}.to_string() == "[::]:1");
    CHECK(ListenConfig{"[::1]", 1}.to_string() == "[::1]:1");
    CHECK(ListenConfig{"[::1]:3", 1}.to_string() == "[::1]:3");
    CHECK(ListenConfig{"unix:/run/kms.sock", 1}.to_string() == "unix:/run/kms.sock");
}

TEST_CASE("files: later ones win key by key") {
    const test_support::TemporaryDirectory folder;
    const std::string etc = folder / "etc";
    const std::string work = folder / "work";
    write(etc + "/kms.toml",
          "[rpc]\nport = 1\naddress = \"10.0.0.1\"\n[core]\nsite_name = \"etc toml\"\n");
    write(etc + "/kms.json", R"({"rpc":{"port":2},"core":{"site_name":"etc json"}})");
    write(work + "/kms.toml", "[rpc]\nport = 3\n[core]\ncert_dir = \"work\"\n");
    write(work + "/kms.json", R"({"rpc":{"port":4}})");
    write(folder / "given.conf", R"({"rpc":{"port":5}})");

    ConfigSources sources{etc, work, {}};
    auto loaded = load_config(sources);
    CHECK(loaded.problems.to_string() == "");
    CHECK(loaded.files.size() == 4);
    CHECK(loaded.config.rpc.to_string() == "10.0.0.1:4");
    CHECK(loaded.config.site_name == "etc json");
    CHECK(loaded.config.cert_dir == "work");

    // Relative and not in the working directory: found in the directory above. JSON, whatever else
    // its name ends in.
    sources.file = "given.conf";
    loaded = load_config(sources);
    CHECK(loaded.problems.to_string() == "");
    CHECK(loaded.config.rpc.port == 5);

    sources.file = "nowhere.toml";
    loaded = load_config(sources);
    CHECK_FALSE(loaded.problems.has_errors());
    CHECK_THAT(loaded.problems.to_string(),
               Catch::Contains("nowhere.toml: warning: there is no such file"));
}

TEST_CASE(
    "a file that is found twice reports its mistakes once, and counts where it is named last") {
    const test_support::TemporaryDirectory folder;
    write(folder / "kms.toml", "[rpc]\nport = 3\n[[[\n");
    write(folder / "kms.json", R"({"rpc":{"port":4}})");
    ConfigSources sources{folder / "none", folder.path().string(), folder / "kms.toml"};
    CHECK(load_config(sources).problems.list().size() == 1);
    write(folder / "kms.toml", "[rpc]\nport = 3\n");
    const auto loaded = load_config(sources);
    CHECK(loaded.config.rpc.port == 3);
    CHECK(loaded.files.size() == 2);
}

TEST_CASE("passwords in URLs are not printed") {
    KmsConfig config;
    config.webhook_url = "http://user:pa@ss@auth:1/x?y";
    config.pccs_url = "https://token@pccs";
    const std::string printed = to_toml(config);
    CHECK_THAT(printed, Catch::Contains("url = \"http://<redacted>@auth:1/x?y\"") &&
                            Catch::Contains("\"https://<redacted>@pccs\""));
    CHECK(printed.find("pa@ss") == std::string::npos);
}
