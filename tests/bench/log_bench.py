#!/usr/bin/env python3
"""How many lines a core turns into records: the launcher's own path, and the same corpora through s6-log and svlogd, which
only put a time in front of each line. Options: --seconds=1 for each corpus."""
import re
import shutil
import subprocess

from bench_kit import BIN, LAUNCHER, Place, cpu_of, heading, option, own_environment, ratio, table

CORPORA = ["tracing text", "tracing json", "pino", "plain"]
REACH_LINES, REACH_BYTES = 1.5e6, 200e6
REPEATED = 8


def end_to_end(place, corpus, lines):
    """Delivered lines for each processor second of a whole launcher whose service writes the corpus as fast as it can."""
    config = place.path / "launcher.toml"
    config.write_text('version = 1\n[log]\nfilter = "trace"\n[[log.sink]]\nkind = "stdout"\nformat = "json"\nqueue = "8MiB"\n'
                      f'[health]\nlisten = ["127.0.0.1:0"]\n[service.cat]\ncommand = ["/bin/cat", "{corpus}"]\n')
    out = place.path / "out"
    with out.open("wb") as file:
        cpu, _ = cpu_of([LAUNCHER, "run", "--config", config], stdout=file, stderr=subprocess.DEVNULL, env=own_environment())
    with out.open("rb") as file:
        delivered = sum(1 for line in file if b'"service.name":"cat"' in line)
    out.unlink()
    return delivered / cpu, delivered / lines


def main():
    seconds = option("seconds", 1.0)
    heading("log throughput", "processor time of user and kernel; the launcher: split, parse, join, redact, filter, encode as JSON, in one "
            "thread without output; whole launcher: a service's pipe → JSON in a file; s6-log: ISO stamps, to /dev/null; svlogd: UTC stamps, to files")
    told = subprocess.run([BIN / "log_bench", str(seconds)], capture_output=True, text=True, check=True).stdout
    ours = {name.strip(): (float(rate) * 1e6, float(mb) * 1e6) for name, rate, mb in
            re.findall(r"^(.{14}) +([\d.]+) M lines/s +([\d.]+) MB/s in", told, re.MULTILINE)}
    missed = []
    with Place() as place:
        subprocess.run([BIN / "log_bench", "write", place.path], check=True)
        rows = [["corpus", "launcher, lines/s", "MB/s", "whole launcher, lines/s", "kept", "s6-log T, lines/s", "launcher ÷ s6-log", "svlogd, lines/s"]]
        for name in CORPORA:
            corpus = place.path / name
            lines = corpus.read_bytes().count(b"\n")
            whole, kept = end_to_end(place, corpus, lines)
            others = []
            for command in (["s6-log", "T", "1"], ["svlogd", "-ttt", place.path / "svlogd"]):
                if not shutil.which(command[0]):
                    others.append(float("nan"))
                    continue
                (place.path / "svlogd").mkdir(exist_ok=True)
                # As long an input as takes a good part of a second, so that starting does not count.
                long = place.path / "long"
                long.write_bytes(corpus.read_bytes() * REPEATED)
                with long.open("rb") as text:
                    cpu, _ = cpu_of(command, stdin=text, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                long.unlink()
                others.append(lines * REPEATED / cpu)
            rate, size = ours[name]
            rows.append([name, f"{rate:,.0f}", f"{size / 1e6:.0f}", f"{whole:,.0f}", f"{kept:.0%}", f"{others[0]:,.0f}", ratio(rate, others[0]),
                         f"{others[1]:,.0f}"])
            if rate < REACH_LINES and size < REACH_BYTES:
                missed.append(f"{name}: neither {REACH_LINES:,.0f} lines/s nor {REACH_BYTES / 1e6:.0f} MB/s")
            if not rate > others[0] and others[0] == others[0]:
                missed.append(f"{name}: not above s6-log")
        table(rows)
    print("reached" if not missed else "missed: " + "; ".join(missed))


main()
