"""What the scripts about auth-eth on a chain share: requests and answers, a scripted chain, a real one (anvil)."""
import contextlib
import hashlib
import http.client
import json
import shutil
import socket
import socketserver
import subprocess
import threading

from harness import BIN, ROOT, Program, fetch, free_ports, wait_for

AUTH = (BIN / "auth-eth").resolve()
JSON = {"Content-Type": "application/json"}
NPM = ROOT / "build/npm-anvil"
SOURCES = ROOT / "tests/vectors/contracts/src"
PACKAGES = ["@foundry-rs/anvil-linux-amd64@1.7.1", "solc@0.8.24", "@openzeppelin/contracts@5.4.0"]
OWN_NAMES = ("ETH_RPC_URL", "KMS_CONTRACT_ADDR", "ETH_CHAIN_ID", "ETH_FINALITY_CONFIRMATIONS", "AUTH_BACKEND", "AUTH_CONFIG_PATH",
             "AUTH_FULL_LENGTHS", "AUTH_REQUEST_LIMIT", "AUTH_ETH_BLOCK", "AUTH_ETH_BATCHES", "AUTH_ETH_CONNECT_LIMIT",
             "AUTH_ETH_EXCHANGE_LIMIT", "AUTH_ETH_CA_FILE", "RUST_LOG", "HOST", "PORT")


def request(**changes):
    """A request that the test world allows for app1; None leaves a member out."""
    members = {"mrAggregated": "b1" * 32, "osImageHash": "a1" * 32, "appId": "75" * 20, "composeHash": "d1" * 32,
               "instanceId": "44" * 20, "deviceId": "e1" * 32, "mrSystem": "f1" * 32, "tcbStatus": "UpToDate",
               "advisoryIds": []} | changes
    return json.dumps({name: value for name, value in members.items() if value is not None})


def decision(allowed, reason, gateway):
    return json.dumps({"isAllowed": allowed, "reason": reason, "gatewayAppId": gateway}, separators=(",", ":"), ensure_ascii=False)


def unavailable(category):
    return decision(False, "authorization backend unavailable: " + category, "")


def environment(**env):
    return {name: "" for name in OWN_NAMES} | env


def start(port, rpc_url, contract, arguments=(), **env):
    """auth-eth on this port, asking this chain."""
    return Program([AUTH, *arguments], env=environment(PORT=str(port), ETH_RPC_URL=rpc_url, KMS_CONTRACT_ADDR=contract, **env))


def ready(service):
    return service.wait_for_line("Server listening at")


def post(port, text, path="/bootAuth/app", timeout=10.0):
    return fetch(port, path, text if isinstance(text, bytes) else text.encode(), headers=JSON, timeout=timeout)


def metric(port, line_start):
    """The value of the sample whose line begins so; None without one."""
    return next((float(line.split()[-1]) for line in fetch(port, "/metrics").text.splitlines() if line.startswith(line_start + " ")),
                None)


# --- ABI, as far as the test world needs it ---------------------------------------------------------------------------

def word(value):
    """A number, or hex text, as 32 bytes in hex."""
    return (f"{value:x}" if isinstance(value, int) else value.removeprefix("0x")).rjust(64, "0")


def text_words(text):
    data = text.encode().hex()
    return word(len(data) // 2) + data.ljust((len(data) + 63) // 64 * 64, "0")


def verdict(allowed, reason=""):
    return "0x" + word(int(allowed)) + word(0x40) + text_words(reason)


def text_answer(text):
    return "0x" + word(0x20) + text_words(text)


# --- a chain that says what it is told --------------------------------------------------------------------------------

class ScriptedChain:
    """JSON-RPC on loopback, on kept connections. Answers come from answer_to(call) → {"result": …} or {"error": …}."""

    def __init__(self, answer_to, tls=None):
        self.answer_to = answer_to
        self.last_head = []
        chain = self

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self):
                while True:
                    length, head = None, []
                    line = self.rfile.readline()
                    while line not in (b"\r\n", b""):
                        head.append(line.decode("latin-1").strip())
                        name, _, value = line.partition(b":")
                        if name.lower() == b"content-length":
                            length = int(value)
                        line = self.rfile.readline()
                    if not line or length is None:
                        return
                    chain.last_head = head
                    body = chain.reply(self.rfile.read(length))
                    self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

            def finish_request(self, connection, address):
                super().finish_request(tls.wrap_socket(connection, server_side=True) if tls else connection, address)

            def handle_error(self, *_):
                pass  # the service under test closed first

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def reply(self, body):
        asked = json.loads(body)
        one = lambda call: {"jsonrpc": "2.0", "id": call["id"]} | self.answer_to(call)
        return json.dumps([one(call) for call in asked] if isinstance(asked, list) else one(asked)).encode()

    @property
    def port(self):
        return self._server.server_address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


# --- a real chain -----------------------------------------------------------------------------------------------------

COMPILE = """
const fs = require('fs'), path = require('path'), solc = require('solc')
const [sources, output] = process.argv.slice(1)
const input = { language: 'Solidity', sources: {}, settings: { optimizer: { enabled: true, runs: 200 }, evmVersion: 'paris',
  outputSelection: { '*': { '*': ['evm.bytecode.object', 'evm.methodIdentifiers'] } } } }
for (const name of fs.readdirSync(sources))
  input.sources[name] = { content: fs.readFileSync(path.join(sources, name), 'utf8') }
const find = (name) => ({ contents: fs.readFileSync(require.resolve(name), 'utf8') })
const out = JSON.parse(solc.compile(JSON.stringify(input), { import: find }))
const errors = (out.errors || []).filter((e) => e.severity === 'error')
if (errors.length) throw new Error(errors[0].formattedMessage)
const all = {}
for (const file of Object.values(out.contracts))
  for (const [name, c] of Object.entries(file)) all[name] = { bytecode: c.evm.bytecode.object, functions: c.evm.methodIdentifiers }
fs.writeFileSync(output, JSON.stringify(all))
"""


