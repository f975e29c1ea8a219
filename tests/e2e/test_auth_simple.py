#!/usr/bin/env python3
"""auth-eth with a policy file: routes, bad input, reload, start and stop, over real sockets."""
import http.client
import json
import os
import pathlib
import signal
import socket
import tempfile

from harness import BIN, ROOT, Checks, Program, fetch, free_ports, wait_for

AUTH = (BIN / "auth-eth").resolve()  # scripts run it in directories of their own
JSON = {"Content-Type": "application/json"}
checks = Checks()


def body(**changes):
    """A request that POLICY allows for both questions; None leaves a member out."""
    members = {"teeVariant": "dstack-tdx", "mrAggregated": "b1" * 32, "osImageHash": "a1" * 32, "mrSystem": "f1" * 32,
               "appId": "75" * 20, "composeHash": "d1" * 32, "instanceId": "44" * 20, "deviceId": "e1" * 32,
               "keyProviderInfo": "7b7d", "tcbStatus": "UpToDate", "advisoryIds": []} | changes
    return json.dumps({name: value for name, value in members.items() if value is not None})


def policy(gateway):
    return json.dumps({"gatewayAppId": gateway, "kmsContractAddr": "0xKms", "chainId": 31337, "appImplementation": "0xApp",
                       "osImages": ["0x" + "A1" * 32], "kms": {"mrAggregated": ["b1" * 32]},
                       "apps": {"75" * 20: {"composeHashes": ["d1" * 32], "devices": ["e1" * 32]}}})


def decision(allowed, reason, gateway):
    return json.dumps({"isAllowed": allowed, "reason": reason, "gatewayAppId": gateway}, separators=(",", ":"))


def refused(detail):
    return decision(False, "invalid authorization request: " + detail, "")


def start(directory, port, **env):
    """auth-eth on this port with an environment of its own."""
    clean = {name: "" for name in ("ETH_RPC_URL", "KMS_CONTRACT_ADDR", "AUTH_BACKEND", "AUTH_CONFIG_PATH", "RUST_LOG")}
    return Program([AUTH], env=clean | {"PORT": str(port)} | env, cwd=directory)


def ready(service):
    return service.wait_for_line("Server listening at")


def post(port, text, path="/bootAuth/app", headers=None):
    return fetch(port, path, text if isinstance(text, bytes) else text.encode(), headers=JSON if headers is None else headers)


def expect(name, answer, status, text):
    checks.equal(name, (answer.status, answer.text), (status, text))


def check_routes(port):
    facts = ('{"status":"ok","kmsContractAddr":"0xKms","gatewayAppId":"gw","chainId":31337,'
             '"appAuthImplementation":"0xApp","appImplementation":"0xApp"}')
    answer = fetch(port, "/")
    expect("GET / gives the facts of the policy file", answer, 200, facts)
    checks.equal("its content type", answer.headers.get("content-type"), "application/json; charset=utf-8")
    expect("the query is ignored", fetch(port, "/?x=1"), 200, facts)
    head = fetch(port, "/", method="HEAD")
    checks.equal("HEAD / has the length and no body", (head.status, head.headers["content-length"], head.text),
                 (200, str(len(facts)), ""))
    expect("an application is allowed", post(port, body()), 200, decision(True, "", "gw"))
    expect("a KMS is allowed", post(port, body(), "/bootAuth/kms?app"), 200, decision(True, "", "gw"))
    for name, path, changes, reason in (
            ("TCB status", "app", {"tcbStatus": "OutOfDate"}, "TCB status is not allowed"),
            ("no TCB status", "kms", {"tcbStatus": None}, "TCB status is not allowed"),
            ("advisory", "kms", {"advisoryIds": ["INTEL-SA-1"]}, "advisory ID is not allowed"),
            ("OS image", "app", {"osImageHash": "a2" * 32}, "OS image is not allowed"),
            ("measurement", "kms", {"mrAggregated": "b2" * 32}, "aggregated MR not allowed"),
            ("application", "app", {"appId": "76" * 20}, "app not registered"),
            ("compose hash", "app", {"composeHash": "d2" * 32}, "compose hash not allowed"),
            ("device", "app", {"deviceId": "e2" * 32}, "app is not allowed to boot on this device")):
        expect(f"refused for its {name}", post(port, body(**changes), "/bootAuth/" + path), 200, decision(False, reason, "gw"))
    for method, path in (("GET", "/health"), ("GET", "/launcher-probe"), ("GET", "/bootAuth/app"), ("POST", "/"),
                         ("POST", "/bootAuth/app/"), ("POST", "/bootauth/app"), ("DELETE", "/bootAuth/kms"),
                         ("GET", "//"), ("OPTIONS", "/bootAuth/app")):
        expect(f"{method} {path} is unknown", fetch(port, path, method=method), 404,
               f'{{"message":"Route {method}:{path} not found","error":"Not Found","statusCode":404}}')


