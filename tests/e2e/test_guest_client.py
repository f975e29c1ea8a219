#!/usr/bin/env python3
"""Quotes on, end to end: bootstrap → GetAppKey → SignCert by the guest client; every refusal with its reason, nothing released."""
import json
import pathlib
import subprocess
import tempfile

from harness import BIN, Checks, Stack, fetch, free_ports
from simulator_fixture import AttestedKms, Simulator, Webhook, attested_configuration, guest

checks = Checks()
STEPS = ["temp-ca", "info", "attest", "certificate", "app-key", "attest-again", "sign-cert"]


def the_whole_stack():
    with tempfile.TemporaryDirectory() as name, Stack(quotes=True) as stack:
        directory = pathlib.Path(name)
        if not checks.check("the stack with quotes becomes ready", stack.ready(30), stack.program.output[-3000:]):
            return
        checks.equal("three services run", sorted(stack.services()), ["auth-eth", "dstack-kms-dev", "tee-simulator"])
        agent = f"unix:{stack.directory}/agent.sock"
        keys, chain = directory / "keys.json", directory / "chain.pem"
        told = guest(stack.kms_port, agent, "--keys-out", keys, "--chain-out", chain, "--name", "app", "--alt-name", "app.test")
        checks.equal("the guest client gets keys and a certificate", (told.status, told.result.get("result")), (0, "done"))
        checks.equal("… in these steps, each with its time", list(told.result.get("steps_ms", {})), STEPS)
        if told.status != 0:
            checks.check("why", False, told.output)
            return
        checks.equal("the keys are the owner's only", keys.stat().st_mode & 0o777, 0o600)
        released = json.loads(keys.read_text())
        checks.check("three keys of 32 bytes", all(len(released[k]) == 64 for k in ("disk_crypt_key", "env_crypt_key", "k256_key")))
        checks.check("no key is in what is printed", not any(released[k] in told.output for k in ("disk_crypt_key", "env_crypt_key", "k256_key")))
        again = directory / "again.json"
        guest(stack.kms_port, agent, "--keys-out", again, "--no-sign")
        second = json.loads(again.read_text())
        checks.check("the same machine gets the same keys", all(second[k] == released[k] for k in ("disk_crypt_key", "env_crypt_key", "k256_key")))
        text = chain.read_text()
        checks.equal("leaf, App CA and root", text.count("BEGIN CERTIFICATE"), 3)
        parts = ["-----BEGIN CERTIFICATE-----" + part for part in text.split("-----BEGIN CERTIFICATE-----")[1:]]
        for part, file in zip(parts, ("leaf.pem", "ca.pem", "root.pem")):
            (directory / file).write_text(part)
        done = subprocess.run(["openssl", "verify", "-CAfile", directory / "root.pem", "-untrusted", directory / "ca.pem", directory / "leaf.pem"],
                              capture_output=True, text=True, timeout=20)
        checks.check("openssl accepts the chain", done.returncode == 0, done.stdout + done.stderr)
        shown = subprocess.run([BIN / "dstack-kms", "inspect-cert", stack.directory / "certs/rpc.crt"], capture_output=True, text=True, timeout=20)
        checks.check("the certificate of the KMS carries evidence", "dstack-tdx" in shown.stdout, shown.stdout + shown.stderr)
        lines = subprocess.run([BIN / "dstack-kms", "guest-client", "--kms", f"https://localhost:{stack.kms_port}", "--agent", agent],
                               capture_output=True, text=True, timeout=30)
        checks.check("for people: a line per step and a sentence",
                     lines.returncode == 0 and len(lines.stdout.splitlines()) == len(STEPS) + 1, lines.stdout + lines.stderr)

        # The policy of ./dev run knows one application on up-to-date platforms.
        def switch(*faults):
            fetch(stack.pccs_port, "/simulator/switches", json.dumps({"faults": faults}), method="PUT")
        switch("other-application")
        denied = guest(stack.kms_port, agent)
        checks.check("another application is denied by the policy, with its reason",
                     denied.status == 1 and denied.result["step"] == "app-key" and "Boot denied: " in denied.reason, denied.output)


