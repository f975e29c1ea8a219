#!/usr/bin/env python3
"""An output that takes nothing, while a service writes 2,000 lines a second: what the service feels (time of each write), what
the supervisor's memory does, and what of the lines arrives. Beside the launcher: s6-log, svlogd, supervisor, tini.
Options: --seconds=20 for each row (the full measure is 600), --rate=2000, --together=1: all rows at the same time, so that they
share whatever else the machine does; --ours=1: the launcher alone."""
import concurrent.futures
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from bench_kit import LAUNCHER, Place, heading, memory_of, option, own_environment, percentile, ratio, table, until

RATE, SECONDS, TOGETHER = option("rate", 2000), option("seconds", 20), option("together", 0)
REACH_P999, REACH_RSS = 1.10, 24.0
QUEUE = "4MiB"

# Writes so many lines a second for so many seconds; then the times of its writes, in microseconds, go to a file.
WRITER = """
import array, os, select, signal, sys, time
rate, seconds, report = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
took = array.array("d")
began = time.perf_counter()
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
def tell():
    with open(report + ".new", "wb") as file:
        took.tofile(file)
    os.rename(report + ".new", report)
written = 0
while (now := time.perf_counter() - began) < seconds:
    while written < now * rate:
        line = b"2026-11-22T20:49:30.754812Z  INFO dstack_kms::main_service: app key released number=%d elapsed_ms=12\\n" % written
        before = time.perf_counter()
        os.write(1, line)
        took.append((time.perf_counter() - before) * 1e6)
        written += 1
    select.select([], [], [], 0.001)
tell()
while True:
    signal.pause()
"""


def mounting(line):
    prefix = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    return [*prefix, "sh", "-c", f'{line} && exec "$@"', "sh"]


class Row:
    """One supervisor with one kind of output."""

    def __init__(self, place, name):
        self.place, self.name = place, name
        self.directory = place.path / name.replace(" ", "-").replace(":", "").replace(",", "")
        self.directory.mkdir()
        self.report = self.directory / "report"
        script = self.directory / "writer.py"
        script.write_text(WRITER)
        self.service = [sys.executable, "-S", "-E", str(script), str(RATE), str(SECONDS), str(self.report)]
        self.small = self.directory / "small"
        self.small.mkdir()

    def command(self):
        raise NotImplementedError

    def run(self):
        reading = self.stdout_is_read()
        self.process = subprocess.Popen([str(word) for word in self.command()], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                        env=own_environment(), cwd=self.directory, start_new_session=True)
        self.collected = []
        reader = threading.Thread(target=lambda: self.collected.append(self.process.stdout.read()), daemon=True)
        if reading:
            reader.start()
        most = 0
        end = time.monotonic() + SECONDS + 5
        while time.monotonic() < end and not self.report.exists():
            most = max(most, self.rss())
            select.select([], [], [], 0.2)
        self.blocked = not self.report.exists()
        self.finish(reader, reading)
        took = []
        if not self.blocked:
            import array
            numbers = array.array("d")
            numbers.frombytes(self.report.read_bytes())
            took = numbers.tolist()
        return {"p50": percentile(took, 0.5), "p99.9": percentile(took, 0.999), "max": max(took, default=float("nan")), "rss": most / 1024,
                "lines": len(took), "blocked": self.blocked, "loss": self.loss(len(took)) if took else "-"}

    def stdout_is_read(self):
        return False

    def rss(self):
        """KiB of all processes but the writer."""
        below, found = [self.process.pid], []
        while below:
            pid = below.pop()
            try:
                if b"writer.py" not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() or pid == self.process.pid and "tini" in self.name:
                    found.append(pid)
                below += map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            except OSError:
                pass
        try:
            return memory_of(found)[0]
        except OSError:
            return 0

    def finish(self, reader, reading):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(10)

    def loss(self, written):
        return "not told"


