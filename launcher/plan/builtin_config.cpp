#include "launcher/plan/builtin_config.hpp"

namespace launcher {
namespace {

// The webhook's port stands as @PORT@. The log format is found out line by line, so that the same
// text serves the programs of this project and others that take their place.
constexpr std::string_view kText = R"(version = 1

[launcher]
stop_total = "9s"
stop_order = "reverse"
notify_ready = "started"

[log]
syntax = "tracing"
[[log.sink]]
kind = "stdout"
format = "auto"
queue = "4MiB"

[health]
listen = ["127.0.0.1:9180"]
unix = "/run/kms-launcher/health.sock"

[service.auth-eth]
command = ["auth-eth"]
env = { PORT = "@PORT@", HOST = "127.0.0.1" }
env_pass = ["KMS_CONTRACT_ADDR", "RUST_LOG", "AUTH_BACKEND", "AUTH_CONFIG_PATH"]
secret_env = { ETH_RPC_URL = { env = "ETH_RPC_URL" } }
stop_timeout = "2s"
[service.auth-eth.probe.startup]
kind = "http"
url = "http://127.0.0.1:@PORT@/launcher-probe"
expect_status = [404]
deadline = "30s"
[service.auth-eth.probe.liveness]
kind = "http"
url = "http://127.0.0.1:@PORT@/launcher-probe"
expect_status = [404]
interval = "5s"
[service.auth-eth.probe.readiness]
kind = "http"
url = "http://127.0.0.1:@PORT@/"
expect_status = [200]
expect_json = { "/status" = "ok" }
interval = "30s"
timeouts = { headers = "5s" }

[service.kms]
command = ["dstack-kms", "--config", "/etc/kms/kms.toml"]
depends_on = { auth-eth = "started" }
env_pass = ["RUST_LOG", "KMS_DOMAIN"]
stop_timeout = "6s"
[service.kms.probe.startup]
kind = "http-auto"
url = "https://127.0.0.1:9100/health"
expect_body = "OK"
deadline = "150s"
[service.kms.probe.liveness]
kind = "http-auto"
url = "https://127.0.0.1:9100/health"
interval = "5s"
failure_threshold = 3
timeouts = { connect = "1s", tls = "2s", headers = "3s", body = "2s" }
)";

}  // namespace

std::string builtin_config(std::string_view port) {
    if (port.empty()) port = "9200";
    constexpr std::string_view kMark = "@PORT@";
    std::string text(kText);
    for (auto at = text.find(kMark); at != std::string::npos; at = text.find(kMark, at))
        text.replace(at, kMark.size(), port);
    return text;
}

}  // namespace launcher
