#!/usr/bin/env python3
"""HTTP/2: chosen by ALPN, the recorded exchanges answered alike, streams side by side, floods turned away, sessions resumed."""
import hashlib
import json
import pathlib
import re
import socket
import ssl
import struct
import subprocess
import tempfile
import time

import test_kms_http_vectors as vectors
from harness import SHARED, Checks
from kms_server import Kms, configuration, connect, metric, read_response, tls_context

checks = Checks()
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CLEAN_TARGET = re.compile(r"/[A-Za-z0-9/?&=._~!$'()*+,;:@%\[\]-]*")
# What HTTP/2 has no form for, or curl cannot send as it is.
NOT_SENT = ("transfer-encoding", "expect", "connection", "upgrade", "te")
CURL_LIMIT_SECONDS = 60


def as_http2(case):
    """(method, target, [(name, value)], body) of a recorded request; None when HTTP/2 has no form for it."""
    raw = vectors.request_bytes(case)
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or words[2] != "HTTP/1.1" or not CLEAN_TARGET.fullmatch(words[1]) or words[0] == "CONNECT":
        return None
    headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:] if ":" in line]
    named = {name.lower(): value for name, value in headers}
    if len(headers) != len(lines) - 1 or len(named) != len(headers) or len(head) > 60_000 or len(headers) > 90:
        return None
    if any(name in named for name in NOT_SENT) or named.get("content-length", "0") != str(len(body)):
        return None
    return words[0], words[1], [(n, v) for n, v in headers if n.lower() != "content-length"], body


def curl_config(port, folder, requests):
    """One curl for all: the same connection, one request after another, each answer in files of its own."""
    quote = lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    blocks = []
    for index, (method, target, headers, body) in enumerate(requests):
        lines = ["insecure", "http2", "silent", "globoff", "path-as-is", f"url = {quote(f'https://127.0.0.1:{port}{target}')}",
                 f"output = {quote(f'{folder}/{index}.body')}", f"dump-header = {quote(f'{folder}/{index}.head')}",
                 "max-time = 30"]
        lines.append("head" if method == "HEAD" else f"request = {quote(method)}")
        if body or method == "POST":
            (folder / f"{index}.data").write_bytes(body)
            if method != "HEAD":
                lines.append(f"data-binary = {quote(f'@{folder}/{index}.data')}")
        names = {name.lower() for name, _ in headers}
        headers = headers + [(name, "") for name in ("Accept", "User-Agent", "Content-Type") if name.lower() not in names]
        lines += [f"header = {quote(f'{name}: {value}' if value else name + ':')}" for name, value in headers]
        blocks.append("\n".join(lines))
    return "\nnext\n".join(blocks) + "\n"


def answer_of(folder, index):
    """(protocol, status, headers, body); None when there is none."""
    head_file, body_file = folder / f"{index}.head", folder / f"{index}.body"
    if not head_file.exists() or not head_file.stat().st_size:
        return None
    lines = head_file.read_bytes().decode("latin1").strip().split("\r\n")
    protocol, status = lines[0].split()[:2]
    headers = {line.split(":", 1)[0].lower(): line.split(":", 1)[1].strip() for line in lines[1:] if ":" in line}
    return protocol, int(status), headers, body_file.read_bytes() if body_file.exists() else b""


