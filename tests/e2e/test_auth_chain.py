#!/usr/bin/env python3
"""auth-eth in front of a real chain (anvil): what contracts decide, what chains do, and the commands that ask once."""
import json
import pathlib
import subprocess
import tempfile

from auth_fixture import (AUTH, Anvil, RpcError, ScriptedChain, closed_port, decision, environment, metric, post, ready, request, start,
                          unavailable, why_no_chain, word)
from harness import Checks, fetch, free_ports

OTHER = "77" * 32
checks = Checks()


def ask(port, path="app", **changes):
    return post(port, request(**changes), "/bootAuth/" + path).text


class Service:
    """auth-eth on a free port, asking this chain."""

    def __init__(self, rpc_url, contract, **env):
        self.port, = free_ports(1)
        self._program = start(self.port, rpc_url, contract, **env)

    def __enter__(self):
        self._program.__enter__()
        checks.check("auth-eth starts", ready(self._program), self._program.output)
        return self

    def __exit__(self, *problem):
        self._program.__exit__(*problem)

    @property
    def output(self):
        return self._program.output

    def wait_for_line(self, text):
        return self._program.wait_for_line(text)


def check_stock_contracts(chain):
    """Every line of the table of what the stock contracts decide; the first that fails wins."""
    gateway = chain.app_any_device
    app = dict(appId=chain.app_one_device)
    kms = dict(deviceId="c1" * 32)
    with Service(chain.url, chain.kms) as service:
        facts = fetch(service.port, "/").json()
        checks.equal("GET /: members in their order", list(facts), ["status", "kmsContractAddr", "ethRpcUrl", "gatewayAppId", "chainId",
                                                                  "appAuthImplementation", "appImplementation"])
        checks.equal("GET /: values", (facts["status"], facts["kmsContractAddr"], facts["ethRpcUrl"], facts["gatewayAppId"],
                                       facts["chainId"], facts["appImplementation"].lower()),
                     ("ok", chain.kms, chain.url, gateway, 31337, chain.template))
        checks.equal("HEAD /", fetch(service.port, "/", method="HEAD").status, 200)
        for name, path, changes, reason in (
                ("a KMS, all rules met", "kms", kms, ""),
                ("a KMS, TCB status", "kms", kms | dict(tcbStatus="OutOfDate", osImageHash=OTHER), "TCB status is not up to date"),
                ("a KMS, TCB status in other letters", "kms", kms | dict(tcbStatus="uptodate"), "TCB status is not up to date"),
                ("a KMS, no TCB status", "kms", kms | dict(tcbStatus=None), "TCB status is not up to date"),
                ("a KMS, OS image", "kms", kms | dict(osImageHash=OTHER, mrAggregated=OTHER), "OS image is not allowed"),
                ("a KMS, measurement", "kms", kms | dict(mrAggregated=OTHER, deviceId=OTHER), "Aggregated MR not allowed"),
                ("a KMS, device", "kms", dict(deviceId=OTHER), "KMS is not allowed to boot on this device"),
                ("an app, all rules met", "app", app, ""),
                ("an app, unknown", "app", dict(appId="75" * 20, osImageHash=OTHER), "App not registered"),
                ("an app, OS image", "app", dict(appId=chain.app_without_code, osImageHash=OTHER), "OS image is not allowed"),
                ("an app without code", "app", dict(appId=chain.app_without_code), "App not deployed or invalid address"),
                ("an app, compose hash", "app", app | dict(composeHash=OTHER, deviceId=OTHER), "Compose hash not allowed"),
                ("an app, device", "app", app | dict(deviceId=OTHER), "Device not allowed"),
                ("an app on any device", "app", dict(appId=chain.app_any_device, composeHash="d2" * 32, deviceId=OTHER), ""),
                ("an app that does not ask for a healthy TCB", "app", app | dict(tcbStatus="OutOfDate"), ""),
                ("an app that does", "app", dict(appId=chain.app_healthy, tcbStatus="OutOfDate", composeHash=OTHER),
                 "TCB status is not up to date"),
                ("an app that does, and is", "app", dict(appId=chain.app_healthy), ""),
                ("an app with advisories", "app", app | dict(advisoryIds=["INTEL-SA-1", "", "x" * 65]), ""),
                ("an app, upper-case 0x", "app", dict(appId="0x" + chain.app_one_device[2:].upper()), ""),
                ("an app without instance and mrSystem", "app", app | dict(instanceId="", mrSystem=None), "")):
            checks.equal(name, ask(service.port, path, **changes), decision(reason == "", reason, gateway))
        checks.equal("one member only", post(service.port, '{"appId":"00"}').status, 400)
        checks.equal("the metrics count outcomes", (metric(service.port, 'auth_requests_total{route="kms",outcome="denied"}'),
                                                    metric(service.port, 'auth_requests_total{route="app",outcome="allowed"}')), (6, 7))
        checks.check("the metrics know the endpoint", metric(service.port, f'auth_chain_endpoint_up{{endpoint="1",url="{chain.url}"}}') == 1
                     and metric(service.port, 'auth_chain_exchange_duration_seconds_count{endpoint="1"}') >= 20,
                     fetch(service.port, "/metrics").text)


