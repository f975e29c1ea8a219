#!/usr/bin/env python3
"""The recordings of the original that need files, limits or a configuration of their own, played to dstack-kms.

misc_E.json and what onboard_E.json says of main mode. Each recorded case is played here, or named below with the test
that plays it or the reason why ours differs. Sections are of the protocol's specification.
"""
import hashlib
import json
import pathlib
import re
import shutil
import ssl
import subprocess
import tempfile

from harness import BIN, SHARED, Checks, Program, free_ports
from kms_server import Kms, configuration, connect, exchange, write_keys

checks = Checks()
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----")
TOKEN_HASH = hashlib.sha256(b"peer-admin-token").hexdigest()
IMAGES = ["a" * 64, "b" * 64]
MEASUREMENTS = ["c" * 64 + ".json", "d" * 64 + ".json"]

# Pattern of a case that is not played here → why.
ELSEWHERE = {
    r"GetKmsKey/quotes-on/(attested|no-cert)": "unit test attested_vectors_test",
    r"GetKmsKey/quotes-on/denied": "unit test release_test: the webhook's reason in the same words",
    r"image/.*": "OS images are not verified yet; a KMS that is to verify them refuses keys (issue: OS image verification)",
    r"webhook/GetMeta/(refused|no-such-host|bad-url)": "GetMeta does not fail with the webhook (ADR 8); test_kms_webhook, test_bad_input",
    r"webhook/GetMeta/base-with-path": "unit test webhook_client_test: paths below a base",
}


def cases(name, pattern):
    recorded = json.loads((SHARED / "kms/peer" / name).read_text())["cases"]
    return [case for case in recorded if re.fullmatch(pattern, case["name"])]


def request_bytes(case):
    body = case["request"].get("body") or {}
    content = bytes.fromhex(body["hex"]) if "hex" in body else body.get("text", "").encode()
    return case["request"]["head"].encode("latin1") + content


def text_of(case):
    body = case["response"].get("body") or {}
    return bytes.fromhex(body["hex"]).decode() if "hex" in body else body.get("text", "")


def play(kms, case, comparable=lambda text: text):
    got = exchange(kms.port, request_bytes(case))
    wanted = (case["response"]["status"], comparable(text_of(case)))
    if "failed to remove" in wanted[1]:
        wanted = (200, "null")  # what is not there need not be cleared (6.7, as in later versions)
    checks.equal(case["name"], got and (got.status, comparable(got.body.decode())), wanted)


def bootstrap_info(played):
    with Kms() as kms:
        kms.ready()
        file = kms.directory / "certs/bootstrap-info.json"
        for case in cases("onboard_E.json", "bootstrap-info/.*"):
            text = case["note"].removeprefix("file text: ")
            file.unlink(missing_ok=True)
            if text != "None":
                file.write_text(text)
            play(kms, case, lambda body: body[body.index('"bootstrap_info"'):])
            played.add(case["name"])


def fill(directory):
    shutil.rmtree(directory / "images", ignore_errors=True)
    (directory / "images/measurements").mkdir(parents=True)
    for name in IMAGES:
        (directory / "images/images" / name).mkdir(parents=True)
        (directory / "images/images" / name / "metadata.json").write_text("{}")
    for name in MEASUREMENTS:
        (directory / "images/measurements" / name).write_text("{}")


def below(directory):
    paths = (path for path in (directory / "images").rglob("*"))
    return sorted(f"{path.relative_to(directory)}{'/' if path.is_dir() else ''}" for path in paths)


def image_cache(played):
    for configured in (True, False):
        with tempfile.TemporaryDirectory(prefix="kms-e2e-") as folder:
            directory = pathlib.Path(folder)
            core = f'admin_token_hash = "{TOKEN_HASH}"\n' if configured else ""
            core += f'[core.image]\nverify = false\ncache_dir = "{directory}/images"'
            with Kms(configuration(core=core), directory=directory) as kms:
                kms.ready()
                for case in cases("misc_E.json", "ClearImageCache/.*"):
                    if ("no-hash-configured" in case["name"]) == configured:
                        continue
                    fill(directory)
                    if "nothing-there" in case["name"]:
                        shutil.rmtree(directory / "images")
                    play(kms, case, lambda body: body.replace(str(directory), "<DIR>"))
                    if "files_after" in case:
                        checks.equal(f"{case['name']}: the files after it", below(directory), sorted(case["files_after"]))
                    played.add(case["name"])


