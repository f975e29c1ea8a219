#!/usr/bin/env python3
"""The health endpoint of a running launcher: every path, the page, metrics that promtool accepts, and who may ask."""
import http.client
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from harness import BIN, Checks, Program, answers, children_of, fetch, free_ports, percentile, wait_for

checks = Checks()
LAUNCHER = BIN / "kms-launcher"

SERVICE = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"OK")
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Stack:
    """A launcher with one Python service, probed fast."""

    def __init__(self, health=""):
        self.port, self.health_port = free_ports(2)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="health-"))
        self.socket = self.directory / "health.sock"
        (self.directory / "service.py").write_text(SERVICE)
        probe = f'kind = "http"\nurl = "http://127.0.0.1:{self.port}/"\nexpect_body = "OK"\n'
        self.config = self.directory / "launcher.toml"
        self.config.write_text(f"""version = 1
[health]
listen = ["127.0.0.1:{self.health_port}"]
unix = "{self.socket}"
{health}
[service.web]
command = ["{shutil.which('python3')}", "-u", "service.py", "{self.port}"]
cwd = "{self.directory}"
[service.web.probe.startup]
{probe}deadline = "20s"
[service.web.probe.liveness]
{probe}interval = "500ms"
timeouts = {{ headers = "300ms", connect = "300ms" }}
""")

    def __enter__(self):
        self.program = Program([LAUNCHER, "run", "--config", self.config])
        return self

    def __exit__(self, *problem):
        self.program.__exit__(*problem)
        shutil.rmtree(self.directory, ignore_errors=True)

    def get(self, path, **more):
        return fetch(self.health_port, path, **more)

    def ready(self):
        return checks.check("the service becomes ready", wait_for(lambda: answers(self.health_port, "/readyz"), 20), self.program.output)

    def run(self, *words, env=None):
        return subprocess.run([LAUNCHER, *map(str, words)], capture_output=True, text=True, timeout=20,
                              env={**os.environ, **(env or {})})


def every_path(stack):
    for path in ("/livez", "/startupz", "/readyz", "/readyz/web", "/healthz"):
        answer = stack.get(path)
        checks.equal(f"{path} is ok", (answer.status, answer.text), (200, "ok"))
        checks.equal(f"{path} is neither stored nor sniffed",
                     (answer.headers.get("cache-control"), answer.headers.get("x-content-type-options")), ("no-store", "nosniff"))
    checks.equal("an unknown service is 404", stack.get("/readyz/nobody").status, 404)
    checks.equal("an unknown path is 404", stack.get("/admin").status, 404)
    checks.check("verbose lists the checks", "[+] web: ready" in stack.get("/readyz?verbose").text, stack.get("/readyz?verbose").text)
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = stack.get("/livez", method=method)
        checks.equal(f"{method} is 405", (answer.status, answer.headers.get("allow")), (405, "GET, HEAD"))
    head = stack.get("/livez", method="HEAD")
    checks.equal("HEAD has no body", (head.status, head.body), (200, b""))
    wait_for(lambda: stack.get("/status").json()["services"][0]["process"], 5)
    status = stack.get("/status").json()
    web = status["services"][0]
    checks.equal("status: schema and state", (status["schema"], web["name"], web["state"]), (1, "web", "ready"))
    checks.check("status: uptimes and process numbers", web["uptime_seconds"] is not None and web["process"]["rss_bytes"] > 0, str(web))
    probe = next(probe for probe in web["probes"] if probe["name"] == "startup")
    checks.check("status: probe stages", {"connect", "request", "headers", "body"} <= probe["last"]["stages_ms"].keys(), str(probe))
    text = json.dumps(status)
    checks.check("status: no argv", "service.py" not in text, text)


def metrics_are_clean(stack):
    text = stack.get("/metrics").text
    checks.check("metrics: service is up", 'kms_launcher_service_up{service="web"} 1' in text, text[:500])
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=20)
        checks.equal("promtool finds nothing to say", (done.returncode, done.stdout + done.stderr), (0, ""))
    else:
        checks.skip("promtool finds nothing to say", "promtool is not installed (apt-get install prometheus)")
    answer = stack.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0, text/plain; q=0.5"})
    checks.check("OpenMetrics on request", answer.headers["content-type"].startswith("application/openmetrics-text") and
                 answer.text.endswith("# EOF\n"), answer.headers.get("content-type"))
    took = sorted(stack.get("/metrics").seconds for _ in range(20))
    checks.check("a scrape is quick", took[10] < 0.05, str(took))


