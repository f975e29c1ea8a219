"""dstack-kms alone under test: a key directory, a configuration, and raw exchanges over TLS."""
import json
import pathlib
import re
import socket
import ssl
import tempfile
import time

from harness import BIN, ROOT, Program

KEYS = json.loads((ROOT / "tests/vectors/kms/keys_and_env_pubkeys.json").read_text())["keys"]
KEY_FILES = {"root-ca.key": "root_ca_key_pem", "tmp-ca.key": "tmp_ca_key_pem", "rpc.key": "rpc_key_pem",
             "root-ca.crt": "root_ca_crt_pem", "tmp-ca.crt": "tmp_ca_crt_pem", "rpc.crt": "rpc_crt_pem"}


def write_keys(certs):
    """The key set of the test vectors, as the original wrote it."""
    certs.mkdir(parents=True, exist_ok=True)
    for name, key in KEY_FILES.items():
        (certs / name).write_text(KEYS[key])
    (certs / "root-k256.key").write_bytes(bytes.fromhex(KEYS["root_k256_scalar"]))
    (certs / "rpc-domain").write_text(KEYS["rpc_domain"])


def configuration(auth="type = \"dev\"", core="", bounds="", rpc="", onboard="", port=0):
    """The text of kms.toml; relative paths, because the program runs in the directory of its files."""
    return f"""
[rpc]
address = "127.0.0.1"
port = {port}
{rpc}
[rpc.tls]
key = "certs/rpc.key"
certs = "certs/rpc.crt"
[rpc.tls.mutual]
ca_certs = "certs/tmp-ca.crt"
[core]
cert_dir = "certs"
{core}
[core.auth_api]
{auth}
[core.onboard]
quote_enabled = false
{onboard}
[core.bounds]
{bounds}
"""


class Kms:
    """A running dstack-kms in a directory of its own; `port` is known once ready() has said so."""

    def __init__(self, text=None, keys=True, env=None, directory=None):
        self._folder = None if directory else tempfile.TemporaryDirectory(prefix="kms-e2e-")
        self.directory = pathlib.Path(directory or self._folder.name)
        if keys:
            write_keys(self.directory / "certs")
        (self.directory / "kms.toml").write_text(text if text is not None else configuration())
        self.env = env
        self.program = None
        self.port = None

    def start(self):
        self.program = Program([BIN.resolve() / "dstack-kms", "-c", "kms.toml"], env=self.env, cwd=self.directory)
        return self

    def ready(self, seconds=15.0):
        if self.program.wait_for_line("kms: serving", seconds):
            self.port = int(re.search(r"serving .*port=(\d+)", self.program.output).group(1))
        return self.port is not None

    def __enter__(self):
        return self.start()

    def __exit__(self, *problem):
        self.program.__exit__(*problem)
        if self._folder:
            self._folder.cleanup()


def tls_context(client_certificate=None, client_key=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if client_certificate:
        context.load_cert_chain(client_certificate, client_key)
    return context


_PLAIN = tls_context()


class Response:
    """One answer, parsed from the bytes of a connection."""

    def __init__(self, status, headers, body, seconds):
        self.status, self.headers, self.body, self.seconds = status, headers, body, seconds

    def header(self, name):
        return next((value for key, value in self.headers if key == name), None)


def read_response(connection, buffer, head_only, limit):
    """Reads one final answer (1xx are passed over); returns it and what was read beyond it, or None and the rest."""
    began = time.monotonic()
    while True:
        while b"\r\n\r\n" not in buffer:
            connection.settimeout(max(0.01, limit - time.monotonic()))
            piece = connection.recv(65536)
            if not piece:
                return None, buffer
            buffer += piece
        head, _, buffer = buffer.partition(b"\r\n\r\n")
        lines = head.decode("latin1").split("\r\n")
        status = int(lines[0].split()[1])
        if status >= 200:
            break
    headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
    headers = [(name.lower(), value) for name, value in headers]
    size = 0 if head_only else int(dict(headers).get("content-length", "0"))
    while len(buffer) < size:
        connection.settimeout(max(0.01, limit - time.monotonic()))
        piece = connection.recv(65536)
        if not piece:
            return None, buffer
        buffer += piece
    return Response(status, headers, buffer[:size], time.monotonic() - began), buffer[size:]


def connect(port, context=None, timeout=5.0):
    return (context or _PLAIN).wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=timeout))


def exchange(port, request, head_only=False, timeout=10.0, context=None):
    """Sends raw bytes on a fresh connection and reads one answer; None when there is none."""
    with connect(port, context, timeout) as connection:
        limit = time.monotonic() + timeout
        try:
            connection.sendall(request)
        except OSError:
            pass  # the server may have answered and closed before it read everything
        return read_response(connection, b"", head_only, limit)[0]


def call(port, method, arguments=None, timeout=5.0, context=None):
    """A JSON call on a fresh connection; the seconds of the answer include the handshake."""
    body = b"" if arguments is None else json.dumps(arguments).encode()
    head = f"POST /prpc/{method}?json HTTP/1.1\r\nHost: kms\r\nContent-Length: {len(body)}\r\n\r\n"
    began = time.monotonic()
    response = exchange(port, head.encode() + body, timeout=timeout, context=context)
    if response is not None:
        response.seconds = time.monotonic() - began
    return response


def metric(port, name):
    """The value of a sample without labels on /metrics; None when it is absent."""
    response = exchange(port, b"GET /metrics HTTP/1.1\r\nHost: kms\r\n\r\n")
    for line in response.body.decode().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    return None