def body_limits(played):
    with Kms(configuration(rpc='limits = { GetAppEnvEncryptPubKey = "1KiB", getmeta = 5 }')) as kms:
        kms.ready()
        for case in cases("misc_E.json", "limits/.*"):
            later_members = re.compile(r',"timestamp":\d+,"signature_v1":"\w+"')  # of later versions (6.5)
            play(kms, case, lambda body: later_members.sub("", CERTIFICATE.sub("<certificate>", body)))
            played.add(case["name"])


def served_subject(port):
    with connect(port) as connection:
        der = connection.getpeercert(binary_form=True)
    text = subprocess.run(["openssl", "x509", "-noout", "-subject", "-nameopt", "RFC2253"], input=ssl.DER_cert_to_PEM_cert(der),
                          capture_output=True, text=True).stdout
    return text.strip().removeprefix("subject=")


def relative_paths(played):
    """Paths are relative to the working directory, not to the file that names them."""
    for case in cases("misc_E.json", "relative-paths/.*"):
        with tempfile.TemporaryDirectory(prefix="kms-e2e-") as folder:
            directory = pathlib.Path(folder)
            write_keys(directory / "certs")
            write_keys(directory / "conf/certs")
            (directory / "conf/certs/rpc-domain").write_text("kms.other.test")
            port, = free_ports(1)
            (directory / "conf/kms.toml").write_text(configuration(port=port))
            with Program([BIN.resolve() / "dstack-kms", "-c", "conf/kms.toml"], cwd=directory) as kms:
                checks.check(f"{case['name']}: serves", kms.wait_for_line("kms: serving", 15), kms.output)
                checks.equal(case["name"], served_subject(port), case["served_certificate_subject"])
            played.add(case["name"])


# Pattern of a case → (configuration, change of the directory, exit status or None = serves, words of the last line, why it differs).
STARTS = {
    "config/admin-hash-odd": (configuration(core='admin_token_hash = "abc"'), None, 1, "'admin_token_hash' is not hexadecimal"),
    "config/admin-hash-0x": (configuration(core='admin_token_hash = "0xab"'), None, 1, "'admin_token_hash' is not hexadecimal"),
    "config/bad-auth-type": (configuration(auth='type = "nobody"'), None, 1, "type"),
    "config/bad-duration": (configuration(core='[core.image]\ndownload_timeout = "s"'), None, 1, "'s' is not a duration"),
    "config/missing-tls-key": (configuration().replace("certs/rpc.key", "certs/none.key"), None, 1, "cannot read 'certs/none.key'"),
    "config/port-in-use": (None, None, 1, "holds the port"),
    "config/bad-toml": (configuration() + "\n[[[\n", None, 1, "kms.toml:"),
    "config/pccs-empty": (configuration(core='pccs_url = ""'), None, None, ""),
    # The original fails here on a root certificate that it has half remade; ours remakes only rpc.crt (7.6).
    "start/rpc-domain-missing": (configuration(), "rpc-domain", None, ""),
    # The original takes these for no keys, and would make new ones beside them (7.1, 7.2).
    "start/rpc.crt-missing": (configuration(), "rpc.crt", 1, "New keys are never made beside old ones"),
    # The original pads it; section 5 lets us insist on 32 bytes.
    "start/k256-31-bytes": (configuration(), "root-k256.key", 1, "a key has exactly 32"),
}


def starts(played):
    for case in cases("misc_E.json", "(config|start)/.*"):
        text, damaged, status, words = STARTS[case["name"]]
        with tempfile.TemporaryDirectory(prefix="kms-e2e-") as folder, Kms() as other:
            other.ready()
            text = text or configuration(port=other.port)
            with Kms(text, directory=folder) as kms:
                kms.program.stop()
            if damaged == "root-k256.key":
                (pathlib.Path(folder) / "certs" / damaged).write_bytes(bytes(30) + b"1")
            elif damaged:
                (pathlib.Path(folder) / "certs" / damaged).unlink()
            with Kms(text, keys=False, directory=folder) as kms:
                if status is None:
                    checks.check(f"{case['name']}: serves", kms.ready(), kms.program.output)
                else:
                    ended = kms.program.wait(10)
                    checks.equal(f"{case['name']}: exit status", ended, status)
                    checks.check(f"{case['name']}: says why", words in kms.program.output, kms.program.output)
        played.add(case["name"])


def main():
    played = set()
    for part in (bootstrap_info, image_cache, body_limits, relative_paths, starts):
        part(played)
    known = {case["name"] for case in cases("misc_E.json", ".*") + cases("onboard_E.json", "bootstrap-info/.*")}
    forgotten = [name for name in known - played if not any(re.fullmatch(pattern, name) for pattern in ELSEWHERE)]
    checks.equal("every recorded case is played or named", forgotten, [])
    checks.finish()


main()