# Modes of TestFaultyApp: (asked through the authority, asked as the authority itself); None: nothing but a failure
FAULTY = {
    0: ("allowed", ""), 1: ("denied", 'refusé: "quotes" and \n newline'), 2: ("reverted", None), 3: ("reverted", None), 4: ("reverted", None),
    5: ("reverted", None), 7: ("reverted", None), 8: ("reverted", None), 9: ("undecodable answer", None), 10: ("reverted", None),
    11: ("reverted", None), 12: ("reverted", None), 13: ("allowed", "\0" * 65536), 14: ("reverted", None), 15: ("allowed", ""),
    16: ("reverted", None), 99: ("reverted", None)}
FAULTY_RAW = {2: "reverted", 3: "reverted", 4: "reverted", 5: "reverted", 7: "undecodable answer", 8: "undecodable answer",
              9: "undecodable answer", 10: "no contract at address", 11: "undecodable answer", 12: "undecodable answer",
              14: "undecodable answer", 16: "undecodable answer", 99: "reverted"}


def check_faulty_contracts(chain):
    with Service(chain.url, chain.kms) as service:
        for mode, (outcome, reason) in FAULTY.items():
            chain.set_mode(mode)
            wanted = unavailable(outcome) if reason is None else decision(outcome == "allowed", reason, chain.app_any_device)
            got = ask(service.port, appId=chain.faulty)
            checks.check(f"an app contract in mode {mode}: {outcome}", json.loads(got) == json.loads(wanted), got[:300])
        chain.set_mode(6)  # loops until its gas is used up
        got = json.loads(ask(service.port, appId=chain.faulty))
        checks.check("an app contract that never ends is no allowance", not got["isAllowed"] and got["gatewayAppId"] == "", got)
        chain.set_mode(0)
        checks.equal("and is one again as soon as it behaves", ask(service.port, appId=chain.faulty),
                     decision(True, "", chain.app_any_device))
    with Service(chain.url, chain.faulty) as service:
        for mode, category in FAULTY_RAW.items():
            chain.set_mode(mode)
            checks.equal(f"an authority in mode {mode}", ask(service.port), unavailable(category))
        checks.equal("the failures are counted by category", metric(service.port, 'auth_failures_total{category="undecodable"}'), 7)
        chain.set_mode(0)
    with Service(chain.url, "0x" + "12" * 20) as service:
        checks.equal("no contract at the address", ask(service.port), unavailable("no contract at address"))
        answer = fetch(service.port, "/")
        checks.equal("GET / says so too", (answer.status, answer.text),
                     (500, '{"status":"error","message":"authorization backend unavailable: no contract at address"}'))


