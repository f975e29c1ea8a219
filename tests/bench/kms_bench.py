#!/usr/bin/env python3
"""dstack-kms beside nginx: rates, processor time per request, memory; one table.

usage: kms_bench.py [SECONDS]      seconds per measurement, default 2

Needs a C++ compiler, wrk, h2load (nghttp2-client), openssl, nginx and strip. Every load is played to one server after the other, back to
back, in two rounds; the better round counts. The processor time is the server's own, from /proc/PID/stat, so a busy machine
changes the rates more than it. nginx has one worker, the same certificate and a constant answer of the same size.
PEER_KMS names another KMS program that reads the same configuration; it then is measured, too.
"""
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from fake_webhook import FakeWebhook  # noqa: E402
from harness import BIN, Program, free_ports, wait_for  # noqa: E402
from kms_server import call, configuration, connect, metric, tls_context, write_keys  # noqa: E402

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
PATH = "/prpc/KMS.GetMeta?json"
IDLE_CONNECTIONS = 5000
TICK = 1.0 / os.sysconf("SC_CLK_TCK")


class Server:
    """A program on a port, and the process whose time counts."""

    def __init__(self, name, program, port, pid=None):
        self.name, self.program, self.port, self.pid = name, program, port, pid or program.pid

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


def start_nginx(folder, certs, size, asks_clients=False):
    """With asks_clients it requests a client certificate, as a KMS must."""
    port, = free_ports(1)
    name = "nginx that asks for client certificates" if asks_clients else "nginx"
    asks = f"ssl_verify_client optional; ssl_client_certificate {certs}/tmp-ca.crt;" if asks_clients else ""
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
    location / {{ default_type application/json; return 200 "{"x" * size}"; }}
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


def wrk(server, connections, *extra):
    text = output_of(["wrk", "-t1", f"-c{connections}", f"-d{SECONDS:.0f}s", *extra, f"https://127.0.0.1:{server.port}{PATH}"])
    return int(re.search(r"(\d+) requests in", text).group(1))


def h2load(server, connections, streams):
    text = output_of(["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{SECONDS:.0f}", f"https://127.0.0.1:{server.port}{PATH}"])
    return int(re.search(r"(\d+) succeeded", text).group(1))


def s_time(server, processes, *extra):
    """Connections with one GetMeta each, by so many copies of openssl s_time."""
    command = ["openssl", "s_time", "-connect", f"127.0.0.1:{server.port}", "-time", f"{SECONDS:.0f}", "-www", PATH, *extra]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(processes)]
    texts = [one.communicate(timeout=SECONDS * 4 + 20)[0] for one in running]
    return sum(int(re.findall(r"(\d+) connections in", text)[-1]) for text in texts if "connections in" in text)


# wrk keeps the session of a connection it closes, so it resumes; s_time keeps none with -new. The table tells the share.
LOADS = [
    ("GetMeta keep-alive, 16 connections", lambda s: wrk(s, 16)),
    ("GetMeta keep-alive, 64 connections", lambda s: wrk(s, 64)),
    ("GetMeta HTTP/2, 16 x 16 streams", lambda s: h2load(s, 16, 16)),
    ("TLS 1.3 handshake + GetMeta, 16 clients", lambda s: s_time(s, 16, "-tls1_3", "-new")),
    ("TLS 1.3 resumed + GetMeta, 16 clients", lambda s: wrk(s, 16, "-H", "Connection: close")),
    ("TLS 1.2 handshake + GetMeta, 16 clients", lambda s: s_time(s, 16, "-tls1_2", "-new")),
    ("TLS 1.2 resumed + GetMeta, 16 clients", lambda s: s_time(s, 16, "-tls1_2", "-reuse")),
]


def resumed_share(server, load):
    """Plays the load once more; what part of its handshakes resumed a session."""
    names = ("dstack_kms_tls_resumed_total", "dstack_kms_connections_accepted_total")
    before = [metric(server.port, name) for name in names]
    load(server)
    resumed, accepted = (metric(server.port, name) - old for name, old in zip(names, before))
    return resumed / max(1, accepted)


def measure(load, servers):
    """(requests per second, microseconds of processor per request) by server; the better of two rounds each."""
    best = {}
    for _ in range(2):
        for server in servers:
            before, began = server.cpu(), time.monotonic()
            count = max(1, load(server))
            rate, cost = count / (time.monotonic() - began), (server.cpu() - before) / count * 1e6
            old = best.get(server.name, (0, float("inf")))
            best[server.name] = (max(old[0], rate), min(old[1], cost))
    return best


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
            size = len(call(servers[0].port, "GetMeta").body)
            for asks_clients in (False, True):
                servers.append(start_nginx(folder, pathlib.Path(folder) / "dstack-kms/certs", size, asks_clients))
            if os.environ.get("PEER_KMS"):
                servers.append(start_kms("peer", os.environ["PEER_KMS"], folder, webhook))
            names = [server.name for server in servers]
            print(machine())
            print(f"answer of {size} bytes; per server: requests/s, processor us/request, and both relative to ours\n")
            print("| load | " + " | ".join(names) + " |")
            print("|---" * (len(names) + 1) + "|")
            for label, load in LOADS:
                best = measure(load, servers)
                rate, cost = best["dstack-kms"]
                cells = [f"{best[n][0]:.0f}/s, {best[n][1]:.1f} us" +
                         ("" if n == "dstack-kms" else f" (ours {rate / best[n][0]:.2f}x the rate, {cost / best[n][1]:.2f}x the time)")
                         for n in names]
                share = f" ({resumed_share(servers[0], load):.0%} resumed)" if label.startswith("TLS") else ""
                print(f"| {label}{share} | " + " | ".join(cells) + " |", flush=True)
            for server in servers:
                rest, each, left = idle_memory(server)
                print(f"| memory, {server.name} | idle {rest / 1024:.1f} MiB, {each:.1f} KiB per idle TLS connection, "
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
