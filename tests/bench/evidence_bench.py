#!/usr/bin/env python3
"""What a snapshot of evidence costs the launcher, and what the service notices of it.

    BIN_DIR=build/release/bin tests/bench/evidence_bench.py [--threads 64] [--snapshots 6]

Method: a service with 64 threads that rest in a futex and one that answers HTTP runs under the launcher. A client on
fresh connections asks it without a pause: 1.5 s with no snapshot, then during a whole snapshot (a good second, from
SIGUSR1 to its record), in turns, as the launcher takes one by hand every 10 s. Printed: the launcher's own measure of
its CPU time (cpu_ms of the record: all threads of the snapshot, reading, judging and writing), and the answers' p50, p99
and p99.9 of both kinds of spans. The comparison is meaningful on a machine that does nothing else.
"""
import argparse
import http.client
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from harness import free_ports, percentile  # noqa: E402
from launcher_fixture import Launcher, until  # noqa: E402

REACH_P99 = 1.10

SERVICE = r'''
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static void *rest(void *unused) {
    pthread_mutex_lock(&lock);
    for (;;) pthread_cond_wait(&never, &lock);
    return unused;
}
int main(int argc, char **argv) {
    const int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (argc < 3 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 256)) return 1;
    for (int i = 0; i < atoi(argv[2]); ++i) {
        pthread_t thread;
        pthread_create(&thread, NULL, rest, NULL);
    }
    for (;;) {
        const int client = accept(listener, NULL, NULL);
        char request[2048];
        if (read(client, request, sizeof request) > 0) {
            static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            if (write(client, answer, sizeof answer - 1) < 0) return 1;
        }
        close(client);
    }
}
'''


def ask(port, until_when, times):
    while time.monotonic() < until_when:
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/")
        connection.getresponse().read()
        connection.close()
        times.append(time.perf_counter() - began)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--snapshots", type=int, default=6)
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="evidence-bench-"))
    try:
        run(options, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def run(options, directory):
    source, program = directory / "service.c", directory / "service"
    source.write_text(SERVICE)
    subprocess.run(["cc", "-O1", "-pthread", "-o", program, source], check=True)
    port, health = free_ports(2)
    socket = directory / "control.sock"
    config = directory / "launcher.toml"
    config.write_text(f'''version = 1
[launcher]
evidence_dir = "{directory}/evidence"
[health]
listen = ["127.0.0.1:{health}"]
unix = "{socket}"
[service.bench]
command = ["{program}", "{port}", "{options.threads}"]
[service.bench.probe.startup]
kind = "tcp"
host = "127.0.0.1"
port = {port}
deadline = "20s"
''')
    quiet, watched = [], []
    with Launcher(config) as launcher:
        if launcher.action("service-ready") is None:
            sys.exit("the service did not start:\n" + launcher.dump())

        def records():
            return [r["fields"] for r in list(launcher.records) if r.get("event.action") == "evidence"]

        for number in range(options.snapshots):
            ask(port, time.monotonic() + 1.5, quiet)
            # The snapshot takes a good second; its whole time is watched.
            launcher.signal(signal.SIGUSR1)
            limit = time.monotonic() + 5
            while len(records()) == number and time.monotonic() < limit:
                ask(port, time.monotonic() + 0.05, watched)
            print(f"snapshot {number + 1} of {options.snapshots}", file=sys.stderr, flush=True)
            if number + 1 < options.snapshots:
                resume = time.monotonic() + 9
                until(lambda: time.monotonic() > resume, 10)
        told = records()
        texts = [Path(record["kept_in"]).read_text() for record in told]
    documents = [json.loads(text) for text in texts]
    cpu = sorted(record["cpu_ms"] for record in told)
    sizes = [len(text) for text in texts]
    print(f"machine: {platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}")
    print(f"target: {options.threads + 1} threads; {len(cpu)} snapshots of {documents[0]['sample_ms']} ms")
    print(f"launcher's CPU per snapshot: median {percentile(cpu, 0.5):.1f} ms, max {cpu[-1]:.1f} ms (reach: <= 50 ms)")
    print(f"document: {max(sizes)} bytes at most (reach: <= 262144)")
    for name, times in (("without", quiet), ("during", watched)):
        print(f"answers {name} snapshots: n {len(times)}, p50 {percentile(times, 0.5) * 1e3:.3f} ms, "
              f"p99 {percentile(times, 0.99) * 1e3:.3f} ms, p99.9 {percentile(times, 0.999) * 1e3:.3f} ms")
    ratio = percentile(watched, 0.99) / percentile(quiet, 0.99)
    print(f"p99 during / without: {ratio:.2f}")
    missed = [text for text, good in (("50 ms of CPU", cpu[-1] <= 50), ("256 KiB", max(sizes) <= 262144),
                                      (f"the service's p99 unchanged (within {REACH_P99 - 1:.0%})", ratio <= REACH_P99)) if not good]
    print("reached" if not missed else "missed: " + "; ".join(missed))


main()
