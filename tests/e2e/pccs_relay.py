"""What stands between a KMS and its collateral server in tests: a relay that can vanish, a proxy, and a TLS front."""
import contextlib
import http.client
import http.server
import select
import socket
import ssl
import subprocess
import threading
import urllib.parse


class Relay:
    """A TCP port in front of another one. `become` changes what happens to connections: "pass", "refused", "black-holed"."""

    def __init__(self, port):
        self._target = port
        self._listener = None
        self._fillers = []
        self._connections = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.become("pass")

    def become(self, mode):
        self._close()
        if mode == "refused":
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(0 if mode == "black-holed" else 64)
        self._listener = listener
        if mode == "black-holed":
            # Once nobody takes connections out of a full queue, the kernel drops what would come next.
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", self.port))
                self._fillers.append(filler)
            select.select([], self._fillers[:1], [], 2)
        else:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _close(self):
        for one in (self._listener, *self._fillers, *self._connections):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
        self._listener, self._fillers, self._connections = None, [], []

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._connections += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source, sink):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                sink.sendall(piece)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._close()


class Front:
    """An HTTP server that passes GET requests on: as a proxy (absolute URLs), or behind TLS with a certificate of its own."""

    def __init__(self, port, tls_directory=None):
        self.asked = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                split = urllib.parse.urlsplit(self.path)
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                connection.request("GET", split.path + ("?" + split.query if split.query else ""))
                answer = connection.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "content-length"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        if tls_directory is not None:
            self.certificate = tls_directory / "front.pem"
            key = tls_directory / "front.key"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", self.certificate],
                           check=True, capture_output=True, timeout=20)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.url = f"https://localhost:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