def check_bad_input(port):
    mebibyte = 1024 * 1024
    padded = body(x="")[:-2] + "y" * (mebibyte - len(body(x=""))) + '"}'
    for name, text, headers, status, detail in (
            ("empty body", "", None, 400, "the body is empty"),
            ("nothing at all", "", {}, 400, "the body is empty"),
            ("malformed JSON", "{bad", None, 400, "malformed JSON at byte 1"),
            ("list", "[]", None, 400, "the body must be a JSON object, not a list"),
            ("missing member", body(appId=None), None, 400, "'appId' is missing"),
            ("null for a required member", body(appId=None)[:-1] + ',"appId":null}', None, 400, "'appId' must be text, not null"),
            ("wrong type", body(appId=7), None, 400, "'appId' must be text, not a number"),
            ("33 bytes", body(mrAggregated="ab" * 33), None, 400, "'mrAggregated' has 66 digits, more than 64"),
            ("no digits", body(mrAggregated="not-hex"), None, 400,
             "'mrAggregated' must be hexadecimal digits after an optional 0x"),
            ("__proto__", body(__proto__=1), None, 400, "a member named __proto__ is not accepted"),
            ("invalid UTF-8", body(tcbStatus="@").encode().replace(b"@", b"\xff"), None, 400, None),
            ("deep nesting", body(x=0)[:-2] + "[" * 5000 + "]" * 5000 + "}", None, 400,
             "the JSON is nested deeper than 32 levels"),
            ("plain text", body(), {"Content-Type": "text/plain"}, 400, "the content type must be application/json, not text/plain"),
            ("form", body(), {"Content-Type": "application/x-www-form-urlencoded"}, 415, "the content type must be application/json"),
            ("no content type", body(), {}, 415, "the content type must be application/json"),
            ("more than 1 MiB", padded + " ", None, 413, "the body is longer than 1 MiB"),
            ("100 MiB announced", "{", JSON | {"Content-Length": str(100 * mebibyte)}, 413, "the body is longer than 1 MiB"),
            ("a compose hash of 31 bytes from a KMS", body(composeHash="d1" * 31), JSON | {"User-Agent": "dstack-kms/0.5.5"}, 400,
             "'composeHash' has 62 digits where 64 or none are expected")):
        try:
            answer = post(port, text, headers=headers)
        except (OSError, http.client.HTTPException) as error:
            checks.check(name, False, repr(error))
            continue
        if detail is None:
            checks.check(name, answer.status == status and answer.text.startswith(refused("malformed JSON at byte ")[:-22]),
                         answer.text)
        else:
            expect(name, answer, status, refused(detail))
    expect("exactly 1 MiB is read", post(port, padded), 200, decision(True, "", "gw"))
    expect("a byte-order mark is skipped", post(port, b"\xef\xbb\xbf" + body().encode()), 200, decision(True, "", "gw"))
    expect("the content type's case and parameters do not matter",
           post(port, body(), headers={"Content-Type": "Application/JSON; charset=UTF-8"}), 200, decision(True, "", "gw"))
    for name, raw in (("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"), ("half a head", b"POST /bootAuth/app HT"),
                      ("half a body", b"POST /bootAuth/app HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")):
        with socket.create_connection(("127.0.0.1", port), 5) as slow:
            slow.sendall(raw)
            expect(f"{name} on one connection disturbs no other", post(port, body()), 200, decision(True, "", "gw"))


