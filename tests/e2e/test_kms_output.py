#!/usr/bin/env python3
"""Nobody reads stdout, its reader has gone, or the disk behind it is full: the KMS serves on and counts what was lost."""
import os
import signal
import subprocess
import tempfile
import pathlib

from harness import BIN, Checks, free_ports, percentile, wait_for
from kms_server import call, configuration, metric, write_keys

checks = Checks()
LIMIT = 0.050
CALLS = 1500  # at debug level each writes a line; a pipe and the queue behind it hold fewer


class Writer:
    """dstack-kms that writes its log to the given descriptor."""

    def __init__(self, folder, descriptor):
        self.port, = free_ports(1)
        write_keys(folder / "certs")
        (folder / "kms.toml").write_text(configuration(port=self.port))
        self.process = subprocess.Popen([BIN.resolve() / "dstack-kms", "-c", "kms.toml"], cwd=folder, stdin=subprocess.DEVNULL,
                                        stdout=descriptor, stderr=subprocess.DEVNULL, env={**os.environ, "RUST_LOG": "debug"})

    def answers(self):
        try:
            return call(self.port, "GetTempCaCert", timeout=1) is not None
        except OSError:
            return False

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(5)


def serves_on(name, descriptor, after_start=lambda: None, nonsense="x" * 600):
    with tempfile.TemporaryDirectory(prefix="kms-output-") as folder:
        kms = Writer(pathlib.Path(folder), descriptor)
        try:
            if not checks.check(f"{name}: ready", wait_for(kms.answers, 10)):
                return
            after_start()
            times, bad = [], 0
            for number in range(CALLS):
                # Every tenth is the one that is measured; the others make long lines.
                response = call(kms.port, "GetMeta", {}) if number % 10 == 0 else call(kms.port, f"{nonsense}{number}", {})
                bad += response is None or response.status != (200 if number % 10 == 0 else 400)
                if number % 10 == 0 and response:
                    times.append(response.seconds)
            checks.equal(f"{name}: every call is answered", bad, 0)
            p99 = percentile(times, 0.99)
            checks.check(f"{name}: GetMeta p99 {p99 * 1000:.1f} ms of {LIMIT * 1000:.0f} ms", p99 <= LIMIT, f"max {max(times) * 1000:.1f} ms")
            lost = metric(kms.port, "dstack_kms_log_lines_dropped_total")
            checks.check(f"{name}: losses are counted", lost is not None and lost > 0, str(lost))
            checks.equal(f"{name}: SIGTERM ends it with 0", kms.end(), 0)
        finally:
            kms.end()


reader, writer = os.pipe()
serves_on("stdout is not read", writer)
os.close(reader)
os.close(writer)

reader, writer = os.pipe()
serves_on("the reader of stdout has gone", writer, lambda: os.close(reader))
os.close(writer)

if pathlib.Path("/dev/full").exists():
    full = os.open("/dev/full", os.O_WRONLY)
    serves_on("stdout is on a full disk", full)
    os.close(full)
else:
    checks.skip("stdout is on a full disk", "there is no /dev/full here")
checks.finish()