def check_changes(chain):
    """What was decided is never remembered: the chain is asked anew, whatever happened to it."""
    app = dict(appId=chain.app_one_device)
    allowed = decision(True, "", chain.app_any_device)
    with Service(chain.url, chain.kms) as service:
        checks.equal("allowed before", ask(service.port, **app), allowed)
        chain.order_app(chain.app_one_device, "removeDevice(bytes32)", word("e1" * 32))
        checks.equal("a device that was removed is refused at once", ask(service.port, **app),
                     decision(False, "Device not allowed", chain.app_any_device))
        chain.rpc("anvil_reorg", 1, [])
        checks.equal("a reorganisation that undoes it is followed", ask(service.port, **app), allowed)

        # An upgrade between two requests: the proxy's implementation becomes other code.
        slot = chain.rpc("eth_getStorageAt", chain.kms, chain.IMPLEMENTATION_SLOT, "latest")
        chain.rpc("anvil_setStorageAt", chain.kms, chain.IMPLEMENTATION_SLOT, "0x" + word(chain.faulty))
        chain.rpc("anvil_setStorageAt", chain.kms, "0x" + word(0), "0x" + word(0))  # its mode: allows all
        chain.mine()
        checks.equal("upgraded to a contract whose gateway cannot be read", ask(service.port, **app), unavailable("undecodable answer"))
        chain.rpc("anvil_setStorageAt", chain.kms, chain.IMPLEMENTATION_SLOT, slot)
        chain.rpc("anvil_setStorageAt", chain.kms, "0x" + word(0), "0x" + word(chain.owner))
        chain.mine()
        checks.equal("and back", ask(service.port, **app), allowed)

        chain.order("setGatewayAppId(string)", word(0x20), word(0))
        checks.equal("an empty gateway is passed on", ask(service.port, **app), decision(True, "", ""))
        chain.rpc("anvil_reorg", 1, [])

        code = chain.rpc("eth_getCode", chain.kms, "latest")
        chain.rpc("anvil_setCode", chain.kms, "0x")
        checks.equal("the contract is gone", ask(service.port, **app), unavailable("no contract at address"))
        chain.rpc("anvil_setCode", chain.kms, code)
        checks.equal("the contract is back", ask(service.port, **app), allowed)


def check_chain_id(chain):
    app = dict(appId=chain.app_one_device)
    allowed = decision(True, "", chain.app_any_device)
    with Service(chain.url, chain.kms, ETH_CHAIN_ID="31337") as strict, Service(chain.url, chain.kms) as lenient:
        checks.equal("the right chain", ask(strict.port, **app), allowed)
        checks.equal("any chain", ask(lenient.port, **app), allowed)
        chain.rpc("anvil_setChainId", 1)
        checks.equal("another chain is refused where one is configured", ask(strict.port, **app), unavailable("wrong chain"))
        checks.equal("GET / there", fetch(strict.port, "/").json()["message"], "authorization backend unavailable: wrong chain")
        checks.equal("any chain: the new one", ask(lenient.port, **app), allowed)
        checks.equal("GET / tells the new one", fetch(lenient.port, "/").json()["chainId"], 1)
        checks.check("and the log does", lenient.wait_for_line("the chain id has changed"), lenient.output)
        chain.rpc("anvil_setChainId", 31337)
        checks.equal("back on the right chain, without a restart", ask(strict.port, **app), allowed)


def check_blocks(chain):
    """At which block decisions are made."""
    app = dict(appId=chain.app_one_device)
    allowed, denied = decision(True, "", chain.app_any_device), decision(False, "Device not allowed", chain.app_any_device)
    with Service(chain.url, chain.kms, ETH_FINALITY_CONFIRMATIONS="2") as behind, \
            Service(chain.url, chain.kms, ETH_FINALITY_CONFIRMATIONS="1000000") as too_far, \
            Service(chain.url, chain.kms, AUTH_ETH_BLOCK="finalized") as final, \
            Service(chain.url, chain.kms, AUTH_ETH_BATCHES="false", AUTH_ETH_BLOCK="safe") as safe:
        chain.mine(3)
        checks.equal("head-2: allowed", ask(behind.port, **app), allowed)
        checks.equal("deeper than the chain", ask(too_far.port, **app), unavailable("state not available"))
        checks.equal("a young chain has no final block with the contract", ask(final.port, **app), unavailable("no contract at address"))
        chain.mine(128)
        checks.equal("an older one has", ask(final.port, **app), allowed)
        checks.equal("safe, call by call", ask(safe.port, **app), allowed)
        chain.order_app(chain.app_one_device, "removeDevice(bytes32)", word("e1" * 32))
        for after, wanted in ((0, allowed), (1, allowed), (2, denied)):
            if after:
                chain.mine()
            checks.equal(f"head-2, {after} blocks after a removal", ask(behind.port, **app), wanted)
        checks.equal("safe does not see it yet", ask(safe.port, **app), allowed)
        chain.mine(40)
        checks.equal("safe sees it 40 blocks later", ask(safe.port, **app), denied)
        checks.equal("finalized does not yet", ask(final.port, **app), allowed)
        chain.mine(40)
        checks.equal("finalized sees it later still", ask(final.port, **app), denied)
        chain.order_app(chain.app_one_device, "addDevice(bytes32)", word("e1" * 32))
        chain.mine(100)
        checks.equal("and so it is undone", ask(final.port, **app), allowed)


