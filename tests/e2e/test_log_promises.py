#!/usr/bin/env python3
"""What the log promises whatever happens: no line of a dying service is lost, a stuck output makes no service wait and
its losses are told exactly, no secret gets out, and public hashes stay. Counts can be raised: LINE_RUNS=1000."""
import base64
import json
import os
import pathlib
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

from harness import BIN, Checks, wait_for

checks = Checks()
LAUNCHER = BIN / "kms-launcher"
LINES = 500
LINE_RUNS = int(os.environ.get("LINE_RUNS", "15"))
QUEUE = 64 * 1024

# 500 lines at once, the last one without an end; then it ends in one of three ways.
LAST_WORDS = f"""
import os, signal, sys
lines = "".join(f"line {{i}} of the service\\n" for i in range({LINES})).rstrip("\\n").encode()
if sys.argv[1] == "stop":
    def bye(*_):
        os.write(1, lines)
        os._exit(0)
    signal.signal(signal.SIGTERM, bye)
    os.write(2, b"armed\\n")
    while True:
        signal.pause()
os.write(1, lines)
if sys.argv[1] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
os._exit(0)
"""

# Writes so many lines as fast as it can, measures each write, reports the longest to a file, then waits.
WRITER = """
import os, select, signal, sys, time
count, report = int(sys.argv[1]), sys.argv[2]
worst = 0.0
for i in range(count):
    began = time.perf_counter()
    os.write(1, b"line %07d of the writer, with a tail so that it takes some room in a queue\\n" % i)
    worst = max(worst, time.perf_counter() - began)
    if i % 200 == 199:
        select.select([], [], [], 0.001)
open(report + ".new", "w").write(str(worst))
os.rename(report + ".new", report)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
while True:
    signal.pause()
"""


def configuration(directory, service, sinks, extra=""):
    path = directory / "launcher.toml"
    path.write_text('version = 1\n[log]\nfilter = "info"\n' + sinks + f'[health]\nlisten = []\nunix = "{directory}/health.sock"\n' +
                    f"[service.writer]\ncommand = {json.dumps(service)}\n" + extra)
    return path


def json_sink(kind="stdout", queue=QUEUE, more=""):
    return f'[[log.sink]]\nkind = "{kind}"\nformat = "json"\nqueue = {queue}\n{more}'


def environment(**more):
    return {name: value for name, value in os.environ.items() if not name.startswith("LAUNCHER_") and name != "RUST_LOG"} | more


def parsed(text):
    found = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            found.append({"message": "", "broken": line})
    return found


