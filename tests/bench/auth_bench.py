#!/usr/bin/env python3
"""How fast auth-eth is in front of a chain, beside two services that a Node and a Bun programmer would write.

usage: tests/bench/auth_bench.py [--seconds N] [--rounds N] [--only ours|node|bun]

One run, one anvil, one machine: every cell is N seconds of wrk, the services take turns within each round, and the
best round of each counts (others may use the machine, too). The chain itself is measured with the batch that auth-eth
sends, so results can be told as ratios to it. Packages come from npm into build/npm-bench and build/npm-anvil.
"""
import argparse
import contextlib
import http.client
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from auth_fixture import AUTH, JSON, Anvil, environment, request, why_no_chain  # noqa: E402
from harness import ROOT, fetch, free_ports, percentile  # noqa: E402

NPM = ROOT / "build/npm-bench"
PACKAGES = ["fastify@5", "ethers@6", "hono@4", "zod@3", "viem@2.31.7", "bun@1"]
BUN = NPM / ("node_modules/@oven/bun-linux-" + {"x86_64": "x64", "aarch64": "aarch64"}.get(platform.machine(), "x64")) / "bin/bun"
STARTS = 10
CELLS = (("GET /", 1), ("GET /", 50), ("POST", 1), ("POST", 10), ("POST", 50), ("POST", 200), ("new", 1), ("new", 10), ("new", 50))
NAMES = {"GET /": "GET /", "POST": "POST app", "new": "POST, new connection"}


def install():
    """A reason when the services to compare with cannot be had."""
    NPM.mkdir(parents=True, exist_ok=True)
    for script in HERE.glob("auth_bench_*.mjs"):
        shutil.copy(script, NPM)
    if all((NPM / "node_modules" / package.partition("@")[0]).is_dir() for package in PACKAGES):
        return None
    done = subprocess.run(["npm", "install", "--prefix", str(NPM), "--ignore-scripts", "--no-audit", "--no-fund", *PACKAGES],
                          capture_output=True, text=True, timeout=300)
    return None if done.returncode == 0 else "the packages of the other services cannot be had from npm here"


