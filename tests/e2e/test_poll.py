#!/usr/bin/env python3
"""`kms-launcher poll` and `probe`: every answer is counted, every silence is named by its layer."""
import contextlib
import json
import os
import pathlib
import pty
import signal
import socket
import ssl
import subprocess
import tempfile
import threading

from harness import BIN, Checks, free_ports, wait_for

checks = Checks()
LAUNCHER = BIN / "kms-launcher"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK"


class Server:
    """Answers each connection in a thread; from the moment that frozen is set it only accepts. `after` freezes it by
    itself after that many answers."""

    def __init__(self, answer=OK, tls=None, after=None):
        self.answer, self.tls, self.after = answer, tls, after
        self.frozen, self.stopped = threading.Event(), threading.Event()
        self.answered = self.connections = 0
        self._lock = threading.Lock()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        with contextlib.suppress(OSError), contextlib.closing(peer):
            peer.settimeout(20)
            if self.tls:
                peer = self.tls.wrap_socket(peer, server_side=True)
            request = b""
            while b"\r\n\r\n" not in request:
                piece = peer.recv(4096)
                if not piece:
                    return
                request += piece
            with self._lock:
                if self.after is not None and self.answered >= self.after:
                    self.frozen.set()
                if not self.frozen.is_set():
                    self.answered += 1
            if self.frozen.is_set():
                self.stopped.wait(20)
            else:
                peer.sendall(self.answer)
            peer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.socket.close()


def run(*words, timeout=30):
    return subprocess.run([LAUNCHER, *map(str, words)], capture_output=True, text=True, timeout=timeout)


def server_context(directory):
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


def always_answered():
    with Server() as server:
        done = run("poll", f"http://127.0.0.1:{server.port}/x", "--for", "1s", "--every", "50ms", "--json")
        checks.equal("a server that answers: exit 0", done.returncode, 0)
        told = json.loads(done.stdout)
        checks.check("… one poll every 50 ms", 15 <= told["polls"] <= 21, done.stdout)
        checks.equal("… each on a fresh connection", server.connections, told["polls"])
        checks.equal("… all answered", (told["answered"], told["failed"]), (told["polls"], 0))
        checks.equal("… the histogram holds them all", sum(bar["count"] for bar in told["histogram"]), told["polls"])
        checks.check("… no silence longer than the interval and some", told["longest_gap_seconds"] < 0.5, done.stdout)
        done = run("poll", f"http://127.0.0.1:{server.port}/x", "--count", "300", "--every", "0ms", "--concurrency", "4")
        checks.check("300 polls by four workers, for people", done.returncode == 0 and "300 polls in" in done.stdout, done.stdout + done.stderr)
        checks.check("… with bars and percentiles", "####" in done.stdout and "p99 " in done.stdout and
                     "longest time without an answer: " in done.stdout, done.stdout)