def the_last_words(directory):
    script = directory / "words.py"
    script.write_text(LAST_WORDS)
    for way, wanted in (("exit", 80), ("kill", 137), ("stop", 0)):
        lost = strange = 0
        for _ in range(LINE_RUNS):
            path = configuration(directory, [sys.executable, "-S", "-E", str(script), way], json_sink(queue=4 * 1024 * 1024))
            launcher = subprocess.Popen([LAUNCHER, "run", "--config", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        env=environment())
            output = b""
            if way == "stop":
                while b"armed" not in output:
                    output += os.read(launcher.stdout.fileno(), 65536)
                launcher.terminate()
            output += launcher.communicate(timeout=20)[0]
            seen = [r["message"] for r in parsed(output.decode()) if r.get("service.name") == "writer" and r["message"].startswith("line ")]
            lost += LINES - len(set(seen))
            strange += launcher.returncode != wanted or seen != [f"line {i} of the service" for i in range(LINES)]
        checks.equal(f"{LINE_RUNS} × {LINES} lines, the last without an end, then {way}: lost lines, runs out of order", (lost, strange), (0, 0))


class Stalled:
    """A launcher whose output nobody reads while the writer writes."""

    def __init__(self, directory, count, sinks, stdout=subprocess.PIPE, prefix=()):
        script = directory / "writer.py"
        script.write_text(WRITER)
        self.report = directory / "report"
        self.report.unlink(missing_ok=True)
        self.count = count
        path = configuration(directory, [sys.executable, "-S", "-E", str(script), str(count), str(self.report)], sinks)
        self.process = subprocess.Popen([*prefix, LAUNCHER, "run", "--config", path], stdout=stdout, stderr=subprocess.DEVNULL, env=environment())

    def written(self):
        """Whether the writer wrote everything although nobody read; and its longest write in ms."""
        done = wait_for(self.report.exists, 30)
        return done, float(self.report.read_text()) * 1000 if done else -1.0


def exact(name, records, count):
    """Written − delivered = what the records say was lost; and the numbers in the records show the same gaps."""
    delivered = sum(1 for r in records if r.get("service.name") == "writer" and r["message"].startswith("line "))
    told = sum(r["fields"]["lines"] for r in records if r.get("event.action") == "log-dropped")
    checks.check(f"{name}: {count - delivered} lines lost, as told", delivered < count and count - delivered == told, f"told {told}, delivered {delivered}")
    return told


def a_pipe_that_is_not_read(directory):
    stalled = Stalled(directory, 20000, json_sink())
    done, worst = stalled.written()
    checks.check(f"a pipe that nobody reads: the service writes on (longest write {worst:.1f} ms)", done and worst < 250, str(worst))
    rss = int(next(line for line in pathlib.Path(f"/proc/{stalled.process.pid}/status").read_text().splitlines() if line.startswith("VmRSS")).split()[1])
    checks.check("… the launcher stays within 24 MiB", rss < 24 * 1024, f"{rss} KiB")
    stalled.process.send_signal(signal.SIGTERM)
    # Now somebody reads; everything queued, and the count of what was not, must come.
    records = parsed(stalled.process.communicate(timeout=20)[0].decode())
    told = exact("a pipe that nobody reads", records, stalled.count)
    last = records[-1]
    checks.check("… the last record says the same", last.get("event.action") == "launcher-exit" and
                 (last["fields"]["log_lines_dropped"], last["fields"]["log_lines_unwritten"]) == (told, 0), str(last))
    checks.equal("… no half record", [r for r in records if "broken" in r], [])
    numbers = [r["event.sequence"] for r in records if "event.sequence" in r]
    gaps = sum(later - earlier - 1 for earlier, later in zip(sorted(numbers), sorted(numbers)[1:]))
    checks.equal("… and gaps in event.sequence", gaps, told)


def a_full_disk(directory):
    """A file on a file system of 512 KiB, in a mount namespace of its own."""
    place = directory / "small"
    place.mkdir(exist_ok=True)
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    mounting = [*unshare, "sh", "-c", f'mount -t tmpfs -o size=512k none "{place}" && exec "$@"', "sh"]
    if subprocess.run([*mounting, "true"], capture_output=True).returncode != 0:
        checks.skip("a full disk", "no tmpfs can be mounted in a namespace here")
        return
    file = place / "launcher.log"
    more = f'path = "{file}"\n'
    stalled = Stalled(directory, 20000, json_sink("file", more=more) + json_sink(queue=4 * 1024 * 1024), prefix=mounting)
    collected = []
    reader = threading.Thread(target=lambda: collected.append(stalled.process.stdout.read()), daemon=True)
    reader.start()
    done, worst = stalled.written()
    checks.check(f"a full disk: the service writes on (longest write {worst:.1f} ms)", done and worst < 250, str(worst))
    # The namespace's view of the file, from outside.
    inside = pathlib.Path(f"/proc/{stalled.process.pid}/root{file}")
    kept = parsed(inside.read_text(errors="replace"))
    held = inside.open("rb")
    stalled.process.send_signal(signal.SIGTERM)
    status = stalled.process.wait(20)
    reader.join(5)
    records = parsed(collected[0].decode())
    checks.equal("… and the launcher ends in order", status, 0)
    whole = [r for r in kept if "broken" not in r]
    checks.check("… only whole records are in the file, but for the last", len(kept) - len(whole) <= 1 and len(whole) > 100, str(len(whole)))
    kept = parsed(held.read().decode(errors="replace"))
    delivered = sum(1 for r in kept if r.get("service.name") == "writer" and r["message"].startswith("line "))
    told = sum(r["fields"]["lines"] for r in records if r.get("event.action") == "log-dropped" and r["fields"]["sink"].startswith("file:"))
    # What the file's queue still held at the end is in the last record; some of that are the launcher's own lines.
    last = next(r for r in records if r.get("event.action") == "launcher-exit")
    own, own_kept = ([r for r in each if r.get("service.name") == "launcher" and r["event.sequence"] < last["event.sequence"]]
                     for each in (records, [r for r in kept if "broken" not in r]))
    unwritten = last["fields"]["log_lines_unwritten"] - (len(own) - len(own_kept))
    checks.equal("… lines lost at the file, as told at the other output", told + unwritten, stalled.count - delivered)
    checks.equal("… where nothing is missing", sum(1 for r in records if r["message"].startswith("line ")), stalled.count)


def a_journal_that_has_stopped(directory):
    """A socket where journald's is, which nobody reads, in a mount namespace of its own."""
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    place = directory / "journal"
    place.mkdir()
    mounting = [*unshare, "sh", "-c", f'mkdir -p /run/systemd/journal && mount --bind "{place}" /run/systemd/journal && exec "$@"', "sh"]
    if subprocess.run([*mounting, "true"], capture_output=True).returncode != 0:
        checks.skip("a journal that has stopped", "no directory can be mounted over /run/systemd/journal here")
        return
    import socket
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journal.bind(str(place / "socket"))
    os.chmod(place / "socket", 0o666)
    stalled = Stalled(directory, 20000, json_sink("journald") + json_sink(queue=4 * 1024 * 1024), prefix=mounting)
    collected = []
    reader = threading.Thread(target=lambda: collected.append(stalled.process.stdout.read()), daemon=True)
    reader.start()
    done, worst = stalled.written()
    checks.check(f"a journal that has stopped: the service writes on (longest write {worst:.1f} ms)", done and worst < 250, str(worst))
    stalled.process.send_signal(signal.SIGTERM)
    journal.settimeout(2)
    got = []
    try:
        while True:
            got.append(journal.recv(1 << 20))
    except TimeoutError:
        pass
    checks.equal("… the launcher ends in order", stalled.process.wait(20), 0)
    reader.join(5)
    records = parsed(collected[0].decode())
    delivered = sum(1 for entry in got if b"MESSAGE=line " in entry)
    losses = [r["fields"] for r in records if r.get("event.action") == "log-dropped" and r["fields"]["sink"] == "journald"]
    told = sum(loss["lines"] for loss in losses)
    checks.check("… lines lost at the journal, as told at the other output", told == stalled.count - delivered,
                 f"told {losses}, lost {stalled.count - delivered}")
    checks.check("… some were lost, some were not", 0 < delivered < stalled.count, str(delivered))
    journal.close()


def forms_of(secret):
    """20 ways in which a program may write a value."""
    plain = secret.encode()
    quoted = urllib.parse.quote(secret, safe="")
    return {
        "alone": secret, "in a sentence": f"using {secret} now", "quoted": f'the value "{secret}" was given',
        "Rust field": f"connected token={secret}", "Rust Debug": f'Config {{ token: "{secret}" }}',
        "percent-encoded": f"GET /x?v={quoted}", "JSON": json.dumps({"level": 30, "msg": "start", "value": secret}),
        "nested JSON": json.dumps({"level": 30, "msg": json.dumps({"inner": secret})}),
        "JSON escapes": '{"level":30,"msg":"' + "".join(f"\\u{ord(c):04x}" for c in secret) + '"}',
        "base64": base64.b64encode(plain).decode(), "base64 behind one byte": base64.b64encode(b"u" + plain).decode(),
        "base64 behind two bytes": base64.b64encode(b"u:" + plain).decode(),
        "URL base64": base64.urlsafe_b64encode(plain).decode().rstrip("="), "hexadecimal": plain.hex(),
        "capital hexadecimal": plain.hex().upper(), "Basic": "Authorization: Basic " + base64.b64encode(b"user:" + plain).decode(),
        "Bearer": f"Authorization: Bearer {secret}", "user info": f"https://user:{secret}@node.example/",
        "query": f"wss://node.example/ws?api_key={secret}&x=1", "error": f"Error: cannot log in with {secret}\n    at main.js:1:2",
    }


def secrets(directory):
    random.seed(4711)
    letters = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789-_+/=.~!"
    values = ["".join(random.choice(letters) for _ in range(random.randint(12, 48))) for _ in range(200)]
    hashes = [random.randbytes(32).hex() for _ in range(1000)]
    lines = []
    for secret in values:
        lines += [line for line in forms_of(secret).values()]
    checks.equal("planted: 200 secrets in 20 forms", (len(values), len(forms_of(values[0]))), (200, 20))
    for number, digits in enumerate(hashes):
        lines.append([f"compose_hash={digits}", f"mrAggregated: 0x{digits}", f"measured {digits} of the image",
                      json.dumps({"level": 30, "msg": "boot", "osImageHash": f"0x{digits}"})][number % 4])
    (directory / "lines").write_text("\n".join(lines) + "\n")
    script = directory / "teller.py"
    script.write_text("import os, signal, sys\n"
                      "signal.signal(signal.SIGTERM, lambda *_: os._exit(0))\n"
                      "text = open(sys.argv[1], 'rb').read()\n"
                      "while text:\n    text = text[os.write(1, text[:60000]):]\n"
                      "os.write(2, b'everything told\\n')\n"
                      "while True:\n    signal.pause()\n")
    variables = {f"PLANTED_{i}": secret for i, secret in enumerate(values)}
    wanted = "".join(f'PLANTED_{i} = {{ env = "PLANTED_{i}" }}\n' for i in range(len(values)))
    sinks = (json_sink(queue=4 * 1024 * 1024) + json_sink("file", 4 * 1024 * 1024, f'path = "{directory}/out.json"\n') +
             f'[[log.sink]]\nkind = "file"\nformat = "text"\nqueue = "3MiB"\npath = "{directory}/out.text"\n')
    evidence = directory / "evidence"
    path = configuration(directory, [sys.executable, "-S", "-E", str(script), str(directory / "lines")], sinks,
                         f"[service.writer.log]\nkeep_original = true\n[service.writer.secret_env]\n{wanted}")
    path.write_text(f'{path.read_text()}\n[launcher]\nevidence_dir = "{evidence}"\nexit_record = "{directory}/exit.json"\n')
    outputs = {}
    shown = subprocess.run([LAUNCHER, "print-config", "--config", path], capture_output=True, text=True, env=environment(**variables))
    outputs["print-config"] = shown.stdout + shown.stderr
    outputs["check"] = "".join(subprocess.run([LAUNCHER, "check", "--json", "--config", path], capture_output=True, text=True,
                                              env=environment(**variables), timeout=20).stdout)
    launcher = subprocess.Popen([LAUNCHER, "run", "--config", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(**variables))
    collected = {}
    readers = [threading.Thread(target=lambda name, stream: collected.update({name: stream.read()}), args=pair, daemon=True)
               for pair in (("stdout", launcher.stdout), ("stderr", launcher.stderr))]
    for reader in readers:
        reader.start()
    told = wait_for(lambda: "everything told" in (directory / "out.text").read_text(errors="replace") if (directory / "out.text").exists() else False, 30)
    checks.check("everything was told", told, "")
    socket_path = directory / "health.sock"
    for document in ("/status", "/metrics", "/readyz?verbose"):
        asked = subprocess.run(["curl", "-s", "--unix-socket", socket_path, f"http://localhost{document}"], capture_output=True, text=True, timeout=20)
        outputs[document] = asked.stdout + asked.stderr
        checks.check(f"{document} answers", asked.stdout != "", asked.stderr)
    launcher.send_signal(signal.SIGUSR1)
    launcher.send_signal(signal.SIGUSR2)
    outputs["environ"] = pathlib.Path(f"/proc/{launcher.pid}/environ").read_bytes().decode(errors="replace") \
        if os.access(f"/proc/{launcher.pid}/environ", os.R_OK) else ""
    outputs["cmdline"] = pathlib.Path(f"/proc/{launcher.pid}/cmdline").read_text()
    wait_for(lambda: '"message":"status"' in (directory / "out.json").read_text(), 10)
    launcher.send_signal(signal.SIGTERM)
    checks.equal("the launcher ends in order", launcher.wait(20), 0)
    for reader in readers:
        reader.join(5)
    outputs |= {name: value.decode(errors="replace") for name, value in collected.items()}
    for name in ("out.json", "out.text", "exit.json"):
        outputs[name] = (directory / name).read_text(errors="replace")
    for file in evidence.glob("*") if evidence.exists() else ():
        outputs[f"evidence {file.name}"] = file.read_text(errors="replace")
    for name, text in outputs.items():
        found = set()
        for secret in values:
            encoded = [secret, urllib.parse.quote(secret, safe=""), json.dumps(secret)[1:-1], secret.encode().hex(), secret.encode().hex().upper(),
                       base64.b64encode(secret.encode()).decode().rstrip("=")]
            found |= {f"{secret} as {form}" for form in encoded if form in text}
            # A record may hold it as JSON text in JSON text; reading it must not bring it back.
            found |= {secret for text_of in (text.replace('\\"', '"').replace("\\\\", "\\"),) if secret in text_of}
        checks.check(f"no secret in {name} ({len(text)} bytes)", not found, f"{len(found)}: {sorted(found)[:5]}")
    for name in ("stdout", "out.json", "out.text"):
        missing = [digits for digits in hashes if digits not in outputs[name]]
        checks.equal(f"every public hash is in {name}", missing, [])
    redacted = sum(1 for line in outputs["out.json"].splitlines() if "[redacted" in line)
    checks.check(f"what was removed is marked ({redacted} records)", redacted >= 200 * 15, str(redacted))


def in_a_directory(test):
    with tempfile.TemporaryDirectory(prefix="log-promises-") as directory:
        test(pathlib.Path(directory))


for each in (the_last_words, a_pipe_that_is_not_read, a_full_disk, a_journal_that_has_stopped, secrets):
    in_a_directory(each)
checks.finish()
