// Milliseconds from exec of a KMS to its first answer over TLS: a client that costs next to
// nothing.
//
//   start_probe PORT PROGRAM ARGUMENT...
//
// Tries to connect every 0.1 ms, asks GetMeta once, prints two numbers (until connected, until
// answered) and ends the program.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char** environ;

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{10};

int connected_to(int port, Clock::time_point limit) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    while (Clock::now() < limit) {
        const int one = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (::connect(one, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return one;
        ::close(one);
        const timespec pause{0, 100'000};
        ::nanosleep(&pause, nullptr);
    }
    return -1;
}

bool answers(SSL_CTX* context, int connection) {
    SSL* ssl = SSL_new(context);
    SSL_set_fd(ssl, connection);
    constexpr char kRequest[] = "GET /prpc/GetMeta HTTP/1.1\r\nHost: kms\r\n\r\n";
    char answer[16] = {};
    const bool ok = SSL_connect(ssl) == 1 && SSL_write(ssl, kRequest, sizeof kRequest - 1) > 0 &&
                    SSL_read(ssl, answer, sizeof answer - 1) > 0 &&
                    std::strncmp(answer, "HTTP/1.1 200", 12) == 0;
    SSL_free(ssl);
    return ok;
}

double milliseconds(Clock::duration span) {
    return std::chrono::duration<double, std::milli>(span).count();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fputs("usage: start_probe PORT PROGRAM ARGUMENT...\n", stderr);
        return 64;
    }
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    const auto began = Clock::now();
    pid_t child = 0;
    if (::posix_spawn(&child, argv[2], &quiet, nullptr, argv + 2, environ) != 0) return 1;
    const int connection = connected_to(std::atoi(argv[1]), began + kPatience);
    const auto connected = Clock::now();
    const bool ok = connection >= 0 && answers(context, connection);
    const auto answered = Clock::now();
    ::kill(child, SIGTERM);
    ::waitpid(child, nullptr, 0);
    if (!ok) return 1;
    std::printf("%.2f %.2f\n", milliseconds(connected - began), milliseconds(answered - began));
    return 0;
}
