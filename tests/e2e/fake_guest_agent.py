"""A guest agent on a unix socket: answers Attest and Info, or does not, as the test wants."""
import json
import socket
import threading

from harness import ROOT

_RECORDED = json.loads((ROOT / "tests/vectors/kms/encodings_N.json").read_text())["attestations"]["mock-tdx"]
REPORT_DATA_IN_QUOTE = 568


def attestation(report_data):
    """The recorded V0 attestation of a mock machine, with other report data in the quote and beside it."""
    whole = bytearray.fromhex(_RECORDED["input"])
    old = bytes(whole)
    header = bytes.fromhex("0400020081000000")  # a TDX quote of version 4
    quote = old.index(header)
    recorded = old[quote + REPORT_DATA_IN_QUOTE:quote + REPORT_DATA_IN_QUOTE + 64]
    at = old.find(recorded)
    while at >= 0:
        whole[at:at + 64] = report_data
        at = old.find(recorded, at + 64)
    return bytes(whole)


class FakeGuestAgent:
    """`silent` = connections are taken and never answered; `status` other than 200 = that instead of an answer."""

    def __init__(self, path):
        self.path = str(path)
        self.silent = False
        self.status = 200
        self.asked = []
        self._let_go = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self):
        return f"unix:{self.path}"

    def answer_again(self):
        self.silent = False
        self._let_go.set()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            connection.settimeout(30)
            try:
                request = b""
                while b"\r\n\r\n" not in request:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    request += piece
                head, _, body = request.partition(b"\r\n\r\n")
                size = int(next(line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")))
                while len(body) < size:
                    body += connection.recv(65536)
                path = head.split(b" ")[1].decode()
                self.asked.append((path, body.decode()))
                if self.silent:
                    self._let_go.wait(60)
                    return
                if path == "/Attest?json":
                    answer = {"attestation": attestation(bytes.fromhex(json.loads(body)["report_data"])).hex()}
                else:
                    answer = {"vm_config": "{}"}
                text = json.dumps(answer).encode()
                connection.sendall(f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)
            except OSError:
                pass

    def close(self):
        self._let_go.set()
        self._listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