def the_page(stack):
    page = stack.get("/")
    policy = page.headers.get("content-security-policy", "")
    checks.check("the page is HTML with a strict policy", page.headers["content-type"].startswith("text/html") and
                 policy.startswith("default-src 'none'") and "unsafe" not in policy, policy)
    chromium = shutil.which("chromium")
    if not chromium:
        checks.skip("a browser draws the page", "chromium is not installed")
        return
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run([chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                               "--disable-background-networking", "--disable-component-update", "--disable-sync",
                               f"--user-data-dir={profile}", "--virtual-time-budget=5000", "--dump-dom",
                               f"http://127.0.0.1:{stack.health_port}/"], capture_output=True, text=True, timeout=60)
    drawn = re.sub(r"<script>.*?</script>", "", done.stdout, flags=re.DOTALL)
    checks.check("a browser draws the page", ">web<" in drawn and ">ready<" in drawn and "<svg" in drawn and "startup" in drawn, drawn[:2000])


def who_may_ask(stack):
    answer = stack.get("/status", headers={"Host": "evil.example"})
    checks.check("DNS rebinding is refused", answer.status == 403 and "services" not in answer.text, answer.text)
    checks.equal("localhost is not", stack.get("/livez", headers={"Host": f"localhost:{stack.health_port}"}).status, 200)
    checks.equal("the unix socket is for its owner", oct(stack.socket.stat().st_mode & 0o777), "0o600")
    with socket.create_connection(("127.0.0.1", stack.health_port)) as raw:
        raw.settimeout(5)
        raw.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 9000 + b"\r\n\r\n")
        checks.check("a head beyond 8 KiB is 431", b" 431 " in raw.recv(4096).split(b"\r\n")[0], "")


def subcommands(stack):
    health = stack.run("health", "--config", stack.config)
    checks.equal("health: healthy, 0", (health.returncode, health.stdout), (0, "healthy\n"))
    checks.equal("health --socket", stack.run("health", "--socket", stack.socket).returncode, 0)
    checks.equal("health by variable", stack.run("health", "--ready", env={"LAUNCHER_HEALTH": f"127.0.0.1:{stack.health_port}"}).stdout, "ready\n")
    port, = free_ports(1)
    nobody = stack.run("health", "--url", f"http://127.0.0.1:{port}")
    checks.check("health without a launcher: 1 and one line", nobody.returncode == 1 and nobody.stdout.count("\n") == 1, nobody.stdout)
    table = stack.run("status", "--config", stack.config)
    checks.check("status: a table", table.returncode == 0 and re.search(r"^web +ready ", table.stdout, re.MULTILINE), table.stdout + table.stderr)
    machine = stack.run("status", "--json", "--socket", stack.socket)
    checks.equal("status --json", json.loads(machine.stdout)["services"][0]["name"], "web")
    probe = stack.run("probe", f"http://127.0.0.1:{stack.port}/")
    checks.check("probe shows the stages", probe.returncode == 0 and "headers" in probe.stdout, probe.stdout)


def a_frozen_service(stack):
    service = children_of(stack.program.pid).popitem()[1]
    os.kill(service, signal.SIGSTOP)
    try:
        frozen = wait_for(lambda: stack.get("/healthz").status == 503, 15)
        checks.check("a stopped service is found frozen", frozen, stack.get("/status").text)
        checks.equal("… /livez stays ok: nobody may restart the launcher for it", stack.get("/livez").text, "ok")
        told = stack.run("health", "--socket", stack.socket)
        checks.check("… health says so", told.returncode == 1 and told.stdout.startswith("unhealthy: web: frozen (http_headers_timeout)"), told.stdout)
        metrics = stack.get("/metrics").text
        checks.check("… metrics count it", 'kms_launcher_freezes_total{service="web",class="http_headers_timeout"} 1' in metrics, "")
    finally:
        os.kill(service, signal.SIGCONT)
    checks.check("… and well again after SIGCONT", wait_for(lambda: stack.get("/healthz").status == 200, 15), stack.get("/healthz").text)
    checks.equal("… the same process", children_of(stack.program.pid).popitem()[1], service)


