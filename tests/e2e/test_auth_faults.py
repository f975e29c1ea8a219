#!/usr/bin/env python3
"""auth-eth while its chain endpoint misbehaves in every way we know: bounded, isolated, fail closed, back at once."""
import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import re
import select
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

from auth_fixture import (JSON, Anvil, ScriptedChain, closed_port, decision, metric, post, ready, request, start, text_answer, unavailable,
                          verdict, why_no_chain)
from harness import Checks, fetch, free_ports, percentile, wait_for

CONNECT, EXCHANGE, REQUEST = 0.3, 0.5, 1.0  # seconds; the limits given to auth-eth here
SLACK = 0.05
MARK = "de" * 20  # an instance id that the proxy knows
LIMITS = dict(AUTH_ETH_CONNECT_LIMIT="300ms", AUTH_ETH_EXCHANGE_LIMIT="500ms", AUTH_REQUEST_LIMIT="1s")

checks = Checks()


def head(status, length, extra=""):
    return f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{extra}\r\n".encode()


def whole(status, body, extra=""):
    body = body if isinstance(body, bytes) else body.encode()
    return head(status, len(body), extra) + body


def read_request(connection, buffer):
    """(body, what follows it); None when the peer has closed."""
    while True:
        end = buffer.find(b"\r\n\r\n")
        if end >= 0:
            length = int(re.search(rb"content-length: *(\d+)", buffer[:end], re.IGNORECASE)[1])
            if len(buffer) >= end + 4 + length:
                return buffer[end + 4:end + 4 + length], buffer[end + 4 + length:]
        piece = connection.recv(65536)
        if not piece:
            return None
        buffer += piece


