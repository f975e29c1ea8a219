#!/usr/bin/env python3
"""Clients that are slow, many, or both: a fresh GetMeta stays quick, memory comes back, nobody is left in silence.

The latency promised is 50 ms at the 99th percentile. A machine whose own noise is larger is measured first, and then twice
its noise is the limit; the output says which limit held.
"""
import http.client
import os
import pathlib
import re
import resource
import select
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from harness import BIN, Checks, Program, percentile, wait_for
from kms_server import call, configuration, connect, metric, tls_context, write_keys

checks = Checks()
CLIENTS = 1000
BURST = 10_000
PROMISED_SECONDS = 0.050
SHORT = "connections = 7000\n" + "\n".join(f'{phase} = "{seconds}s"' for phase, seconds in
                  (("handshake", 4), ("first_byte", 4), ("head", 4), ("body", 4), ("write", 4), ("idle", 4)))
LARGE_ANSWER = b"GET /metrics HTTP/1.1\r\nHost: k\r\n\r\n"


def timeouts(port, phase):
    return metric(port, f'dstack_kms_timeouts_total{{phase="{phase}"}}')


class Server:
    """dstack-kms with the given limit on descriptors."""

    def __init__(self, folder, descriptors, bounds=""):
        self.folder = pathlib.Path(folder)
        write_keys(self.folder / "certs")
        (self.folder / "kms.toml").write_text(configuration(bounds=bounds))
        self.program = Program(["prlimit", f"--nofile={descriptors}:{descriptors}", BIN.resolve() / "dstack-kms", "-c", "kms.toml"],
                               cwd=self.folder)
        ready = self.program.wait_for_line("kms: serving", 15)
        self.port = int(re.search(r"serving .*port=(\d+)", self.program.output).group(1)) if ready else None

    def memory(self):
        """Resident bytes."""
        text = pathlib.Path(f"/proc/{self.program.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) * 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.program.pid}/fd"))

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.program.__exit__(*problem)


def latencies(port, count):
    """Seconds of GetMeta from fresh connections; a caller that is turned away counts as infinitely slow."""
    seconds = []
    for _ in range(count):
        began = time.monotonic()
        try:
            response = call(port, "GetMeta", {}, timeout=2)
            seconds.append(time.monotonic() - began if response and response.status == 200 else float("inf"))
        except OSError:
            seconds.append(float("inf"))
    return seconds


def check_latency(name, seconds, limit):
    p99 = percentile(seconds, 0.99)
    checks.check(f"{name}: GetMeta from a fresh connection, p99 {p99 * 1000:.1f} ms of {limit * 1000:.0f} ms", p99 <= limit,
                 f"max {max(seconds):.3f} s")


