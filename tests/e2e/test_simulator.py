#!/usr/bin/env python3
"""tee-simulator alone: the guest agent, the collateral server, every fault; and that no production build trusts it."""
import json
import pathlib
import re
import socket
import stat
import subprocess
import tempfile
import urllib.parse

from harness import BIN, Checks, fetch
from simulator_fixture import AttestedKms, Simulator, Webhook, exchange_raw

checks = Checks()


def run(*command, timeout=30):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=timeout)


def fault_table():
    lines = run(BIN / "tee-simulator", "--faults").stdout.splitlines()
    return [tuple(line.split("\t")) for line in lines]


def the_program_itself():
    rows = fault_table()
    checks.check("--faults lists name, stage and meaning", len(rows) >= 40 and all(len(row) == 3 for row in rows), str(rows[:3]))
    first, second = run(BIN / "tee-simulator", "--root").stdout, run(BIN / "tee-simulator", "--root").stdout
    checks.check("--root is the same each time", first == second and first.startswith("-----BEGIN CERTIFICATE-----"), first)
    other = run(BIN / "tee-simulator", "--seed", "11" * 32, "--root").stdout
    checks.check("another seed has another root", other != first and other.startswith("-----BEGIN"), other)
    for words in ((), ("--agent",), ("--nonsense", "x"), ("--pccs", "127.0.0.1:0", "--seed", "12"),
                  ("--pccs", "127.0.0.1:0", "--switches", '{"faults":["nonsense"]}')):
        done = run(BIN / "tee-simulator", *words)
        checks.check(f"arguments {words} are refused with a sentence", done.returncode == 2 and done.stderr.startswith("tee-simulator: "), done.stderr)
    done = run(BIN / "tee-simulator", "--pccs", "256.0.0.1:1")
    checks.check("an address that cannot be had is a sentence", done.returncode == 1 and "256.0.0.1:1" in done.stderr, done.stderr)


def collateral(simulator):
    """From the server's four answers to the form that verify-quote reads."""
    def get(path):
        return fetch(simulator.port, path)

    def chain(answer, name):
        return urllib.parse.unquote(answer.headers[name])

    def statement(answer, member):
        text = answer.text
        return text[text.index(":") + 1:text.rindex(',"signature"')], answer.json()["signature"], member
    pck = get("/sgx/certification/v4/pckcrl?ca=platform&encoding=der")
    root = get("/sgx/certification/v4/rootcacrl")
    tcb = get("/tdx/certification/v4/tcb?fmspc=53494D000001")
    identity = get("/tdx/certification/v4/qe/identity?update=standard")
    return {"pck_crl_issuer_chain": chain(pck, "sgx-pck-crl-issuer-chain"), "root_ca_crl": root.text, "pck_crl": pck.body.hex(),
            "tcb_info_issuer_chain": chain(tcb, "tcb-info-issuer-chain"), "tcb_info": statement(tcb, "tcbInfo")[0],
            "tcb_info_signature": statement(tcb, "tcbInfo")[1],
            "qe_identity_issuer_chain": chain(identity, "sgx-enclave-identity-issuer-chain"),
            "qe_identity": statement(identity, "enclaveIdentity")[0],
            "qe_identity_signature": statement(identity, "enclaveIdentity")[1]}


def verdict(simulator, directory, root=True):
    quote, file = directory / "quote.bin", directory / "collateral.json"
    quote.write_bytes(simulator.quote(b"\x01" * 64))
    file.write_text(json.dumps(collateral(simulator)))
    done = run(BIN / "dstack-kms", "verify-quote", quote, "--collateral", file, "--json",
               *(["--root", simulator.root] if root else []))
    return done.returncode, json.loads(done.stdout) if done.stdout else {"reason": done.stderr}


def quotes_and_their_refusals():
    with Simulator() as simulator, tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        status, told = verdict(simulator, directory)
        checks.equal("verify-quote accepts a simulated quote with the simulator's root", (status, told.get("verdict"), told.get("tcb_status")),
                     (0, "accepted", "UpToDate"))
        status, told = verdict(simulator, directory, root=False)
        checks.equal("… and refuses it with Intel's", (status, told.get("stage")), (1, "root_crl"))
        beyond_the_quote = {"key_binding", "dstack_policy", "rtmr3", "report_data", "preimage"}
        for fault, stage, meaning in fault_table():
            if stage in beyond_the_quote:
                continue
            simulator.switch(fault)
            status, told = verdict(simulator, directory)
            if stage == "(policy)":
                checks.equal(f"{fault}: {meaning}: accepted", status, 0)
            elif stage == "quote":
                checks.check(f"{fault}: {meaning}", status in (1, 2), str(told))
            else:
                checks.equal(f"{fault}: {meaning}", (status, told.get("stage")), (1, stage))