def compare(case, answer):
    """What differs from the recording, as a sentence; None when nothing does."""
    if answer is None:
        return "no answer"
    protocol, status, headers, body = answer
    if protocol != "HTTP/2":
        return f"answered with {protocol}"
    head_only = case["request"]["head"].startswith("HEAD ")
    difference = vectors.difference_of(case["name"])
    if difference:
        ok = status == difference[1] and (difference[2] in body or head_only)
        return None if ok else f"{status} {body[:200]!r}, wanted {difference[1]} with {difference[2]!r}"
    wanted_status, wanted_headers, wanted_body = vectors.recorded(case)
    if status != wanted_status:
        return f"status {status}, recorded {wanted_status}; {body[:200]!r}"
    if headers.get("content-type") != wanted_headers.get("content-type"):
        return f"content type {headers.get('content-type')}, recorded {wanted_headers.get('content-type')}"
    if vectors.framework_headers(headers) != vectors.framework_headers(wanted_headers):
        return f"headers {vectors.framework_headers(headers)}"
    if head_only:
        return None  # curl writes the head as the body
    public_key = "GetAppEnvEncryptPubKey" in case["request"]["head"] and status == 200
    ours = vectors.comparable(body, headers.get("content-type"), public_key)
    theirs = vectors.comparable(wanted_body, wanted_headers.get("content-type"), public_key)
    return None if ours == theirs else f"body {ours!r:.300}, recorded {theirs!r:.300}"


def recorded_exchanges(port):
    if not vectors.VECTORS.exists():
        checks.skip("recorded exchanges over HTTP/2", f"{vectors.VECTORS} is not here")
        return
    cases = [case for case in json.loads(vectors.VECTORS.read_text())["cases"] if as_http2(case) and not case["name"].startswith("bad/")]
    checks.check("most recorded exchanges have a form in HTTP/2", len(cases) > 200, len(cases))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "curl").write_text(curl_config(port, folder, [as_http2(case) for case in cases]), encoding="latin1")
        subprocess.run(["curl", "-q", "-K", folder / "curl"], timeout=CURL_LIMIT_SECONDS, stdout=subprocess.DEVNULL)
        for index, case in enumerate(cases):
            problem = compare(case, answer_of(folder, index))
            checks.check("h2 " + case["name"], problem is None, problem)


def alpn(port, offered):
    context = tls_context()
    if offered:
        context.set_alpn_protocols(offered)
    try:
        with connect(port, context) as connection:
            return connection.selected_alpn_protocol()
    except ssl.SSLError as failure:
        return f"refused: {failure}"


def negotiation(port):
    checks.equal("h2 is preferred whatever the client's order", alpn(port, ["http/1.1", "h2"]), "h2")
    checks.equal("a client that only knows HTTP/1.1 gets it", alpn(port, ["http/1.1"]), "http/1.1")
    checks.equal("a client without ALPN is not refused", alpn(port, []), None)
    refused = alpn(port, ["spdy/3"])
    checks.check("no protocol in common: alert 120", "no application protocol" in str(refused).lower(), refused)


def side_by_side(port):
    url = f"https://127.0.0.1:{port}/prpc/KMS.GetMeta?json&n=[1-200]"
    done = subprocess.run(["curl", "-q", "-sk", "--http2", "-Z", "--parallel-max", "100", "-o", "/dev/null", "-w",
                           "%{http_version} %{http_code}\n", url], timeout=CURL_LIMIT_SECONDS, capture_output=True, text=True)
    lines = done.stdout.split("\n")[:-1]
    checks.equal("200 requests side by side are answered", (len(lines), set(lines)), (200, {"2 200"}))


def large_body(port):
    with tempfile.NamedTemporaryFile() as file:
        file.write(b'{"app_id":"' + b"ab" * 2_000_000 + b'"}')
        file.flush()
        for limit, wanted in (("GetAppEnvEncryptPubKey", "2 200"), ("GetMeta", "2 400")):
            done = subprocess.run(["curl", "-q", "-sk", "--http2", "--data-binary", f"@{file.name}", "-o", "/dev/null", "-w",
                                   "%{http_version} %{http_code}", f"https://127.0.0.1:{port}/prpc/{limit}?json"],
                                  timeout=CURL_LIMIT_SECONDS, capture_output=True, text=True)
            checks.equal(f"a body of 4 MB to {limit}", done.stdout, wanted)


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def read_to_end(connection, seconds):
    got, limit = b"", time.monotonic() + seconds
    try:
        while time.monotonic() < limit:
            connection.settimeout(max(0.01, limit - time.monotonic()))
            piece = connection.recv(65536)
            if not piece:
                break
            got += piece
    except OSError:
        pass
    return got


