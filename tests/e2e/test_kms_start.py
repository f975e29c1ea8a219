#!/usr/bin/env python3
"""How dstack-kms starts and stops: first keys, same keys again, refusals with a sentence, signals, its own options."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time

from harness import BIN, ROOT, Checks
from kms_server import KEYS, Kms, call, configuration, connect, exchange, write_keys

checks = Checks()
NO_AGENT = {"DSTACK_AGENT_ADDRESS": "unix:/nowhere/no-agent.sock"}
NEW_KEYS = 'auto_bootstrap_domain = "kms.test"'


def run_once(*arguments, text=None, prepare=None, env=None):
    """Exit status, stdout and stderr of a program that is expected to end by itself."""
    with tempfile.TemporaryDirectory(prefix="kms-e2e-") as folder:
        directory = pathlib.Path(folder)
        if text is not None:
            (directory / "kms.toml").write_text(text)
        if prepare:
            prepare(directory)
        done = subprocess.run([str(BIN.resolve() / "dstack-kms"), *arguments], cwd=folder, capture_output=True, text=True,
                              timeout=20, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr


def files_of(directory):
    return {path.name: path.read_bytes() for path in sorted((directory / "certs").iterdir())}


def first_and_second_start():
    with tempfile.TemporaryDirectory(prefix="kms-e2e-") as folder:
        directory = pathlib.Path(folder)
        with Kms(configuration(onboard=NEW_KEYS), keys=False, directory=directory) as kms:
            checks.check("an empty directory: new keys, then serving", kms.ready() and "new keys made" in kms.program.output, kms.program.output)
            first = json.loads(call(kms.port, "GetMeta").body)
        made = files_of(directory)
        checks.equal("the file set is the original's", sorted(made), sorted(
            ["root-ca.crt", "root-ca.key", "root-k256.key", "rpc-domain", "rpc.crt", "rpc.key", "tmp-ca.crt", "tmp-ca.key"]))
        modes = {name: oct((directory / "certs" / name).stat().st_mode & 0o777) for name in made if name.endswith(".key")}
        checks.equal("private keys are the owner's only", set(modes.values()), {"0o600"})
        with Kms(configuration(onboard=NEW_KEYS), keys=False, directory=directory) as kms:
            checks.check("a second start finds them", kms.ready() and "keys loaded" in kms.program.output, kms.program.output)
            again = json.loads(call(kms.port, "GetMeta").body)
        checks.equal("and has the same root key and certificate", (again["k256_pubkey"], again["ca_cert"]), (first["k256_pubkey"], first["ca_cert"]))
        changed = {name for name, content in files_of(directory).items() if content != made.get(name)}
        checks.equal("only rpc.crt is made anew", changed, {"rpc.crt"})


def original_keys():
    with Kms() as kms:
        checks.check("a key directory of the original loads", kms.ready(), kms.program.output)
        vector = json.loads((ROOT / "tests/vectors/kms/keys_and_env_pubkeys.json").read_text())["vectors"][5]
        answer = json.loads(call(kms.port, "GetAppEnvEncryptPubKey", {"app_id": vector["app_id"]}).body)
        checks.equal("and derives the same keys", (answer["public_key"], answer["signature"]), (vector["public_key"], vector["signature"]))
        meta = json.loads(call(kms.port, "GetMeta").body)
        checks.equal("with the same root", meta["k256_pubkey"], KEYS["root_k256_pubkey_compressed"])
        (kms.directory / "certs/bootstrap-info.json").write_text('{"ca_pubkey":"0xAA","k256_pubkey":"bb","quote":"x"}')
        meta = json.loads(call(kms.port, "GetMeta").body)
        checks.equal("bootstrap-info.json shows at the next call", meta["bootstrap_info"], {"ca_pubkey": "aa", "k256_pubkey": "bb", "attestation": ""})


def refusals():
    both = configuration(onboard=NEW_KEYS)
    rows = [
        ("onboarding switched off", configuration(onboard=NEW_KEYS + "\nenabled = false"), None, ["there are no keys"]),
        ("quotes are wanted for new keys", both.replace("quote_enabled = false", "quote_enabled = true"), None,
         ["Failed to generate keys", "Failed to get quote", "no-agent.sock"]),
        ("TLS key missing", configuration().replace("certs/rpc.key", "certs/none.key"), lambda d: write_keys(d / "certs"), ["certs/none.key"]),
        ("TLS key of another certificate", configuration().replace('certs/rpc.key', 'certs/tmp-ca.key'), lambda d: write_keys(d / "certs"),
         ["rpc.tls", "certs/tmp-ca.key", "does not belong"]),
        ("wrong types and values, all at once", '[rpc]\nport = "x"\n[core.image]\nverify = 1\n[core.auth_api]\ntype = "x"\n', None,
         ["kms.toml:2:8", "kms.toml:4:10", "kms.toml:6:8"]),
        ("broken TOML", "[[[\n", None, ["kms.toml:1:"]),
        ("an address that is none", configuration().replace('"127.0.0.1"', '"300.0.0.1"'), lambda d: write_keys(d / "certs"), ["300.0.0.1"]),
    ]
    for name, text, prepare, words in rows:
        status, out, err = run_once("-c", "kms.toml", text=text, prepare=prepare, env=NO_AGENT)
        checks.check(f"refused: {name}", status == 1 and all(word in err for word in words), f"{status}: {err[-600:]}")


def quotes_with_stored_certificate():
    text = configuration().replace("quote_enabled = false", "quote_enabled = true")
    with Kms(text, env=NO_AGENT) as kms:
        served = kms.ready() and kms.program.wait_for_line("the stored one serves meanwhile", 5)
        checks.check("quotes on: the stored rpc.crt serves", served, kms.program.output)
        stored = (kms.directory / "certs/rpc.crt").read_text()
        checks.equal("and is left as it is", stored, KEYS["rpc_crt_pem"])
        answer = call(kms.port, "GetKmsKey", {})
        checks.check("GetKmsKey wants an attestation", answer.status == 400 and b'"error": "No attestation provided"' in answer.body, answer.body)


def options():
    status, out, _ = run_once("--version")
    checks.check("--version", status == 0 and re.fullmatch(r"dstack-kms \d+\.\d+\.\d+\n", out), out)
    status, out, _ = run_once("-h")
    checks.check("-h", status == 0 and "--print-config" in out, out)
    status, _, err = run_once("--nonsense")
    checks.check("an unknown argument", status == 2 and "--nonsense" in err, err)
    status, _, err = run_once("-c")
    checks.check("-c without a file", status == 2 and "-c" in err, err)
    status, out, err = run_once("--check", text='[core]\ncert_dirr = "x"\n')
    checks.check("--check: unknown keys are warnings with a hint", status == 0 and "kms.toml:2:1: warning" in err and "cert_dir" in err, out + err)
    status, out, _ = run_once("--check", "-c", "missing.toml")
    checks.check("--check: a missing -c file is a warning", status == 0, out)
    token = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
    text = configuration(core=f'admin_token_hash = "{token}"', auth='type = "webhook"\n[core.auth_api.webhook]\nurl = "http://u:pass@h:1/"')
    status, out, err = run_once("--print-config", text=text)
    checks.check("--print-config shows the effective values", status == 0 and 'facts_wait = "40ms"' in out and 'cert_dir = "certs"' in out, out + err)
    checks.check("--print-config hides secrets", token not in out + err and "pass" not in out and out.count("<redacted>") == 2, out)


def files_and_precedence():
    with tempfile.TemporaryDirectory(prefix="kms-e2e-") as folder:
        above = pathlib.Path(folder)
        below = above / "a/b"
        below.mkdir(parents=True)
        (below / "kms.toml").write_text("[rpc]\nport = 1\naddress = \"10.1.1.1\"\n")
        (below / "kms.json").write_text('{"rpc": {"port": 2}}')
        (above / "over.conf").write_text('{"rpc": {"port": 3}}')
        done = subprocess.run([str(BIN.resolve() / "dstack-kms"), "--print-config", "-c", "over.conf"], cwd=below, capture_output=True, text=True, timeout=20)
        checks.check("kms.toml, kms.json and a -c file found above, in this order", 'address = "10.1.1.1"\nport = 3' in done.stdout, done.stdout[:400] + done.stderr)


def taken_port():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        status, _, err = run_once("-c", "kms.toml", text=configuration(port=port), prepare=lambda d: write_keys(d / "certs"))
        checks.check("a taken port: one sentence with the pid", status == 1 and str(port) in err and str(os.getpid()) in err, err)


def signals():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Kms() as kms:
            kms.ready()
            with connect(kms.port) as idle:  # an idle connection does not hold the stop up
                idle.sendall(b"GET /health HTTP/1.1\r\nHost: k\r\n\r\n")
                idle.recv(4096)
                began = time.monotonic()
                kms.program.signal(number)
                status = kms.program.wait(8)
                checks.check(f"{number.name}: ends with 0 at once", status == 0 and time.monotonic() - began < 1.5, f"{status} after {time.monotonic() - began:.2f} s")


def keep_alive_and_ident():
    with Kms('keep_alive = 0\n' + configuration(rpc='ident = "mine"')) as kms:
        kms.ready()
        response = exchange(kms.port, b"GET /health HTTP/1.1\r\nHost: k\r\n\r\n")
        checks.equal("keep_alive = 0 closes after the answer", response.header("connection"), "close")
        checks.equal("ident is the Server header", response.header("server"), "mine")


def body_limits():
    with Kms(configuration(rpc="[rpc.limits]\ngetmeta = 5\nGetAppEnvEncryptPubKey = \"1KiB\"")) as kms:
        kms.ready()
        rows = [("GetMeta", 5, 200), ("KMS.GetMeta", 6, 400), ("GetAppEnvEncryptPubKey", 1024, 200), ("GetAppEnvEncryptPubKey", 1025, 400)]
        for method, size, status in rows:
            body = b"12345 "[:size] if size < 10 else b'{"app_id":"00"}' + b" " * (size - 15)
            head = f"POST /prpc/{method}?json HTTP/1.1\r\nHost: k\r\nContent-Length: {size}\r\n\r\n"
            response = exchange(kms.port, head.encode() + body)
            checks.equal(f"rpc.limits: {method} with {size} bytes", response.status, status)


def no_core_dump():
    with Kms() as kms:
        kms.ready()
        limits = pathlib.Path(f"/proc/{kms.program.pid}/limits").read_text()
        checks.check("core dumps are off", re.search(r"Max core file size\s+0\s+0", limits), limits)


first_and_second_start()
original_keys()
refusals()
quotes_with_stored_certificate()
options()
files_and_precedence()
taken_port()
signals()
keep_alive_and_ident()
body_limits()
no_core_dump()
checks.finish()
