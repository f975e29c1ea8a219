#!/usr/bin/env python3
"""First light: one command brings up the launcher, the webhook and the KMS, and they keep answering."""
import json
import os
import pathlib
import signal
import stat
import subprocess
import tempfile
import time

from harness import BIN, ROOT, SHARED, Checks, Program, Stack, answers, fetch, free_ports, is_running, wait_for

checks = Checks()
KEY_FILES = ["tmp-ca.crt", "tmp-ca.key", "root-ca.crt", "root-ca.key", "rpc.crt", "rpc.key", "root-k256.key"]


def protobuf_fields(data):
    """Top-level fields of a protobuf message: {number: [value, …]}; bytes for length-delimited, int for varint."""
    fields, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            value = varint()
        else:
            size = varint()
            value = data[at:at + size]
            at += size
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def keys_are_made_and_found_again():
    with tempfile.TemporaryDirectory() as directory:
        with Stack(directory) as stack:
            if not checks.check("the stack becomes ready", stack.ready(), stack.program.output[-3000:]):
                return
            first = stack.get_meta().json()
            modes = {name: stat.S_IMODE(os.stat(stack.directory / "certs" / name).st_mode) for name in KEY_FILES}
            checks.check("key files are for the owner only", all(modes[n] == 0o600 for n in KEY_FILES if n.endswith(".key")), str(modes))
            services = stack.services()
            checks.equal("two services run", sorted(services), ["auth-eth", "dstack-kms"])
            golden_meta(stack, first)
            health_paths(stack)
            logs_are_structured(stack)
            began = time.monotonic()
            stack.program.signal(signal.SIGTERM)
            checks.equal("SIGTERM ends the stack with 0", stack.program.wait(5), 0)
            checks.check("… within a second", time.monotonic() - began < 1.0, f"{time.monotonic() - began:.2f} s")
            checks.check("… and leaves no process", not any(is_running(pid) for pid in services.values()))
            records = [json.loads(line) for line in stack.program.lines if line.startswith("{")]
            # Each service's own last word has its own clock reading; the launcher's record of its end waits for its pipes.
            ends = {r["service.name"]: r["@timestamp"] for r in records if r.get("message") == "stopped"}
            checks.check("… the KMS first", ends.get("kms", "none") < ends.get("auth-eth", ""), str(ends))
        with Stack(directory) as stack:
            if checks.check("a second start becomes ready", stack.ready(), stack.program.output[-3000:]):
                second = stack.get_meta().json()
                checks.equal("… with the same keys", (second["ca_cert"], second["k256_pubkey"]), (first["ca_cert"], first["k256_pubkey"]))


def golden_meta(stack, meta):
    """GetMeta against the recorded answer of the original: same members in the same order, same types."""
    members = ["ca_cert", "allow_any_upgrade", "k256_pubkey", "bootstrap_info", "is_dev", "gateway_app_id",
               "kms_contract_address", "chain_id", "app_auth_implementation"]
    checks.equal("GetMeta has the members of the protocol in order", list(meta), members)
    checks.check("GetMeta tells what the webhook says", meta["gateway_app_id"] == "any" and meta["chain_id"] == 31337, str(meta))
    checks.check("the root CA is PEM", meta["ca_cert"].startswith("-----BEGIN CERTIFICATE-----\n"))
    checks.check("the k256 key is 33 bytes", len(bytes.fromhex(meta["k256_pubkey"])) == 33)
    for path in ("/prpc/GetMeta", "/prpc/KMS.GetMeta?json=1", "/prpc/KMS.KMS.GetMeta"):
        checks.equal(f"{path} is the same method", fetch(stack.kms_port, path, tls=True).json()["ca_cert"], meta["ca_cert"])
    binary = fetch(stack.kms_port, "/prpc/KMS.GetMeta", body=b"", tls=True)
    fields = protobuf_fields(binary.body)
    checks.equal("the protobuf form has its content type", binary.headers["content-type"], "application/octet-stream")
    checks.equal("the protobuf form says the same",
                 (fields[1][0].decode(), fields[3][0].hex(), fields[6][0].decode(), fields[8][0]),
                 (meta["ca_cert"], meta["k256_pubkey"], "any", 31337))
    recorded = SHARED / "kms/peer/http_E.json"
    if not recorded.exists():
        checks.skip("GetMeta against the recording", "the shared test data is not here")
        return
    text = recorded.read_text()
    checks.check("the recording has the same members in the same order",
                 all(f'\\"{member}\\":' in text for member in members))


def health_paths(stack):
    for path in ("/livez", "/startupz", "/readyz", "/healthz", "/status", "/metrics", "/readyz/kms", "/readyz/auth-eth"):
        checks.equal(f"health endpoint: {path}", fetch(stack.health_port, path).status, 200)
    status = fetch(stack.health_port, "/status").json()
    checks.equal("both services are ready", [s["state"] for s in status["services"]], ["ready", "ready"])
    metrics = fetch(stack.health_port, "/metrics").text
    checks.check("nothing was restarted", 'kms_launcher_service_restarts_total{service="kms"} 0' in metrics, metrics[:500])


def logs_are_structured(stack):
    records = [json.loads(line) for line in stack.program.lines]
    names = {record["service.name"] for record in records}
    checks.check("every line is a record of a known service", names == {"launcher", "auth-eth", "kms"}, str(names))
    checks.check("every record has time, level and message",
                 all({"@timestamp", "log.level", "message"} <= record.keys() for record in records))
    actions = [record.get("event.action") for record in records]
    checks.check("starts and readiness are events", actions.count("service-start") == 2 and actions.count("service-ready") >= 2, str(actions))