def check_vectors(port):
    vectors = json.loads((ROOT / "tests/vectors/auth/vectors.json").read_text())
    for vector in vectors:
        if vector["rpc"] or vector["era"] != "2026-08" or "quirk" in vector:
            continue
        request, wanted = vector["request"], vector["response"]
        answer = fetch(port, request["path"], request["body"].encode() if "body" in request else None,
                       method=request["method"], headers=request.get("headers", {}))
        got = answer.text
        sentence = "invalid authorization request"
        if f'"{sentence}: ' in got:
            start_of_detail = got.index(sentence) + len(sentence)
            got = got[:start_of_detail] + got[got.index('"', start_of_detail):]
        checks.equal(f"vector {vector['name']}", (answer.status, answer.headers.get("content-type"), got),
                     (wanted["status"], wanted["content_type"], wanted["body"]))


def check_reload(service, port, file):
    def in_force():
        return json.loads(post(port, body()).text)["gatewayAppId"] if post(port, body()).json()["isAllowed"] else None

    def metric(name):
        return next((line.split()[-1] for line in fetch(port, "/metrics").text.splitlines() if line.startswith(name + " ")), None)

    file.write_text(policy("two"))
    checks.equal("a changed file counts at once", in_force(), "two")
    file.write_text('{"osImages": [1]')
    checks.equal("a file that is no JSON leaves the last good one in force", in_force(), "two")
    checks.check("the log says why", service.wait_for_line("not JSON at line 1, column 17"), service.output)
    checks.equal("the metric shows it", (metric("auth_policy_file_good"), metric("auth_policy_in_force")), ("0", "1"))
    for _ in range(5):
        in_force()
    checks.equal("one warning for many requests",
                 sum("policy file cannot be used" in line for line in service.output.splitlines()), 1)
    file.write_text('{"osImages": "a1"}')
    checks.equal("a wrong type leaves the last good one in force", in_force(), "two")
    checks.check("the log names the member", service.wait_for_line("'osImages' must be a list of texts, not a text"), service.output)
    file.write_text(policy("three"))
    checks.equal("a mended file is in force", in_force(), "three")
    checks.equal("the metric shows that too", metric("auth_policy_file_good"), "1")
    other = file.with_suffix(".new")
    other.write_text(policy("four"))
    os.replace(other, file)
    checks.equal("replacement by rename", in_force(), "four")
    file.unlink()
    checks.equal("without the file nothing is allowed", in_force(), None)
    checks.equal("the metric shows that nothing is in force", metric("auth_policy_in_force"), "0")
    checks.check("GET / still answers", fetch(port, "/").json()["status"] == "ok")
    file.write_text(policy("five"))
    checks.equal("the file is back", in_force(), "five")


