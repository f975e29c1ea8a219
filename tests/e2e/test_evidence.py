#!/usr/bin/env python3
"""Freeze evidence: every rule with a service that provokes it, files, limits, and the control socket.

    test_evidence.py [--runs N] [--only KIND]      the kinds N times each; one kind alone
"""
import argparse
import concurrent.futures
import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

from harness import fetch, free_ports
from launcher_fixture import LAUNCHER, Checks, Launcher, Workspace, children_of, stat_fields, until

HERE = Path(__file__).resolve().parent
NOBODY = 65534
TIMEOUTS = {"http_headers_timeout", "tcp_timeout"}
# kind → rule. Memory and CPU need a cgroup that the test may make.
KINDS = {
    "stdout": "F1", "stderr": "F1", "deadlock": "F2", "condition": "F2", "spin": "F4", "spin-worker": "F4",
    "vfork": "F5", "stopped": "F6", "traced": "F6", "descriptors": "F7", "memory": "F8", "throttled": "F9",
    "no-accept": "F10", "read": "F11", "pause": "F11",
}
checks = Checks()


def compile_fake(directory):
    program = directory / "frozen_service"
    subprocess.run(["cc", "-O1", "-pthread", "-o", program, HERE / "frozen_service.c"], check=True)
    program.chmod(0o755)
    return program


class Cgroup:
    """A control group of version 1 or 2 with one bound; none where the test may not make it."""

    def __init__(self, kind, name):
        self.path = None
        version1 = Path("/sys/fs/cgroup") / ("memory" if kind == "memory" else "cpu")
        version2 = Path("/sys/fs/cgroup")
        try:
            if (version1 / "cgroup.procs").exists() and version1.is_dir():
                path = version1 / name
                path.mkdir()
                self.path = path
                if kind == "memory":
                    (path / "memory.limit_in_bytes").write_text(str(32 << 20))
                else:
                    (path / "cpu.cfs_period_us").write_text("20000")
                    (path / "cpu.cfs_quota_us").write_text("1000")
            else:
                path = version2 / name
                path.mkdir()
                self.path = path
                if kind == "memory":
                    (path / "memory.high").write_text(str(32 << 20))
                else:
                    (path / "cpu.max").write_text("1000 20000")
        except OSError:
            self.close()

    def take(self, pid):
        (self.path / "cgroup.procs").write_text(str(pid))

    def close(self):
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.rmdir()
        self.path = None


class Frozen:
    """A launcher with one fake service."""

    def __init__(self, program, kind, deep=False, user=None, extra="", env=None, log="info"):
        self.space = Workspace()
        self.port, self.upstream_port, self.health_port = free_ports(3)
        self.evidence_dir = self.space.path / "evidence"
        self.evidence_dir.mkdir(mode=0o777)
        self.evidence_dir.chmod(0o777)
        if user is not None:
            self.space.path.chmod(0o777)
        self.socket = self.space.path / "control.sock"
        url = f"http://127.0.0.1:{self.port}"
        quick = "timeouts = { resolve = \"500ms\", connect = \"400ms\", tls = \"800ms\", request = \"500ms\", headers = \"800ms\", body = \"800ms\", total = \"1500ms\" }\n"
        body = f'''version = 1
[launcher]
evidence_dir = "{self.evidence_dir}"
[log]
filter = "{log}"
[[log.sink]]
kind = "stdout"
format = "json"
[health]
listen = ["127.0.0.1:{self.health_port}"]
unix = "{self.socket}"
[service.fake]
command = ["{program}", "{kind}", "{self.port}", "{self.upstream_port if deep else 0}"]
stop_timeout = "1s"
{extra}
[service.fake.probe.startup]
kind = "http"
url = "{url}/start"
deadline = "20s"
[service.fake.probe.liveness]
kind = "http"
url = "{url}/live"
interval = "200ms"
{quick}
'''
        if deep:
            body += f'[service.fake.probe.readiness]\nkind = "http"\nurl = "{url}/deep"\ninterval = "300ms"\n{quick}\n'
        config = self.space.path / "launcher.toml"
        config.write_text(body)
        self.launcher = Launcher(config, env={**os.environ, **(env or {})}) if user is None else as_user(config, user)
        self.config = config

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.launcher.__exit__(*problem)
        self.space.__exit__(*problem)

    def started(self):
        return self.launcher.wait_for(lambda r: "fake has started" in r.get("message", ""), 20)

    def pid(self):
        record = self.launcher.action("service-start", "fake")
        return record["fields"]["pid"] if record else 0

    def freeze(self):
        return fetch(self.port, "/freeze").status

    def evidence(self, reason, timeout=25.0):
        return self.launcher.wait_for(
            lambda r: r.get("event.action") == "evidence" and r["fields"]["reason"] == reason, timeout)

    def document(self, record):
        return json.loads(Path(record["fields"]["kept_in"]).read_text())

    def metric(self, start):
        for line in fetch(self.health_port, "/metrics").text.splitlines():
            if line.startswith(start):
                return float(line.split()[-1])
        return None

    def status(self):
        return fetch(self.health_port, "/status").json()["services"][0]


