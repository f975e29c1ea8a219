#!/usr/bin/env python3
"""Nothing is ever restarted: a whole suite of failing, frozen and dying services under strace shows one execve for each
service that a launcher has started, and none after it ended.

    test_nothing_restarted.py [--whole]      --whole: every suite that starts launchers, not two of them
"""
import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from harness import BIN, ROOT, Checks

checks = Checks()
SUITES = ["test_launcher_supervise", "test_freeze"]
OTHER_SUITES = ["test_launcher_pid1", "test_evidence", "test_health", "test_log_promises", "test_capture", "test_other_programs",
                "test_poll", "test_probe_tls", "test_first_light", "test_command_line", "test_bad_input"]
EXEC_PROBE = "/usr/bin/test"  # the program of the suites' exec probe, which is asked again and again

CALL = re.compile(r"^(\d+) +(?:<\.\.\. )?(execve|clone3?|v?fork)\b(?: resumed>)?(.*) = (\d+)(?:<.*>)?$")
PROGRAM = re.compile(r'^\("([^"]+)", (\[.*?\])(?:, |$)')


def started_programs(trace):
    """argv → how often a process that the launcher forked itself has executed it successfully."""
    launcher, parents, begun, counts = None, {}, {}, collections.Counter()
    for line in trace.read_text(errors="replace").splitlines():
        unfinished = re.match(r"^(\d+) +(execve\(.*) <unfinished \.\.\.>$", line)
        if unfinished:
            begun[unfinished[1]] = unfinished[2].removeprefix("execve")
            continue
        call = CALL.match(line)
        if not call:
            continue
        pid, name, words, result = call.groups()
        launcher = launcher or pid
        if name != "execve":
            if int(result) > 0:
                parents[result] = pid
            continue
        if result != "0":
            continue
        program = PROGRAM.match(begun.pop(pid, None) or words)
        if program and parents.get(pid) == launcher:
            counts[program[2]] += 1
    return counts


def main():
    if not shutil.which("strace"):
        checks.skip("one execve for each service", "strace is not installed")
        checks.finish()
    with tempfile.TemporaryDirectory() as place:
        directory = pathlib.Path(place)
        traces = directory / "traces"
        traces.mkdir()
        for program in ("auth-eth", "dstack-kms"):
            (directory / program).symlink_to(BIN / program)
        # -D: the tracer is a process aside, so the launcher keeps its pid, its parent and its signals. Its pid may be 1, and
        # that of others, too: the traces get names of their own.
        wrapper = directory / "kms-launcher"
        wrapper.write_text(f'#!/bin/sh\nexec strace -D -f -qq -s 4096 -e trace=execve,clone,clone3,fork,vfork -e signal=none -o "$(mktemp "{traces}/XXXXXXXX")" '
                           f'"{BIN}/kms-launcher" "$@"\n')
        wrapper.chmod(0o755)
        for suite in SUITES + (OTHER_SUITES if "--whole" in sys.argv[1:] else []):
            done = subprocess.run([sys.executable, ROOT / f"tests/e2e/{suite}.py"], env={**os.environ, "BIN_DIR": str(directory)},
                                  capture_output=True, text=True, timeout=280 if suite in SUITES else 900)
            last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-500:]
            # Under a tracer some bounds on time do not hold; what was started is what counts here.
            print(f"the suite {suite} under strace: {last}")
        runs = [started_programs(trace) for trace in sorted(traces.iterdir())]
        started = [run for run in runs if run]
        checks.check(f"launchers that started services were traced: {len(started)}", len(started) >= 10, last)
        again = [(argv, count) for run in started for argv, count in run.items()
                 if count != 1 and EXEC_PROBE not in argv]
        checks.equal(f"one execve for each of {sum(map(len, started))} services", again, [])
    checks.finish()


main()
