"""A running tee-simulator, a KMS that trusts it, and a webhook that a test decides for."""
import http.server
import json
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time

from harness import BIN, Program, fetch, free_ports
from kms_server import Kms, configuration


class Simulator:
    """tee-simulator on a unix socket and a free port, in a directory of its own."""

    def __init__(self, *arguments):
        self._folder = tempfile.TemporaryDirectory(prefix="tee-")
        self.directory = pathlib.Path(self._folder.name)
        self.root = self.directory / "root.pem"
        self.socket = self.directory / "agent.sock"
        self.agent = f"unix:{self.socket}"
        self.program = Program([BIN.resolve() / "tee-simulator", "--agent", self.agent, "--pccs", "127.0.0.1:0",
                                "--root-file", self.root, *arguments])
        if not self.program.wait_for_line("serving simulated evidence"):
            raise RuntimeError("tee-simulator does not serve: " + self.program.output)
        self.port = int(re.search(r"port=(\d+)", self.program.output).group(1))
        self.pccs = f"http://127.0.0.1:{self.port}"

    def switch(self, *faults, **others):
        """Turns on exactly these; nothing turns all off."""
        answer = fetch(self.port, "/simulator/switches", json.dumps({"faults": list(faults), **others}), method="PUT")
        if answer.status != 200:
            raise RuntimeError(answer.text)

    def machine(self):
        return fetch(self.port, "/simulator/machine").json()

    def requests(self):
        return fetch(self.port, "/simulator/requests").json()

    def ask(self, request, seconds=5.0):
        """Raw bytes to the agent's socket; what comes back until its end, or until the time is over."""
        return exchange_raw(socket.AF_UNIX, str(self.socket), request, seconds)

    def attest(self, report_data):
        body = json.dumps({"report_data": report_data.hex()})
        answer = self.ask(f"POST /Attest?json HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        return bytes.fromhex(json.loads(answer.partition(b"\r\n\r\n")[2])["attestation"])

    def quote(self, report_data=b""):
        answer = self.ask(f"GET /GetQuote?report_data={report_data.hex()} HTTP/1.1\r\n\r\n".encode())
        return bytes.fromhex(json.loads(answer.partition(b"\r\n\r\n")[2])["quote"])

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.program.__exit__(*problem)
        self._folder.cleanup()


def exchange_raw(family, address, request, seconds):
    limit = time.monotonic() + seconds
    received = b""
    with socket.socket(family) as connection:
        connection.settimeout(seconds)
        connection.connect(address)
        connection.sendall(request)
        while (left := limit - time.monotonic()) > 0:
            connection.settimeout(left)
            try:
                piece = connection.recv(1 << 20)
            except TimeoutError:
                break
            if not piece:
                break
            received += piece
    return received


class Webhook:
    """Asks `decide(kind, boot_info)` for each decision: a reason to deny, or nothing. Keeps what it was asked."""

    def __init__(self):
        self.decide = lambda kind, info: ""
        self.asked = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer({"status": "ok", "kmsContractAddr": "0x00", "gatewayAppId": "any", "chainId": 1,
                             "appImplementation": "0x00"})

            def do_POST(self):
                info = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                kind = self.path.rsplit("/", 1)[-1]
                outer.asked.append((kind, info))
                reason = outer.decide(kind, info)
                self.answer({"isAllowed": not reason, "gatewayAppId": "any", "reason": reason})

            def answer(self, value):
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def attested_configuration(simulator, webhook, core="", bounds="", onboard="", port=0, root=True, pccs=None, attestation=""):
    """Without a webhook every attested machine is allowed."""
    auth = f'type = "webhook"\n[core.auth_api.webhook]\nurl = "{webhook.url}"' if webhook else 'type = "dev"'
    text = configuration(auth=auth,
                         core=core + "\n[core.image]\nverify = false", bounds=bounds, onboard=onboard, port=port)
    text = text.replace("quote_enabled = false", "quote_enabled = true")
    text += f'[core.attestation.urls]\npccs = "{pccs or simulator.pccs}"\n'
    if root:
        text += (f'[core.attestation]\ninsecure_allow_external_trust_anchors = true\n{attestation}\n'
                 f'[core.attestation.root_ca]\ntdx = "{simulator.root}"\n')
    return text


class AttestedKms(Kms):
    """A KMS with quotes on that trusts the simulator; keys are made at its start."""

    def __init__(self, simulator, webhook, program="dstack-kms-dev", keys=False, env=None, **options):
        options.setdefault("onboard", 'auto_bootstrap_domain = "localhost"')
        super().__init__(attested_configuration(simulator, webhook, **options), keys=keys,
                         env={"DSTACK_AGENT_ADDRESS": simulator.agent, **(env or {})})
        self.simulator = simulator
        self.executable = BIN.resolve() / program

    def start(self):
        self.program = Program([self.executable, "-c", "kms.toml"], env=self.env, cwd=self.directory)
        return self

    def guest(self, *arguments, timeout=30):
        return guest(self.port, self.simulator.agent, *arguments, timeout=timeout)


class Guest:
    """How guest-client ended: exit status, its JSON, its whole output."""

    def __init__(self, done):
        self.status, self.output = done.returncode, done.stdout + done.stderr
        self.result = json.loads(done.stdout) if done.stdout.startswith("{") else {}

    @property
    def reason(self):
        return self.result.get("reason", "")


def guest(port, agent, *arguments, timeout=30):
    return Guest(subprocess.run([BIN / "dstack-kms", "guest-client", "--kms", f"https://localhost:{port}", "--agent", agent,
                                 "--json", *map(str, arguments)], capture_output=True, text=True, timeout=timeout))


__all__ = ["AttestedKms", "Guest", "Simulator", "Webhook", "attested_configuration", "exchange_raw", "free_ports", "guest"]