class LauncherAs(Launcher):
    def __init__(self, config, user):
        self._user = user
        self._popen = subprocess.Popen
        super().__init__(config)


def as_user(config, user):
    """A launcher that is nobody in particular: what a container without privileges has."""
    import launcher_fixture

    plain = launcher_fixture.LAUNCHER
    script = config.parent / "as-user"
    script.write_text(f'#!/bin/sh\nexec setpriv --reuid {user} --regid {user} --clear-groups --no-new-privs -- {plain} "$@"\n')
    script.chmod(0o755)
    launcher_fixture.LAUNCHER = str(script)
    try:
        return Launcher(config)
    finally:
        launcher_fixture.LAUNCHER = plain


def tracer_of(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("TracerPid:"):
            return int(line.split()[1])
    return 0


def own_children(pid):
    return children_of(pid)


def run_kind(program, kind, number):
    """Freezes one service; what was found, as (name, good, detail) rows or a reason to skip."""
    rows = []
    wanted = KINDS[kind]
    name = f"{kind} ({wanted})"
    group = Cgroup(kind, f"kms-evidence-{os.getpid()}-{number}") if kind in ("memory", "throttled") else None
    if group is not None and group.path is None:
        return [], f"{name}: no control group may be made here"
    try:
        with Frozen(program, kind) as frozen:
            if not frozen.started():
                return [(f"{name}: the service starts", False, frozen.launcher.dump())], None
            pid = frozen.pid()
            if group is not None:
                group.take(pid)
            frozen.freeze()
            record = frozen.evidence("frozen")
            if record is None:
                return [(f"{name}: evidence of the freeze", False, frozen.launcher.dump())], None
            fields = record["fields"]
            rows.append((f"{name}: the rule", fields["rule"] == wanted,
                         f"{fields['rule']}: {fields['sentence']} {fields['facts']}"))
            rows.append((f"{name}: the class is that of the freeze", fields.get("class") in TIMEOUTS, str(fields.get("class"))))
            rows.append((f"{name}: level and size of the record", record["log.level"] == "error"
                         and len(json.dumps(record)) <= 4096, record["log.level"]))
            state = stat_fields(pid)
            ours = kind in ("stopped", "traced")
            rows.append((f"{name}: the service keeps its pid and is neither stopped nor traced by the launcher",
                         state is not None and state[0] != "Z" and (ours or (state[0] not in "Tt" and tracer_of(pid) == 0))
                         and tracer_of(pid) != frozen.launcher.process.pid, str(state)))
            document = frozen.document(record)
            rows.append((f"{name}: the document says the same", document["rule"] == fields["rule"]
                         and document["id"] == fields["id"] and document["sentence"] == fields["sentence"], document["rule"]))
            print(f"      {name}: {fields['sentence']}; {fields['cpu_ms']:.1f} ms CPU, {fields['took_ms']:.0f} ms", flush=True)
            group_pids = [pid]
            if kind in ("traced", "vfork"):
                group_pids += own_children(pid)
            for one in group_pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
    finally:
        if group is not None:
            until(lambda: not (group.path / "cgroup.procs").read_text().strip(), 5)
            group.close()
    return rows, None


def all_kinds(program, runs, only):
    jobs = [(kind, run) for run in range(runs) for kind in KINDS if not only or kind == only]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(run_kind, program, kind, f"{run}-{kind}") for kind, run in jobs]
        for future in futures:
            rows, skipped = future.result()
            if skipped:
                print(f"skip  {skipped}", flush=True)
            for row in rows:
                checks.check(*row)


