// So many clients that ask the same of an HTTPS server, one request after the other: prints answers
// a second and how long they took. With a client certificate if one is given.
//   https_load URL CLIENTS SECONDS BODY-FILE [IDENTITY.pem]
// IDENTITY.pem holds certificate and key. Connections are kept. Any status but 200 ends it.
#include "launcher/runtime/http_client.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

namespace {

using Seconds = std::chrono::duration<double>;

std::string read(const char* path) {
    const std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

struct Load {
    runtime::CurlHttpClient& http;
    runtime::SystemClock& clock;
    runtime::HttpClientRequest request;
    runtime::TimePoint until;
    std::vector<double> took{};
    std::string failure{};
    std::size_t running = 0;
};

runtime::Task<void> client(Load& load) {
    while (load.failure.empty() && load.clock.now() < load.until) {
        const auto began = load.clock.now();
        const auto answer = co_await load.http.exchange(
            load.request, runtime::Deadline::after(began, std::chrono::seconds(30)));
        if (!answer.ok())
            load.failure = std::string(to_string(answer.fault)) + ": " + answer.fault_detail;
        else if (answer.status != 200)
            load.failure = "status " + std::to_string(answer.status) + ": " + answer.body;
        else
            load.took.push_back(Seconds(load.clock.now() - began).count());
    }
    --load.running;
}

double percentile(const std::vector<double>& sorted, double share) {
    const auto place = static_cast<std::size_t>(share * static_cast<double>(sorted.size()));
    return sorted[std::min(sorted.size() - 1, place)];
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 5) {
        std::fprintf(stderr, "usage: https_load URL CLIENTS SECONDS BODY-FILE [IDENTITY.pem]\n");
        return 2;
    }
    const auto clients = static_cast<std::size_t>(std::atoi(argv[2]));
    boost::asio::io_context io(1);
    runtime::SystemClock clock;
    runtime::CurlHttpClient http(
        io.get_executor(), clock,
        {.max_in_flight = clients, .kept_connections = clients, .user_agent = {}});
    runtime::HttpClientRequest request;
    request.method = "POST";
    request.url = argv[1];
    request.headers = {{"Content-Type", "application/json"}};
    request.body = read(argv[4]);
    request.connect_timeout = std::chrono::seconds(20);
    request.tls.verify_peer = false;
    request.tls.verify_name = false;
    if (argc > 5) {
        const std::string both = read(argv[5]);
        const std::size_t key = both.find("-----BEGIN PRIVATE KEY");
        request.tls.client_certificate_pem = both.substr(0, key);
        request.tls.client_key_pem = both.substr(key);
    }
    const auto began = clock.now();
    const auto span = std::chrono::duration_cast<runtime::Duration>(Seconds(std::atof(argv[3])));
    Load load{.http = http, .clock = clock, .request = std::move(request), .until = began + span};
    load.running = clients;
    for (std::size_t i = 0; i < clients; ++i)
        boost::asio::co_spawn(io, client(load), boost::asio::detached);
    while (load.running > 0) io.run_one();
    const double elapsed = Seconds(clock.now() - began).count();
    if (!load.failure.empty() || load.took.empty()) {
        std::fprintf(stderr, "https_load: %s\n", load.failure.c_str());
        return 1;
    }
    std::ranges::sort(load.took);
    std::printf("{\"answers\":%zu,\"seconds\":%.3f,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
                load.took.size(), elapsed, percentile(load.took, 0.5) * 1e3,
                percentile(load.took, 0.99) * 1e3);
    return 0;
}
