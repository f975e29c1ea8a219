#!/usr/bin/env python3
"""A KMS without keys: an operator bootstraps it or lets it fetch the keys of another one; then it serves, in the same process."""
import json
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time

from fake_guest_agent import FakeGuestAgent
from harness import BIN, Checks, fetch, free_ports, wait_for
from kms_server import KEYS, Kms, call, configuration, connect, exchange, metric

checks = Checks()
FILES = ["root-ca.crt", "root-ca.key", "root-k256.key", "rpc-domain", "rpc.crt", "rpc.key", "tmp-ca.crt", "tmp-ca.key"]


class NewKms(Kms):
    """One with an empty key directory; both listeners have the same port, as by default."""

    def __init__(self, quotes=False, agent=None, core="", bounds="", auth='type = "dev"'):
        self.wanted_port, = free_ports(1)
        onboard = f'address = "127.0.0.1"\nport = {self.wanted_port}'
        text = configuration(auth=auth, onboard=onboard, port=self.wanted_port, core=core, bounds=bounds)
        if quotes:
            text = text.replace("quote_enabled = false", "quote_enabled = true")
        super().__init__(text, keys=False, env={"DSTACK_AGENT_ADDRESS": agent or "unix:/nowhere/no-agent.sock"})

    def waits_for_operator(self):
        return self.program.wait_for_line("waiting for an operator", 10)

    def rpc(self, method, arguments, timeout=20):
        answer = fetch(self.wanted_port, f"/prpc/Onboard.{method}?json", json.dumps(arguments), timeout=timeout,
                       headers={"Content-Type": "application/json"})
        return answer.status, answer.json()

    def key_files(self):
        certs = self.directory / "certs"
        return sorted(path.name for path in certs.iterdir()) if certs.exists() else []


def bootstrap_and_finish():
    with NewKms() as kms:
        if not checks.check("an empty directory: an operator is waited for", kms.waits_for_operator(), kms.program.output):
            return
        page = fetch(kms.wanted_port, "/")
        checks.check("the page is there", page.status == 200 and b"Onboard." in page.body, page.text[:200])
        checks.equal("/health answers", fetch(kms.wanted_port, "/health").text, "OK")
        status, info = kms.rpc("Bootstrap", {"domain": "kms.e2e.test"})
        checks.equal("Bootstrap", (status, sorted(info)), (200, ["attestation", "ca_pubkey", "k256_pubkey"]))
        checks.equal("the file set", kms.key_files(), sorted(FILES + ["bootstrap-info.json"]))
        modes = {(kms.directory / "certs" / name).stat().st_mode & 0o777 for name in FILES if name.endswith(".key")}
        checks.equal("keys are the owner's only", modes, {0o600})
        status, again = kms.rpc("Bootstrap", {"domain": "kms.e2e.test"})
        checks.equal("a second Bootstrap is refused", (status, again), (400, {"error": "KMS has already been bootstrapped"}))
        with socket.create_connection(("127.0.0.1", kms.wanted_port)) as browser:  # kept open, as browsers do
            browser.sendall(b"GET / HTTP/1.1\r\nHost: k\r\n\r\n")
            browser.recv(65536)
            checks.equal("GET /finish", fetch(kms.wanted_port, "/finish").text, "OK")
            began = time.monotonic()
            serving = kms.ready(5)
            switched = time.monotonic() - began
            checks.check("the main listener takes over at once", serving and switched < 1, f"{switched:.3f} s\n{kms.program.output}")
            times = []
            for _ in range(20):
                answer = call(kms.port, "GetMeta")
                times.append(answer.seconds)
            checks.check("GetMeta is quick with the browser's connection open", sorted(times)[10] < 0.05, str(times))
        meta = json.loads(answer.body)
        checks.equal("it serves what was made", (meta["k256_pubkey"], meta["bootstrap_info"]), (info["k256_pubkey"], info))
        described = subprocess.run([str(BIN.resolve() / "dstack-kms"), "inspect-cert", "certs/rpc.crt"], cwd=kms.directory,
                                   capture_output=True, text=True, timeout=10)
        checks.check("inspect-cert tells whose it is", "kms:rpc" in described.stdout and "kms.e2e.test" in described.stdout,
                     described.stdout + described.stderr)
        checks.equal("SIGTERM ends it with 0", kms.program.stop(), 0)


