#!/usr/bin/env python3
"""Starting, idling, noticing a death, stopping: the launcher beside s6, runit, supervisor and tini, each with one service
that notes the time. Options: --runs=15."""
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time

from bench_kit import (LAUNCHER, Place, heading, median, memory_of, notes, option, own_environment, percentile, pause, ratio, table, until)

REACH_START, REACH_RECORD, REACH_STOP, REACH_RSS, REACH_PSS = 6.0, 20.0, 30.0, 12.0, 8.0


class Supervisor:
    """One kind of supervisor. `prepare` writes what it reads; `death` is when it told of a service's death."""

    name = ""
    program = ""
    stops = True  # ends in order at SIGTERM when its service does

    def __init__(self, place, run):
        self.place = place
        self.directory = place.path / f"{self.name}-{run}"
        self.directory.mkdir()
        self.file = self.directory / "notes"
        self.lines = []

    def service(self):
        return [str(self.place.stamp), "serve", str(self.file), "up"]

    def command(self):
        raise NotImplementedError

    def death_told(self, line):
        """Whether this line of output tells of the death."""
        return False

    def start(self):
        command = [str(self.place.stamp), "exec", str(self.file), *map(str, self.command())]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                        env=own_environment(), cwd=self.directory, start_new_session=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        return until(lambda: "up" in notes(self.file))

    def _read(self):
        for line in self.process.stdout:
            self.lines.append((time.monotonic_ns(), line.decode(errors="replace")))

    def start_ms(self):
        told = notes(self.file)
        return (told["up"] - told["exec"]) / 1e6

    def pids(self):
        """The supervisor's own processes: all that came of it, without the service."""
        found, below = [], [self.process.pid]
        while below:
            pid = below.pop()
            if "stamp" not in pathlib.Path(f"/proc/{pid}/comm").read_text():
                found.append(pid)
            below += map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return found

    def service_pid(self):
        below = [self.process.pid]
        while below:
            pid = below.pop()
            if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "stamp":
                return pid
            below += map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        raise RuntimeError(f"{self.name} runs no service")

    def record_ms(self):
        """Milliseconds from the service's last instruction to the record of its death; None when none came."""
        os.kill(self.service_pid(), signal.SIGUSR2)
        told = []

        def there():
            told[:] = [at for at, line in list(self.lines) if self.death_told(line)]
            if not told and "told" in notes(self.file):
                told.append(notes(self.file)["told"])
            return told

        until(there, 4)
        return (told[0] - notes(self.file)["dies"]) / 1e6 if told else None

    def stop_ms(self):
        began = time.monotonic_ns()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            return None
        return (time.monotonic_ns() - began) / 1e6

    def end(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(5)
        self.reader.join(2)


class Ours(Supervisor):
    name, program = "kms-launcher", LAUNCHER

    def command(self):
        config = self.directory / "launcher.toml"
        words = ", ".join(f'"{word}"' for word in self.service())
        config.write_text(f'version = 1\n[[log.sink]]\nkind = "stdout"\nformat = "json"\n[health]\nlisten = ["127.0.0.1:0"]\n'
                          f"[service.stamp]\ncommand = [{words}]\n")
        return [LAUNCHER, "run", "--config", config]

    def death_told(self, line):
        return '"event.action":"service-exit"' in line


class S6(Supervisor):
    name, program = "s6-svscan", "s6-svscan"

    def command(self):
        service = self.directory / "scan/stamp"
        service.mkdir(parents=True)
        write_script(service / "run", f"exec {' '.join(self.service())}")
        # The finish script is where s6 lets anybody say that a service has ended; 125: do not start it again.
        write_script(service / "finish", f"{self.place.stamp} note {self.file} told; exit 125")
        return ["s6-svscan", self.directory / "scan"]


class Runit(Supervisor):
    name, program = "runsvdir", "runsvdir"

    def command(self):
        service = self.directory / "scan/stamp"
        service.mkdir(parents=True)
        write_script(service / "run", f"exec {' '.join(self.service())}")
        write_script(service / "finish", f"{self.place.stamp} note {self.file} told; sv down .")
        return ["runsvdir", self.directory / "scan"]

    def stop_ms(self):  # SIGHUP makes it take its services down with it
        began = time.monotonic_ns()
        self.process.send_signal(signal.SIGHUP)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            return None
        return (time.monotonic_ns() - began) / 1e6


class Supervisord(Supervisor):
    name, program = "supervisord", "supervisord"

    def command(self):
        config = self.directory / "supervisord.conf"
        config.write_text(f"[supervisord]\nnodaemon=true\nuser=root\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={self.directory}/pid\n"
                          f"[program:stamp]\ncommand={' '.join(self.service())}\nautorestart=false\nstartsecs=0\n")
        return ["supervisord", "-n", "-c", config]

    def death_told(self, line):
        return "exited: stamp" in line


class Tini(Supervisor):
    name, program = "tini", "tini"

    def command(self):
        return ["tini", "-s", "--", *self.service()]

    def record_ms(self):  # it keeps no record; its own end is the news
        os.kill(self.service_pid(), signal.SIGUSR2)
        try:
            self.process.wait(4)
        except subprocess.TimeoutExpired:
            return None
        return (time.monotonic_ns() - notes(self.file)["dies"]) / 1e6


def write_script(path, line):
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def measure(kind, place, runs):
    figures = {"start": [], "record": [], "stop": [], "rss": [], "pss": []}
    for run in range(runs):
        for what in ("record", "stop"):
            one = kind(place, f"{run}{what}")
            try:
                if not one.start():
                    continue
                figures["start"].append(one.start_ms())
                if what == "record":
                    figures["record"].append(one.record_ms())
                    continue
                if run < 3:
                    pause(1)  # idle means: what starting needed is done
                rss, pss = memory_of(one.pids())
                figures["rss"].append(rss / 1024)
                figures["pss"].append(pss / 1024)
                figures["stop"].append(one.stop_ms())
            finally:
                one.end()
    return {name: [value for value in values if value is not None] for name, values in figures.items()}


def cell(values):
    return f"{median(values):.1f} / {percentile(values, 0.95):.1f}" if values else "-"


def main():
    runs = option("runs", 15)
    heading("start, idle memory, death, stop", f"median / p95 of {runs} runs, milliseconds; start: exec of the supervisor → first instruction of the service; "
            "death: last instruction of the service → the record of its end has been read (s6, runit: the finish script runs; tini: it has ended); "
            "stop: SIGTERM (runit: SIGHUP) → its exit; memory: MiB of all of its processes, the service left out")
    kinds = [Ours, S6, Runit, Supervisord, Tini]
    with Place() as place:
        measured = {kind: measure(kind, place, runs) for kind in kinds if shutil.which(kind.program)}
    ours = measured[Ours]
    rows = [["", "start ms", "÷ ours", "death → record ms", "÷ ours", "stop ms", "÷ ours", "RSS MiB", "PSS MiB"]]
    for kind in kinds:
        if kind not in measured:
            rows.append([kind.name, "not installed"])
            continue
        one = measured[kind]
        rows.append([kind.name, cell(one["start"]), ratio(median(one["start"]), median(ours["start"])), cell(one["record"]),
                     ratio(median(one["record"]), median(ours["record"])), cell(one["stop"]), ratio(median(one["stop"]), median(ours["stop"])),
                     f"{median(one['rss']):.1f}", f"{median(one['pss']):.1f}"])
    table(rows)
    s6 = median(measured[S6]["start"]) if S6 in measured else float("inf")
    missed = [text for text, good in (
        (f"start within {REACH_START} ms", median(ours["start"]) <= REACH_START), ("start below s6's", median(ours["start"]) <= s6),
        (f"record within {REACH_RECORD} ms", percentile(ours["record"], 0.95) <= REACH_RECORD),
        (f"stop within {REACH_STOP} ms", percentile(ours["stop"], 0.95) <= REACH_STOP),
        (f"RSS within {REACH_RSS} MiB", median(ours["rss"]) <= REACH_RSS), (f"PSS within {REACH_PSS} MiB", median(ours["pss"]) <= REACH_PSS)) if not good]
    print("reached" if not missed else "missed: " + "; ".join(missed))


main()