def the_agent():
    with Simulator() as simulator:
        checks.equal("the agent's socket is for everybody, as the real one", stat.S_IMODE(simulator.socket.stat().st_mode), 0o777)
        one, same = simulator.attest(b"\x07" * 64), simulator.attest(b"\x07" * 64)
        checks.check("evidence is the same for the same question", one == same and one[:1] == b"\x00")
        simulator.switch(form="v1")
        checks.check("… in form V1 when told so", simulator.attest(b"\x07" * 64)[0] == 0x83)
        simulator.switch()
        for request, status in ((b"POST /Nothing?json HTTP/1.1\r\n\r\n", b"400"), (b"GET /prpc/Attest HTTP/1.1\r\n\r\n", b"404"),
                                (b"rubbish\r\n\r\n", b"400"), (b"GET /Info HTTP/1.1\r\n\r\n", b"200"),
                                (b"GET /Version HTTP/1.1\r\n\r\n", b"200")):
            answer = simulator.ask(request)
            checks.check(f"{request[:30]!r} is answered {status.decode()}", answer.split(b" ")[1:2] == [status], str(answer[:200]))
    with Simulator() as first, Simulator() as second:
        checks.equal("two simulators are one machine", first.machine(), second.machine())


def wire_faults():
    with Simulator() as simulator:
        request = b"GET /sgx/certification/v4/rootcacrl HTTP/1.1\r\nHost: x\r\n\r\n"
        address = ("127.0.0.1", simulator.port)

        def ask(fault, seconds):
            simulator.switch(pccs=fault)
            return exchange_raw(socket.AF_INET, address, request, seconds)
        checks.check("none: the whole list", ask("none", 5).startswith(b"HTTP/1.1 200 OK"))
        checks.equal("silent: not a byte", ask("silent", 0.7), b"")
        checks.check("dribble: a byte, and not more than one a second", 1 <= len(ask("dribble", 1.5)) <= 3)
        checks.check("unavailable: 503", ask("unavailable", 5).startswith(b"HTTP/1.1 503"))
        checks.check("html: a page", b"<html>" in ask("html", 5))
        cut = ask("cut", 5)
        announced = int(re.search(rb"Content-Length: (\d+)", cut).group(1)) if b"Content-Length" in cut else None
        checks.check("cut: half an answer", announced is None or len(cut.partition(b"\r\n\r\n")[2]) < announced, str(cut[:200]))
        try:
            reset = ask("reset", 5)
        except ConnectionResetError:
            reset = b""
        checks.equal("reset: no answer", reset, b"")
        huge = ask("huge", 30)
        checks.check("huge: 100 MiB", len(huge) > 100 * 1024 * 1024, str(len(huge)))
        checks.check("the switchboard answers throughout", simulator.requests()["pccs"] >= 8, str(simulator.requests()))


def no_production_build_trusts_it():
    with Simulator() as simulator, Webhook() as webhook:
        for program, flag, accepted in (("dstack-kms", True, False), ("dstack-kms", False, False), ("dstack-kms-dev", False, False),
                                        ("dstack-kms-dev", True, True)):
            kms = AttestedKms(simulator, webhook, program=program)
            text = (kms.directory / "kms.toml").read_text()
            if not flag:
                (kms.directory / "kms.toml").write_text(text.replace("insecure_allow_external_trust_anchors = true", ""))
            done = run(kms.executable, "-c", kms.directory / "kms.toml", "--check")
            what = f"{program} with the simulator's root, {'and' if flag else 'without'} the flag for it"
            if accepted:
                checks.equal(f"{what}: starts", done.returncode, 0)
            else:
                checks.check(f"{what}: refuses to start, with a sentence",
                             done.returncode == 1 and "core.attestation.root_ca.tdx" in done.stderr, done.stdout + done.stderr)
        kms = AttestedKms(simulator, webhook, program="dstack-kms", root=False)
        with kms:
            if checks.check("dstack-kms without that root starts", kms.ready(), kms.program.output):
                told = kms.guest()
                checks.check("… and refuses simulated evidence", told.status == 1 and "Failed to get collateral" in told.reason, told.output)
                checks.equal("… without asking the webhook", webhook.asked, [])
    tree = BIN.resolve().parent
    if not (tree / "cmake_install.cmake").exists():
        checks.skip("what is installed", "the programs are not in a build tree")
        return
    with tempfile.TemporaryDirectory() as prefix:
        done = run("cmake", "--install", tree, "--prefix", prefix)
        names = sorted(path.name for path in pathlib.Path(prefix).rglob("*") if path.is_file())
        checks.check("the programs are installed", done.returncode == 0 and "dstack-kms" in names, done.stderr + str(names))
        checks.check("no part of the simulator is", not any("simulator" in one or one.endswith("-dev") for one in names), str(names))
    program = (BIN / "dstack-kms").read_bytes()
    checks.check("no key derivation of the simulator is in dstack-kms", b"dstack-mock-p256-v1" not in program)


the_program_itself()
the_agent()
quotes_and_their_refusals()
wire_faults()
no_production_build_trusts_it()
checks.finish()
