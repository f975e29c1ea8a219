#!/usr/bin/env python3
"""Around the log pipes: a terminal in place of pipes, losses told by stream, what the surroundings say about colour and
the journal; and bounds that need a control group, with and without one."""
import json
import os
import pty
import select
import subprocess
import time

from harness import fetch, free_ports
from launcher_fixture import LAUNCHER, Checks, Launcher, Workspace, children_of, until

checks = Checks()


def config_of(space, port, service, sink='kind = "stdout"\nformat = "json"\n', more=""):
    path = space.path / "launcher.toml"
    path.write_text(f'''version = 1
[[log.sink]]
{sink}
[health]
listen = ["127.0.0.1:{port}"]
[service.svc]
command = {json.dumps(service)}
{more}
''')
    return path


def terminal_capture():
    script = "test -t 1 && test -t 2 && echo both are terminals; printf 'no carriage return\\n' >&2; exec cat /dev/zero >/dev/null"
    with Workspace() as space, Launcher(config_of(space, free_ports(1)[0], ["/bin/sh", "-c", script],
                                                  more='[service.svc.log]\ncapture = "pty"\n')) as launcher:
        checks.check("capture = \"pty\": the service sees terminals", launcher.message("both are terminals") is not None, launcher.dump())
        record = launcher.message("no carriage return")
        checks.check("… both streams come as one, without carriage returns", record is not None
                     and record["message"] == "no carriage return" and record["log.iostream"] == "stdout", str(record))
        launcher.signal(15)
        checks.check("… and its end is an ordinary one", launcher.status() == 0, launcher.dump())


def losses_by_stream():
    port = free_ports(1)[0]
    script = "echo quiet; while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx >&2; done"
    with Workspace() as space:
        config = config_of(space, port, ["/bin/sh", "-c", script], sink='kind = "stdout"\nformat = "json"\nqueue = "16KiB"\n')
        stalled = subprocess.Popen([LAUNCHER, "run", "--config", str(config)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            def lost(stream):
                try:
                    text = fetch(port, "/metrics").text
                except OSError:
                    return -1
                return sum(float(l.split()[-1]) for l in text.splitlines()
                           if l.startswith("kms_launcher_log_dropped_total") and f'service="svc",stream="{stream}"' in l
                           and 'sink="stdout"' in l)
            checks.check("a stalled sink: losses are told by stream", until(lambda: lost("stderr") > 0, 20))
            checks.check("… and the quiet stream lost no more than it wrote", 0 <= lost("stdout") <= 1, str(lost("stdout")))
        finally:
            stalled.kill()
            stalled.wait(10)


def read_terminal(master, text, seconds=15):
    data, end = b"", time.monotonic() + seconds
    while text not in data and time.monotonic() < end:
        if select.select([master], [], [], 0.2)[0]:
            try:
                data += os.read(master, 65536)
            except OSError:
                break
    return data


def colours():
    for variable, wanted in (("", True), ("1", False)):
        master, slave = pty.openpty()
        with Workspace() as space:
            config = config_of(space, free_ports(1)[0], ["/bin/sleep", "100"], sink='kind = "stdout"\nformat = "auto"\n')
            environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | ({"NO_COLOR": variable} if variable else {})
            process = subprocess.Popen([LAUNCHER, "run", "--config", str(config)], stdout=slave, stderr=subprocess.DEVNULL, env=environment)
            os.close(slave)
            try:
                shown = read_terminal(master, b"svc runs with pid")
                checks.check(f"on a terminal, NO_COLOR={variable or 'unset'}: {'colours' if wanted else 'no colours'}",
                             b"svc runs with pid" in shown and (b"\x1b[" in shown) == wanted, repr(shown[-300:]))
            finally:
                process.kill()
                process.wait(10)
                os.close(master)


def journal():
    read, write = os.pipe()
    info = os.fstat(write)
    port = free_ports(1)[0]
    with Workspace() as space:
        config = config_of(space, port, ["/bin/sleep", "100"])
        process = subprocess.Popen([LAUNCHER, "run", "--config", str(config)], stdout=write, stderr=subprocess.DEVNULL,
                                   env=os.environ | {"JOURNAL_STREAM": f"{info.st_dev}:{info.st_ino}"})
        os.close(write)
        try:
            def sinks():
                try:
                    return [s["name"] for s in fetch(port, "/status").json()["launcher"]["log"]["sinks"]]
                except OSError:
                    return []
            wanted = "journald" if os.path.exists("/run/systemd/journal/socket") else "stdout"
            checks.check(f"JOURNAL_STREAM names descriptor 1: the sink is {wanted}", wanted in (until(sinks) or []), str(sinks()))
            # Between fork and exec a child still shows its parent's variables.
            service = until(lambda: next((c for c in children_of(process.pid) if open(f"/proc/{c}/comm").read() == "sleep\n"), 0))
            inherited = open(f"/proc/{service}/environ", "rb").read() if service else b""
            checks.check("… and the service does not inherit the variable", service and b"JOURNAL_STREAM" not in inherited, str(service))
        finally:
            process.kill()
            process.wait(10)
            os.close(read)


def control_group_bounds():
    port = free_ports(1)[0]
    limits = '[service.svc.limits]\nmemory_high = "48MiB"\nmemory_max = "64MiB"\npids_max = 20\ncpu_weight = 50\n'
    with Workspace() as space:
        config = config_of(space, port, ["/bin/sleep", "100"], more=limits)
        shown = subprocess.run([LAUNCHER, "print-config", "--config", str(config)], capture_output=True, text=True, timeout=10).stdout
        for key in ("memory_high", "memory_max", "pids_max", "cpu_weight"):
            checks.check(f"print-config shows {key}", f"service.svc.limits.{key} = " in shown, shown)
        with Launcher(config) as launcher:
            checks.check("bounds of memory, processes and CPU: the service runs", launcher.action("service-start", "svc") is not None, launcher.dump())
            bounds = until(lambda: fetch(port, "/status").json()["services"][0]["limits"])
            refused = launcher.has_message("bounds of svc are not in force")
            checks.check("… in force, or a sentence says why not", (bounds.get("memory.max") == str(64 << 20)) != refused, str(bounds))
            checks.check("/status shows the bounds that are in force", "nofile" in bounds and bounds["core"] == "0", str(bounds))


terminal_capture()
losses_by_stream()
colours()
journal()
control_group_bounds()
checks.finish()