def ours_from_ours(folder):
    with Kms() as source, FakeGuestAgent(folder / "a.sock") as agent, NewKms(agent=agent.address) as joiner:
        if not checks.check("a source and a joiner", source.ready() and joiner.waits_for_operator(), joiner.program.output):
            return
        url = f"https://127.0.0.1:{source.port}"
        status, answer = joiner.rpc("Onboard", {"source_url": url, "domain": "kms2.e2e.test"})
        checks.equal("Onboard", (status, answer), (200, {"k256_pubkey": KEYS["root_k256_pubkey_compressed"]}))
        checks.equal("the file set has no bootstrap-info.json", joiner.key_files(), FILES)
        checks.equal("keys are those of the source", (joiner.directory / "certs/root-ca.key").read_text(), KEYS["root_ca_key_pem"])
        finish = fetch(joiner.wanted_port, "/prpc/Onboard.Finish?json", "")
        checks.equal("Finish answers", (finish.status, finish.text), (200, "null"))
        checks.check("and the KMS goes on by itself", joiner.ready(5), joiner.program.output)
        rows = [("GetAppEnvEncryptPubKey", {"app_id": "11" * 20}, ("public_key", "signature")), ("GetKmsKey", {}, ("temp_ca_key", "keys"))]
        for method, arguments, names in rows:
            ours, theirs = (json.loads(call(kms.port, method, arguments).body) for kms in (joiner, source))
            checks.equal(f"{method} is the same on both", [ours[n] for n in names], [theirs[n] for n in names])


def failures(folder):
    with FakeGuestAgent(folder / "b.sock") as agent, NewKms(agent=agent.address, bounds='source_connect = "500ms"\nsource = "1s"') as kms:
        kms.waits_for_operator()
        silent = socket.create_server(("127.0.0.1", 0))
        rows = [
            ("nobody there", "https://127.0.0.1:1", "Failed to send request"),
            ("no URL", "nonsense", "Failed to send request"),
            ("a source that never answers", f"https://127.0.0.1:{silent.getsockname()[1]}", "timed out"),
        ]
        for name, url, words in rows:
            began = time.monotonic()
            status, answer = kms.rpc("Onboard", {"source_url": url, "domain": "x.test"})
            took = time.monotonic() - began
            checks.check(f"{name}: a sentence, in time, and no keys",
                         status == 400 and words in answer["error"] and took < 3 and kms.key_files() == [], f"{took:.1f} s {answer}")
        outcome = []
        slow = {"source_url": rows[-1][1], "domain": "x.test"}
        caller = threading.Thread(target=lambda: outcome.append(kms.rpc("Onboard", slow)))
        caller.start()
        silent.settimeout(5)
        held = [silent.accept() for _ in range(2)]  # the first in the queue is the row's above
        answer = fetch(kms.wanted_port, "/")
        checks.check("the page answers while a source is waited for", answer.status == 200 and not outcome, str(outcome))
        status, second = kms.rpc("Bootstrap", {"domain": "x.test"})
        checks.check("a second caller is told", status == 400 and "under way" in second["error"], str(second))
        caller.join(10)
        for connection, _ in held:
            connection.close()
        silent.close()
        checks.check("a failure is logged", "onboarding call failed" in kms.program.output)
        checks.equal("a signal ends onboarding with 0", kms.program.stop(3), 0)
    with NewKms() as kms:
        kms.waits_for_operator()
        fetch(kms.wanted_port, "/finish")
        checks.equal("finishing without keys ends the program", kms.program.wait(5), 1)
        checks.check("with a sentence", "Failed to onboard" in kms.program.output, kms.program.output)