def freeze_is_named():
    with Server(after=5) as server:
        done = run("poll", f"http://127.0.0.1:{server.port}/", "--count", "8", "--every", "10ms", "--timeout", "300ms", "--json")
        told = json.loads(done.stdout)
        checks.equal("a server that freezes after 5 answers: exit 1", done.returncode, 1)
        checks.equal("… 5 of 8", (told["answered"], told["failed"]), (5, 3))
        checks.equal("… named by layer", {name: f["count"] for name, f in told["failures"].items()}, {"http_headers_timeout": 3})
        checks.check("… the silence is measured", 0.8 < told["longest_gap_seconds"] < 3, done.stdout)
        checks.check("… and said while it happens", "http_headers_timeout: TCP is open, but no HTTP answer came within 300 ms in all" in done.stderr, done.stderr)
    with tempfile.TemporaryDirectory() as directory:
        context, certificate = server_context(pathlib.Path(directory))
        with Server(tls=context, after=2) as server:
            done = run("poll", f"https://127.0.0.1:{server.port}/", "--count", "4", "--every", "1ms", "--timeout", "500ms")
            checks.check("over TLS the freeze is told from a failed handshake",
                         done.returncode == 1 and "http_headers_timeout  2  TCP is open and TLS is established" in done.stdout, done.stdout)
        with Server(tls=context) as server:
            good = run("poll", f"https://localhost:{server.port}/", "--count", "1", "--ca-file", certificate)
            checks.equal("a certificate can be verified", good.returncode, 0)
            other = run("poll", f"https://127.0.0.1:{server.port}/", "--count", "1", "--ca-file", certificate)
            checks.check("… and one of another name is refused", other.returncode == 1 and "tls_error" in other.stdout, other.stdout)
            shown = run("probe", f"https://localhost:{server.port}/", "--json")
            pin = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-fingerprint", "-sha256"],
                                 capture_output=True, text=True, check=True).stdout.strip().split("=")[1].replace(":", "").lower()
            checks.equal("probe shows the certificate's SHA-256", json.loads(shown.stdout)["certificate_sha256"], pin)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = run("poll", f"https://127.0.0.1:{silent.getsockname()[1]}/", "--count", "2", "--every", "1ms", "--timeout", "200ms")
        checks.check("a handshake that hangs", done.returncode == 1 and "tls_timeout  2" in done.stdout, done.stdout)
    port, = free_ports(1)
    done = run("poll", f"http://127.0.0.1:{port}/", "--count", "2", "--every", "1ms")
    checks.check("nobody listens", done.returncode == 1 and f"nothing listens on 127.0.0.1:{port}" in done.stdout, done.stdout)
    with Server(answer=OK.replace(b"200 OK", b"500 No")) as server:
        done = run("poll", f"http://127.0.0.1:{server.port}/", "--count", "2", "--every", "1ms")
        checks.check("an error is no answer", done.returncode == 1 and "http_status" in done.stdout, done.stdout)


def ends_early():
    with Server() as server:
        command = [LAUNCHER, "poll", f"http://127.0.0.1:{server.port}/", "--for", "1h", "--every", "20ms", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
            wait_for(lambda: server.answered >= 3)
            program.send_signal(signal.SIGINT)
            out, _ = program.communicate(timeout=5)
        told = json.loads(out)
        checks.check("Ctrl-C tells what was polled so far", told["interrupted"] and told["answered"] >= 2, out)
        checks.equal("… and exits by the same rule", program.returncode, 0)
    with Server() as server:
        server.frozen.set()
        command = [LAUNCHER, "poll", f"http://127.0.0.1:{server.port}/", "--for", "1h", "--timeout", "1h"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
            wait_for(lambda: server.connections >= 1)
            program.send_signal(signal.SIGTERM)
            out, _ = program.communicate(timeout=5)
        checks.check("a poll that hangs does not hold up the end", program.returncode == 1 and "0 polls in" in out, out)


def progress_on_a_terminal():
    with Server() as server:
        ours, theirs = pty.openpty()
        done = subprocess.run([LAUNCHER, "poll", f"http://127.0.0.1:{server.port}/", "--count", "3", "--every", "1ms"],
                              stdout=subprocess.PIPE, stderr=theirs, timeout=20)
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 4096):
                seen += piece
        os.close(ours)
        checks.check("on a terminal one line is rewritten", seen.count(b"\r\x1b[K") >= 3 and b"3 answered, 0 failed" in seen and
                     seen.count(b"\n") == 0, repr(seen))
        checks.check("… and stdout stays clean", done.stdout.startswith(b"http://") and b"\x1b" not in done.stdout, repr(done.stdout))
        quiet = run("poll", f"http://127.0.0.1:{server.port}/", "--count", "3", "--every", "1ms")
        checks.equal("elsewhere nothing is said for so short a time", quiet.stderr, "")


def bad_arguments():
    for words in ([], ["nonsense"], ["http://a/", "--for", "x"], ["http://a/", "--count", "-1"], ["http://u:pw@a/"]):
        done = run("poll", *words)
        checks.check(f"poll {' '.join(words)}: 64 and a sentence", done.returncode == 64 and not done.stdout and
                     done.stderr.startswith("kms-launcher poll: ") and "pw" not in done.stderr, f"{done.returncode} {done.stderr}")


always_answered()
freeze_is_named()
ends_early()
progress_on_a_terminal()
bad_arguments()
checks.finish()