def upstream(program):
    """F3: the service answers, its upstream does not. Nothing is frozen, so somebody has to ask."""
    with Frozen(program, "pause", deep=True) as frozen, socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", frozen.upstream_port))
        server.listen(64)
        frozen.started()
        deep = lambda: any(p["name"] == "readiness" and p["last"] and p["last"]["result"] == "http_headers_timeout"
                           for p in frozen.status()["probes"])
        checks.check("F3: the deep probe times out", until(deep, 15))
        frozen.launcher.signal(signal.SIGUSR1)
        record = frozen.evidence("manual")
        fields = record["fields"] if record else {}
        checks.check("F3: the rule, on SIGUSR1", fields.get("rule") == "F3", str(fields))
        checks.check("F3: the sentence names the peer",
                     fields.get("sentence") == f"waiting for upstream 127.0.0.1:{frozen.upstream_port}", str(fields))
        checks.check("F3: nothing is frozen, so there is no class", record is not None and "class" not in fields, str(fields))


def life_of_a_freeze(program):
    """Suspect, frozen, scheduled, end: records, files, metrics, status."""
    with Frozen(program, "stopped") as frozen:
        frozen.started()
        pid = frozen.pid()
        checks.check("before: every reason exists with 0",
                     all(frozen.metric(f'kms_launcher_evidence_snapshots_total{{service="fake",reason="{reason}"}}') == 0
                         for reason in ("suspect", "frozen", "scheduled", "freeze-end", "manual", "stop")))
        frozen.freeze()
        suspect, record = frozen.evidence("suspect"), frozen.evidence("frozen")
        checks.check("evidence at the first time-out and at the freeze", suspect and record, frozen.launcher.dump())
        os.kill(pid, signal.SIGCONT)
        end = frozen.evidence("freeze-end")
        checks.check("evidence at the end of the freeze", end is not None, frozen.launcher.dump())
        checks.check("… which finds nothing wrong", end and end["fields"]["rule"] == "F11", str(end and end["fields"]))
        counted = lambda reason: frozen.metric(
            f'kms_launcher_evidence_snapshots_total{{service="fake",reason="{reason}"}}')
        checks.check("metrics count by reason", until(lambda: [counted(r) for r in ("suspect", "frozen", "freeze-end")] == [1, 1, 1], 5))
        status = frozen.status()
        checks.check("/status names the last evidence", end and status["freeze"]["last_evidence"] == end["fields"]["id"], str(status["freeze"]))
        checks.check("/status counts it", status["evidence"]["taken"].get("frozen") == 1, str(status["evidence"]))
        files = sorted(frozen.evidence_dir.iterdir())
        checks.check("one file for each, nothing else", len(files) == 3, str(files))
        checks.check("mode 0600", all(stat.S_IMODE(f.stat().st_mode) == 0o600 for f in files))
        text = files[1].read_text()
        checks.check("no address of the process's memory is in it", "0x7f" not in text and "0x5" not in text)
        document = json.loads(text)
        steps = [step["step"] for step in document["steps"]]
        order = ["threads 1", "threads 2", "threads 3", "stacks", "descriptors", "sockets", "process", "cgroups", "pressure",
                 "other processes"]
        checks.check("the steps come in their order", [s for s in steps if s in order] == order, str(steps))
        checks.check("all probes are in it, with stage times",
                     any(r["stages_ms"] for p in document["probes"] for r in p["results"]), str(document["probes"])[:300])
        checks.check("the launcher's pipes are in it", {p["stream"] for p in document["log"]["pipes"]} == {"stdout", "stderr"})
        checks.check("the last lines are in it", any("listening" in l for l in document["last_lines"]["fake"]))

        # A freeze that lasts: once more 10 s after its begin.
        os.kill(pid, signal.SIGSTOP)
        scheduled = frozen.evidence("scheduled", 30)
        checks.check("evidence again 10 s after the begin", scheduled and scheduled["fields"]["rule"] == "F6", str(scheduled))
        os.kill(pid, signal.SIGCONT)