class Ours(Row):
    """kind: read, pipe, disk, journal"""

    def __init__(self, place, kind):
        super().__init__(place, f"kms-launcher, {kind}")
        self.kind = kind

    def command(self):
        stalled = {"disk": f'[[log.sink]]\nkind = "file"\nformat = "json"\nqueue = "{QUEUE}"\npath = "{self.small}/log"\n',
                   "journal": f'[[log.sink]]\nkind = "journald"\nqueue = "{QUEUE}"\n'}.get(self.kind, "")
        config = self.directory / "launcher.toml"
        config.write_text(f'version = 1\n[[log.sink]]\nkind = "stdout"\nformat = "json"\nqueue = "{QUEUE}"\n{stalled}[health]\nlisten = []\n'
                          f'unix = "{self.directory}/health.sock"\n[service.writer]\ncommand = {json.dumps(self.service)}\n')
        command = [LAUNCHER, "run", "--config", config]
        if self.kind == "disk":
            return mounting(f'mount -t tmpfs -o size=1m none "{self.small}"') + command
        if self.kind == "journal":
            self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.journal.bind(str(self.small / "socket"))
            (self.small / "socket").chmod(0o666)
            return mounting(f'mkdir -p /run/systemd/journal && mount --bind "{self.small}" /run/systemd/journal') + command
        return command

    def stdout_is_read(self):
        return self.kind != "pipe"

    def queued(self):
        """Bytes that wait for the outputs, as the health endpoint has it."""
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(10)
            asked.connect(str(self.directory / "health.sock"))
            asked.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            text = b"".join(iter(lambda: asked.recv(1 << 16), b"")).decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("kms_launcher_log_queue_bytes"))

    def read_journal(self):
        self.journal.settimeout(0.5)
        while True:
            try:
                self.delivered_elsewhere += b"MESSAGE=app key released" in self.journal.recv(1 << 20)
            except TimeoutError:
                if self.done.is_set():
                    return

    def finish(self, reader, reading):
        """The output takes records again, what has waited for it comes, and the launcher is asked to end."""
        self.delivered_elsewhere, self.done = None, threading.Event()
        log = pathlib.Path(f"/proc/{self.process.pid}/root{self.small}/log")
        held = log.open("rb") if self.kind == "disk" and log.exists() else None
        if not reading:
            reader.start()
        if self.kind == "journal":
            self.delivered_elsewhere = 0
            journal_reader = threading.Thread(target=self.read_journal, daemon=True)
            journal_reader.start()
        if self.kind != "disk":
            until(lambda: self.queued() == 0, 60, 0.1)
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(15)
        reader.join(30)
        if self.kind == "journal":
            self.done.set()
            journal_reader.join(5)
        if held:
            self.delivered_elsewhere = held.read().count(b'"message":"app key released"')

    def loss(self, written):
        records = [json.loads(line) for line in self.collected[0].decode().splitlines() if line.startswith("{") and line.endswith("}")]
        sink = {"disk": "file:", "journal": "journald"}.get(self.kind, "stdout")
        told = sum(r["fields"]["lines"] for r in records if r.get("event.action") == "log-dropped" and r["fields"]["sink"].startswith(sink))
        last = next((r for r in records if r.get("event.action") == "launcher-exit"), {"fields": {}})
        delivered = self.delivered_elsewhere
        if delivered is None:
            delivered = sum(r.get("message") == "app key released" for r in records)
        told += last["fields"].get("log_lines_unwritten", 0) if self.kind == "disk" else 0
        # What the queue of a full disk held in the end contains some lines of the launcher's own.
        lost = written - delivered
        exact = lost == told or self.kind == "disk" and 0 <= told - lost <= 20
        return f"{lost:,} exact" if exact else f"{lost:,} (told {told:,})"


class S6Log(Row):
    def __init__(self, place, kind):
        super().__init__(place, f"s6-log, {kind}")
        self.kind = kind

    def command(self):
        target = "1" if self.kind == "pipe" else f'"{self.small}/log"'
        line = f"{' '.join(self.service)} | s6-log T {target}"
        shell = ["sh", "-c", line]
        return mounting(f'mount -t tmpfs -o size=1m none "{self.small}"') + shell if self.kind == "disk" else shell