def floods(port):
    """HEADERS of GET / by static table entries (RFC 7541): 0x82 :method GET, 0x87 :scheme https, 0x84 :path /, 0x41 :authority."""
    headers = b"\x82\x87\x84\x41\x01k"
    rapid_reset = b"".join(frame(1, 5, 2 * i + 1, headers) + frame(3, 0, 2 * i + 1, struct.pack("!I", 8)) for i in range(400))
    attacks = {"rapid reset": rapid_reset, "pings": frame(6, 0, 0, b"12345678") * 1500, "settings": frame(4, 0, 0) * 1500,
               "empty DATA": frame(1, 4, 1, headers) + frame(0, 0, 1) * 1500}
    before = metric(port, "dstack_kms_http2_floods_total")
    for name, attack in attacks.items():
        context = tls_context()
        context.set_alpn_protocols(["h2"])
        with connect(port, context) as connection:
            try:
                connection.sendall(PREFACE + frame(4, 0, 0) + attack)
            except OSError:
                pass  # closed while we were still sending
            read_to_end(connection, 5)
            counted = metric(port, "dstack_kms_http2_floods_total") - before
            checks.equal(f"{name}: ended and counted", counted, 1)
            before += counted


def resumed_answer(port, version, certificate, key):
    """Two connections of one client; whether the second resumed, and both answers to GetAppKey."""
    context = tls_context(certificate, key)
    context.minimum_version = context.maximum_version = version
    request = b"POST /prpc/GetAppKey?json HTTP/1.1\r\nHost: k\r\nContent-Length: 0\r\n\r\n"
    answers, session = [], None
    for _ in range(2):
        raw = socket.create_connection(("127.0.0.1", port), timeout=5)
        with context.wrap_socket(raw, session=session) as connection:
            connection.sendall(request)
            answers.append(read_response(connection, b"", False, time.monotonic() + 5)[0].body)
            session, reused = connection.session, connection.session_reused
    return reused, answers


def resumption(port):
    recorded, certificates = SHARED / "kms/peer/attested_E.json", SHARED / "kms/peer/client_certs.json"
    if not recorded.exists():
        checks.skip("resumption keeps the client's certificate", f"{recorded} is not here")
        return
    pairs = json.loads(certificates.read_text())
    cases = json.loads(recorded.read_text())["cases"]
    pair = next(pairs[case["client_cert"]] for case in cases if "BEGIN" in pairs.get(case.get("client_cert"), {}).get("cert_pem", ""))
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = pathlib.Path(folder) / "c.pem", pathlib.Path(folder) / "k.pem"
        certificate.write_text(pair["cert_pem"])
        key.write_text(pair["key_pem"])
        for name, version in (("TLS 1.3", ssl.TLSVersion.TLSv1_3), ("TLS 1.2", ssl.TLSVersion.TLSv1_2)):
            reused, answers = resumed_answer(port, version, certificate, key)
            checks.check(f"{name}: the second connection resumes the first", reused)
            checks.check(f"{name}: the resumed one keeps the certificate's verdict",
                         answers[0] == answers[1] and b"No attestation provided" not in answers[0], answers)
    checks.check("resumed handshakes are counted", metric(port, "dstack_kms_tls_resumed_total") >= 2)


def main():
    token_hash = hashlib.sha256(b"peer-admin-token").hexdigest()
    with Kms(configuration(core=f'admin_token_hash = "{token_hash}"', rpc="limits = { GetMeta = \"1MiB\" }")) as kms:
        if not checks.check("the KMS becomes ready", kms.ready(), kms.program.output[-2000:]):
            checks.finish()
        for promise in (negotiation, recorded_exchanges, side_by_side, large_body, floods, resumption):
            promise(kms.port)
        checks.check("the KMS lives", kms.program.process.poll() is None)
        checks.equal("SIGTERM ends it with 0", kms.program.stop(), 0)
    checks.finish()


if __name__ == "__main__":
    main()
