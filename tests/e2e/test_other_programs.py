#!/usr/bin/env python3
"""Other people's services: a webhook as a real Node program and any program as the KMS, started by the built-in
configuration and environment variables alone, on the ports that a deployment uses (in a network namespace of its own)."""
import json
import os
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time

from harness import BIN, Checks, Program, wait_for

checks = Checks()
LAUNCHER = BIN / "kms-launcher"
RPC_URL = "https://chain.example/v3/0123456789abcdef0123456789abcdef"

# In the manner of upstream's webhook: pino lines, GET / asks the chain, unknown paths are 404, SIGTERM closes and exits.
WEBHOOK = """
const http = require("node:http");
const log = (level, msg, more = {}) =>
  console.log(JSON.stringify({ level, time: Date.now(), pid: process.pid, hostname: "h", ...more, msg }));
let id = 0;
const server = http.createServer((req, res) => {
  const reqId = `req-${++id}`;
  log(30, "incoming request", { reqId, req: { method: req.method, url: req.url, remoteAddress: req.socket.remoteAddress,
    remotePort: req.socket.remotePort } });
  const send = (status, body) => {
    res.writeHead(status, { "content-type": "application/json" });
    res.end(JSON.stringify(body));
    log(30, "request completed", { reqId, res: { statusCode: status }, responseTime: 1.5 });
  };
  if (req.url === "/") return send(200, { status: "ok", kmsContractAddr: process.env.KMS_CONTRACT_ADDR });
  return send(404, { error: "Not Found" });
});
const stop = () => server.close(() => { log(40, "webhook closed in order"); setTimeout(() => process.exit(0), 50); server.closeAllConnections(); });
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
server.listen(Number(process.env.PORT || 8000), process.env.HOST || "127.0.0.1", () => {
  log(30, `Server listening at http://${process.env.HOST}:${process.env.PORT}`);
  log(50, `the chain is at ${process.env.ETH_RPC_URL}`);
  console.error("(node:1) Warning: careful");
  console.log(`environment ${JSON.stringify(Object.keys(process.env).sort())}`);
});
"""

# Any program as the KMS: TLS on 9100, lines as tracing-subscriber writes them.
KMS = """
import http.server, json, os, signal, ssl, sys
def say(level, text):
    print(f"2026-11-22T20:49:30.754812Z {level:>5} dstack_kms: {text}", flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"OK" if self.path == "/health" else b"no"
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *words):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 9100), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
server.socket = context.wrap_socket(server.socket, server_side=True)
def stop(*_):
    say("INFO", "kms stopped in order"); os._exit(0)
signal.signal(signal.SIGTERM, stop)
say("INFO", f"serving domain={os.environ['KMS_DOMAIN']} rust_log={os.environ['RUST_LOG']}")
say("INFO", "has_rpc_url=%s" % ("ETH_RPC_URL" in os.environ))
say("DEBUG", "a detail that the filter keeps back")
server.serve_forever()
"""


def in_own_network(command):
    """A network namespace with nothing but loopback: the deployment's ports are free there."""
    prefix = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    return [*prefix, "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *map(str, command)]


def records_of(program):
    found = []
    for line in program.output.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            pass
    return found


def message(program, text):
    return next((record for record in records_of(program) if text in record.get("message", "")), None)


class Deployment:
    """What a deployment has: programs, a certificate and environment variables; no configuration file."""

    def __init__(self, directory, by_variables):
        self.directory = directory
        node = shutil.which("node")
        (directory / "dist/src").mkdir(parents=True)
        (directory / "dist/src/main.js").write_text(WEBHOOK)
        (directory / "kms.py").write_text(KMS)
        pem = directory / "tls.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-keyout", pem, "-out", directory / "cert.pem"], check=True, capture_output=True)
        pem.write_text(pem.read_text() + (directory / "cert.pem").read_text())
        self.socket = directory / "health.sock"
        path = os.environ["PATH"]
        self.variables = {"PORT": "9200", "ETH_RPC_URL": RPC_URL, "KMS_CONTRACT_ADDR": "0x" + "ab" * 20, "RUST_LOG": "info",
                          "KMS_DOMAIN": "kms.example", "LAUNCHER_HEALTH__UNIX": str(self.socket), "LANG": "C.UTF-8"}
        if by_variables:
            self.variables |= {"LAUNCHER_SERVICE__AUTH_ETH__COMMAND": f"{node},dist/src/main.js",
                               "LAUNCHER_SERVICE__AUTH_ETH__CWD": str(directory),
                               "LAUNCHER_SERVICE__KMS__COMMAND": f"{sys.executable},-u,{directory}/kms.py,{pem}"}
        else:
            # Programs of the usual names on the PATH, whatever they are written in.
            programs = directory / "bin"
            programs.mkdir()
            for name, line in (("auth-eth", f'cd "{directory}" && exec "{node}" dist/src/main.js'),
                               ("dstack-kms", f'exec "{sys.executable}" -u "{directory}/kms.py" "{pem}"')):
                (programs / name).write_text(f"#!/bin/sh\n{line}\n")
                (programs / name).chmod(0o755)
            path = f"{programs}:{path}"
        self.variables["PATH"] = path

    def start(self):
        clean = ["env", "-i", *(f"{name}={value}" for name, value in self.variables.items())]
        return Program(in_own_network([*clean, LAUNCHER]))

    def ask(self, *words):
        return subprocess.run([LAUNCHER, *words, "--socket", self.socket], capture_output=True, text=True, timeout=20)