def check_stop(directory, file):
    for number in (signal.SIGTERM, signal.SIGINT):
        port, = free_ports(1)
        with start(directory, port, AUTH_CONFIG_PATH=str(file)) as service:
            ready(service)
            text = body().encode()
            with socket.create_connection(("127.0.0.1", port), 5) as client:
                head = f"POST /bootAuth/app HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
                client.sendall(head.encode() + text[:20])
                expect("a request before the stop", post(port, body()), 200, decision(True, "", "five"))
                service.signal(number)
                closed = wait_for(lambda: not accepts(port), 5)
                checks.check(f"{number.name}: no new connections", closed)
                client.sendall(text[20:])
                reply = http.client.HTTPResponse(client)
                reply.begin()
                checks.equal(f"{number.name}: the open request is finished", (reply.status, reply.read().decode()),
                             (200, decision(True, "", "five")))
            checks.equal(f"{number.name}: exit status", service.wait(5), 0)


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def check_start(directory, file):
    port, = free_ports(1)
    with start(directory, port) as service:
        checks.check("it starts without a policy file", ready(service), service.output)
        checks.check("and warns", "it does not exist" in service.output, service.output)
        expect("and allows nothing", post(port, body()), 200, decision(False, "OS image is not allowed", ""))
        (pathlib.Path(directory) / "auth-config.json").write_text(policy("here"))
        expect("until the file is there", post(port, body()), 200, decision(True, "", "here"))
        (pathlib.Path(directory) / "auth-config.json").unlink()
        with start(directory, port) as second:
            checks.equal("a taken port is refused", second.wait(5), 1)
            checks.check("with the process that holds it", f"process {service.pid} (auth-eth) holds the port" in second.output,
                         second.output)

    secret = "https://user:topsecret@eth.example/v2/hiddenkey"
    for name, command, env, status, words in (
            ("a port that is no number", [], {"PORT": "abc"}, 78, "'port' must be an integer"),
            ("a port beyond the range", [], {"PORT": "70000"}, 78, "70000 is out of range"),
            ("a port with a letter", [], {"PORT": "18700x"}, 78, "18700x"),
            ("an address that is none", [], {"HOST": "not-an-address"}, 1, "not-an-address"),
            ("an unknown backend", [], {"AUTH_BACKEND": "bun"}, 78, "'bun' is not known here"),
            ("an unsafe mock", [], {"AUTH_BACKEND": "mock"}, 78, "--unsafe-mock"),
            ("a settings file that is not there", ["--config", "/nonexistent"], {}, 78, "/nonexistent"),
            ("an unknown option", ["--prot=1"], {}, 64, "--prot"),
            ("an option without a value", ["--port"], {}, 64, "--port needs a value"),
            ("a check of a good policy", ["--check", "--policy", str(file)], {}, 0, "valid"),
            ("a check without a policy", ["--check"], {}, 78, "auth-config.json"),
            ("a chain and a policy file at once", [], {"ETH_RPC_URL": secret, "AUTH_CONFIG_PATH": str(file)}, 78, "AUTH_BACKEND"),
            ("--help", ["--help"], {}, 0, "usage: auth-eth"),
            ("--version", ["--version"], {}, 0, "auth-eth "),
            ("--print-config", ["--print-config"], {"PORT": "9200"}, 0, "port = 9200")):
        clean = {key: "" for key in ("ETH_RPC_URL", "KMS_CONTRACT_ADDR", "AUTH_BACKEND", "AUTH_CONFIG_PATH", "PORT", "HOST")}
        with Program([AUTH, *command], env=clean | {"PORT": "0"} | env, cwd=directory) as program:
            checks.equal(f"{name}: exit status", program.wait(5), status)
            checks.check(f"{name}: what is said", words in program.output, program.output)
            checks.check(f"{name}: no secret is said", "topsecret" not in program.output and "hiddenkey" not in program.output,
                         program.output)


def check_mock(directory):
    port, = free_ports(1)
    with start(directory, port, AUTH_BACKEND="mock", AUTH_UNSAFE_MOCK="true") as service:
        checks.check("the mock backend starts when told twice", ready(service), service.output)
        checks.check("and warns", "UNSAFE" in service.output, service.output)
        checks.equal("its facts say what it is", fetch(port, "/").json()["note"],
                     "this is a mock backend - all authentications will succeed")
        expect("it allows anybody", post(port, body(appId="nonsense", tcbStatus="Revoked"), "/bootAuth/kms"), 200,
               decision(True, "mock KMS always allowed", "0xmockgateway1234567890123456789012345678"))
        expect("but reads requests", post(port, body(appId=None)), 400, refused("'appId' is missing"))


def check_log(service):
    checks.check("a request is one line with its ids", service.wait_for_line(
        'request completed method=POST url=/bootAuth/app status=200') and any(
            "outcome=denied" in line and 'reason="app not registered"' in line and "app=" + "76" * 20 in line
            for line in service.output.splitlines()), service.output[-2000:])
    checks.check("scrapes are not logged at info", "url=/metrics" not in service.output)


def main():
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory) / "policy.json"
        file.write_text(policy("gw"))
        port, = free_ports(1)
        with start(directory, port, AUTH_CONFIG_PATH=str(file)) as service:
            checks.check("auth-eth starts", ready(service), service.output)
            check_routes(port)
            check_bad_input(port)
            check_vectors(port)
            check_reload(service, port, file)
            check_log(service)
            checks.equal("it stops with status 0", service.stop(), 0)
        check_stop(directory, file)
        check_start(directory, file)
        check_mock(directory)
    checks.finish()


main()
