#!/usr/bin/env python3
"""auth-eth's memory over a hundred thousand faults of its chain endpoint: what fails leaves nothing behind."""
import concurrent.futures
import contextlib
import multiprocessing
import pathlib
import re
import selectors
import socket
import time

from auth_fixture import ready, request, start
from harness import Checks, fetch, free_ports

FAULTS = 100_000
WARM_UP = 20_000  # after which every kind of fault has been seen often
BUDGET = 50.0  # seconds; a busy machine does fewer faults, and says so
AT_A_TIME = 50
CONNECTIONS = 20
LIMITS = dict(AUTH_ETH_EXCHANGE_LIMIT="50ms", AUTH_ETH_CONNECT_LIMIT="50ms", AUTH_REQUEST_LIMIT="1s")
REFUSED = b'"isAllowed":false'

checks = Checks()


def whole(status, body, extra=""):
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{extra}\r\n{body}".encode()


# One after the other; CLOSE ends the connection, SILENT leaves it without an answer.
CLOSE, SILENT = b"", None
ANSWERS = [whole(500, "no"), whole(200, "<html>"), whole(429, ""), whole(200, '[{"jsonrpc":"2.0","id":1,"result":"0x1"}]'),
           whole(200, " " * 20_000), CLOSE, whole(502, "", "Connection: close\r\n"), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[",
           whole(200, '{"error":{"code":-32005,"message":"slow down"}}'), b"nonsense\r\n\r\n"] * 50 + [SILENT]


def run_mill(listener, served):
    """Answers every request with the next fault, as fast as one process can."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            connection = key.fileobj
            if connection is listener:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(connection, selectors.EVENT_READ)
                continue
            # One request is one piece here: it is small, and its sender writes it at once.
            answer = CLOSE
            with contextlib.suppress(OSError):
                if connection.recv(65536):
                    answer = ANSWERS[served.value % len(ANSWERS)]
                    served.value += 1
                    if answer:
                        connection.sendall(answer)
            # What is half an answer ends here, too: its rest will never come.
            if answer == CLOSE or (answer and not answer.startswith(b"HTTP")) or (answer and answer.endswith(b"[")):
                selector.unregister(connection)
                connection.close()


def pour(port, text, count):
    """Sends that many requests on one connection, some at a time; how many answers said "not allowed"."""
    one = (f"POST /bootAuth/app HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}").encode()
    refused = 0
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.settimeout(30)
        for _ in range(count // AT_A_TIME):
            connection.sendall(one * AT_A_TIME)
            data = b""
            while data.count(REFUSED) < AT_A_TIME:
                piece = connection.recv(65536)
                if not piece:
                    return refused
                data += piece
            refused += data.count(REFUSED)
    return refused


def memory_of(pid):
    """KiB."""
    return int(re.search(r"VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def descriptors_of(pid):
    return len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))


def check_memory(mill_port, served):
    port, = free_ports(1)
    text = request()
    began = time.monotonic()
    with start(port, f"http://127.0.0.1:{mill_port}", "0x" + "12" * 20, RUST_LOG="info,auth::webhook=error", **LIMITS) as service, \
            concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        checks.check("auth-eth starts", ready(service), service.output)

        def faults(count):
            return sum(pool.map(lambda _: pour(port, text, count // CONNECTIONS), range(CONNECTIONS)))

        total = faults(WARM_UP)
        asked = WARM_UP
        early, open_early = memory_of(service.pid), descriptors_of(service.pid)
        while asked < FAULTS and time.monotonic() - began < BUDGET:
            total += faults(4000)
            asked += 4000
        late, open_late = memory_of(service.pid), descriptors_of(service.pid)
        if asked < FAULTS:
            checks.skip(f"{FAULTS} faults", f"this machine does {asked} in {BUDGET:.0f} s")
        checks.equal(f"{asked} faults: every one was a refusal", total, asked)
        checks.check("most of them were asked of the endpoint", served.value > 0.8 * asked, served.value)
        checks.check(f"memory after {WARM_UP} faults {early} KiB, after {asked} {late} KiB", late - early <= 1024, late - early)
        checks.check("and small", late <= 24 * 1024, late)
        # Kept connections come and go; at most one for each of ours is added.
        checks.check(f"descriptors {open_early}, then {open_late}", open_late - open_early <= CONNECTIONS, open_late)
        lines = [line for line in service.output.splitlines() if "the chain endpoint failed" in line]
        checks.check(f"{len(lines)} log lines for all of them", 1 <= len(lines) <= 2 + (time.monotonic() - began) / 10, lines[:3])
        kinds = {line.split('"')[1] for line in fetch(port, "/metrics").text.splitlines()
                 if line.startswith("auth_failures_total{") and float(line.split()[-1]) > 0}
        wanted = {"timed_out", "rate_limited", "http_status", "not_json_rpc", "cannot_connect"}
        checks.check("of every kind", wanted <= kinds, kinds)


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    served = multiprocessing.get_context("fork").Value("Q", 0, lock=False)
    mill = multiprocessing.get_context("fork").Process(target=run_mill, args=(listener, served), daemon=True)
    mill.start()
    try:
        check_memory(listener.getsockname()[1], served)
    finally:
        mill.terminate()
        mill.join(5)
    checks.finish()


main()