class FaultProxy:
    """Stands before a chain endpoint. mode is a name, or a function of the request's body that gives one."""

    def __init__(self, chain_port):
        self.chain_port, self.mode = chain_port, "pass"
        self.given_up = 0  # connections that auth-eth closed while it waited
        self.accepted = 0
        self._listener, self.port = None, 0
        self.listen()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def listen(self):
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(256)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self):
        """New connections are refused, until listen()."""
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._listener.close()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self.accepted += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        backend = http.client.HTTPConnection("127.0.0.1", self.chain_port, timeout=10)
        with contextlib.suppress(OSError, http.client.HTTPException), connection, contextlib.closing(backend):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            rest = b""
            while True:
                asked = read_request(connection, rest)
                if asked is None:
                    return
                body, rest = asked
                mode = self.mode(body) if callable(self.mode) else self.mode
                if not getattr(self, "_" + mode.partition(" ")[0])(connection, backend, body, mode.partition(" ")[2]):
                    return

    def _answer(self, backend, body):
        backend.request("POST", "/", body, JSON)
        return backend.getresponse().read()

    def _wait_until_given_up(self, connection):
        with contextlib.suppress(OSError):
            if connection.recv(1) == b"":
                self.given_up += 1

    def _pass(self, connection, backend, body, _):
        connection.sendall(whole(200, self._answer(backend, body)))
        return True

    def _pass_and_close(self, connection, backend, body, _):
        self._pass(connection, backend, body, _)  # and closes, although it never said so

    def _silent(self, connection, *_):
        self._wait_until_given_up(connection)

    def _head(self, connection, *_):
        connection.sendall(head(200, 1000))
        self._wait_until_given_up(connection)

    def _half_head(self, connection, *_):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-")
        self._wait_until_given_up(connection)

    def _byte_per_second(self, connection, backend, body, _):
        answer = whole(200, self._answer(backend, body))
        for place in range(len(answer)):
            connection.sendall(answer[place:place + 1])
            if select.select([connection], [], [], 1)[0]:
                return self._wait_until_given_up(connection)

    def _reset(self, connection, *_):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _close(self, *_):
        return False

    def _truncated(self, connection, backend, body, _):
        answer = self._answer(backend, body)
        connection.sendall(head(200, len(answer)) + answer[:len(answer) // 2])

    def _status(self, connection, backend, body, arguments):
        status, _, extra = arguments.partition(" ")
        connection.sendall(whole(int(status), "no", extra + "\r\n" if extra else ""))
        return True

    def _once(self, connection, backend, body, arguments):
        self.mode = "pass"
        return self._status(connection, backend, body, arguments)

    def _body(self, connection, backend, body, text):
        connection.sendall(whole(200, text))
        return True

    def _huge(self, connection, backend, body, _):
        connection.sendall(whole(200, b"[" + b" " * (2 * 1024 * 1024) + b"]"))
        return True

    def _endless(self, connection, *_):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1000\r\n" + b" " * 4096 + b"\r\n")

    def _changed(self, connection, backend, body, how):
        answers = json.loads(self._answer(backend, body))
        if how == "half":
            answers = answers[:-1]
        elif how == "twice":
            answers[1] = answers[2]
        elif how == "id":
            answers[1]["id"] += 1000
        elif how == "null":
            answers[1]["result"] = None
        elif how == "error":
            answers = [{"jsonrpc": "2.0", "id": answer["id"], "error": {"code": -32000, "message": "secret-words"}} for answer in answers]
        elif how == "limit":
            answers[2] = {"jsonrpc": "2.0", "id": answers[2]["id"], "error": {"code": -32005, "message": "daily limit"}}
        connection.sendall(whole(200, json.dumps(answers)))
        return True


class BlackHole:
    """A port whose queue is full, so that the kernel drops every further SYN."""

    def __init__(self):
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port = self._listener.getsockname()[1]
        self._fill = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", self.port))
            self._fill.append(one)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in (*self._fill, self._listener):
            one.close()


class Service:
    def __init__(self, rpc_url, contract, arguments=(), **env):
        self.port, = free_ports(1)
        self.program = start(self.port, rpc_url, contract, arguments, **env)

    def __enter__(self):
        self.program.__enter__()
        checks.check("auth-eth starts", ready(self.program), self.program.output)
        return self

    def __exit__(self, *problem):
        self.program.__exit__(*problem)


class World:
    """A chain with one application that is allowed."""

    def __init__(self, port, contract, app, gateway):
        self.port, self.contract = port, contract
        self.text = request(appId=app)
        self.marked = request(appId=app, instanceId=MARK)
        self.allowed = decision(True, "", gateway)


def asked(service, text):
    answer = post(service.port, text)
    return answer.text, answer.seconds


def within(service, world, limit, wanted):
    """Whether the answer is as wanted and in time; up to three tries, because others use this machine too."""
    for _ in range(3):
        got, seconds = asked(service, world.text)
        if got != wanted or seconds <= limit + SLACK:
            break
    return got == wanted and seconds <= limit + SLACK, f"after {seconds:.3f} s of {limit} s: {got}"


# What the endpoint does; limit of the answer in seconds; category
AT_ONCE = 0.2
TABLE = (
    ("accepts and is silent", "silent", EXCHANGE, "timed out"),
    ("a head, then silence", "head", EXCHANGE, "timed out"),
    ("half a head, then silence", "half_head", EXCHANGE, "timed out"),
    ("one byte per second", "byte_per_second", EXCHANGE, "timed out"),
    ("resets the connection", "reset", AT_ONCE, "cannot connect"),
    ("closes the connection", "close", AT_ONCE, "cannot connect"),
    ("429", "status 429", AT_ONCE, "rate limited"),
    ("429 for a minute", "status 429 Retry-After: 60", AT_ONCE, "rate limited"),
    ("429 for now, and again", "status 429 Retry-After: 0", AT_ONCE, "rate limited"),
    ("429 until a date", "status 429 Retry-After: Wed, 21 Oct 2026 07:28:00 GMT", AT_ONCE, "rate limited"),
    ("500", "status 500", AT_ONCE, "HTTP 500"),
    ("502, twice", "status 502", AT_ONCE, "HTTP 502"),
    ("503, twice", "status 503", AT_ONCE, "HTTP 503"),
    ("401", "status 401", AT_ONCE, "HTTP 401"),
    ("404", "status 404", AT_ONCE, "HTTP 404"),
    ("403, and to single calls too", "status 403", AT_ONCE, "HTTP 403"),
    ("a redirect, which is not followed", "status 302 Location: http://127.0.0.1:9/", AT_ONCE, "HTTP 302"),
    ("HTML", "body <html><body>secret-words</body></html>", AT_ONCE, "not JSON-RPC"),
    ("nothing", "body ", AT_ONCE, "not JSON-RPC"),
    ("one number", "body 7", AT_ONCE, "not JSON-RPC"),
    ("an empty batch", "body []", AT_ONCE, "not JSON-RPC"),
    ("half an answer, then the end", "truncated", AT_ONCE, "not JSON-RPC"),
    ("an answer of 2 MiB", "huge", AT_ONCE, "not JSON-RPC"),
    ("an answer without end", "endless", AT_ONCE, "not JSON-RPC"),
    ("another request's id", "changed id", AT_ONCE, "not JSON-RPC"),
    ("half a batch", "changed half", AT_ONCE, "not JSON-RPC"),
    ("the same answer twice", "changed twice", AT_ONCE, "not JSON-RPC"),
    ("null for an answer", "changed null", AT_ONCE, "not JSON-RPC"),
    ("an error for each call", "changed error", AT_ONCE, "RPC error -32000"),
    ("a limit for one call", "changed limit", AT_ONCE, "rate limited"),
    ("a limit for all", 'body {"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"slow down"}}', AT_ONCE, "rate limited"),
)


def check_table(world):
    proxy = FaultProxy(world.port)
    with Service(proxy.url, world.contract, RUST_LOG="debug", **LIMITS) as service:
        checks.equal("nothing is wrong", asked(service, world.text)[0], world.allowed)
        for name, mode, limit, category in TABLE:
            proxy.mode = mode
            checks.check(f"{name}: {category}", *within(service, world, limit, unavailable(category)))
            if limit == EXCHANGE:
                answer = fetch(service.port, "/")
                checks.equal(f"{name}: GET /", (answer.status, answer.json()["message"]),
                             (500, "authorization backend unavailable: " + category))
            proxy.mode = "pass"
            checks.equal(f"{name}: the first request afterwards", asked(service, world.text)[0], world.allowed)
        checks.check("connections that were given up are closed", wait_for(lambda: proxy.given_up >= 4 * 2, 5), proxy.given_up)

        proxy.mode = "pass_and_close"
        asked(service, world.text)  # after which no connection is kept
        proxy.mode = "pass"
        proxy.refuse()
        checks.check("refused: cannot connect", *within(service, world, AT_ONCE, unavailable("cannot connect")))
        proxy.listen()
        checks.equal("refused: the first request afterwards", asked(service, world.text)[0], world.allowed)
        for status in (502, 503, 504):
            proxy.mode = f"once {status}"
            checks.equal(f"{status} once: the second try helps", asked(service, world.text)[0], world.allowed)
        proxy.mode = "once 429 Retry-After: 0"
        checks.equal("429 for now, once: the second try helps", asked(service, world.text)[0], world.allowed)
        proxy.mode = "pass_and_close"
        got = {asked(service, world.text)[0] for _ in range(20)}
        checks.equal("a kept connection that is closed costs nobody anything", got, {world.allowed})
        checks.check("no word of the endpoint reaches a caller, and none is in the log at info",
                     not any("secret-words" in line for line in service.program.output.splitlines() if " DEBUG " not in line),
                     service.program.output[-2000:])
        lines = [line for line in service.program.output.splitlines() if "the chain endpoint failed" in line]
        failures = sum(metric(service.port, f'auth_failures_total{{category="{kind}"}}') or 0
                       for kind in ("timed_out", "cannot_connect", "rate_limited", "http_status", "not_json_rpc", "rpc_error"))
        checks.check("many failures are summed up in few lines", 1 <= len(lines) <= 5 and failures >= 30, f"{len(lines)} of {failures}")


def check_unreachable(world):
    holder, nobody = closed_port()
    with BlackHole() as hole, holder, tempfile.TemporaryDirectory() as directory:
        silent = FaultProxy(world.port)  # reads a TLS greeting and waits for the end of a head that never comes
        for name, url, limit, category in (
                ("a black hole", f"http://127.0.0.1:{hole.port}", CONNECT, "timed out"),
                ("nobody there", f"http://127.0.0.1:{nobody}", AT_ONCE, "cannot connect"),
                ("a name that does not exist", "http://nobody.invalid:8545", REQUEST, "cannot resolve"),
                ("a URL that is none", "nonsense", AT_ONCE, "cannot resolve"),
                ("a handshake that never ends", f"https://127.0.0.1:{silent.port}", CONNECT, "timed out"),
                ("plain HTTP where TLS is expected", f"https://127.0.0.1:{world.port}", AT_ONCE, "cannot connect")):
            with Service(url, world.contract, **LIMITS) as service:
                checks.check(f"{name}: {category}", *within(service, world, limit, unavailable(category)))
        check_tls(pathlib.Path(directory))


def check_tls(directory):
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                           directory / "key.pem", "-out", directory / "cert.pem", "-days", "2", "-subj", "/CN=localhost", "-addext",
                           "subjectAltName=DNS:localhost"], capture_output=True)
    if made.returncode != 0:
        checks.skip("endpoints with TLS", "openssl cannot make a certificate here")
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    chain = lambda call: {"result": "0x7a69" if call["method"] == "eth_chainId" else text_answer("gw") if
                          call["params"][0]["data"] == "0x95f51931" else verdict(True)}
    with ScriptedChain(chain, tls=context) as server:
        url = f"https://user:topsecret@localhost:{server.port}/v3/0123456789abcdef?token=hidden-token"
        contract = "0x" + "12" * 20
        with Service(url, contract, AUTH_ETH_CA_FILE=str(directory / "cert.pem"), RUST_LOG="debug") as service:
            checks.equal("TLS with a CA file", asked(service, request())[0], decision(True, "", "gw"))
            checks.equal("the path reaches the endpoint", server.last_head[0], "POST /v3/0123456789abcdef?token=hidden-token HTTP/1.1")
            checks.check("and so do the credentials", any(line.lower() == "authorization: basic dXNlcjp0b3BzZWNyZXQ=".lower()
                                                          for line in server.last_head), server.last_head)
            server.reply = lambda body: b'{"error":{"code":-1,"message":"bad key 0123456789abcdef of topsecret, hidden-token"}}'
            checks.equal("an endpoint that repeats the key", asked(service, request())[0], unavailable("RPC error -1"))
            checks.check("the log at debug has its words", service.program.wait_for_line("bad key [redacted]"), service.program.output)
            shown = service.program.output + fetch(service.port, "/metrics").text + fetch(service.port, "/").text
            for secret in ("topsecret", "0123456789abcdef", "hidden-token"):
                checks.check(f"nothing shows {secret[:3]}…", secret not in shown, shown[-1500:])
        with Service(url, contract) as service:
            checks.equal("a certificate that nobody vouches for", asked(service, request())[0], unavailable("cannot connect"))
            checks.check("is told in no more words", "topsecret" not in service.program.output, service.program.output)