def env_keys_equal_the_vectors():
    vectors = json.loads((ROOT / "tests/vectors/kms/keys_and_env_pubkeys.json").read_text())
    with tempfile.TemporaryDirectory() as directory:
        certs = pathlib.Path(directory) / "certs"
        certs.mkdir()
        keys = vectors["keys"]
        for name, key in (("root-ca.key", "root_ca_key_pem"), ("tmp-ca.key", "tmp_ca_key_pem"), ("rpc.key", "rpc_key_pem"),
                          ("root-ca.crt", "root_ca_crt_pem"), ("tmp-ca.crt", "tmp_ca_crt_pem"), ("rpc.crt", "rpc_crt_pem")):
            (certs / name).write_text(keys[key])
        (certs / "root-k256.key").write_bytes(bytes.fromhex(keys["root_k256_scalar"]))
        (certs / "rpc-domain").write_text(keys["rpc_domain"])
        with Stack(directory) as stack:
            if not checks.check("a key directory of the original loads", stack.ready(), stack.program.output[-3000:]):
                return
            wrong = []
            for vector in vectors["vectors"]:
                if len(vector["app_id"]) > 200_000:
                    continue
                answer = fetch(stack.kms_port, "/prpc/GetAppEnvEncryptPubKey?json", tls=True,
                               body=json.dumps({"app_id": vector["app_id"]})).json()
                if (answer["public_key"], answer["signature"]) != (vector["public_key"], vector["signature"]):
                    wrong.append(vector["app_id"][:80])
            checks.check(f"all {len(vectors['vectors'])} derived environment keys and signatures equal the vectors", not wrong, str(wrong))
            meta = stack.get_meta().json()
            checks.equal("GetMeta shows the loaded k256 key", meta["k256_pubkey"], keys["root_k256_pubkey_compressed"])


def dev_run():
    """`./dev run` itself, on other ports: its words, a taken port, Ctrl-C."""
    kms, auth, health, pccs = free_ports(4)
    with tempfile.TemporaryDirectory() as directory:
        env = {"KMS_PORT": str(kms), "AUTH_PORT": str(auth), "HEALTH_PORT": str(health), "PCCS_PORT": str(pccs), "RUN_DIR": directory}
        with Program([ROOT / "dev", "run"], env=env) as program:
            ready = program.wait_for_line("curl -k ", 60)
            if checks.check("./dev run says ready, the URLs and a curl line", ready and "ready" in program.output, program.output[-3000:]):
                line = next(line for line in program.lines if "curl -k" in line)
                command = line[line.index("curl"):]
                done = subprocess.run(["bash", "-c", command + " -s"], capture_output=True, text=True, timeout=20)
                checks.check("the curl line works as printed", '"ca_cert"' in done.stdout, done.stdout + done.stderr)
            if checks.check("… and a line for the guest client", program.wait_for_line("guest-client", 5), program.output[-3000:]):
                line = next(line for line in program.lines if "guest-client" in line)
                done = subprocess.run(["bash", "-c", line[line.index("build/"):]], capture_output=True, text=True, timeout=30, cwd=ROOT)
                checks.check("the guest client gets keys and a certificate as printed",
                             done.returncode == 0 and "signed a certificate" in done.stdout, done.stdout + done.stderr)
            taken = subprocess.run([ROOT / "dev", "run"], env={**os.environ, **env}, capture_output=True, text=True, timeout=60)
            words = (taken.stdout + taken.stderr).strip().splitlines()
            checks.check("a taken port is one sentence with the pid",
                         taken.returncode != 0 and f"port {kms}" in words[-1] and "process " in words[-1], str(words))
            began = time.monotonic()
            program.signal(signal.SIGINT)
            checks.equal("Ctrl-C ends ./dev run with 0", program.wait(5), 0)
            checks.check("… within a second", time.monotonic() - began < 1.0, f"{time.monotonic() - began:.2f} s")
            checks.check("… and frees its ports", wait_for(lambda: not answers(health, "/livez"), 2))
        with Program([ROOT / "dev", "run", "--no-quotes"], env=env) as program:
            ready = program.wait_for_line("curl -k ", 60)
            checks.check("./dev run --no-quotes finds the same directory ready, without the simulator",
                         ready and "tee-simulator" not in program.output and "guest-client" not in program.output, program.output[-3000:])
            program.signal(signal.SIGINT)
            checks.equal("… and ends with 0", program.wait(5), 0)
    wrong = subprocess.run([ROOT / "dev", "run", "--nonsense"], capture_output=True, text=True, timeout=20)
    checks.check("./dev run knows no other argument", wrong.returncode == 64 and "--no-quotes" in wrong.stderr, wrong.stderr)
    unknown = subprocess.run([ROOT / "dev", "nonsense"], capture_output=True, text=True, timeout=20)
    checks.check("an unknown verb prints the list", unknown.returncode == 64 and "build " in unknown.stderr, unknown.stderr)


def poll_proves_it():
    with Stack() as stack:
        if not stack.ready():
            checks.check("the stack becomes ready", False, stack.program.output[-3000:])
            return
        url = f"https://127.0.0.1:{stack.kms_port}/prpc/KMS.GetMeta?json"
        done = subprocess.run([BIN / "kms-launcher", "poll", url, "--for", "2s", "--every", "100ms", "--json"],
                              capture_output=True, text=True, timeout=30)
        checks.equal("poll exits 0 when every poll was answered", done.returncode, 0)
        checks.check("poll counts them", json.loads(done.stdout.strip().splitlines()[-1])["answered"] >= 15, done.stdout[-800:])


keys_are_made_and_found_again()
env_keys_equal_the_vectors()
dev_run()
poll_proves_it()
checks.finish()