def why_no_chain():
    """Installs anvil and compiles the contracts where that was not done before; a reason when it cannot be done here."""
    if not shutil.which("npm") or not shutil.which("node"):
        return "node and npm are not installed"
    if not all((NPM / "node_modules" / package.rpartition("@")[0]).is_dir() for package in PACKAGES):
        NPM.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["npm", "install", "--prefix", str(NPM), "--ignore-scripts", "--no-audit", "--no-fund", *PACKAGES],
                              capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            return f"{', '.join(PACKAGES)} cannot be had from npm here"
    if not compiled_file().exists():
        done = subprocess.run(["node", "-e", COMPILE, "--", str(SOURCES), str(compiled_file())], cwd=NPM, capture_output=True,
                              text=True, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(f"the contracts do not compile: {done.stderr[-2000:]}")
    return None


def compiled_file():
    sources = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(SOURCES.iterdir())))
    return NPM / f"contracts-{sources.hexdigest()[:16]}.json"


class RpcError(Exception):
    pass


class Anvil:
    """A chain of its own on a free port, with one unlocked account that owns everything."""

    IMPLEMENTATION_SLOT = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"  # ERC-1967

    def __init__(self, chain_id=31337):
        self.contracts = json.loads(compiled_file().read_text())
        self.chain_id = chain_id
        self.port, = free_ports(1)
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        self.restart()
        self.owner = self.rpc("eth_accounts")[0]

    def restart(self):
        """A fresh chain on the same port; the old one has ended."""
        self.program = Program([NPM / "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil", "--host", "127.0.0.1", "--port",
                                str(self.port), "--chain-id", str(self.chain_id), "--quiet"])
        self._connection.close()
        if not wait_for(self._answers):
            raise RuntimeError("anvil does not answer: " + self.program.output)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def _answers(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return bool(self.rpc("eth_chainId"))
        self._connection.close()
        return False

    def rpc(self, method, *params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        self._connection.request("POST", "/", body, JSON)
        answer = json.loads(self._connection.getresponse().read())
        if "error" in answer:
            raise RpcError(f"{method}: {answer['error']}")
        return answer["result"]

    def send(self, data, to=None):
        """One transaction, mined at once; its receipt."""
        call = {"from": self.owner, "gas": "0x4c4b40", "data": data} | ({"to": to} if to else {})
        done = self.rpc("eth_sendTransaction", call)
        receipt = None

        def mined():
            nonlocal receipt
            receipt = self.rpc("eth_getTransactionReceipt", done)
            return receipt is not None

        if not wait_for(mined) or int(receipt["status"], 16) != 1:
            raise RuntimeError(f"a transaction failed: {receipt}")
        return receipt

    def deploy(self, code):
        return self.send("0x" + code)["contractAddress"]

    def call_data(self, contract, function, *words):
        return "0x" + self.contracts[contract]["functions"][function] + "".join(words)

    def height(self):
        return int(self.rpc("eth_blockNumber"), 16)

    def mine(self, blocks=1):
        self.rpc("anvil_mine", hex(blocks))

    def deploy_world(self):
        """The authority behind its proxy, three applications, and contracts that misbehave."""
        code = {name: contract["bytecode"] for name, contract in self.contracts.items()}
        self.template = self.deploy(code["TestApp"])
        self.authority_code = self.deploy(code["TestAuthority"])
        setup = self.call_data("TestAuthority", "initialize(address,address)", word(self.owner), word(self.template))[2:]
        self.kms = self.deploy(code["ERC1967Proxy"] + word(self.authority_code) + word(0x40) + word(len(setup) // 2)
                               + setup.ljust((len(setup) + 63) // 64 * 64, "0"))
        self.order("addOsImageHash(bytes32)", "a1" * 32)
        self.order("addKmsAggregatedMr(bytes32)", "b1" * 32)
        self.order("addKmsDevice(bytes32)", "c1" * 32)
        self.app_one_device = self.new_app(any_device=False, device="e1" * 32, compose="d1" * 32)
        self.app_any_device = self.new_app(any_device=True, device="", compose="d2" * 32)
        self.app_healthy = self.new_app(any_device=True, device="", compose="d1" * 32, healthy_tcb=True)
        self.app_without_code = "00" * 17 + "0e0a01"
        self.order("registerApp(address)", word(self.app_without_code))
        self.faulty = self.deploy(code["TestFaultyApp"])
        self.order("registerApp(address)", word(self.faulty))
        self.order("setGatewayAppId(string)", word(0x20) + text_words(self.app_any_device))
        return self

    def order(self, function, *words):
        """One of the owner's switches of the authority."""
        return self.send(self.call_data("TestAuthority", function, *words), self.kms)

    def order_app(self, app, function, *words):
        return self.send(self.call_data("TestApp", function, *words), app)

    def new_app(self, any_device, device, compose, healthy_tcb=False):
        receipt = self.order("deployAndRegisterApp(address,bool,bool,bool,bytes32,bytes32)", word(self.owner), word(0),
                             word(int(healthy_tcb)), word(int(any_device)), word(device or 0), word(compose))
        # The last event is AppDeployedViaFactory(address indexed, address indexed).
        return "0x" + receipt["logs"][-1]["topics"][1][-40:]

    def set_mode(self, mode):
        self.send(self.call_data("TestFaultyApp", "setMode(uint256)", word(mode)), self.faulty)

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self._connection.close()
        self.program.__exit__(*problem)


def closed_port():
    """A port on which nothing listens, kept so by a socket that is bound and never listens."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder, holder.getsockname()[1]
