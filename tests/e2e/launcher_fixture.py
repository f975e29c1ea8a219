"""What the end-to-end tests of kms-launcher share: a running launcher whose log is read as it comes, fake services,
and a counter of checks. Standard library only."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN_DIR = Path(os.environ.get("BIN_DIR", ROOT / "build/release/bin"))
LAUNCHER = str(BIN_DIR / "kms-launcher")

# A service that does what its arguments say. It never polls: it waits for signals and for its trigger.
SERVICE = r'''
import os, select, signal, subprocess, sys, time
args = dict(a.split("=", 1) for a in sys.argv[1:])
name = args.get("name", "svc")
signals = {signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP}
def say(*words):
    os.write(1, (" ".join(str(w) for w in words) + "\n").encode())
def pause(seconds):
    select.select([], [], [], seconds)
if args.get("term") == "ignore":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
def on_signal(number, frame):
    if number == signal.SIGTERM:
        say(name, "got SIGTERM")
        pause(float(args.get("cleanup", "0")))
        say(name, "cleaned up")
        os._exit(int(args.get("term_exit", "0")))
    say(name, "got signal", number)
for number in signals:
    if not (number == signal.SIGTERM and args.get("term") == "ignore"):
        signal.signal(number, on_signal)
if "grandchild" in args:
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            if args["grandchild"] == "stubborn":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            say("grandchild", os.getpid())
            while True:
                signal.pause()
        os._exit(0)
    os.waitpid(child, 0)
if "orphans" in args:
    for _ in range(int(args["orphans"])):
        child = os.fork()
        if child == 0:
            if os.fork() == 0:
                os._exit(3)
            os._exit(0)
        os.waitpid(child, 0)
if "listen" in args:
    import socket
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", int(args["listen"])))
    server.listen()
say(name, "up", os.getpid(), "ppid", os.getppid(), "sid", os.getsid(0))
if "trigger" in args:
    with open(args["trigger"]) as pipe:
        pipe.read(1)
    say(name, "dies at", time.time())
    action = args["action"]
    if action.startswith("signal:"):
        number = int(action.split(":")[1])
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(int(action))
while True:
    signal.pause()
'''


class Checks:
    """Counts checks, one line each; the last line is what the runner reads."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what, good, detail=""):
        if good:
            self.passed += 1
            print(f"ok    {what}")
        else:
            self.failed += 1
            print(f"FAIL  {what}  {detail}")
        sys.stdout.flush()
        return good

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)


def pause(seconds):
    """For polling what has no event, such as the state of a process."""
    select.select([], [], [], seconds)


def until(predicate, timeout=10.0, step=0.01):
    """The predicate's first true value, or its last false one after `timeout`."""
    end = time.monotonic() + timeout
    while True:
        value = predicate()
        if value or time.monotonic() > end:
            return value
        pause(step)


def stat_fields(pid):
    """(state, ppid) of a process, or None."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    rest = text.rsplit(")", 1)[1].split()
    return rest[0], int(rest[1])


def children_of(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = stat_fields(entry)
            if fields and fields[1] == pid:
                found.append(int(entry))
    return found


def descendants_of(pid):
    found, queue = [], [pid]
    while queue:
        below = children_of(queue.pop())
        found += below
        queue += below
    return found


class Workspace:
    """A directory of its own with the fake service's script; removed at the end."""

    def __init__(self):
        self.path = Path(tempfile.mkdtemp(prefix="kms-launcher-"))
        # A service may run as another user.
        self.path.chmod(0o755)
        self.script = self.path / "service.py"
        self.script.write_text(SERVICE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)

    def command(self, **arguments):
        words = ["/usr/bin/python3", "-S", "-E", str(self.script)]
        words += [f"{key}={value}" for key, value in arguments.items()]
        return json.dumps(words)

    def fifo(self, name):
        path = self.path / name
        os.mkfifo(path)
        return path

    def config(self, body, log="info"):
        path = self.path / "launcher.toml"
        path.write_text(
            f'version = 1\n[log]\nfilter = "{log}"\n[[log.sink]]\nkind = "stdout"\nformat = "json"\n'
            f'[health]\nlisten = ["127.0.0.1:0"]\nunix = "{self.path}/health.sock"\n' + body
        )
        return path


def up_probe(service, pattern=None, deadline="30s"):
    """A start-up probe that waits for the fake service's first line."""
    pattern = pattern or f"{service} up"
    return (
        f'[service.{service}.probe.startup]\nkind = "log-line"\npattern = "{pattern}"\ndeadline = "{deadline}"\n'
    )


class Launcher:
    """A launcher that runs as PID 1 of its own namespace, or as an ordinary process (a subreaper)."""

    def __init__(self, config, pid1=False, arguments=(), env=None, pass_fds=()):
        # Without a file: the built-in configuration.
        command = [LAUNCHER, "run", *(["--config", str(config)] if config else []), *arguments]
        if pid1:
            prefix = ["unshare", "--pid", "--fork", "--mount-proc"]
            if os.geteuid() != 0:
                prefix.insert(1, "--map-root-user")
            command = prefix + command
        self.pid1 = pid1
        self.records, self.lines = [], []
        self.changed = threading.Condition()
        self.closed = False
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=env, pass_fds=pass_fds
        )
        self.errors = b""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.error_reader = threading.Thread(target=self._read_errors, daemon=True)
        self.error_reader.start()

    def _read(self):
        for line in self.process.stdout:
            text = line.decode("utf-8", "replace")
            try:
                record = json.loads(text)
            except ValueError:
                record = None
            with self.changed:
                self.lines.append(text)
                if record is not None:
                    self.records.append(record)
                self.changed.notify_all()
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def _read_errors(self):
        self.errors = self.process.stderr.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            for pid in [*descendants_of(self.process.pid), self.process.pid]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait(10)
        self.reader.join(10)

    def pid(self):
        """The launcher's pid as seen from here."""
        if not self.pid1:
            return self.process.pid
        return until(lambda: (children_of(self.process.pid) or [0])[0])

    def wait_for(self, predicate, timeout=20.0):
        """The first record that fits, or None."""
        end = time.monotonic() + timeout
        seen = 0
        with self.changed:
            while True:
                while seen < len(self.records):
                    if predicate(self.records[seen]):
                        return self.records[seen]
                    seen += 1
                left = end - time.monotonic()
                if left <= 0 or self.closed:
                    return None
                self.changed.wait(left)

    def message(self, text, timeout=20.0):
        return self.wait_for(lambda r: text in r.get("message", ""), timeout)

    def action(self, action, service=None, timeout=20.0):
        return self.wait_for(
            lambda r: r.get("event.action") == action
            and (service is None or r.get("fields", {}).get("service") == service),
            timeout,
        )

    def signal(self, number):
        os.kill(self.pid(), number)

    def status(self, timeout=30.0):
        """The exit status; 128 + n for a signal. None when it does not end in time."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self.reader.join(10)
        self.error_reader.join(10)
        return 128 - code if code < 0 else code

    def has_message(self, text):
        return any(text in record.get("message", "") for record in self.records)

    def dump(self):
        return "".join(self.lines)[-3000:] + self.errors.decode("utf-8", "replace")[-1000:]


def service_pid(launcher, name, timeout=20.0):
    """The outside pid of a service, found below the launcher by its fake's name argument."""

    def find():
        for pid in descendants_of(launcher.pid()):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"name={name}".encode() in words:
                return pid
        return 0

    return until(find, timeout)


def seconds_of(timestamp):
    """RFC 3339 with microseconds → seconds since the epoch."""
    from datetime import datetime

    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()