def slow_clients(stack, count=1000, seconds=4.0):
    """Clients that send one byte a second: whoever sends a whole request is answered at once."""
    address = ("127.0.0.1", stack.health_port)
    clients, taken = [], []
    request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for _ in range(count):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(address)
        clients.append(client)
    # While the burst of connects is taken in, the 17th connection is refused, as specified. Accepting is in order of
    # arrival, so the first answer means that every slow client before it has been seen.
    checks.check("/livez answers within a second of a burst of connects",
                 wait_for(lambda: answers(stack.health_port, "/livez"), 1), "no 200")
    began = time.monotonic()
    next_byte = began
    sent = 0
    refused = 0
    while (now := time.monotonic()) - began < seconds:
        if now >= next_byte:
            next_byte += 1
            for client in clients:
                try:
                    client.send(request[sent:sent + 1])
                except OSError:
                    pass
            sent += 1
        try:
            answer = fetch(stack.health_port, "/livez", timeout=2)
            taken.append(answer.seconds)
            refused += answer.status != 200
        except (OSError, http.client.HTTPException):
            refused += 1
        select.select([], [], [], 0.02)
    for client in clients:
        client.close()
    checks.check(f"/livez is answered within 50 ms beside {count} slow clients (p99 of {len(taken)})",
                 taken and percentile(taken, 0.99) < 0.05, str(sorted(taken)[-5:]))
    checks.equal("… and never refused for their sake", refused, 0)


def returning_clients(stack, count=1000, seconds=4.0):
    """Slow clients that connect again as soon as they are sent away, for as long as /livez is asked."""
    address = ("127.0.0.1", stack.health_port)
    poller = select.epoll()
    clients = {}
    counts = {"connects": 0}

    def connect():
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(address)
        clients[client.fileno()] = client
        poller.register(client, select.EPOLLIN | select.EPOLLHUP)
        counts["connects"] += 1

    def come_back(descriptor):
        poller.unregister(descriptor)
        clients.pop(descriptor).close()
        connect()

    def storm():
        """One turn: a byte from everybody once a second, and everybody who was sent away comes back."""
        nonlocal next_byte
        if time.monotonic() >= next_byte:
            next_byte += 1
            for client in clients.values():
                try:
                    client.send(b"G")
                except OSError:
                    pass
        for descriptor, _ in poller.poll(0.01):
            come_back(descriptor)

    def poll(seconds):
        """Another process asks, so that this interpreter's lock is not what is measured."""
        told = subprocess.run([LAUNCHER, "poll", f"http://127.0.0.1:{stack.health_port}/livez", "--for", f"{seconds}s", "--every", "20ms",
                               "--timeout", "2s", "--json", "--quiet"], capture_output=True, text=True, timeout=60)
        return json.loads(told.stdout)

    alone = poll(1)["latency_ms"]["p99"]
    next_byte = time.monotonic()
    for _ in range(count):
        connect()
    stop = threading.Event()

    def keep_going():
        while not stop.is_set():
            storm()

    attackers = threading.Thread(target=keep_going, daemon=True)
    attackers.start()
    told = poll(int(seconds))
    stop.set()
    attackers.join(10)
    for client in clients.values():
        client.close()
    checks.check(f"/livez is answered to all beside {count} clients that come back for ever ({counts['connects']} connects)",
                 told["answered"] == told["polls"] > 50, str(told))
    # A machine that is busy with other things is slow without them, too.
    limit = max(50, 5 * alone)
    checks.check(f"… within {limit:.0f} ms (p99; {alone:.1f} ms without them)", told["latency_ms"]["p99"] < limit, str(told))
    checks.check("… and they were kept off", counts["connects"] > 2 * count, str(counts))


def with_a_token():
    with tempfile.TemporaryDirectory() as directory:
        token = pathlib.Path(directory) / "token"
        token.write_text("correct-horse-battery\n")
        with Stack(f'token_file = "{token}"') as stack:
            wait_for(lambda: stack.socket.exists(), 10)
            up = wait_for(lambda: not refused_connection(stack.health_port), 10)
            checks.check("the endpoint with a token listens", up, stack.program.output)
            checks.equal("without the token: 401", stack.get("/livez").status, 401)
            checks.equal("with another: 401", stack.get("/livez", headers={"Authorization": "Bearer wrong-horse-battery!"}).status, 401)
            checks.equal("with it: 200", stack.get("/livez", headers={"Authorization": "Bearer correct-horse-battery"}).status, 200)
            checks.check("health reads it from the configuration",
                         wait_for(lambda: stack.run("health", "--config", stack.config).returncode == 0, 20), stack.program.output)
            checks.check("the token is in no output", "correct-horse" not in stack.program.output, "")


def refused_connection(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return False
    except OSError:
        return True


with Stack() as running:
    if running.ready():
        every_path(running)
        metrics_are_clean(running)
        the_page(running)
        who_may_ask(running)
        subcommands(running)
        a_frozen_service(running)
        slow_clients(running)
        returning_clients(running)
    running.program.signal(signal.SIGTERM)
    checks.equal("the launcher ends with 0", running.program.wait(10), 0)
with_a_token()
checks.finish()