class Svlogd(Row):
    def __init__(self, place, kind):
        super().__init__(place, f"svlogd, {kind}")
        self.kind = kind

    def command(self):
        line = f'mkdir -p "{self.small}/log"; {" ".join(self.service)} | svlogd -ttt "{self.small}/log"'
        return mounting(f'mount -t tmpfs -o size=1m none "{self.small}"') + ["sh", "-c", line]


class Supervisord(Row):
    def __init__(self, place, kind):
        super().__init__(place, f"supervisord, {kind}")
        self.kind = kind

    def command(self):
        log = "/dev/stdout" if self.kind == "pipe" else f"{self.small}/log"
        config = self.directory / "supervisord.conf"
        config.write_text(f"[supervisord]\nnodaemon=true\nuser=root\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={self.directory}/pid\n"
                          f"[program:writer]\ncommand={' '.join(self.service)}\nstdout_logfile={log}\nstdout_logfile_maxbytes=0\n")
        command = ["supervisord", "-n", "-c", str(config)]
        return mounting(f'mount -t tmpfs -o size=1m none "{self.small}"') + command if self.kind == "disk" else command


class Tini(Row):
    def __init__(self, place, kind):
        super().__init__(place, f"tini, {kind}")

    def command(self):
        return ["tini", "-s", "--", *self.service]


def main():
    heading("outputs that take nothing", f"{RATE:,} lines a second for {SECONDS} s into each; the service times its own write(2); pipe: nobody reads the standard output; "
            "disk: a file system of 1 MiB is full; journal: nobody reads journald's socket; read: nothing is stuck; rss: the most at any time, all processes but the service"
            + ("; all rows at the same time" if TOGETHER else ""))
    plan = [(Ours, LAUNCHER, ("read", "pipe", "disk", "journal")), (S6Log, "s6-log", ("pipe", "disk")), (Svlogd, "svlogd", ("disk",)),
            (Supervisord, "supervisord", ("pipe", "disk")), (Tini, "tini", ("pipe",))]
    if option("ours", 0):
        del plan[1:]
    rows, missed = [["", "p50 µs", "p99.9 µs", "max ms", "÷ read", "RSS MiB", "lines written", "lost"]], []
    with Place() as place:
        planned = []
        for kind, program, outputs in plan:
            for output in outputs:
                if shutil.which(program):
                    planned.append(kind(place, output))
                else:
                    rows.append([f"{program}, {output}", "not installed"])
        with concurrent.futures.ThreadPoolExecutor(len(planned) if TOGETHER else 1) as pool:
            measured = list(zip(planned, pool.map(lambda row: row.run(), planned)))
    read = next(told["p99.9"] for row, told in measured if isinstance(row, Ours) and row.kind == "read")
    for row, told in measured:
        if isinstance(row, Ours):
            if told["rss"] > REACH_RSS:
                missed.append(f"{row.name}: {told['rss']:.1f} MiB")
            if "told" in told["loss"]:
                missed.append(f"{row.name}: lost {told['loss']}")
            if told["p99.9"] > read * REACH_P999:
                missed.append(f"{row.name}: p99.9 is {ratio(told['p99.9'], read)} of what it is when all is read")
            if told["blocked"]:
                missed.append(f"{row.name}: the service is frozen")
        if told["blocked"]:
            rows.append([row.name, "-", "-", "-", "-", f"{told['rss']:.1f}", "the service is frozen", "-"])
            continue
        rows.append([row.name, f"{told['p50']:.1f}", f"{told['p99.9']:.0f}", f"{told['max'] / 1000:.1f}", ratio(told["p99.9"], read),
                     f"{told['rss']:.1f}", f"{told['lines']:,}", told["loss"]])
    table(rows)
    print("reached" if not missed else "missed: " + "; ".join(missed))


main()
