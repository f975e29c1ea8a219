#!/usr/bin/env python3
"""The last words of a service: 500 lines in one write, the last of them without an end, then it exits, is killed, or is asked
to stop. How many lines arrive, and what one such life costs. Beside the launcher: s6-log, svlogd, supervisor.
Options: --runs=60 of each kind (the full measure is 1000), --ours=1: the launcher alone."""
import os
import shutil
import signal
import subprocess
import sys
import time

from bench_kit import LAUNCHER, Place, heading, median, option, own_environment, table, until

RUNS, LINES = option("runs", 60), 500

SERVICE = f"""
import os, signal, sys
lines = "".join(f"line {{i}} of the service\\n" for i in range({LINES})).rstrip("\\n").encode()
if sys.argv[1] == "stop":
    def bye(*_):
        os.write(1, lines)
        os._exit(0)
    signal.signal(signal.SIGTERM, bye)
    open(sys.argv[2] + ".new", "w").write(str(os.getpid()))
    os.rename(sys.argv[2] + ".new", sys.argv[2])
    while True:
        signal.pause()
os.write(1, lines)
if sys.argv[1] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
os._exit(0)
"""


def ours(place, words):
    config = place.path / "launcher.toml"
    listed = ", ".join(f'"{word}"' for word in words)
    config.write_text('version = 1\n[[log.sink]]\nkind = "stdout"\nformat = "text"\n[health]\nlisten = []\n'
                      f'unix = "{place.path}/health.sock"\n[service.words]\ncommand = [{listed}]\n')
    return [LAUNCHER, "run", "--config", str(config)]


def piped(logger):
    def command(place, words):
        out = place.path / "svlogd"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        return ["sh", "-c", f"{' '.join(words)} | {logger.replace('DIRECTORY', str(out))}; cat {out}/* 2>/dev/null; true"]
    return command


def supervisord(place, words):
    config = place.path / "supervisord.conf"
    config.write_text(f"[supervisord]\nnodaemon=true\nuser=root\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={place.path}/pid\n"
                      f"[program:words]\ncommand={' '.join(words)}\nautorestart=false\nstartsecs=0\nstdout_logfile=/dev/fd/1\nstdout_logfile_maxbytes=0\n"
                      f"[eventlistener:end]\ncommand=sh -c 'echo READY; read line; kill -TERM {{0}}'\nevents=PROCESS_STATE_EXITED\n".replace("{0}", "$PPID"))
    return ["supervisord", "-n", "-c", str(config)]


def one(place, make, way):
    armed = place.path / "armed"
    armed.unlink(missing_ok=True)
    script = place.path / "words.py"
    script.write_text(SERVICE)
    began = time.monotonic()
    process = subprocess.Popen(make(place, [sys.executable, "-S", "-E", str(script), way, str(armed)]), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               stdin=subprocess.DEVNULL, env=own_environment(), start_new_session=True)
    if way == "stop":
        until(armed.exists)
        if make is ours or make is supervisord:
            process.send_signal(signal.SIGTERM)
        else:  # loggers are not told; they see the end of their input
            os.kill(int(armed.read_text()), signal.SIGTERM)
    try:
        output = process.communicate(timeout=8)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output = process.communicate()[0]
    took = (time.monotonic() - began) * 1000
    found = {number for number in range(LINES) if f"line {number} of the service".encode() in output}
    return LINES - len(found), took


def main():
    heading("last words", f"{RUNS} lives each of {LINES} lines, the last without an end; lost: lives that lost a line (lines in all); time: median of one life, start to exit")
    rows = [["", "exit: lost", "kill: lost", "stop: lost", "one life ms"]]
    lost_of_ours = 0
    kinds = [("kms-launcher", ours, LAUNCHER, RUNS), ("s6-log", piped("s6-log -p 1"), "s6-log", RUNS), ("svlogd", piped("svlogd -r _ DIRECTORY"), "svlogd", RUNS),
             ("supervisord", supervisord, "supervisord", min(RUNS, 5))]
    if option("ours", 0):
        del kinds[1:]
    with Place() as place:
        for name, make, program, runs in kinds:
            if not shutil.which(program):
                rows.append([name, "not installed"])
                continue
            cells, times = [], []
            for way in ("exit", "kill", "stop"):
                ended = [one(place, make, way) for _ in range(runs)]
                lost = sum(lines for lines, _ in ended)
                cells.append(f"{sum(1 for lines, _ in ended if lines)} of {runs} ({lost:,})")
                times += [took for _, took in ended]
                lost_of_ours += lost if make is ours else 0
            rows.append([name, *cells, f"{median(times):.0f}"])
    table(rows)
    print("reached" if lost_of_ours == 0 else f"missed: {lost_of_ours} lines lost")


main()