class Relay:
    """Passes calls on to a chain, except those for which a test has something else to say."""

    def __init__(self, chain):
        self.chain = chain
        self.instead = lambda call: None

    def __call__(self, call):
        other = self.instead(call)
        if other is not None:
            return other
        try:
            return {"result": self.chain.rpc(call["method"], *call["params"])}
        except RpcError as error:
            return {"error": {"code": -32000, "message": str(error)}}


def check_lag(chain):
    """A balancer in front of nodes that are not all equally far."""
    app = dict(appId=chain.app_one_device)
    allowed = decision(True, "", chain.app_any_device)
    relay = Relay(chain)
    with ScriptedChain(relay) as server, Service(server.url, chain.kms, ETH_FINALITY_CONFIRMATIONS="1") as service:
        missing = {"error": {"code": -32000, "message": "header not found"}}
        left = 0

        def lagging(call):
            nonlocal left
            if call["method"] != "eth_call" or left == 0:
                return None
            left -= 1
            return missing

        relay.instead = lagging
        checks.equal("nobody lags", ask(service.port, **app), allowed)
        left = 2  # both calls of one batch
        checks.equal("header not found, once: the second try helps", ask(service.port, **app), allowed)
        left = 4
        checks.equal("twice: that is not available", ask(service.port, **app), unavailable("state not available"))
        checks.equal("and allowed again with the next request", ask(service.port, **app), allowed)
        checks.equal("the retries are counted", metric(service.port, 'auth_chain_retries_total{endpoint="1"}'), 2)


def check_endpoints(chain):
    """Several endpoints: the next one answers, and no answer is put together from two."""
    app = dict(appId=chain.app_one_device)
    allowed = decision(True, "", chain.app_any_device)
    holder, nobody = closed_port()
    relay = Relay(chain)
    with holder, ScriptedChain(relay) as server, Service(f"http://user:topsecret@127.0.0.1:{nobody}/v3/0123456789abcdef {server.url}, "
                                                         f"{chain.url}", chain.kms, ETH_CHAIN_ID="31337") as service:
        checks.equal("the first endpoint is not there", ask(service.port, **app), allowed)
        # The second refuses the gateway alone and would deny: the third is asked for everything.
        denial = "0x" + word(0) + word(0x40) + word(0)
        relay.instead = lambda call: (None if call["method"] != "eth_call" else {"error": {"code": -32005, "message": "limit"}}
                                      if call["params"][0]["data"] == "0x95f51931" else {"result": denial})
        checks.equal("the second answers in part", ask(service.port, **app), allowed)
        relay.instead = lambda call: {"result": "0x1"} if call["method"] == "eth_chainId" else None
        checks.equal("the second is of another chain", ask(service.port, **app), allowed)
        checks.equal("GET / names who answered", fetch(service.port, "/").json()["ethRpcUrl"], chain.url)
        up = [metric(service.port, f'auth_chain_endpoint_up{{endpoint="{place}",url="{url}"}}')
              for place, url in ((1, f"http://127.0.0.1:{nobody}"), (2, server.url), (3, chain.url))]
        checks.equal("the metrics tell them apart", up, [0, 0, 1])
        checks.check("no log line and no metric holds the credentials", not any(
            secret in text for secret in ("topsecret", "0123456789abcdef") for text in (service.output, fetch(service.port, "/metrics").text)),
            service.output)