def runs(by_variables):
    way = "by LAUNCHER_ variables" if by_variables else "by programs on the PATH"
    with tempfile.TemporaryDirectory() as directory:
        deployment = Deployment(pathlib.Path(directory), by_variables)
        with deployment.start() as program:
            ready = wait_for(lambda: program.process.poll() is not None or deployment.ask("health", "--ready").returncode == 0, 30)
            if not checks.check(f"{way}: both are ready", ready and program.process.poll() is None, program.output[-3000:]):
                return
            status = json.loads(deployment.ask("status", "--json").stdout)
            states = {service["name"]: (service["state"], service["phase"]) for service in status["services"]}
            checks.equal("… by the built-in configuration", status["launcher"]["config"]["source"], "built-in")
            checks.check("… the KMS in its phase", states.get("kms") == ("ready", "serving") and states["auth-eth"][0] == "ready", str(states))

            up = message(program, "Server listening")
            checks.check("pino lines are records of the webhook", up and up["service.name"] == "auth-eth" and up["log.level"] == "info" and
                         up["message"] == "Server listening at http://127.0.0.1:9200", str(up))
            chain = message(program, "the chain is at")
            checks.check("… without the secret of the RPC URL", chain and chain["log.level"] == "error" and
                         chain["message"].endswith("/v3/[redacted]"), str(chain))
            checks.check("… which is nowhere in the output", "0123456789abcdef0123456789abcdef" not in program.output, "")
            warning = message(program, "Warning: careful")
            checks.check("stderr is told apart", warning and warning["log.iostream"] == "stderr" and warning["log.level"] == "warn", str(warning))
            serving = message(program, "serving")
            checks.check("tracing lines are records of the KMS, with fields", serving and serving["service.name"] == "kms" and
                         serving["log.logger"] == "dstack_kms" and serving["fields"]["domain"] == "kms.example", str(serving))
            secret = [r["fields"]["has_rpc_url"] for r in records_of(program) if "has_rpc_url" in r.get("fields", {})]
            checks.equal("the KMS does not get the webhook's secret", secret, ["False"])
            checks.check("RUST_LOG filters records, too", message(program, "a detail that") is None, "")
            passed = set(json.loads(message(program, "environment [")["message"].removeprefix("environment ")))
            allowed = {"ETH_RPC_URL", "HOST", "KMS_CONTRACT_ADDR", "LANG", "PATH", "PORT", "RUST_LOG", "PWD", "OLDPWD", "SHLVL", "_"}
            checks.check("only listed variables reach the webhook", {"PORT", "HOST", "ETH_RPC_URL", "KMS_CONTRACT_ADDR"} <= passed <= allowed,
                         str(passed))
            noise = [r for r in records_of(program) if "launcher-probe" in json.dumps(r) and r["service.name"] == "auth-eth"]
            checks.equal("the launcher's own probes make no noise", noise, [])

            began = time.monotonic()
            program.signal(signal.SIGTERM)
            checks.equal("SIGTERM: both end, status 0", program.wait(12), 0)
            checks.check("… at once", time.monotonic() - began < 4, f"{time.monotonic() - began:.1f} s")
            order = [text for text in ("kms stopped in order", "webhook closed in order") if message(program, text)]
            sequence = [message(program, text)["event.sequence"] for text in order]
            checks.check("… the KMS before the webhook", len(order) == 2 and sequence[0] < sequence[1], str(order))


def a_dying_node():
    with tempfile.TemporaryDirectory() as directory:
        deployment = Deployment(pathlib.Path(directory), True)
        main = deployment.directory / "dist/src/main.js"
        main.write_text("setTimeout(() => { null.boom }, 300);\n" + main.read_text())
        with deployment.start() as program:
            checks.equal("an uncaught exception in node: its status 1 is the launcher's", program.wait(30), 1)
            trace = next((r for r in records_of(program) if "TypeError" in json.dumps(r) and r["service.name"] == "auth-eth"), None)
            checks.check("… and its stack is one record of level error", trace and trace["log.level"] == "error" and
                         re.search(r"\bat .*main\.js", json.dumps(trace)), str(trace) + program.output[-1500:])


def can_make_namespaces():
    try:
        return subprocess.run(in_own_network(["true"]), capture_output=True, timeout=10).returncode == 0
    except OSError:
        return False


if not shutil.which("node"):
    checks.skip("a Node program as the webhook", "node is not installed (apt-get install nodejs)")
elif not can_make_namespaces():
    checks.skip("a Node program as the webhook", "no network namespace can be made here (unshare --net, ip)")
else:
    runs(by_variables=True)
    runs(by_variables=False)
    a_dying_node()
checks.finish()
