#!/usr/bin/env python3
"""The recorded exchanges of the original, played to dstack-kms: status, headers, content type and body are the same.

What differs by key or time is compared by structure; what differs on purpose is in the table DIFFERENCES with its reason.
"""
import base64
import hashlib
import json
import re
import socket
import time

from harness import SHARED, Checks
from kms_server import Kms, configuration, connect, exchange, read_response

checks = Checks()
VECTORS = SHARED / "kms/peer/http_E.json"
CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\\n\s]*?-----END CERTIFICATE-----(\\n|\n)")
OURS_IN_PUBLIC_KEY = re.compile(rb',"timestamp":\d+,"signature_v1":"[0-9a-f]{130}"\}$')

# Pattern of the case's name → (status, words in the body, why). Sections are of the protocol's specification.
DIFFERENCES = [
    (r"json/SignCert/(ver1|ver2|v1-.*|v2-.*)", 400, b"Failed to parse csr\\n\\nCaused by:", "the parser's own words come last (6.6)"),
    (r"path/health(/accept-json)?", 200, b"OK", "an extra of ours (1.1, 13)"),
    (r"path/metrics(/accept-json)?", 200, b"# HELP dstack_kms_attestation_requests_total", "an extra of ours (1.9, 13)"),
    (r"form-method", 400, b"expected value", "a body does not override the verb (1.8)"),
    (r"form-method-put", 400, b"expected value", "a body does not override the verb (1.8)"),
    (r"chunked/(bad|get-meta-bad)", 400, b"failed to read data\\n\\nCaused by:\\n    0: failed to read data\\n    1: error reading a body",
     "the parser's own words come last (1.8)"),
    (r"headers/4[02]0KB", 431, b"", "a header field has at most 64 KiB (1.8)"),
    (r"http11-lf-only", 400, b"", "lines end with CR LF (1.7; RFC 9112 section 2.2 leaves it open)"),
    (r"bad/cl-and-te", 400, b"", "two lengths are refused, as RFC 9112 section 6.3 advises (1.7)"),
]


