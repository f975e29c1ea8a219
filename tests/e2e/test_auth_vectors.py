#!/usr/bin/env python3
"""Every recorded exchange of tests/vectors/auth, replayed against auth-eth with a scripted chain behind it, byte for byte."""
import json

from auth_fixture import ScriptedChain, ready, start, unavailable
from harness import ROOT, Checks, fetch, free_ports

VECTORS = json.loads((ROOT / "tests/vectors/auth/vectors.json").read_text())
# Ours may continue these two sentences after a colon.
SENTENCES = ("authorization backend unavailable", "invalid authorization request")
# Accidents of the original that we do not repeat: (status, text at the start of the reason, or None for what was recorded)
INSTEAD = {
    "coerce-null-strings": (400, SENTENCES[1]), "coerce-numbers": (400, SENTENCES[1]), "coerce-one-element-array": (400, SENTENCES[1]),
    "body-malformed": (400, SENTENCES[1]), "content-type-form": (415, SENTENCES[1]), "answer-bool-two": (200, SENTENCES[0]),
    # An address in any letter case is one; the chain then has no recorded answer to it.
    "app-id-mixed-case-bad-checksum": (200, SENTENCES[0]),
    "compose-31-bytes-left-padded": (200, None), "odd-length-hex-left-padded": (200, None),
}
# Limits that the older era did not have; the newer one, whose rules are ours, refuses such a request.
STRICTER = {"hex-33-bytes": 400, "tcb-status-129": 400}

checks = Checks()


class Recorded:
    """Plays the calls of one vector; what was not recorded is an error, and remembered."""

    def __init__(self):
        self.load({"rpc": []})

    def load(self, vector):
        self.calls, self.strange, self.asked = {}, [], 0
        self.chain_id = {"result": "0x7a69"}
        for step in vector["rpc"]:
            outcome = {"error": step["error"]} if "error" in step else {"result": step["result"]}
            if step["method"] == "eth_chainId":
                self.chain_id = outcome
            else:
                self.calls[(step["to"].lower(), step["data"])] = outcome

    def __call__(self, call):
        self.asked += 1
        if call["method"] == "eth_chainId":
            return self.chain_id
        to, data, block = call["params"][0]["to"].lower(), call["params"][0]["data"], call["params"][1]
        if call["method"] != "eth_call" or block != "latest" or (to, data) not in self.calls:
            self.strange.append(f"{call['method']} of {to} at {block}: {data[:74]}")
            return {"error": {"code": -32000, "message": "not recorded"}}
        return self.calls[(to, data)]


def without_detail(text):
    for sentence in SENTENCES:
        begin = text.find(f'"{sentence}: ')
        if begin >= 0:
            begin += 1 + len(sentence)
            text = text[:begin] + text[text.index('"', begin):]
    return text


def ask(port, vector):
    asked = vector["request"]
    return fetch(port, asked["path"], asked["body"].encode() if "body" in asked else None, method=asked["method"],
                 headers=asked.get("headers", {}))


def compare(port, chain, vector):
    chain.load(vector)
    answer, wanted = ask(port, vector), vector["response"]
    name = f"{vector['era']} {vector['name']}"
    if vector["name"] in INSTEAD and "quirk" in vector:
        status, sentence = INSTEAD[vector["name"]]
        good = answer.status == status and (answer.json()["reason"].startswith(sentence) if sentence else answer.text == wanted["body"])
        checks.check(f"{name} (instead of an accident)", good and not answer.json()["isAllowed"] or sentence is None and good,
                     f"{answer.status} {answer.text}")
    elif vector["era"] == "2026-08":
        checks.equal(name, (answer.status, answer.headers.get("content-type"), without_detail(answer.text)),
                     (wanted["status"], wanted["content_type"], wanted["body"]))
    else:
        got = answer.json().get("isAllowed")
        recorded = json.loads(wanted["body"]).get("isAllowed")
        if vector["name"] in STRICTER:
            wanted, recorded = {"status": STRICTER[vector["name"]]}, False
        good = (answer.status, got or False) == (wanted["status"], recorded or False)
        checks.check(name, good, f"{answer.status} {answer.text}")
    # What upstream did not ask is only the gateway after a failure; our batch asks all at once.
    unexpected = [call for call in chain.strange if not call.endswith("0x95f51931") and vector["name"] != "app-id-mixed-case-bad-checksum"]
    if unexpected:
        checks.check(f"{name}: calls as recorded", False, unexpected)
    if not vector["rpc"] and vector["name"] != "app-id-mixed-case-bad-checksum" and chain.asked:
        checks.check(f"{name}: the chain is not asked", False, f"{chain.asked} calls")


def main():
    chain = Recorded()
    environments = []
    for vector in VECTORS:
        if vector["env"] not in environments:
            environments.append(vector["env"])
    with ScriptedChain(chain) as server:
        for env in environments:
            port, = free_ports(1)
            url = env["ETH_RPC_URL"].replace("http://127.0.0.1:8545", server.url)
            with start(port, url, env["KMS_CONTRACT_ADDR"], AUTH_FULL_LENGTHS="never") as service:
                if not checks.check(f"auth-eth starts for {env['KMS_CONTRACT_ADDR'][:6]}", ready(service), service.output):
                    continue
                for vector in VECTORS:
                    if vector["env"] != env:
                        continue
                    wanted = vector["response"]
                    if "ethRpcUrl" in wanted["body"]:  # the one thing that depends on the port
                        wanted["body"] = wanted["body"].replace("http://127.0.0.1:8545", server.url)
                    compare(port, chain, vector)
                checks.check("the log holds nothing of the endpoint's key", "secret-key" not in service.output
                             and "token=abc" not in service.output, service.output)
        check_padding(server, chain)
    checks.finish()


def check_padding(server, chain):
    """The KMS says who it is and then must send whole values: no 31-byte hash stands for one of 32 bytes."""
    vector = next(v for v in VECTORS if v["name"] == "compose-31-bytes-left-padded" and v["era"] == "2026-08")
    port, = free_ports(1)
    with start(port, server.url, vector["env"]["KMS_CONTRACT_ADDR"]) as service:
        ready(service)
        chain.load(vector)
        request = vector["request"]
        answer = fetch(port, request["path"], request["body"].encode(), headers=request["headers"] | {"User-Agent": "dstack-kms/0.5.5"})
        checks.equal("a 31-byte compose hash from a KMS is refused", (answer.status, chain.asked), (400, 0))
        chain.load({"rpc": []})
        answer = fetch(port, "/bootAuth/app", request["body"].encode(), headers=request["headers"])
        checks.equal("from others it is padded, and unknown to this chain", answer.text, unavailable("RPC error -32000"))


main()
