#!/usr/bin/env python3
"""No false alarm on a machine that is out of breath: the whole stack with its usual probes, and a service with quick ones, under
a mixed load that takes the processors whole; then each of them is really stopped, and that must be told.
Options: --seconds=60 of load (the full measure is 3600), --workers=2 of each kind of load.

Only seconds in which the processors were busy for 95 % or more are counted, so the run ends when it has had enough of them. The
load runs beside the stack at the same priority; `nice -n 19 tests/bench/run alarm --seconds=3600` spares other users of the machine."""
import http.client
import json
import multiprocessing
import os
import pathlib
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import zlib

from bench_kit import ROOT, Place, heading, option, pause, percentile, table, until

sys.path.insert(0, str(ROOT / "tests/e2e"))
from harness import Stack, free_ports  # noqa: E402
from launcher_fixture import Launcher  # noqa: E402

SECONDS, BUSY = option("seconds", 60), 0.95
WORKERS = option("workers", 2)

# An HTTP service with a thread for each connection and 100 lines of log a second.
QUICK = """
import http.server, sys, threading
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *words):
        print("2026-11-22T20:49:30.754812Z  INFO quick::server: answered path=" + self.path, flush=True)
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
def talk(never):
    while not never.wait(0.01):
        print("2026-11-22T20:49:30.754812Z DEBUG quick::worker: turned", flush=True)
threading.Thread(target=talk, args=(threading.Event(),), daemon=True).start()
Server(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


def compute():
    while True:
        sum(number * number for number in range(50000))


def pack():
    block = random.randbytes(1 << 20)
    while True:
        zlib.decompress(zlib.compress(block, 1))


def spread():
    """Touches fresh memory, more than fits a cache, and gives it back."""
    while True:
        memory = bytearray(96 << 20)
        memory[::4096] = b"x" * len(memory[::4096])


def store():
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:
        while True:
            file.seek(0)
            for _ in range(16):
                file.write(os.urandom(1 << 20))
            file.flush()
            os.fsync(file.fileno())


def breed():
    while True:
        subprocess.run(["/bin/true"], check=False)


def talk():
    one, other = socket.socketpair()
    if os.fork() == 0:
        while data := other.recv(4096):
            other.sendall(data)
        os._exit(0)
    while True:
        one.sendall(b"x" * 512)
        one.recv(4096)


LOADS = (compute, pack, spread, store, breed, talk)


def load(kind):
    """One worker of the load; it ends with the measurement, whatever happens to that."""
    os.setpgid(0, 0)
    ends_with_parent()
    kind()


def ends_with_parent():
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def processors():
    """(busy, all) in ticks since boot; time that a hypervisor took counts as busy."""
    ticks = list(map(int, pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]))
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


class Clients:
    """Ask the KMS and the webhook now and then, as peers do; how long the answers take is told, nothing is judged by it."""

    def __init__(self, stack):
        self.times, self.failed, self.stop = [], 0, threading.Event()
        self.thread = threading.Thread(target=self.run, args=(stack,), daemon=True)
        self.thread.start()

    def run(self, stack):
        trusting = ssl._create_unverified_context()
        while not self.stop.wait(0.2):
            for make, path in ((lambda: http.client.HTTPSConnection("127.0.0.1", stack.kms_port, timeout=5, context=trusting), "/prpc/KMS.GetMeta?json"),
                               (lambda: http.client.HTTPConnection("127.0.0.1", stack.auth_port, timeout=5), "/")):
                began, connection = time.monotonic(), make()
                try:
                    connection.request("GET", path)
                    self.failed += connection.getresponse().status != 200
                except OSError:
                    self.failed += 1
                finally:
                    connection.close()
                self.times.append((time.monotonic() - began) * 1000)


ALARMS = {"freeze-suspect": "suspects", "freeze-begin": "freezes", "service-exit": "ends"}


class Watch:
    """Counts what the records of one launcher say; `lines` gives them, new ones at the end."""

    def __init__(self, name, lines):
        self.name, self.lines, self.seen = name, lines, 0
        self.counts = dict.fromkeys([*ALARMS.values(), "unready", "late"], 0)
        self.told = []

    def look(self):
        lines = self.lines()
        for line in lines[self.seen:]:
            if '"event.action"' not in line or '"service.name":"launcher"' not in line:
                continue
            record = json.loads(line)
            action, text = record.get("event.action"), json.dumps(record)
            if action in ALARMS:
                self.counts[ALARMS[action]] += 1
                self.told.append(line.strip()[:600])
            elif action == "probe-change":
                self.counts["late"] += "probe_late" in text
                self.counts["unready"] += record["log.level"] in ("warn", "error")
                if record["log.level"] in ("warn", "error"):
                    self.told.append(line.strip()[:600])
        self.seen = len(lines)


def quick_launcher(place):
    port, health = free_ports(2)
    script = place.path / "quick.py"
    script.write_text(QUICK)
    config = place.path / "launcher.toml"
    probe = f'kind = "http"\nurl = "http://127.0.0.1:{port}/live"\n'
    config.write_text(f'version = 1\n[log]\nfilter = "info"\n[[log.sink]]\nkind = "stdout"\nformat = "json"\n'
                      f'[health]\nlisten = ["127.0.0.1:{health}"]\nunix = "{place.path}/health.sock"\n'
                      f'[service.quick]\ncommand = {json.dumps([sys.executable, "-S", "-E", str(script), str(port)])}\n'
                      f'[service.quick.probe.startup]\n{probe}deadline = "30s"\n'
                      f'[service.quick.probe.liveness]\n{probe}interval = "1s"\n'
                      'timeouts = { connect = "500ms", headers = "1500ms", body = "1s", total = "3s" }\n')
    return Launcher(config), health


def results(port):
    """How often probes ended in which way."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    found = {}
    for labels, number in re.findall(r"^kms_launcher_probe_results_total\{(.*)\} (\S+)", text, re.MULTILINE):
        result = re.search('result="([^"]*)"', labels)[1]
        found[result] = found.get(result, 0) + int(float(number))
    return found