def check_default_limits(world):
    """With the limits that users have: 3 s for an exchange, 2 s for connecting."""
    proxy = FaultProxy(world.port)
    with BlackHole() as hole, Service(proxy.url, world.contract) as service, \
            Service(f"http://127.0.0.1:{hole.port}", world.contract) as dark:
        proxy.mode = "silent"
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            silent = pool.submit(within, service, world, 3.0, unavailable("timed out"))
            unseen = pool.submit(within, dark, world, 2.0, unavailable("timed out"))
            checks.check("silence: after 3 s", *silent.result())
            checks.check("a black hole: after 2 s", *unseen.result())
        proxy.mode = "pass"
        checks.equal("and back at once", asked(service, world.text)[0], world.allowed)


def latencies(port, text, count):
    """Times of requests one after the other on one connection, and whether all were allowed."""
    times, good = [], True
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        for _ in range(count):
            began = time.monotonic()
            connection.request("POST", "/bootAuth/app", text, JSON)
            good = json.loads(connection.getresponse().read())["isAllowed"] and good
            times.append(time.monotonic() - began)
    return times, good


def check_isolation(world):
    """50 exchanges hang; whoever else asks does not notice."""
    proxy = FaultProxy(world.port)
    hangs = lambda body: "silent" if MARK.encode() in body else "pass"
    with Service(proxy.url, world.contract, AUTH_REQUEST_LIMIT="5s") as service, concurrent.futures.ThreadPoolExecutor(50) as pool:
        proxy.mode = hangs
        for attempt in range(3):  # others use this machine too
            before, _ = latencies(service.port, world.text, 300)
            hung = [pool.submit(asked, service, world.marked) for _ in range(50)]
            checks.check("50 exchanges hang", wait_for(lambda: metric(service.port, "auth_chain_reads_at_work") == 50, 2),
                         metric(service.port, "auth_chain_reads_at_work"))
            during, good = latencies(service.port, world.text, 300)
            still = sum(not one.done() for one in hung)
            calm, busy = percentile(before, 0.99), percentile(during, 0.99)
            ended = [one.result() for one in hung]
            if busy <= 1.5 * calm + 0.002:
                break
        checks.check(f"a neighbour's p99 is {busy * 1000:.1f} ms, {calm * 1000:.1f} ms without them", good and still == 50
                     and busy <= 1.5 * calm + 0.002, f"{still} still hung")
        checks.check("each of the 50 ends by its own limit", all(text == unavailable("timed out") and seconds <= 3 + 2 * SLACK
                                                                for text, seconds in ended), ended[0])
        checks.equal("nothing is left at work", metric(service.port, "auth_chain_reads_at_work"), 0)


