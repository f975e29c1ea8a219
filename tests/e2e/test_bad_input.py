#!/usr/bin/env python3
"""Bad input gets one clear error that says what, where and what to do; nothing else is disturbed; no secret is shown."""
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import tempfile

from harness import BIN, ROOT, Checks, Stack, fetch

checks = Checks()
VECTORS = json.loads((ROOT / "tests/vectors/kms/keys_and_env_pubkeys.json").read_text())["keys"]
KEY_FILES = {"root-ca.key": "root_ca_key_pem", "tmp-ca.key": "tmp_ca_key_pem", "rpc.key": "rpc_key_pem",
             "root-ca.crt": "root_ca_crt_pem", "tmp-ca.crt": "tmp_ca_crt_pem", "rpc.crt": "rpc_crt_pem"}


def secrets():
    """Texts that must never appear: private scalars in hex, and the bodies of private PEM files."""
    for name, value in VECTORS.items():
        if name.endswith("_scalar"):
            yield value
        if name.endswith("_key_pem"):
            yield value.splitlines()[1][20:60]


def no_secret_in(name, text):
    found = [secret[:8] + "…" for secret in secrets() if secret in text]
    checks.check(f"{name}: no secret in any output", not found, str(found))


def run_once(command, directory):
    """Exit status and output; status None when the program did not refuse but went on running."""
    try:
        done = subprocess.run([str(c) for c in command], cwd=directory, capture_output=True, text=True, timeout=8, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as running:
        return None, (running.stdout or b"").decode(errors="replace")


def write_keys(certs):
    certs.mkdir(parents=True)
    for name, key in KEY_FILES.items():
        (certs / name).write_text(VECTORS[key])
        (certs / name).chmod(0o600)
    (certs / "root-k256.key").write_bytes(bytes.fromhex(VECTORS["root_k256_scalar"]))
    (certs / "rpc-domain").write_text(VECTORS["rpc_domain"])


# Name, edit of launcher.toml, exit status, words of which each must be in the output.
LAUNCHER_MISTAKES = [
    ("broken TOML", lambda t: t.replace('[log]', '[log', 1), 78, ["launcher.toml:", "error"]),
    ("unknown key", lambda t: t.replace('filter = "info"', 'filtr = "info"'), 78, ["launcher.toml:", "filtr", "filter"]),
    ("wrong type", lambda t: t.replace('stop_timeout = "2s"', 'stop_timeout = 2'), 78, ["launcher.toml:", "stop_timeout"]),
    ("duration without unit", lambda t: t.replace('stop_timeout = "2s"', 'stop_timeout = "2"'), 78, ["stop_timeout"]),
    ("port text", lambda t: re.sub(r'listen = \["127.0.0.1:\d+"\]', 'listen = ["127.0.0.1:http"]', t), 78, ["127.0.0.1:http"]),
    ("unknown dependency", lambda t: t.replace('depends_on = { auth-eth', 'depends_on = { auth-et'), 78, ["auth-et"]),
    ("bad log filter", lambda t: t.replace('filter = "info"', 'filter = "info,kms=warning"'), 78, ["launcher.toml:", "warning", "warn"]),
    ("program missing", lambda t: t.replace("/dstack-kms\"", "/dstack-kmz\""), None, ["dstack-kmz"]),
]

# Name, edit of kms.toml, words.
KMS_MISTAKES = [
    ("kms.toml: broken TOML", lambda t: t.replace("[core]", "[core", 1), ["kms.toml"]),
    ("kms.toml: wrong type", lambda t: t.replace("quote_enabled = false", 'quote_enabled = "no"'), ["kms.toml:", "quote_enabled"]),
    ("kms.toml: port text", lambda t: re.sub(r"port = \d+", 'port = "https"', t), ["kms.toml:", "port"]),
    ("kms.toml: port too large", lambda t: re.sub(r"port = \d+", "port = 70000", t), ["kms.toml:", "port"]),
    ("kms.toml: unknown auth_api type", lambda t: t.replace('type = "webhook"', 'type = "webhok"'), ["webhok", "webhook"]),
]


def launcher_configuration():
    for name, edit, status, words in LAUNCHER_MISTAKES:
        with tempfile.TemporaryDirectory() as directory:
            stack = Stack(directory)
            path = pathlib.Path(directory) / "launcher.toml"
            before = path.read_text()
            path.write_text(edit(before))
            assert path.read_text() != before, name
            code, output = run_once([BIN / "kms-launcher", "run", "--config", path], directory)
            wanted = code in (78, 127) if status is None else code == status
            checks.check(f"launcher.toml: {name}", wanted and all(w in output for w in words), f"status {code}: {output[-800:]}")
            checks.check(f"launcher.toml: {name}: nothing was started", not (pathlib.Path(directory) / "certs").exists())
            del stack


def kms_configuration():
    for name, edit, words in KMS_MISTAKES:
        with tempfile.TemporaryDirectory() as directory:
            Stack(directory)
            path = pathlib.Path(directory) / "kms.toml"
            before = path.read_text()
            path.write_text(edit(before))
            assert path.read_text() != before, name
            code, output = run_once([BIN / "dstack-kms", "--config", path], directory)
            checks.check(name, code == 1 and all(w in output for w in words), f"status {code}: {output[-800:]}")
            checks.check(f"{name}: no key was made", not (pathlib.Path(directory) / "certs").exists())


def unknown_kms_key_is_named():
    with tempfile.TemporaryDirectory() as directory:
        Stack(directory)
        path = pathlib.Path(directory) / "kms.toml"
        path.write_text(path.read_text().replace("[core]", "[core]\ncert_dirr = \"x\"", 1))
        code, output = run_once([BIN / "dstack-kms", "--check", "--config", path], directory)
        checks.check("kms.toml: an unknown key is named with its place and a hint",
                     all(w in output for w in ("kms.toml:", "cert_dirr", "cert_dir")), f"status {code}: {output[-500:]}")


def key_files():
    damages = [
        ("root key of another certificate", lambda c: (c / "root-ca.key").write_text(VECTORS["tmp_ca_key_pem"]), ["root-ca"]),
        ("garbage key", lambda c: (c / "root-ca.key").write_text("garbage"), ["root-ca.key"]),
        ("short k256 key", lambda c: (c / "root-k256.key").write_bytes(b"\x01" * 31), ["root-k256.key", "32"]),
        ("empty key", lambda c: (c / "tmp-ca.key").write_text(""), ["tmp-ca.key"]),
        ("unreadable key (a directory)", lambda c: ((c / "rpc.key").unlink(), (c / "rpc.key").mkdir()), ["rpc.key"]),
        ("half a key set", lambda c: (c / "root-k256.key").unlink(), ["root-k256.key"]),
    ]
    for name, damage, words in damages:
        with tempfile.TemporaryDirectory() as directory:
            Stack(directory)
            certs = pathlib.Path(directory) / "certs"
            write_keys(certs)
            damage(certs)
            before = {f.name: f.read_bytes() for f in certs.iterdir() if f.is_file()}
            code, output = run_once([BIN / "dstack-kms", "--config", pathlib.Path(directory) / "kms.toml"], directory)
            checks.check(f"keys: {name}", code == 1 and all(w in output for w in words), f"status {code}: {output[-800:]}")
            after = {f.name: f.read_bytes() for f in certs.iterdir() if f.is_file()}
            checks.equal(f"keys: {name}: no file was changed", {n: after.get(n) == b for n, b in before.items()}, {n: True for n in before})
            no_secret_in(f"keys: {name}", output)


def over_the_wire():
    with tempfile.TemporaryDirectory() as directory:
        write_keys(pathlib.Path(directory) / "certs")
        with Stack(directory) as stack:
            if not checks.check("the stack becomes ready", stack.ready(), stack.program.output[-3000:]):
                return
            said = [garbage_over_tls(stack)]
            for name, path, body, method, status, words in [
                ("11 MiB body", "/prpc/GetAppEnvEncryptPubKey?json", b"x" * (11 << 20), None, 400, "payload too large"),
                ("wrong method", "/prpc/GetMeta", None, "DELETE", 404, "404"),
                ("unknown RPC", "/prpc/Nonsense?json", b"", None, 400, "Service not found: Nonsense"),
                ("malformed protobuf", "/prpc/GetAppEnvEncryptPubKey", b"\x0a\x7f\x01", None, 400, "failed to decode Protobuf message"),
                ("malformed JSON", "/prpc/GetAppEnvEncryptPubKey?json", b'{"app_id":', None, 400, "EOF while parsing a value"),
                ("odd hex", "/prpc/GetAppEnvEncryptPubKey?json", b'{"app_id":"abc"}', None, 400, "Odd number of digits"),
            ]:
                answer = fetch(stack.kms_port, path, body=body, tls=True, method=method, timeout=20)
                checks.check(f"wire: {name}", answer.status == status and words in answer.text, f"{answer.status}: {answer.text[:300]}")
                said.append(answer.text)
                checks.equal(f"wire: {name}: the next caller is served", stack.get_meta().status, 200)
            no_secret_in("wire", "\n".join(said) + stack.program.output)
            for port, path, tls in ((stack.kms_port, "/metrics", True), (stack.auth_port, "/metrics", False),
                                    (stack.health_port, "/metrics", False), (stack.health_port, "/status", False)):
                no_secret_in(f"{path} of port {'KMS' if tls else 'plain'}", fetch(port, path, tls=tls).text)


def garbage_over_tls(stack):
    """Bytes that are no TLS, half a ClientHello, and garbage inside TLS."""
    words = b""
    for junk in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), b"\x16\x03\x01\x02\x00\x01"):
        with socket.create_connection(("127.0.0.1", stack.kms_port), timeout=5) as raw:
            raw.sendall(junk)
            raw.shutdown(socket.SHUT_WR)
            try:
                words += raw.recv(65536)
            except OSError:
                pass
    context = ssl._create_unverified_context()
    with context.wrap_socket(socket.create_connection(("127.0.0.1", stack.kms_port), timeout=5)) as inside:
        inside.sendall(b"\x00\x01\x02 nonsense\r\n\r\n")
        answer = inside.recv(65536)
        checks.check("wire: garbage inside TLS", answer.startswith(b"HTTP/1.1 400") and b"connection: close" in answer.lower(), repr(answer[:200]))
    checks.equal("wire: garbage over TLS: the next caller is served", stack.get_meta().status, 200)
    return (words + answer).decode(errors="replace")


def taken_port():
    """The KMS's port is in use: one sentence with the pid, and the whole stack ends."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        with tempfile.TemporaryDirectory() as directory:
            Stack(directory)
            path = pathlib.Path(directory) / "kms.toml"
            path.write_text(re.sub(r"port = \d+", f"port = {holder.getsockname()[1]}", path.read_text(), count=1))
            code, output = run_once([BIN / "dstack-kms", "--config", path], directory)
            checks.check("a taken port is named with the pid that holds it", code == 1 and f"process {os.getpid()}" in output, f"{code}: {output[-500:]}")


launcher_configuration()
kms_configuration()
unknown_kms_key_is_named()
key_files()
over_the_wire()
taken_port()
checks.finish()