def refusals_of_evidence():
    with Simulator() as simulator, Webhook() as webhook, AttestedKms(simulator, webhook) as kms:
        if not checks.check("a KMS with quotes on makes its keys", kms.ready(), kms.program.output):
            return
        checks.equal("a good machine", kms.guest().status, 0)
        kinds = [kind for kind, _ in webhook.asked]
        checks.equal("the webhook was asked for the keys and for the certificate", kinds, ["app", "app"])
        machine, info = simulator.machine()["app_info"], webhook.asked[0][1]
        checks.equal("… about this machine", [info[k] for k in ("appId", "composeHash", "instanceId", "deviceId", "mrAggregated", "osImageHash")],
                     [machine[k] for k in ("app_id", "compose_hash", "instance_id", "device_id", "mr_aggregated", "os_image_hash")])
        checks.equal("… on this platform", (info["attestationMode"], info["tcbStatus"], info["advisoryIds"]), ("dstack-tdx", "UpToDate", []))
        refused_by_kms = {
            "replayed-answer": "report data mismatch", "foreign-pki": "certificate", "pck-expired": "CertExpired",
            "quote-signature": "signature", "debug": "Debug mode is enabled", "sept-ve": "SEPT_VE_DISABLE", "perfmon": "Reserved bits",
            "service-td": "MR service TD", "event-omitted": "RTMR3 mismatch", "qe-report-hash": "QE report hash mismatch",
            "quote-vendor": "vendor",
        }
        for fault, words in refused_by_kms.items():
            simulator.switch(fault)
            webhook.asked.clear()
            with tempfile.TemporaryDirectory() as name:
                keys = pathlib.Path(name) / "keys.json"
                told = kms.guest("--keys-out", keys)
                checks.check(f"{fault}: refused with the reason", told.status == 1 and told.result["step"] == "app-key"
                             and "invalid quote" in told.reason and words.lower() in told.reason.lower(), told.output)
                checks.check(f"{fault}: nothing is released, nobody was asked", not keys.exists() and webhook.asked == [], str(webhook.asked))
        expected = machine["mr_aggregated"]
        webhook.decide = lambda kind, info: "" if info["mrAggregated"] == expected else "wrong measurement"
        simulator.switch("other-measurement")
        told = kms.guest()
        checks.check("a wrong measurement reaches the webhook, whose reason comes back", told.status == 1 and "Boot denied: wrong measurement" in told.reason, told.output)
        simulator.switch()
        checks.equal("the right one still gets its keys", kms.guest("--no-sign").status, 0)
        simulator.switch(form="v1")
        webhook.decide = lambda kind, info: ""
        checks.equal("so does one whose evidence has form V1", kms.guest().status, 0)


def refusals_of_collateral():
    """What is wrong on the side of the platform's maker; a new KMS each time, since good collateral would be held."""
    with Simulator() as simulator, Webhook() as webhook:
        for fault, words in (("pck-revoked", "revoked"), ("pck-ca-revoked", "revoked"), ("tcb-info-stale", "TCBInfo expired"),
                             ("qe-identity-stale", "QE Identity expired"), ("root-crl-expired", "CrlExpired"), ("tcb-info-tampered", "Signature is invalid"),
                             ("foreign-collateral", "signature"), ("tcb-below-levels", "No matching TCB level"), ("tcb-revoked", "Revoked"),
                             ("fmspc-mismatch", "Fmspc mismatch")):
            simulator.switch(fault)
            webhook.asked.clear()
            with AttestedKms(simulator, webhook) as kms:
                told = kms.guest() if kms.ready() else None
                checks.check(f"{fault}: refused with the reason",
                             told and told.status == 1 and words.lower() in told.reason.lower(), told.output if told else kms.program.output)
                checks.equal(f"{fault}: nobody was asked", webhook.asked, [])
        webhook.decide = lambda kind, info: "" if info["tcbStatus"] == "UpToDate" else f"TCB status is {info['tcbStatus']}"
        simulator.switch("out-of-date")
        with AttestedKms(simulator, webhook) as kms:
            told = kms.guest() if kms.ready() else None
            checks.check("an out-of-date TCB reaches the webhook with its advisories, and is refused",
                         told and told.status == 1 and "Boot denied: TCB status is OutOfDate" in told.reason
                         and webhook.asked[-1][1]["advisoryIds"] == ["INTEL-SA-00837", "INTEL-SA-00960"], told.output if told else "")


