#!/usr/bin/env python3
"""dstack-kms beside nginx: rates, processor time per request, latency for a newcomer meanwhile, memory; one table.

usage: kms_bench.py [SECONDS] [--only=TEXT]      seconds per measurement, default 2; only loads whose name contains TEXT

Needs a C++ compiler, wrk, h2load (nghttp2-client), openssl, nginx and strip. Every load is played to one server after the
other, back to back, in two rounds; the better round counts. The processor time is the server's own, from /proc/PID/stat, so
a busy machine changes the rates more than it. In a third round kms-launcher asks for GetMeta every 20 ms, each time on a
fresh connection; its p99 counts the handshake; at 2 seconds it is the second worst of a hundred, so judge it at 5 or more.
nginx has one worker, the same certificate and a constant answer of the same size, so it has no part in methods that compute
or release something. PEER_KMS names another KMS program that reads the same configuration; it then is measured, too.
"""
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time
from typing import Callable, NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from bench_kit import LAUNCHER, option  # noqa: E402
from fake_webhook import FakeWebhook  # noqa: E402
from harness import BIN, Program, free_ports, wait_for  # noqa: E402
from kms_server import call, configuration, connect, metric, tls_context, write_keys  # noqa: E402

SECONDS = float(next((word for word in sys.argv[1:] if not word.startswith("-")), 2))
ONLY = option("only", "")
PATH = "/prpc/KMS.GetMeta?json"
IDLE_CONNECTIONS = 5000
TICK = 1.0 / os.sysconf("SC_CLK_TCK")


class Server:
    """A program on a port, and the process whose time counts. Made when it has answered once: that is its memory when fresh."""

    def __init__(self, name, program, port, pid=None):
        self.name, self.program, self.port, self.pid = name, program, port, pid or program.pid
        self.fresh = self.memory()

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * TICK

    def memory(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.pid}/status").read_text()).group(1))


def start_kms(name, program, folder, webhook):
    directory = pathlib.Path(folder) / name
    write_keys(directory / "certs")
    port, = free_ports(1)
    auth = f'type = "webhook"\n[core.auth_api.webhook]\nurl = "{webhook.url}"'
    bounds = 'idle = "60s"\nfirst_byte = "60s"\nconnections = 6000'
    (directory / "kms.toml").write_text(configuration(auth=auth, port=port, bounds=bounds))
    running = Program([program, "-c", "kms.toml"], cwd=directory, env={"RUST_LOG": "info"})
    if not wait_for(lambda: is_up(port), 15):
        sys.exit(f"{name} does not start:\n{running.output[-2000:]}")
    return Server(name, running, port)