def check_batches(chain):
    """An endpoint that refuses batches is asked call by call, and decides the same."""
    app = dict(appId=chain.app_one_device)
    relay = Relay(chain)
    with ScriptedChain(relay) as server, Service(server.url, chain.kms) as service:
        plain = server.reply
        batches = []

        def reply(body):
            if body.startswith(b"["):
                batches.append(body)
                return b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batch requests are disabled"}}'
            return plain(body)

        server.reply = reply
        for _ in range(3):
            checks.equal("allowed without batches", ask(service.port, **app), decision(True, "", chain.app_any_device))
        checks.equal("a batch was tried once", len(batches), 1)
        checks.equal("which the metrics show", metric(service.port,
                                                      f'auth_chain_endpoint_takes_batches{{endpoint="1",url="{server.url}"}}'), 0)
        checks.check("and the log", service.wait_for_line("refuses batches"), service.output)


def run_command(*arguments, **env):
    done = subprocess.run([AUTH, *arguments], env=environment(PATH="/usr/bin", **env), capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout, done.stderr


def check_commands(chain):
    chain_env = dict(ETH_RPC_URL=f"{chain.url}/?key=0123456789abcdef", KMS_CONTRACT_ADDR=chain.kms, ETH_CHAIN_ID="31337")
    status, out, _ = run_command("check", **chain_env)
    checks.check("check: all is well", status == 0 and "FAIL" not in out and "  31337" in out and chain.app_any_device in out
                 and "batches" in out, out)
    holder, nobody = closed_port()
    with holder:
        both = chain_env | dict(ETH_RPC_URL=f"http://me:topsecret@127.0.0.1:{nobody} {chain.url}")
        status, out, err = run_command("check", **both)
        checks.check("check: one of two endpoints is not there", status == 69 and "FAIL  chain id" in out and "cannot connect" in out
                     and "endpoint 2" in out and "check that the endpoint runs" in out, out)
        checks.check("check: no credentials are shown", "topsecret" not in out + err, out + err)
    for name, changes, words in (
            ("another chain", dict(ETH_CHAIN_ID="1"), "wrong chain: 31337, not 1"),
            ("no contract", dict(KMS_CONTRACT_ADDR="0x" + "12" * 20), "no contract at address"),
            ("another contract", dict(KMS_CONTRACT_ADDR=chain.app_one_device), "reverted"),
            ("too deep", dict(ETH_FINALITY_CONFIRMATIONS="1000000"), "state not available")):
        status, out, _ = run_command("check", **chain_env | changes)
        checks.check(f"check: {name}", status == 69 and f"{words}\n" in out, out)
    checks.equal("check: without a chain", run_command("check", AUTH_BACKEND="simple")[0], 78)

    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory) / "request.json"
        file.write_text(request(appId=chain.app_one_device))
        status, out, _ = run_command("decide", str(file), **chain_env)
        checks.check("decide: allowed", status == 0 and out.endswith(decision(True, "", chain.app_any_device) + "\n")
                     and "eth_call isAppAllowed at latest" in out and "= allowed, reason" in out and '"0x7a69" = 31337' in out, out)
        status, out, _ = run_command("decide", str(file), "--kms", **chain_env)
        checks.check("decide --kms: not allowed", status == 1 and "eth_call isKmsAllowed" in out
                     and out.endswith(decision(False, "KMS is not allowed to boot on this device", chain.app_any_device) + "\n"), out)
        status, out, _ = run_command("decide", str(file), **chain_env | dict(ETH_CHAIN_ID="1"))
        checks.check("decide: cannot be asked", status == 69 and unavailable("wrong chain") in out and "ETH_CHAIN_ID" in out, out)
        file.write_text('{"appId":"zz"}')
        status, out, _ = run_command("decide", str(file), **chain_env)
        checks.check("decide: a bad request", status == 65 and "invalid authorization request" in out, out)
        checks.equal("decide: no such file", run_command("decide", str(file) + "x", **chain_env)[0], 65)
    checks.equal("decide: no file named", run_command("decide", **chain_env)[0], 64)
    for name, changes, words in (
            ("a contract that is no address", dict(KMS_CONTRACT_ADDR="0x1234"), "40 hexadecimal digits"),
            ("a contract with a wrong checksum", dict(KMS_CONTRACT_ADDR="0x9FE46736679d2D9a65F0992F2272dE9f3c7fa6e0"), "EIP-55"),
            ("a chain id that is none", dict(ETH_CHAIN_ID="mainnet"), "ETH_CHAIN_ID"),
            ("confirmations with a leading zero", dict(ETH_FINALITY_CONFIRMATIONS="02"), "leading zeros")):
        status, _, err = run_command("--check", **chain_env | changes)
        checks.check(f"settings: {name}", status == 78 and words in err and len(err.strip().splitlines()) == 1, err)
    status, out, _ = run_command("--print-config", **chain_env)
    checks.check("settings: the key is not printed", status == 0 and "0123456789abcdef" not in out and f'secret_rpc_url = "{chain.url}"' in out, out)