def tcp_only(port):
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def half_handshake(port):
    """The first half of a real ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls_context().wrap_bio(incoming, outgoing)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = outgoing.read()
    connection = tcp_only(port)
    connection.sendall(hello[:len(hello) // 2])
    return connection


def after_handshake(port, sent, window=None):
    raw = socket.socket()
    if window:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    raw.settimeout(5)
    raw.connect(("127.0.0.1", port))
    connection = tls_context().wrap_socket(raw)
    connection.sendall(sent)
    return connection


def half_head(port):
    return after_handshake(port, b"GET /prpc/GetMe")


def half_body(port):
    return after_handshake(port, b"POST /prpc/GetMeta?json HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"x" * 1000)


def unread_answer(port):
    return after_handshake(port, LARGE_ANSWER * 60, window=4096)


def slow_clients(server, limit):
    idle = server.memory()
    held = []
    for name, opener, phase in (("TCP only", tcp_only, "handshake"), ("half a handshake", half_handshake, "handshake"),
                                ("half a head", half_head, "head"), ("half a body", half_body, "body"),
                                ("unread answers", unread_answer, "write")):
        before = timeouts(server.port, phase)
        group = [opener(server.port) for _ in range(CLIENTS)]
        grown = server.memory() - idle
        check_latency(f"{CLIENTS} x {name}", latencies(server.port, 100), limit)
        # How many of the earlier groups are still there depends on the machine's pace: at most all of them.
        held_clients = CLIENTS * (len(held) + 1)
        checks.check(f"{CLIENTS} x {name}: {grown >> 20} MiB more, up to {held_clients} held", grown < held_clients * (64 << 10))
        held.append((name, phase, before, group))
    checks.check("the bounds end them all", wait_for(lambda: server.descriptors() < 40, 15, pause=0.1), server.descriptors())
    for name, phase, before, group in held:
        counted = timeouts(server.port, phase) - before
        checks.check(f"{CLIENTS} x {name}: counted as {phase}", counted >= CLIENTS, counted)
        for connection in group:
            connection.close()
    back = wait_for(lambda: server.memory() - idle < 8 << 20, 5, pause=0.1)
    checks.check("memory is back within 8 MiB of idle", back, f"{(server.memory() - idle) >> 20} MiB more")
    page = call(server.port, "GetMeta", {})
    checks.check("and it serves", page and page.status == 200)


BURST_CLIENT = """
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (%d, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = []
for _ in range(%d):
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex(("127.0.0.1", int(sys.argv[1])))
    held.append(one)
print("all sent", flush=True)
sys.stdin.read()
"""


def burst(server, limit):
    """More connections at once than the bound allows; those that say nothing give way to those that do."""
    idle = server.memory()
    attacker = subprocess.Popen([sys.executable, "-c", BURST_CLIENT % (BURST + 100, BURST), str(server.port)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        seconds = latencies(server.port, 300)
        sent = select.select([attacker.stdout], [], [], 20)[0]
        checks.check(f"{BURST} connections are made", bool(sent) and attacker.stdout.readline().strip() == "all sent")
        seconds += latencies(server.port, 100)
        check_latency(f"{BURST} connections in a burst", seconds, limit)
        checks.check("connections that wait gave way, and were counted",
                     (metric(server.port, "dstack_kms_connections_given_way_total") or 0) > 0)
    finally:
        attacker.stdin.close()
        attacker.wait(10)
        attacker.stdout.close()
    back = wait_for(lambda: server.memory() - idle < 8 << 20 and server.descriptors() < 40, 10, pause=0.1)
    checks.check("after the burst memory and descriptors are back", back,
                 f"{(server.memory() - idle) >> 20} MiB, {server.descriptors()} descriptors")


def fate(port, seconds):
    """What a fresh caller gets within the limit: "answered", "closed" or "silence"."""
    try:
        response = call(port, "GetMeta", {}, timeout=seconds)
        return "answered" if response and response.status == 200 else "closed"
    except (TimeoutError, socket.timeout):
        return "silence"
    except (OSError, http.client.HTTPException):
        return "closed"


def descriptors_taken(folder):
    """1,024 descriptors: by clients first, then by what cannot give way."""
    with Server(folder, 1024, 'give_way = "0ms"\nhandshake = "60s"') as server:
        if not checks.check("with 1,024 descriptors the KMS becomes ready", server.port is not None):
            return
        held = [tcp_only(server.port) for _ in range(1500)]
        fates = [fate(server.port, 1) for _ in range(50)]
        checks.check("all taken by idle clients: nobody is left in silence", "silence" not in fates, fates)
        for connection in held:
            connection.close()
        checks.check("back within a second", wait_for(lambda: fate(server.port, 1) == "answered", 1))
        # As if others had taken what is left: accept() itself fails now, but for the gaps among those in use.
        used = [int(name) for name in os.listdir(f"/proc/{server.program.pid}/fd")]
        gaps = max(used) + 1 - len(used)
        subprocess.run(["prlimit", "--pid", str(server.program.pid), f"--nofile={max(used) + 1}:1024"], check=True)
        waiting = [tcp_only(server.port) for _ in range(600)]
        limit = time.monotonic() + 3
        closed = 0
        for connection in waiting:
            connection.settimeout(max(0.01, limit - time.monotonic()))
            try:
                closed += connection.recv(1) == b""
            except ConnectionError:
                closed += 1
            except OSError:
                pass
        checks.check("none left at all: 600 waiting callers are closed", closed >= 600 - gaps - 1, f"{closed} closed, {gaps} could be let in")
        subprocess.run(["prlimit", "--pid", str(server.program.pid), "--nofile=1024:1024"], check=True)
        checks.check("all back within a second of the repair", wait_for(lambda: fate(server.port, 1) == "answered", 1))


def dribbled_body(folder):
    """A body may be slow, but not slower than the minimum rate."""
    bounds = 'body = "1s"\nbody_rate = "1KiB"'
    with Server(folder, 4096, bounds) as server:
        if not checks.check("the KMS becomes ready", server.port is not None):
            return
        with connect(server.port) as connection:
            connection.sendall(b"POST /prpc/GetMeta?json HTTP/1.1\r\nContent-Length: 4000\r\n\r\n")
            began = time.monotonic()
            for _ in range(4):  # 1,000 bytes buy almost another second each
                connection.sendall(b" " * 1000)
                select.select([], [], [], 0.6)
            connection.settimeout(5)
            checks.check("a body above the minimum rate is served after its time",
                         b" 200 " in connection.recv(64) and time.monotonic() - began > 1.5)
        with connect(server.port) as connection:
            connection.sendall(b"POST /prpc/GetMeta?json HTTP/1.1\r\nContent-Length: 4000\r\n\r\nx")
            connection.settimeout(5)
            began = time.monotonic()
            try:
                ended = connection.recv(64) == b""
            except OSError:
                ended = True
            checks.check("one below it is ended", ended and time.monotonic() - began < 2.5)


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = BURST + 2000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        checks.skip("bounds", f"the limit on descriptors is {hard} here, {wanted} are needed")
        checks.finish()
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    with tempfile.TemporaryDirectory() as folder, Server(folder, 8192, SHORT) as server:
        if not checks.check("the KMS becomes ready", server.port is not None, server.program.output[-2000:]):
            checks.finish()
        noise = percentile(latencies(server.port, 200), 0.99)
        limit = max(PROMISED_SECONDS, 2 * noise)
        print(f"     quiet p99 {noise * 1000:.1f} ms, so the limit is {limit * 1000:.0f} ms", flush=True)
        slow_clients(server, limit)
        burst(server, limit)
        checks.equal("SIGTERM ends it with 0", server.program.stop(), 0)
    with tempfile.TemporaryDirectory() as folder:
        descriptors_taken(folder)
    with tempfile.TemporaryDirectory() as folder:
        dribbled_body(folder)
    checks.finish()


main()
