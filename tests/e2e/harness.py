"""What end-to-end scripts share: programs on free ports, bounded waiting without sleeping, counted checks.

A script makes one Checks, calls check() for each promise and ends with finish(), which prints "N passed, N failed".
"""
import contextlib
import http.client
import json
import os
import pathlib
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("BIN_DIR", ROOT / "build/release/bin"))
SHARED = pathlib.Path(os.environ.get("KMS_PEER_DATA", ROOT.parent / "shared" / "testdata"))


class Checks:
    """Counts promises kept and broken; one line each."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, name, ok, detail=""):
        if ok:
            self.passed += 1
            print(f"ok   {name}", flush=True)
        else:
            self.failed += 1
            print(f"FAIL {name}: {detail}", flush=True)
        return bool(ok)

    def equal(self, name, got, wanted):
        return self.check(name, got == wanted, f"got {got!r}, wanted {wanted!r}")

    def skip(self, name, reason):
        self.skipped += 1
        print(f"skip {name}: {reason}", flush=True)

    def finish(self):
        words = f", {self.skipped} skipped" if self.skipped else ""
        print(f"{self.passed} passed, {self.failed} failed{words}")
        sys.exit(1 if self.failed or self.passed + self.skipped == 0 else 0)


def free_ports(count):
    """Ports that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for(condition, seconds=10.0, pause=0.01):
    """Asks until condition() holds; False after the limit. The pause is a select() on nothing, bounded like the rest."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if condition():
            return True
        select.select([], [], [], pause)
    return bool(condition())


class Program:
    """A program under test with its output kept. Ended, with its group, when the with block ends."""

    def __init__(self, command, env=None, cwd=None):
        self.lines = []
        self._news = threading.Condition()
        self.process = subprocess.Popen([str(c) for c in command], env=None if env is None else {**os.environ, **env},
                                        cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for raw in self.process.stdout:
            with self._news:
                self.lines.append(raw.decode(errors="replace").rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    @property
    def pid(self):
        return self.process.pid

    @property
    def output(self):
        with self._news:
            return "\n".join(self.lines)

    def wait_for_line(self, text, seconds=10.0):
        """Whether a line that contains text has come within the limit."""
        with self._news:
            return self._news.wait_for(lambda: any(text in line for line in self.lines), seconds)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=10.0):
        """Exit status, negative for a signal; None when it is still running after the limit."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(2)
        return status

    def stop(self, seconds=10.0):
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait(seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            if self.wait(12) is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.wait(5)


def children_of(pid):
    """Pids of the direct children of a process, by name."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            stat = (entry / "stat").read_text()
            name, rest = stat[stat.index("(") + 1:stat.rindex(")")], stat[stat.rindex(")") + 2:].split()
            if int(rest[1]) == pid:
                found[name] = int(entry.name)
    return found


def is_running(pid):
    """Whether the process exists and is no zombie."""
    with contextlib.suppress(OSError):
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        return stat[stat.rindex(")") + 2] != "Z"
    return False


class Answer:
    def __init__(self, status, headers, body, seconds):
        self.status, self.headers, self.body, self.seconds = status, headers, body, seconds

    @property
    def text(self):
        return self.body.decode(errors="replace")

    def json(self):
        return json.loads(self.body)


_insecure = ssl.create_default_context()
_insecure.check_hostname = False
_insecure.verify_mode = ssl.CERT_NONE


def fetch(port, path, body=None, tls=False, method=None, headers=None, timeout=5.0, context=None):
    """One request on a fresh connection. Raises OSError or http.client.HTTPException when there is no answer."""
    began = time.monotonic()
    if tls:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, context=context or _insecure)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers or {})
        reply = connection.getresponse()
        content = reply.read()
        return Answer(reply.status, dict((k.lower(), v) for k, v in reply.getheaders()), content, time.monotonic() - began)
    finally:
        connection.close()


def answers(port, path, tls=False):
    """Whether the port answers this path with 200 now."""
    try:
        return fetch(port, path, tls=tls, timeout=1).status == 200
    except (OSError, http.client.HTTPException):
        return False


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Stack:
    """The whole stack as `./dev run` starts it, on free ports and in a directory of its own; without the simulator
    and its evidence unless quotes=True."""

    def __init__(self, directory=None, edit=None, env=None, quotes=False):
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="kms-stack-"))
        self.kms_port, self.auth_port, self.health_port, self.pccs_port = free_ports(4)
        values = {"BIN": str(BIN), "DIR": str(self.directory), "KMS_PORT": str(self.kms_port),
                  "AUTH_PORT": str(self.auth_port), "HEALTH_PORT": str(self.health_port), "PCCS_PORT": str(self.pccs_port)}
        left_out = "no-quotes" if quotes else "quotes"
        for name in ("launcher.toml", "kms.toml", "auth-config.json"):
            text = (ROOT / "units/dev" / name).read_text()
            text = re.sub(rf"^# {left_out} {{$.*?^# }} {left_out}$\n", "", text, flags=re.DOTALL | re.MULTILINE)
            for key, value in values.items():
                text = text.replace(f"@{key}@", value)
            if edit:
                text = edit(name, text)
            (self.directory / name).write_text(text)
        self.env = env
        self.program = None

    def start(self):
        self.program = Program([BIN / "kms-launcher", "run", "--config", self.directory / "launcher.toml"], env=self.env)
        return self

    def ready(self, seconds=20.0):
        return wait_for(lambda: self.program.process.poll() is not None or answers(self.health_port, "/readyz"), seconds) \
            and self.program.process.poll() is None

    def get_meta(self, timeout=5.0):
        return fetch(self.kms_port, "/prpc/KMS.GetMeta?json", tls=True, timeout=timeout)

    def services(self):
        """pids by program name: {"auth-eth": …, "dstack-kms": …}"""
        return children_of(self.program.pid)

    def __enter__(self):
        return self.start()

    def __exit__(self, *problem):
        self.program.__exit__(*problem)