def wrong_arguments_and_no_answer():
    port, = free_ports(1)
    with Simulator() as simulator:
        told = guest(port, simulator.agent)
        checks.check("no KMS: exit 3, with the address", told.status == 3 and f"localhost:{port}" in told.reason, told.output)
    for words in ((), ("--kms",), ("--nonsense",), ("--kms", "https://localhost", "--timeout", "soon")):
        done = subprocess.run([BIN / "dstack-kms", "guest-client", *words], capture_output=True, text=True, timeout=10)
        checks.check(f"arguments {words}: exit 2 with a sentence", done.returncode == 2 and done.stderr.startswith("dstack-kms guest-client: "), done.stderr)
    with Simulator() as simulator, Webhook() as webhook, AttestedKms(simulator, webhook) as kms:
        if not checks.check("the KMS serves", kms.ready(), kms.program.output):
            return
        told = guest(kms.port, "unix:/nowhere/agent.sock")
        checks.check("no agent: exit 3 at that step", told.status == 3 and told.result["step"] == "info" and "/nowhere/agent.sock" in told.reason, told.output)
        for fault in ("silent", "unavailable", "html", "cut", "reset"):
            simulator.switch(agent=fault)
            told = kms.guest("--timeout", "1s")
            checks.check(f"an agent that is {fault}: exit 3 with a sentence", told.status == 3 and told.result["step"] == "info" and told.reason, told.output)


def onboarding_from_an_attested_source():
    with Simulator() as simulator, Webhook() as webhook, AttestedKms(simulator, webhook) as source:
        if not checks.check("the source serves", source.ready(), source.program.output):
            return
        webhook.decide = lambda kind, info: "" if kind == "kms" else "not asked for"

        def fetched(decide, expected):
            port, = free_ports(1)
            webhook.decide = decide
            webhook.asked.clear()
            onboard = f'address = "127.0.0.1"\nport = {port}'
            with AttestedKms(simulator, webhook, onboard=onboard, port=port) as kms:
                if not kms.program.wait_for_line("waiting for an operator", 10):
                    checks.check("the new KMS waits", False, kms.program.output)
                    return
                answer = fetch(port, "/prpc/Onboard.Onboard?json", json.dumps({"source_url": f"https://localhost:{source.port}", "domain": "localhost"}),
                               headers={"Content-Type": "application/json"}, timeout=30)
                checks.equal(f"onboarding: {expected}", answer.status, 200 if expected == "keys are fetched" else 400)
                stored = (kms.directory / "certs/root-ca.key").exists()
                checks.equal("… and keys are stored" if answer.status == 200 else "… and nothing is stored", stored, expected == "keys are fetched")
                if answer.status == 200:
                    same = (kms.directory / "certs/root-ca.key").read_text() == (source.directory / "certs/root-ca.key").read_text()
                    checks.check("… the same as the source's", same)
                return answer.text
        fetched(lambda kind, info: "", "keys are fetched")
        checks.check("… after the webhook judged both sides as KMS", [kind for kind, _ in webhook.asked].count("kms") >= 2, str(webhook.asked))
        text = fetched(lambda kind, info: "not on the list", "refused by the webhook") or ""
        checks.check("… with its reason", "not on the list" in text, text)


def onboarding_from_a_source_that_proves_nothing():
    """The source made its certificate while something was wrong with its evidence; the new KMS must not take its keys."""
    for fault, words in (("quote-signature", "signature"), ("debug", "Debug mode is enabled"), ("foreign-pki", "certificate"),
                         ("event-omitted", "RTMR3 mismatch")):
        with Simulator() as simulator, Webhook() as webhook:
            simulator.switch(fault)
            with AttestedKms(simulator, webhook) as source:
                if not checks.check(f"{fault}: the source serves", source.ready(), source.program.output):
                    continue
                simulator.switch()
                webhook.asked.clear()
                port, = free_ports(1)
                with AttestedKms(simulator, webhook, onboard=f'address = "127.0.0.1"\nport = {port}', port=port) as kms:
                    if not checks.check(f"{fault}: the new KMS waits", kms.program.wait_for_line("waiting for an operator", 10), kms.program.output):
                        continue
                    answer = fetch(port, "/prpc/Onboard.Onboard?json", json.dumps({"source_url": f"https://localhost:{source.port}", "domain": "localhost"}),
                                   headers={"Content-Type": "application/json"}, timeout=30)
                    checks.check(f"{fault}: the source is refused with the reason", answer.status == 400 and words.lower() in answer.text.lower(), answer.text)
                    checks.check(f"{fault}: … nothing is stored", not (kms.directory / "certs/root-ca.key").exists())


the_whole_stack()
refusals_of_evidence()
refusals_of_collateral()
wrong_arguments_and_no_answer()
onboarding_from_an_attested_source()
onboarding_from_a_source_that_proves_nothing()
checks.finish()