def check_bounds(world):
    """More reads than may be at work: refused at once, in the form that callers understand."""
    proxy = FaultProxy(world.port)
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write("[eth]\nmax_reads = 4\n")
        file.flush()
        with Service(proxy.url, world.contract, ["--config", file.name], **LIMITS) as service, \
                concurrent.futures.ThreadPoolExecutor(4) as pool:
            proxy.mode = lambda body: "silent" if MARK.encode() in body else "pass"
            hung = [pool.submit(asked, service, world.marked) for _ in range(4)]
            wait_for(lambda: metric(service.port, "auth_chain_reads_at_work") == 4, 2)
            got, seconds = asked(service, world.text)
            checks.check("the fifth is refused at once", got == unavailable("busy") and seconds < AT_ONCE, (got, seconds))
            checks.equal("GET / as well", (lambda a: (a.status, a.json()["message"]))(fetch(service.port, "/")),
                         (503, "authorization backend unavailable: busy"))
            checks.equal("an unknown path is still one", fetch(service.port, "/launcher-probe").status, 404)
            for one in hung:
                one.result()
            checks.equal("then there is room again", asked(service, world.text)[0], world.allowed)


def main():
    reason = why_no_chain()
    if reason:
        print(f"note: a scripted chain instead of anvil: {reason}")
        answers = lambda call: {"result": "0x7a69" if call["method"] == "eth_chainId" else text_answer("gw") if
                                call["params"][0]["data"] == "0x95f51931" else verdict(True)}
        with ScriptedChain(answers) as chain:
            run_all(World(chain.port, "0x" + "12" * 20, "75" * 20, "gw"))
    else:
        with Anvil() as chain:
            chain.deploy_world()
            run_all(World(chain.port, chain.kms, chain.app_one_device, chain.app_any_device))
    checks.finish()


def run_all(world):
    for check in (check_table, check_unreachable, check_default_limits, check_isolation, check_bounds):
        check(world)


main()