def start_nginx(folder, certs, sizes, asks_clients=False):
    """Answers each path of `sizes` with so many bytes. With asks_clients it requests a client certificate, as a KMS must."""
    port, = free_ports(1)
    name = "nginx that asks for client certificates" if asks_clients else "nginx"
    asks = f"ssl_verify_client optional; ssl_client_certificate {certs}/tmp-ca.crt;" if asks_clients else ""
    answers = "\n".join(f'location {path} {{ default_type application/json; return 200 "{"x" * size}"; }}' for path, size in sizes.items())
    directory = pathlib.Path(folder) / f"nginx-{asks_clients}"
    directory.mkdir()
    (directory / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {directory}/pid; error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 60s; server_tokens off;
  client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  uwsgi_temp_path {directory}; scgi_temp_path {directory};
  server {{
    listen 127.0.0.1:{port} ssl http2 backlog=4096; ssl_certificate {certs}/rpc.crt; ssl_certificate_key {certs}/rpc.key;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on; ssl_session_timeout 12h; {asks}
    {answers}
  }}
}}
""")
    running = Program(["nginx", "-p", directory, "-c", directory / "nginx.conf"])
    if not wait_for(lambda: is_up(port), 10):
        sys.exit(f"nginx does not start:\n{running.output}")
    children = pathlib.Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    return Server(name, running, port, int(children[0]))


def is_up(port):
    try:
        return call(port, "GetMeta", timeout=1).status == 200
    except (OSError, AttributeError):
        return False


def output_of(command):
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS * 4 + 20).stdout


def wrk(server, connections, *extra, path=PATH):
    text = output_of(["wrk", "-t1", f"-c{connections}", f"-d{SECONDS:.0f}s", *extra, f"https://127.0.0.1:{server.port}{path}"])
    if "Non-2xx" in text:  # a refusal would be quick
        sys.exit(f"{server.name} refuses {path}:\n{text}")
    return int(re.search(r"(\d+) requests in", text).group(1))


def wrk_post(server, method, body, bodies=1):
    """POSTs to a method on 16 connections; `body` is a Lua expression in n, which counts to `bodies` again and again."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f"""
            local requests, at = {{}}, 0
            function init()
                for n = 1, {bodies} do requests[n] = wrk.format("POST", nil, nil, {body}) end
            end
            function request()
                at = at % {bodies} + 1
                return requests[at]
            end""")
        script.flush()
        return wrk(server, 16, "-s", script.name, path=f"/prpc/KMS.{method}?json")


def h2load(server, connections, streams):
    text = output_of(["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{SECONDS:.0f}", f"https://127.0.0.1:{server.port}{PATH}"])
    return int(re.search(r"(\d+) succeeded", text).group(1))


def s_time(server, processes, *extra):
    """Connections with one GetMeta each, by so many copies of openssl s_time."""
    command = ["openssl", "s_time", "-connect", f"127.0.0.1:{server.port}", "-time", f"{SECONDS:.0f}", "-www", PATH, *extra]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(processes)]
    texts = [one.communicate(timeout=SECONDS * 4 + 20)[0] for one in running]
    return sum(int(re.findall(r"(\d+) connections in", text)[-1]) for text in texts if "connections in" in text)


class Load(NamedTuple):
    name: str
    play: Callable  # of a server; returns how many requests were answered
    computes: bool = False  # so that a constant answer is no comparison


APP_ID = """string.format('{"app_id":"%040x"}', n)"""

# wrk keeps the session of a connection it closes, so it resumes; s_time keeps none with -new. The table tells the share.
LOADS = [
    Load("GetMeta keep-alive, 16 connections", lambda s: wrk(s, 16)),
    Load("GetMeta keep-alive, 64 connections", lambda s: wrk(s, 64)),
    Load("GetMeta HTTP/2, 16 x 16 streams", lambda s: h2load(s, 16, 16)),
    Load("GetTempCaCert keep-alive, 16 connections", lambda s: wrk_post(s, "GetTempCaCert", "'null'")),
    Load("GetKmsKey without quotes, keep-alive, 16 connections", lambda s: wrk_post(s, "GetKmsKey", """'{"vm_config":""}'"""), computes=True),
    Load("GetAppEnvEncryptPubKey keep-alive, 16 connections, 1000 apps", lambda s: wrk_post(s, "GetAppEnvEncryptPubKey", APP_ID, 1000),
         computes=True),
    Load("GetAppEnvEncryptPubKey keep-alive, 16 connections, ever new apps",
         lambda s: wrk_post(s, "GetAppEnvEncryptPubKey", APP_ID, 50_000), computes=True),
    Load("TLS 1.3 handshake + GetMeta, 16 clients", lambda s: s_time(s, 16, "-tls1_3", "-new")),
    Load("TLS 1.3 resumed + GetMeta, 16 clients", lambda s: wrk(s, 16, "-H", "Connection: close")),
    Load("TLS 1.2 handshake + GetMeta, 16 clients", lambda s: s_time(s, 16, "-tls1_2", "-new")),
    Load("TLS 1.2 resumed + GetMeta, 16 clients", lambda s: s_time(s, 16, "-tls1_2", "-reuse")),
]


def resumed_share(server, load):
    """Plays the load once more; what part of its handshakes resumed a session."""
    names = ("dstack_kms_tls_resumed_total", "dstack_kms_connections_accepted_total")
    before = [metric(server.port, name) for name in names]
    load.play(server)
    resumed, accepted = (metric(server.port, name) - old for name, old in zip(names, before))
    return resumed / max(1, accepted)


def measure(load, servers):
    """(requests per second, microseconds of processor per request) by server; the better of two rounds each."""
    best = {}
    for _ in range(2):
        for server in servers:
            before, began = server.cpu(), time.monotonic()
            count = max(1, load.play(server))
            rate, cost = count / (time.monotonic() - began), (server.cpu() - before) / count * 1e6
            old = best.get(server.name, (0, float("inf")))
            best[server.name] = (max(old[0], rate), min(old[1], cost))
    return best


def newcomer(load, server):
    """In words, how long connecting anew and GetMeta took while the load was played once more."""
    url = f"https://127.0.0.1:{server.port}{PATH}"
    polling = subprocess.Popen([LAUNCHER, "poll", url, "--for", f"{SECONDS:.0f}s", "--every", "20ms", "--json", "--quiet"],
                               stdout=subprocess.PIPE, text=True)
    load.play(server)
    told = json.loads(polling.communicate(timeout=SECONDS + 20)[0])
    refused = f", {told['failed']} of {told['polls']} not answered" if told["failed"] else ""
    return f"p99 {told['latency_ms']['p99']:.1f} ms{refused}"


def row(load, servers, names):
    """One line of the table; a server that is not played the load has a dash."""
    best = measure(load, servers)
    rate, cost = best["dstack-kms"]
    cells = dict.fromkeys(names, "-")
    for server in servers:
        its_rate, its_cost = best[server.name]
        against = "" if server is servers[0] else f" (ours {rate / its_rate:.2f}x the rate, {cost / its_cost:.2f}x the time)"
        cells[server.name] = f"{its_rate:.0f}/s, {its_cost:.1f} us{against}, {newcomer(load, server)}"
    share = f" ({resumed_share(servers[0], load):.0%} resumed)" if load.name.startswith("TLS") else ""
    return f"| {load.name}{share} | " + " | ".join(cells.values()) + " |"


def idle_memory(server):
    """KiB: at rest, per idle TLS connection, and left over when all have closed."""
    rest = server.memory()
    context = tls_context()
    held = []
    for _ in range(IDLE_CONNECTIONS):
        try:
            held.append(connect(server.port, context))
        except OSError:
            break
    each = (server.memory() - rest) / max(1, len(held))
    for connection in held:
        connection.close()
    fds = f"/proc/{server.pid}/fd"
    wait_for(lambda: len(os.listdir(fds)) < 64, 10, pause=0.1)
    wait_for(lambda: server.memory() - rest < 1024, 2, pause=0.1)
    return rest, each, server.memory() - rest


def start_times(probe, program, folder, webhook, empty):
    """Milliseconds from exec to the first GetMeta over TLS; the best of ten."""
    best = float("inf")
    for round_number in range(10):
        directory = pathlib.Path(folder) / f"start-{empty}-{round_number}"
        if not empty:
            write_keys(directory / "certs")
        directory.mkdir(exist_ok=True)
        port, = free_ports(1)
        auth = f'type = "webhook"\n[core.auth_api.webhook]\nurl = "{webhook.url}"'
        (directory / "kms.toml").write_text(configuration(auth=auth, port=port, onboard='auto_bootstrap_domain = "kms.test"'))
        done = subprocess.run([probe, str(port), program, "-c", "kms.toml"], cwd=directory, capture_output=True, text=True, timeout=20)
        if done.returncode == 0:
            best = min(best, float(done.stdout.split()[1]))
    return best


def machine():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    openssl = output_of(["openssl", "version"]).strip()
    return (f"{model.group(1) if model else 'unknown processor'}, {os.cpu_count()} cores shared with the load, Linux "
            f"{os.uname().release}, {openssl}, load average {os.getloadavg()[0]:.1f}")


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(20_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
                                                resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    ours = BIN.resolve() / "dstack-kms"
    with tempfile.TemporaryDirectory(prefix="kms-bench-") as folder:
        webhook = FakeWebhook()
        servers = [start_kms("dstack-kms", ours, folder, webhook)]
        try:
            # nginx answers as many bytes; its name of everything else is "/".
            temp_ca = "/prpc/KMS.GetTempCaCert"
            sizes = {"/": len(call(servers[0].port, "GetMeta").body), temp_ca: len(call(servers[0].port, "GetTempCaCert").body)}
            nginxes = [start_nginx(folder, pathlib.Path(folder) / "dstack-kms/certs", sizes, asks) for asks in (False, True)]
            servers += nginxes
            if os.environ.get("PEER_KMS"):
                servers.append(start_kms("peer", os.environ["PEER_KMS"], folder, webhook))
            names = [server.name for server in servers]
            print(machine())
            print(f"answer of {sizes['/']} bytes (GetTempCaCert {sizes[temp_ca]}); per server: requests/s, processor us/request, both relative "
                  "to ours, and p99 of GetMeta for newcomers meanwhile\n")
            print("| load | " + " | ".join(names) + " |")
            print("|---" * (len(names) + 1) + "|")
            for load in LOADS:
                if ONLY in load.name:
                    played = [server for server in servers if not (load.computes and server in nginxes)]
                    print(row(load, played, names), flush=True)
            for server in servers:
                rest, each, left = idle_memory(server)
                print(f"| memory, {server.name} | fresh {server.fresh / 1024:.1f} MiB, idle after the loads {rest / 1024:.1f} MiB, {each:.1f} KiB per idle TLS connection, "
                      f"{left / 1024:.1f} MiB more after {IDLE_CONNECTIONS} have closed |")
            probe = pathlib.Path(folder) / "start_probe"
            source = pathlib.Path(__file__).with_name("start_probe.cpp")
            subprocess.run(["c++", "-O2", "-std=c++20", "-o", probe, source, "-lssl", "-lcrypto"], check=True)
            print(f"| exec to first GetMeta | keys exist {start_times(probe, ours, folder, webhook, False):.1f} ms, "
                  f"empty directory {start_times(probe, ours, folder, webhook, True):.1f} ms |")
            stripped = pathlib.Path(folder) / "stripped"
            subprocess.run(["strip", "-o", stripped, ours], check=True)
            print(f"| stripped program | {stripped.stat().st_size / 1048576:.2f} MiB |")
            speed = output_of(["openssl", "speed", "-mr", "-seconds", "1", "ecdsap256", "ecdhx25519"])
            print("| openssl speed | " + ", ".join(line for line in speed.splitlines() if line.startswith("+F")) + " |")
        finally:
            for server in servers:
                server.program.stop()
            webhook.refuse()


main()