def check_env_file(chain):
    """Variables from a file: those of the process win, and .env of the working directory is read when none is named."""
    with tempfile.TemporaryDirectory() as directory:
        def run(*arguments, **env):
            done = subprocess.run([AUTH, *arguments], env=dict(PATH="/usr/bin", **env), cwd=directory, capture_output=True, text=True,
                                  timeout=20)
            return done.returncode, done.stdout, done.stderr

        root = pathlib.Path(directory)
        (root / "auth-eth.env").write_text(f"# the chain\nETH_RPC_URL={chain.url}\nexport KMS_CONTRACT_ADDR='{chain.kms}'\nETH_CHAIN_ID=1\n"
                                           "secret words\n")
        (root / "request.json").write_text(request(appId=chain.app_one_device))
        status, out, err = run("decide", "request.json", "--env-file", "auth-eth.env", ETH_CHAIN_ID="31337")
        checks.check("an environment file", status == 0 and out.endswith(decision(True, "", chain.app_any_device) + "\n"), out + err)
        checks.check("a line that is none is told, not shown", "auth-eth.env:5" in err and "secret" not in err, err)
        checks.equal("the file's own chain id", run("decide", "request.json", "--env-file=auth-eth.env")[0], 69)
        status, _, err = run("--check", "--env-file", "missing.env")
        checks.check("a file that is not there", status == 78 and "missing.env" in err, err)
        checks.check("no .env: another backend", 'backend = "simple"' in run("--print-config")[1], run("--print-config"))
        (root / "auth-eth.env").rename(root / ".env")
        checks.check(".env of the working directory", 'backend = "eth"' in run("--print-config")[1], run("--print-config"))


def check_outage(chain):
    """The chain ends and comes back on the same port: the first request then is answered."""
    app = dict(appId=chain.app_one_device)
    with Service(chain.url, chain.kms) as service:
        checks.equal("before the outage", ask(service.port, **app), decision(True, "", chain.app_any_device))
        state = chain.rpc("anvil_dumpState")
        chain.program.__exit__(None, None, None)
        for _ in range(20):
            got = ask(service.port, **app)
        checks.equal("the chain is gone", got, unavailable("cannot connect"))
        lines = [line for line in service.output.splitlines() if "the chain endpoint failed" in line]
        checks.equal("one line for many failures", len(lines), 1)
        chain.restart()
        chain.rpc("anvil_loadState", state)
        checks.equal("the first request after its return", ask(service.port, **app), decision(True, "", chain.app_any_device))
        checks.check("is told as well", service.wait_for_line("the chain endpoint answers again"), service.output)


def main():
    reason = why_no_chain()
    if reason:
        checks.skip("auth-eth in front of a real chain", reason)
        checks.finish()
    with Anvil() as chain:
        chain.deploy_world()
        for check in (check_stock_contracts, check_faulty_contracts, check_changes, check_chain_id, check_lag, check_endpoints,
                      check_batches, check_commands, check_env_file, check_blocks, check_outage):
            check(chain)
    checks.finish()


main()