def attested_bootstrap(folder):
    with FakeGuestAgent(folder / "c.sock") as agent, NewKms(quotes=True, agent=agent.address, bounds='guest_agent = "500ms"') as kms:
        kms.waits_for_operator()
        agent.silent = True
        began = time.monotonic()
        status, answer = kms.rpc("Bootstrap", {"domain": "kms.e2e.test"})
        checks.check("a silent guest agent: refused in time, no keys",
                     status == 400 and "Failed to get quote" in answer["error"] and time.monotonic() - began < 2 and kms.key_files() == [], str(answer))
        agent.answer_again()
        agent.status = 500
        status, answer = kms.rpc("Bootstrap", {"domain": "kms.e2e.test"})
        checks.check("an agent that fails: refused", status == 400 and "500" in answer["error"], str(answer))
        agent.status = 200
        status, info = kms.rpc("Bootstrap", {"domain": "kms.e2e.test"})
        checks.check("with a working agent: attested keys", status == 200 and len(info["attestation"]) > 8000, str(info)[:300])
        described = subprocess.run([str(BIN.resolve() / "dstack-kms"), "inspect-cert", "certs/rpc.crt"], cwd=kms.directory,
                                   capture_output=True, text=True, timeout=10).stdout
        checks.check("rpc.crt carries evidence for its key", re.search(r"binds this key +yes", described), described)


def background_refresh(folder):
    text = configuration(bounds='guest_agent = "400ms"\nguest_agent_retry = "200ms"').replace("quote_enabled = false", "quote_enabled = true")
    with FakeGuestAgent(folder / "d.sock") as agent:
        agent.silent = True
        began = time.monotonic()
        with Kms(text, env={"DSTACK_AGENT_ADDRESS": agent.address}) as kms:
            checks.check("a guest agent that hangs delays no start", kms.ready(5) and time.monotonic() - began < 2, kms.program.output)
            answer = call(kms.port, "GetMeta")
            checks.equal("the stored certificate serves", answer.status, 200)
            ready = exchange(kms.port, b"GET /readyz HTTP/1.1\r\nHost: k\r\n\r\n").body.decode()
            checks.check("readiness says what is awaited", "awaited: a quote for rpc.crt" in ready and agent.address in ready, ready)
            checks.equal("and a metric", metric(kms.port, "dstack_kms_awaiting"), 1.0)
            warned = kms.program.wait_for_line("rpc.crt is not refreshed yet", 5)
            checks.check("one warning", warned, kms.program.output)
            before = served_certificate(kms.port)
            agent.answer_again()
            refreshed = kms.program.wait_for_line("certificate refreshed", 5)
            checks.check("it is made anew as soon as the agent answers", refreshed, kms.program.output)
            checks.check("and served, without a restart", wait_for(lambda: served_certificate(kms.port) != before, 5))
            ready = exchange(kms.port, b"GET /readyz HTTP/1.1\r\nHost: k\r\n\r\n").body.decode()
            checks.equal("then nothing is awaited", (ready, metric(kms.port, "dstack_kms_awaiting")), ("ready\n", 0.0))
            checks.equal("one warning for all attempts", kms.program.output.count("rpc.crt is not refreshed yet"), 1)


def served_certificate(port):
    with connect(port) as connection:
        return connection.getpeercert(binary_form=True)


def isolation():
    rows = [
        ("none", 'type = "none"', 400, "so no key is released", "nobody_asked"),
        ("none, all allowed", 'type = "none"\n[core.auth_api.none]\nallow = "all"', 200, "keys are released to all", "open_to_all"),
        ("dev", 'type = "dev"', 200, "development mode", "dev"),
    ]
    for name, auth, status, words, mode in rows:
        with Kms(configuration(auth=auth)) as kms:
            kms.ready()
            checks.equal(f"{name}: GetKmsKey with quotes off", call(kms.port, "GetKmsKey", {}).status, status)
            checks.check(f"{name}: the start says so", re.search(rf"WARN kms: .*{words}", kms.program.output), kms.program.output)
            metrics = exchange(kms.port, b"GET /metrics HTTP/1.1\r\nHost: k\r\n\r\n").body.decode()
            checks.check(f"{name}: and a metric", f'dstack_kms_weakened_mode{{mode="{mode}"}} 1' in metrics, metrics[:200])
            meta = json.loads(call(kms.port, "GetMeta").body)
            if mode != "dev":
                checks.equal(f"{name}: facts are absent", [meta[n] for n in ("is_dev", "gateway_app_id", "chain_id")], [False, None, None])


with tempfile.TemporaryDirectory(prefix="kms-onboard-") as temporary:
    place = pathlib.Path(temporary)
    bootstrap_and_finish()
    ours_from_ours(place)
    failures(place)
    attested_bootstrap(place)
    background_refresh(place)
    isolation()
checks.finish()
