"""A webhook that misbehaves on demand: plain sockets, one thread per connection, bounded waits only."""
import json
import socket
import struct
import threading

FACTS = {"status": "ok", "kmsContractAddr": "0x1234567890123456789012345678901234567890",
         "gatewayAppId": "0xabcdefabcdefabcdefabcdefabcdefabcdefabcd", "chainId": 31337, "appAuthImplementation": "0x00",
         "appImplementation": "0x5678567856785678567856785678567856785678", "ethRpcUrl": ""}


def http(body, status="200 OK", extra="", length=None):
    body = body if isinstance(body, bytes) else body.encode()
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n{extra}\r\n".encode() + body


class FakeWebhook:
    """`behaviour` is a function of (webhook, connection) that is called once a request is there; it may be replaced at any time."""

    def __init__(self):
        self.facts = dict(FACTS)
        self.behaviour = FakeWebhook.ok
        self.requests = []
        self.ended = threading.Event()
        self._open = set()
        self._lock = threading.Lock()
        self.port = None
        self.listen()

    # --- behaviours -------------------------------------------------------------------------------------------------
    def ok(self, connection):
        connection.sendall(http(json.dumps(self.facts)))
        return True

    def silent(self, connection):
        self.ended.wait(60)

    def rubbish(self, connection):
        connection.sendall(b"\x00\x01 this is no HTTP\r\n\r\n" * 20)

    def no_json(self, connection):
        connection.sendall(http("<html>"))

    def error_500(self, connection):
        connection.sendall(http('{"status":"error","message":"x"}', "500 Internal Server Error"))

    def error_500_wide(self, connection):
        connection.sendall(http("\u20ac" * 300, "500 Internal Server Error"))

    def byte_per_second(self, connection):
        for byte in http(json.dumps(self.facts)):
            connection.sendall(bytes([byte]))
            if self.ended.wait(1):
                return

    def stops_in_mid_body(self, connection):
        whole = http(json.dumps(self.facts))
        connection.sendall(whole[:len(whole) - 40])
        self.ended.wait(60)

    def short_body(self, connection):
        connection.sendall(http(json.dumps(self.facts), length=4096))

    def huge_body(self, connection):
        connection.sendall(http(b"", length=256 << 20))
        piece = b" " * 65536
        for _ in range((256 << 20) // len(piece)):
            connection.sendall(piece)

    def reset(self, connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def redirect_to_itself(self, connection):
        connection.sendall(http("", "302 Found", f"Location: http://127.0.0.1:{self.port}/\r\n"))

    # --- the server -------------------------------------------------------------------------------------------------
    def listen(self):
        """Listens on the port it had, or on a free one the first time."""
        self._listener = socket.create_server(("127.0.0.1", self.port or 0), backlog=512, reuse_port=False)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self):
        """Connections are refused from now on; open ones are ended."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.end_connections()

    def end_connections(self):
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def behave(self, behaviour):
        """From the next request on; what hangs now is let go."""
        self.behaviour = behaviour
        self.ended.set()
        self.ended = threading.Event()

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            connection.settimeout(60)
            while True:
                request = b""
                while b"\r\n\r\n" not in request:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    request += piece
                self.requests.append(request)
                if not self.behaviour(self, connection):
                    return
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


if __name__ == "__main__":
    print(FakeWebhook().url, flush=True)
    threading.Event().wait()