def request_bytes(case):
    head = re.sub(r"<a x (\d+)>", lambda m: "a" * int(m.group(1)), case["request"]["head"])
    body = case["request"].get("body") or {}
    if "hex" in body:
        content = bytes.fromhex(body["hex"])
    elif "text" in body:
        content = body["text"].encode()
    else:
        size = int(case["request"]["body_note"].split()[0])
        exact = size - (1 if size == 10485761 else 0)  # "as before plus one more space"
        shell = b'{"app_id":""}'
        content = b'{"app_id":"' + b"0" * ((exact - len(shell)) // 2 * 2) + b'"}'
        content += b" " * (size - len(content))
    return head.encode("latin1") + content


def recorded(case):
    """Status, headers and body of the final recorded answer."""
    raw = base64.b64decode(case["response_raw_base64"])
    head, _, body = raw.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    lines = head.decode("latin1").split("\r\n")
    headers = {line.split(":", 1)[0].lower(): line.split(":", 1)[1].strip() for line in lines[1:]}
    if headers.get("transfer-encoding") == "chunked":
        size, _, body = body.partition(b"\r\n")
        body = body[:int(size, 16)]
    elif "content-length" in headers:
        body = body[:int(headers["content-length"])]
    return int(lines[0].split()[1]), headers, body


def protobuf_fields(body):
    """[(number, wire type, value)] of a message without nested ones."""
    fields, at = [], 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = body[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(body):
        key = varint()
        if key & 7 == 0:
            fields.append((key >> 3, 0, varint()))
        else:
            size = varint()
            fields.append((key >> 3, 2, body[at:at + size]))
            at += size
    return fields


def comparable(body, content_type, public_key_answer):
    """The body without what differs from run to run, and without the two fields that later versions add (6.5)."""
    if content_type == "text/html; charset=utf-8":
        return "any page"
    if content_type == "application/octet-stream":
        fields = protobuf_fields(body)
        if public_key_answer:
            fields = [field for field in fields if field[0] <= 2]
        return [(n, t, CERTIFICATE.sub(b"<certificate>", v) if t == 2 else v) for n, t, v in fields]
    if public_key_answer:
        body = OURS_IN_PUBLIC_KEY.sub(b"}", body)
    return CERTIFICATE.sub(b"<certificate>", body)


def difference_of(name):
    return next((row for row in DIFFERENCES if re.fullmatch(row[0], name)), None)


def framework_headers(headers):
    """The names that every answer of the framework has, present or not."""
    names = ("server", "x-content-type-options", "x-frame-options", "permissions-policy", "x-app-version")
    return {name: (headers.get(name) if name != "x-app-version" else name in headers) for name in names}


def replay(port, case):
    name = case["name"]
    head_only = case["request"]["head"].startswith("HEAD ")
    got = exchange(port, request_bytes(case), head_only=head_only, timeout=30)
    if got is None:
        return "no answer"
    headers = dict(got.headers)
    difference = difference_of(name)
    if difference:
        ok = got.status == difference[1] and difference[2] in got.body
        return None if ok else f"{got.status} {got.body[:200]!r}, wanted {difference[1]} with {difference[2]!r}"
    status, wanted_headers, wanted_body = recorded(case)
    if got.status != status:
        return f"status {got.status}, recorded {status}; {got.body[:200]!r}"
    if headers.get("content-type") != wanted_headers.get("content-type"):
        return f"content type {headers.get('content-type')}, recorded {wanted_headers.get('content-type')}"
    if framework_headers(headers) != framework_headers(wanted_headers):
        return f"headers {framework_headers(headers)}, recorded {framework_headers(wanted_headers)}"
    if wanted_headers.get("connection") and headers.get("connection") != wanted_headers["connection"]:
        return f"connection {headers.get('connection')}, recorded {wanted_headers['connection']}"
    public_key = "GetAppEnvEncryptPubKey" in case["request"]["head"] and status == 200
    content_type = headers.get("content-type")
    ours, theirs = comparable(got.body, content_type, public_key), comparable(wanted_body, content_type, public_key)
    return None if ours == theirs else f"body {ours!r:.400}, recorded {theirs!r:.400}"


def pipelined(port, case):
    """Two requests in one write get two answers on one connection, in order."""
    with connect(port) as connection:
        connection.sendall(request_bytes(case))
        first, rest = read_response(connection, b"", False, time.monotonic() + 10)
        second, _ = read_response(connection, rest, False, time.monotonic() + 10)
        strip = lambda r: re.sub(rb'"timestamp":\d+,"signature_v1":"\w+"', b"", r.body)
        checks.check("pipelined: both are answered alike", first.status == second.status == 200 and strip(first) == strip(second))


def head_has_the_length_of_get(port):
    get = exchange(port, b"GET /prpc/GetMeta HTTP/1.1\r\nHost: k\r\n\r\n")
    head = exchange(port, b"HEAD /prpc/GetMeta HTTP/1.1\r\nHost: k\r\n\r\n", head_only=True)
    checks.equal("HEAD has the Content-Length of GET", head.header("content-length"), get.header("content-length"))


def main():
    if not VECTORS.exists():
        checks.skip("recorded exchanges", f"{VECTORS} is not here")
        checks.finish()
    cases = json.loads(VECTORS.read_text())["cases"]
    token_hash = hashlib.sha256(b"peer-admin-token").hexdigest()
    with Kms(configuration(core=f'admin_token_hash = "{token_hash}"')) as kms:
        if not checks.check("the KMS becomes ready", kms.ready(), kms.program.output[-2000:]):
            checks.finish()
        for case in cases:
            try:
                problem = replay(kms.port, case)
            except (OSError, socket.timeout, ValueError) as failure:
                problem = repr(failure)
            difference = difference_of(case["name"])
            checks.check(case["name"] + (f" (differs on purpose: {difference[3]})" if difference else ""), problem is None, problem)
            if case["name"] == "pipelined":
                pipelined(kms.port, case)
        head_has_the_length_of_get(kms.port)
        checks.check("the KMS lives", kms.program.process.poll() is None)
        checks.equal("SIGTERM ends it with 0", kms.program.stop(), 0)
    checks.finish()


if __name__ == "__main__":
    main()
