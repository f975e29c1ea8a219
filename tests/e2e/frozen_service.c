/* A small HTTP service that freezes on demand, in the way its first argument names. It answers every path with 200
   until somebody asks for /freeze. Compiled by test_evidence.py. Arguments: KIND PORT [UPSTREAM_PORT]. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t other = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t ready;
static volatile unsigned long turns;
static int listener, upstream_port;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void fill(int descriptor) {
    static char line[1024];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\n';
    for (;;)
        if (write(descriptor, line, sizeof line) < 0 && errno != EINTR) return;
}

/* A pipe that nobody reads takes the place of a standard stream. */
static void stall(int descriptor) {
    int ends[2];
    if (pipe(ends) != 0 || dup2(ends[1], descriptor) < 0) die("pipe");
}

static void *queue_up(void *unused) {
    pthread_mutex_lock(&lock);
    return unused;
}
static void *hold_other(void *unused) {
    pthread_mutex_lock(&other);
    pthread_barrier_wait(&ready);
    pthread_mutex_lock(&lock);
    return unused;
}
static void *wait_never(void *unused) {
    pthread_mutex_lock(&lock);
    for (;;) pthread_cond_wait(&never, &lock);
    return unused;
}
static void *spin(void *unused) {
    for (;;) ++turns;
    return unused;
}

static void threads(int count, void *(*run)(void *)) {
    pthread_t thread;
    for (int i = 0; i < count; ++i)
        if (pthread_create(&thread, NULL, run, NULL) != 0) die("pthread_create");
}

static void attach_to_parent(void) {
    const pid_t parent = getppid();
    if (ptrace(PTRACE_SEIZE, parent, NULL, NULL) != 0 || ptrace(PTRACE_INTERRUPT, parent, NULL, NULL) != 0) _exit(1);
    int status;
    waitpid(parent, &status, __WALL);
    for (;;) pause();
}

/* Stays near the bound of its memory cgroup without being killed: pages of a file can always be given back. */
static void thrash(void) {
    static char buffer[1 << 20];
    char name[] = "/var/tmp/thrash-XXXXXX";
    const int file = mkstemp(name);
    if (file < 0) die(name);
    unlink(name);
    for (int i = 0; i < 96; ++i)
        if (write(file, buffer, sizeof buffer) < 0) die("write");
    for (off_t at = 0;; at = (at + (1 << 20)) % (96 << 20)) {
        if (pread(file, buffer, sizeof buffer, at) < 0) die("pread");
        poll(NULL, 0, 20);
    }
}

static void freeze(const char *kind) {
    if (!strcmp(kind, "stdout")) {
        stall(1);
        pthread_mutex_lock(&lock);
        threads(3, queue_up);
        fill(1);
    } else if (!strcmp(kind, "stderr")) {
        stall(2);
        fill(2);
    } else if (!strcmp(kind, "deadlock")) {
        pthread_barrier_init(&ready, NULL, 2);
        pthread_mutex_lock(&lock);
        threads(1, hold_other);
        pthread_barrier_wait(&ready);
        threads(3, queue_up);
        pthread_mutex_lock(&other);
    } else if (!strcmp(kind, "condition")) {
        threads(4, wait_never);
        wait_never(NULL);
    } else if (!strcmp(kind, "spin") || !strcmp(kind, "throttled")) {
        spin(NULL);
    } else if (!strcmp(kind, "spin-worker")) {
        pthread_t worker;
        pthread_create(&worker, NULL, spin, NULL);
        pthread_setname_np(worker, "busy-worker");
        pthread_join(worker, NULL);
    } else if (!strcmp(kind, "vfork")) {
        if (vfork() == 0)
            for (;;) pause();
    } else if (!strcmp(kind, "stopped")) {
        raise(SIGSTOP);
        return;
    } else if (!strcmp(kind, "traced")) {
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
        if (fork() == 0) attach_to_parent();
        for (;;) pause();
    } else if (!strcmp(kind, "descriptors")) {
        const struct rlimit few = {64, 64};
        setrlimit(RLIMIT_NOFILE, &few);
        while (open("/dev/null", O_RDONLY) >= 0) {
        }
        for (;;) {
            struct pollfd waiting = {listener, POLLIN, 0};
            poll(&waiting, 1, -1);
            if (accept(listener, NULL, NULL) < 0) poll(NULL, 0, 50);
        }
    } else if (!strcmp(kind, "memory")) {
        thrash();
    } else if (!strcmp(kind, "no-accept")) {
        listen(listener, 1);
        for (;;) pause();
    } else if (!strcmp(kind, "read")) {
        int ends[2];
        char byte;
        if (pipe(ends) != 0 || read(ends[0], &byte, 1) < 0) die("read");
    } else if (!strcmp(kind, "hidden")) {
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        for (;;) pause();
    } else {
        for (;;) pause();
    }
}

static void say(const char *text) {
    if (write(1, text, strlen(text)) < 0) exit(1);
}

static void ask_upstream(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)upstream_port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int asked = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(asked, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
    if (write(asked, "GET / HTTP/1.1\r\n\r\n", 18) < 0) die("write");
}

int main(int argc, char **argv) {
    if (argc < 3) return 64;
    upstream_port = argc > 3 ? atoi(argv[3]) : 0;
    signal(SIGPIPE, SIG_IGN);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 64) != 0) die("listen");
    say("2026-11-22T20:49:30.754812Z  INFO fake: listening\n");
    for (;;) {
        struct pollfd waiting = {listener, POLLIN, 0};
        poll(&waiting, 1, -1);
        const int client = accept(listener, NULL, NULL);
        if (client < 0) continue;
        char request[4096] = "";
        size_t size = 0;
        while (size < sizeof request - 1 && !strstr(request, "\r\n\r\n")) {
            const ssize_t got = read(client, request + size, sizeof request - 1 - size);
            if (got <= 0) break;
            size += (size_t)got;
            request[size] = 0;
        }
        if (!strncmp(request, "GET /deep", 9) && upstream_port) {
            ask_upstream(); /* and the caller waits */
            continue;
        }
        if (!strncmp(request, "GET /log", 8)) {
            say("2026-11-22T20:49:31.000000Z DEBUG fake: detail\n");
            say("2026-11-22T20:49:31.000000Z  INFO fake: told\n");
            const char *secret = getenv("FAKE_TOKEN");
            if (secret) {
                say("2026-11-22T20:49:31.000000Z  INFO fake: token is ");
                say(secret);
                say("\n");
            }
        }
        static const char kAnswer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        if (write(client, kAnswer, sizeof kAnswer - 1) < 0) perror("write");
        close(client);
        if (!strncmp(request, "GET /freeze", 11)) freeze(argv[1]);
    }
}