def limits_and_commands(program):
    env = {"FAKE_TOKEN": "planted-secret-value-1234"}
    with Frozen(program, "pause", env=env, extra='secret_env = { FAKE_TOKEN = { env = "FAKE_TOKEN" } }') as frozen:
        frozen.started()
        fetch(frozen.port, "/log")

        def command(*words, status=0):
            done = subprocess.run([LAUNCHER, *words], capture_output=True, text=True, timeout=30,
                                  env={**os.environ, "LAUNCHER_HEALTH": str(frozen.socket)})
            checks.check(f"{' '.join(words)}: exit status {status}", done.returncode == status, f"{done.returncode} {done.stdout} {done.stderr}")
            return done

        shown = command("evidence", "fake").stdout
        checks.check("evidence shows the sentence", shown.startswith("fake (pid ") and "F11: unclassified" in shown, shown)
        checks.check("… and the threads", "THREADS" in shown and "poll" in shown, shown)
        checks.check("… and the listener", f"127.0.0.1:{frozen.port}" in shown, shown)
        again = command("evidence", "fake", status=1)
        checks.check("a second time within 10 s is refused with a sentence", "a moment ago" in again.stderr, again.stderr)
        frozen.launcher.signal(signal.SIGUSR1)
        skipped = 'kms_launcher_evidence_skipped_total{service="fake",reason="manual"}'
        checks.check("skipped ones are counted, for SIGUSR1 too", until(lambda: frozen.metric(skipped) == 2, 5), str(frozen.metric(skipped)))
        last = json.loads(command("evidence", "--last", "--json", "fake").stdout)
        checks.check("--last --json gives the document", last["rule"] == "F11" and last["reason"] == "manual", str(last)[:200])
        whole = json.dumps(last) + shown
        checks.check("no secret is in it, though the service wrote it", "planted-secret" not in whole and "[redacted]" in whole)
        checks.check("--list names the file", str(frozen.evidence_dir) in command("evidence", "--list").stdout)
        checks.check("an unknown service is a sentence", "no service 'nobody'" in command("evidence", "nobody", status=1).stderr)
        command("evidence", "--last", "--list", status=64)
        missing = subprocess.run([LAUNCHER, "evidence", "--socket", "/nonexistent/x.sock"], capture_output=True, text=True, timeout=10)
        checks.check("a missing socket is a sentence", missing.returncode == 1 and "no launcher runs" in missing.stderr, missing.stderr)

        # 16 files at most, the oldest go; what is not ours stays.
        record = frozen.evidence("manual")
        original = Path(record["fields"]["kept_in"])
        for number in range(20):
            shutil.copy(original, frozen.evidence_dir / f"evidence-fake-20200101T0000{number:02}Z-{number}.json")
        (frozen.evidence_dir / "evidence-fake-two-20200101T000000Z-1.json").write_text("{}")
        until(lambda: subprocess.run([LAUNCHER, "evidence", "--socket", frozen.socket, "fake"], capture_output=True).returncode == 0, 15, 0.5)
        names = sorted(f.name for f in frozen.evidence_dir.iterdir())
        own = [n for n in names if n.startswith("evidence-fake-2")]
        checks.check("at most 16 files of a service are kept", len(own) == 16, str(len(own)))
        checks.check("… the newest", own[0].startswith("evidence-fake-20200101T000006Z"), str(own[:2]))
        checks.check("… and another's files stay", "evidence-fake-two-20200101T000000Z-1.json" in names)

        # Log levels
        told = lambda text: sum(text in r.get("message", "") for r in frozen.launcher.records)
        checks.check("info is logged, debug is not", told("told") == 1 and told("detail") == 0)
        checks.check("log-level shows the filter", command("log-level").stdout == "log filter: info\n")
        out = command("log-level", "fake", "warn,fake=debug").stdout
        checks.check("log-level sets a service's filter", out == "log filter: info; fake: warn,fake=debug\n", out)
        fetch(frozen.port, "/log")
        checks.check("… and debug is logged", frozen.launcher.message("detail", 5) is not None, frozen.launcher.dump())
        checks.check("… and /status shows it", fetch(frozen.health_port, "/status").json()["launcher"]["log"]["filter"] == "info; fake: warn,fake=debug")
        bad = command("log-level", "fake", "fake=nonsense", status=1)
        checks.check("a bad filter is refused with its column", "column" in bad.stderr, bad.stderr)
        command("log-level", "fake", status=64)
        command("log-level", "nobody", "info", status=1)
        command("log-level", "--reset", "fake")
        before = told("detail")
        fetch(frozen.port, "/log")
        checks.check("--reset ends it", until(lambda: told("told") == 3, 5) and told("detail") == before)
        command("log-level", "fake", "off")
        frozen.config.write_text(frozen.config.read_text().replace('filter = "info"', 'filter = "debug"'))
        frozen.launcher.signal(signal.SIGHUP)
        checks.check("SIGHUP reloads the filter", frozen.launcher.message("log filter reloaded") is not None)
        checks.check("… and ends that of the service", command("log-level").stdout == "log filter: debug\n")
        fetch(frozen.port, "/log")
        checks.check("… at once", until(lambda: told("detail") == before + 1, 5))
        socket_security(frozen)