class Service:
    """A process that serves the webhook's routes on a port; its output is thrown away."""

    def __init__(self, name, command, chain):
        self.name, self.command = name, [str(word) for word in command]
        self.port, = free_ports(1)
        self.environment = os.environ | environment(PORT=str(self.port), ETH_RPC_URL=chain.url, KMS_CONTRACT_ADDR=chain.kms,
                                                    NODE_ENV="production", HOST="127.0.0.1")
        self.process = None

    def start(self):
        """Seconds from the start until GET / is 200."""
        began = time.monotonic()
        self.process = subprocess.Popen(self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, cwd=NPM, close_fds=False)
        while time.monotonic() < began + 20:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if fetch(self.port, "/").status == 200:
                    return time.monotonic() - began
        raise RuntimeError(f"{self.name} does not start")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)

    def memory(self, what):
        """MiB: VmRSS or VmHWM, the peak."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(what + r":\s+(\d+) kB", status)[1]) / 1024


def seconds_of(text):
    number, unit = re.fullmatch(r"([0-9.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}[unit]


def wrk(port, path, connections, seconds, script=None):
    """(requests per second, median, 99th percentile); raises when not every answer was a 200."""
    command = ["wrk", f"-t{1 if connections < 50 else 2}", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "20s"]
    if script:
        command += ["-s", str(script)]
    out = subprocess.run([*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, timeout=seconds + 60).stdout
    wrong = re.search(r"Non-2xx.*|Socket errors: connect [1-9].*", out)
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", out)
    if wrong or not rate:
        raise RuntimeError(f"wrk on port {port}{path}: {wrong[0] if wrong else out}")
    spans = dict(re.findall(r"^\s+(50|99)%\s+([0-9.]+\w+)", out, re.MULTILINE))
    return float(rate[1]), seconds_of(spans["50"]), seconds_of(spans["99"])


def write_script(directory, name, body, close=False):
    file = pathlib.Path(directory) / f"{name}.lua"
    extra = 'wrk.headers["Connection"] = "close"\n' if close else ""
    file.write_text(f'wrk.method = "POST"\nwrk.body = [==[{body}]==]\nwrk.headers["Content-Type"] = "application/json"\n{extra}')
    return file


def own_batch(chain, text):
    """The batch that auth-eth sends for this request, as `auth-eth decide` shows its calls."""
    seen = []
    members = json.loads(text)
    padded = lambda value, digits: value.rjust(digits, "0").rjust(64, "0")
    tail = f"{8:064x}" + "UpToDate".encode().hex().ljust(64, "0") + f"{0:064x}"
    data = "1e079198" + f"{0x20:064x}" + padded(members["appId"][2:], 40) + members["composeHash"] + padded(members["instanceId"], 40) \
        + members["deviceId"] + members["mrAggregated"] + members["mrSystem"] + members["osImageHash"] + f"{0x120:064x}" \
        + f"{0x160:064x}" + tail
    for number, (method, params) in enumerate((("eth_chainId", []), ("eth_call", [{"to": chain.kms, "data": "0x" + data}, "latest"]),
                                               ("eth_call", [{"to": chain.kms, "data": "0x95f51931"}, "latest"]))):
        seen.append({"jsonrpc": "2.0", "id": number + 1, "method": method, "params": params})
    batch = json.dumps(seen, separators=(",", ":"))
    answers = json.loads(fetch(chain.port, "/", batch.encode(), headers=JSON).body)
    if int(answers[1]["result"][2:66], 16) != 1:
        raise RuntimeError(f"the batch is not the one that is allowed: {answers}")
    return batch


def better(old, new):
    return new if old is None or new[0] > old[0] else old


def measure(services, chain, text, options):
    """Best round of every cell, by (service or "chain", kind, connections)."""
    best = {}
    with tempfile.TemporaryDirectory() as directory:
        post, new = write_script(directory, "post", text), write_script(directory, "new", text, close=True)
        batch = write_script(directory, "batch", own_batch(chain, text))
        for _ in range(options.rounds):
            for kind, connections in CELLS:
                for service in services:
                    path = "/" if kind == "GET /" else "/bootAuth/app"
                    key = (service.name, kind, connections)
                    got = wrk(service.port, path, connections, options.seconds, {"GET /": None, "POST": post, "new": new}[kind])
                    best[key] = better(best.get(key), got)
                if kind == "POST":
                    key = ("chain", kind, connections)
                    best[key] = better(best.get(key), wrk(chain.port, "/", connections, options.seconds, batch))
                print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return best


def machine():
    model = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return (f"{os.cpu_count()} CPUs ({model[1] if model else platform.machine()}), Linux {platform.release()}, "
            f"load at the start {os.getloadavg()[0]:.1f}; services, chain and wrk share them")


def cell(values):
    return f"{values[0]:,.0f} · {values[1] * 1000:.2f} · {values[2] * 1000:.1f}"


def print_tables(services, best, starts, memories):
    names = [service.name for service in services]
    print("requests/s · median ms · p99 ms\n")
    print("| | " + " | ".join([*names, "the chain's batch alone"]) + " |" + "\n|" + "---|" * (len(names) + 2))
    for kind, connections in CELLS:
        row = [best.get((name, kind, connections)) for name in [*names, "chain"]]
        print(f"| {NAMES[kind]}, {connections} | " + " | ".join(cell(values) if values else "" for values in row) + " |")
    print("| memory idle / after load / peak, MiB | "
          + " | ".join(" / ".join(f"{value:.1f}" for value in memories[name]) for name in names) + " | |")
    print(f"| start until GET / is 200, ms ({STARTS}: min, median, max) | "
          + " | ".join(f"{min(s) * 1000:.1f}, {percentile(s, 0.5) * 1000:.1f}, {max(s) * 1000:.1f}" for s in (starts[n] for n in names))
          + " | |\n")


def print_goals(best, starts, memories):
    """What was wanted, what was measured; False when something was missed."""
    ours = lambda kind, connections: best["ours", kind, connections]
    goals = [
        ("POST, 1: median / the chain's batch", ours("POST", 1)[1] / best["chain", "POST", 1][1], "<=", 2),
        ("POST, 50: p99 in ms", ours("POST", 50)[2] * 1000, "<=", 20),
        ("POST, new connections, 50: requests/s", ours("new", 50)[0], ">=", 5000),
        ("memory idle, MiB", memories["ours"][0], "<=", 12),
        ("memory peak, 200 connections, MiB", memories["ours"][2], "<=", 20),
        ("start until GET / is 200, median ms", percentile(starts["ours"], 0.5) * 1000, "<=", 15)]
    if ("bun", "POST", 1) in best:
        goals[1:1] = [("POST, 1: rate / Bun's", ours("POST", 1)[0] / best["bun", "POST", 1][0], ">=", 3),
                      ("POST, 50: rate / Bun's", ours("POST", 50)[0] / best["bun", "POST", 50][0], ">=", 2)]
    if ("node", "POST", 1) in best:
        goals += [(f"POST, {n}: rate / Node's", ours("POST", n)[0] / best["node", "POST", n][0], ">=", 1) for n in (1, 50)]
    print("| goal | wanted | measured | |\n|---|---|---|---|")
    missed = 0
    for name, got, relation, wanted in goals:
        good = got <= wanted if relation == "<=" else got >= wanted
        missed += not good
        print(f"| {name} | {'≤' if relation == '<=' else '≥'} {wanted:,} | {got:,.2f} | {'ok' if good else 'MISSED'} |")
    return missed == 0


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=int, default=4)
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--only", choices=("ours", "node", "bun"))
    options = arguments.parse_args()
    reason = why_no_chain() or (None if shutil.which("wrk") else "wrk is not installed (apt-get install wrk)")
    if reason:
        sys.exit(f"nothing is measured: {reason}")
    others = install() if options.only != "ours" else "only ours was asked for"
    if others:
        print(f"without the other services: {others}")
    with Anvil() as chain:
        chain.deploy_world()
        text = request(appId=chain.app_one_device)
        services = [Service("ours", [AUTH], chain)]
        if not others and options.only != "bun":
            services.append(Service("node", ["node", NPM / "auth_bench_node.mjs"], chain))
        if not others and options.only != "node" and BUN.exists():
            services.append(Service("bun", [BUN, "run", NPM / "auth_bench_bun.mjs"], chain))
        print(f"{machine()}\nmethod: wrk --latency, {options.seconds} s per cell, best of {options.rounds}, -t2 from 50 connections\n")
        starts, memories = {}, {}
        for service in services:
            times = []
            for turn in range(STARTS):
                times.append(service.start())
                if turn + 1 < STARTS:
                    service.stop()
            starts[service.name] = times
            answer = fetch(service.port, "/bootAuth/app", text.encode(), headers=JSON, timeout=10)
            if not answer.json()["isAllowed"]:
                raise RuntimeError(f"{service.name} does not allow: {answer.text}")
            memories[service.name] = [service.memory("VmRSS")]
        try:
            best = measure(services, chain, text, options)
            for service in services:
                memories[service.name] += [service.memory("VmRSS"), service.memory("VmHWM")]
        finally:
            for service in services:
                service.stop()
        print_tables(services, best, starts, memories)
        sys.exit(0 if print_goals(best, starts, memories) else 1)


if __name__ == "__main__":
    main()