def under_load(watches):
    """Seconds with ≥ 95 % of load, all seconds, and the shares of all seconds."""
    workers = [multiprocessing.Process(target=load, args=(kind,), daemon=True) for kind in LOADS for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    shares, counted, began = [], 0.0, time.monotonic()
    before, at = processors(), began
    try:
        while counted < SECONDS:
            pause(1)
            now, moment = processors(), time.monotonic()
            share = (now[0] - before[0]) / max(1, now[1] - before[1])
            shares.append(share)
            counted += moment - at if share >= BUSY else 0
            before, at = now, moment
            for watch in watches:
                watch.look()
    finally:
        for worker in workers:
            try:
                os.killpg(worker.pid, signal.SIGKILL)
            except (ProcessLookupError, TypeError):
                pass
    return counted, time.monotonic() - began, shares


def really_frozen(watch, pid, bound):
    """Seconds until the launcher tells of a service that was stopped; None when it does not."""
    before = watch.counts["freezes"]
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    told = until(lambda: (watch.look(), watch.counts["freezes"] > before)[1], bound * 2, 0.05)
    took = time.monotonic() - began
    os.kill(pid, signal.SIGCONT)
    return took if told else None


def main():
    heading("false alarms", f"the stack of ./dev run (probes every 5 s, time-outs as built in) and a service with probes every second (headers 1.5 s) beside "
            f"{len(LOADS)} kinds of load (computing, packing, memory, disk, processes, sockets) × {WORKERS} workers at the same priority, until the "
            f"processors have been busy for {BUSY:.0%} or more in {SECONDS} s of them; then a SIGSTOP to each must be told")
    missed = []
    with Place() as place, Stack() as stack:
        if not stack.ready():
            sys.exit("the stack does not become ready: " + stack.program.output[-2000:])
        launcher, health = quick_launcher(place)
        with launcher:
            if launcher.action("service-ready", "quick") is None:
                sys.exit("the quick service does not become ready: " + launcher.dump())
            watches = [Watch("the stack", lambda: stack.program.lines), Watch("quick probes", lambda: launcher.lines)]
            clients = Clients(stack)
            counted, took, shares = under_load(watches)
            clients.stop.set()
            alarms = [line for watch in watches for line in watch.told]
            rows = [["", "probes", "late, not counted", "not ok", "unready", "suspects", "freezes", "ends", "then stopped: told after s"]]
            services = stack.services()
            # interval + 3 × (headers + 1 s), as the defaults and the quick service's settings have it.
            for watch, port, pid, bound in ((watches[0], stack.health_port, services["dstack-kms"], 17.0), (watches[1], health, launcher.action("service-start", "quick")["fields"]["pid"], 8.5)):
                ended = results(port)
                probes, late = sum(ended.values()), ended.get("probe_late", 0)
                counts = dict(watch.counts)
                frozen = really_frozen(watch, pid, bound)
                rows.append([watch.name, f"{probes:,}", f"{late:,}", " ".join(f"{name} {number}" for name, number in ended.items() if number and name not in ("ok", "probe_late")) or "0", counts["unready"], counts["suspects"], counts["freezes"], counts["ends"],
                             f"{frozen:.1f} (bound {bound:.1f})" if frozen is not None else "never"])
                if counts["freezes"] or counts["ends"]:
                    missed.append(f"{watch.name}: {counts['freezes']} freezes, {counts['ends']} ends")
                if frozen is None or frozen > bound:
                    missed.append(f"{watch.name}: a real freeze was told {'never' if frozen is None else f'after {frozen:.1f} s'}")
            table(rows)
            print(*alarms[:40], sep="\n")
            print(f"load: {counted:,.0f} s at {BUSY:.0%} or more within {took:,.0f} s; mean {sum(shares) / len(shares):.1%}, median {percentile(shares, 0.5):.1%}; load average {os.getloadavg()[1]:.1f}")
            print(f"answers to clients meanwhile: {len(clients.times):,}, {clients.failed} failed, p50 {percentile(clients.times, 0.5):.0f} ms, "
                  f"p99 {percentile(clients.times, 0.99):.0f} ms, max {max(clients.times):.0f} ms\n")
    print("reached" if not missed else "missed: " + "; ".join(missed))


main()