def talk(path, data, user=None):
    """Sends bytes to the socket, perhaps as another user; the answer."""
    script = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.settimeout(12)\ns.connect(sys.argv[1])\n"
              "s.sendall(sys.stdin.buffer.read())\nwhile True:\n d=s.recv(65536)\n if not d: break\n sys.stdout.buffer.write(d)\n")
    words = ["/usr/bin/python3", "-S", "-E", "-c", script, str(path)]
    if user is not None:
        words = ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups", "--", *words]
    return subprocess.run(words, input=data, capture_output=True, timeout=20)


def socket_security(frozen):
    path = frozen.socket
    checks.check("the socket has mode 0600", stat.S_IMODE(path.stat().st_mode) == 0o600)
    request = lambda method, what, body=b"", more="": (
        f"{method} {what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    large = talk(path, request("PUT", "/control/log-level/fake", b"x" * 9000)).stdout
    checks.check("a body beyond 8 KiB is refused", b" 413 " in large[:20], str(large[:80]))
    heads = talk(path, request("GET", "/control/log-level", more="X: " + "y" * 9000 + "\r\n")).stdout
    checks.check("a head beyond 8 KiB is refused", b" 431 " in heads[:20], str(heads[:80]))
    slow = talk(path, b"GET /control/log")
    checks.check("half a request is given 5 s", b" 408 " in slow.stdout[:20] or slow.stdout == b"", str(slow))
    for method, what, wanted in (("DELETE", "/control/evidence/fake", 405), ("POST", "/control/log-level/fake", 405),
                                 ("GET", "/control/stop", 404), ("GET", "/livez", 200)):
        answer = talk(path, request(method, what)).stdout
        checks.check(f"{method} {what}: {wanted}", f" {wanted} ".encode() in answer[:20], str(answer[:80]))
    checks.check("there is no control over TCP", fetch(frozen.health_port, "/control/log-level").status == 404)
    checks.check("… whatever the method", fetch(frozen.health_port, "/control/evidence/fake", method="POST").status == 405)
    if os.geteuid() != 0:
        print("skip  another user at the socket: needs root", flush=True)
        return
    denied = talk(path, request("GET", "/control/log-level"), NOBODY)
    checks.check("another user cannot connect", b"PermissionError" in denied.stderr, str(denied))
    path.chmod(0o666)
    denied = talk(path, request("GET", "/control/log-level"), NOBODY)
    checks.check("… nor, were the file open to all, command", b" 403 " in denied.stdout[:20], str(denied))


def unprivileged(program):
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        print("skip  a launcher without privileges: needs root to become nobody", flush=True)
        return
    for kind, wanted in (("deadlock", "F2"), ("stderr", "F1"), ("hidden", "F11")):
        with Frozen(program, kind, user=NOBODY) as frozen:
            frozen.started()
            frozen.freeze()
            record = frozen.evidence("frozen")
            fields = record["fields"] if record else {}
            checks.check(f"as nobody, {kind}: the rule", fields.get("rule") == wanted, str(fields) + frozen.launcher.dump()[-500:])
            if not record:
                continue
            unreadable = {s["step"]: s["unreadable"] for s in frozen.document(record)["steps"] if "unreadable" in s}
            checks.check(f"as nobody, {kind}: stacks are not permitted, and that is no error",
                         unreadable.get("stacks") in ("not permitted", "error 1"), str(unreadable))
            if kind == "hidden":
                checks.check("a service that is not dumpable: steps are noted as not permitted",
                             unreadable.get("descriptors") == "not permitted" and unreadable.get("threads 1") == "not permitted", str(unreadable))
            else:
                checks.check(f"as nobody, {kind}: everything else was read", set(unreadable) == {"stacks"}, str(unreadable))


def quit_takes_evidence_first(program):
    with Frozen(program, "pause") as frozen:
        frozen.started()
        frozen.launcher.signal(signal.SIGQUIT)
        stop = frozen.launcher.action("stop-begin")
        record = frozen.evidence("stop", 5)
        checks.check("SIGQUIT: evidence, then the stop", record is not None and stop is not None, frozen.launcher.dump())
        checks.check("… with a shortened sample", record and frozen.document(record)["sample_ms"] < 200, str(record and record["fields"]))
        checks.check("… and an orderly end", frozen.launcher.status(10) in (0, 143), frozen.launcher.dump())


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--runs", type=int, default=1)
    arguments.add_argument("--only")
    options = arguments.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="kms-fake-"))
    directory.chmod(0o755)
    try:
        program = compile_fake(directory)
        all_kinds(program, options.runs, options.only)
        if options.runs == 1 and not options.only:
            upstream(program)
            life_of_a_freeze(program)
            limits_and_commands(program)
            unprivileged(program)
            quit_takes_evidence_first(program)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    checks.finish()


main()
