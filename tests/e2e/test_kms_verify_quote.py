#!/usr/bin/env python3
"""dstack-kms verify-quote and inspect-attestation: exit status, verdict and stage of every vector, as a person sees them."""
import json
import pathlib
import subprocess
import sys
import tempfile

from harness import BIN

ROOT = pathlib.Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests/vectors/attestation"
SHARED = ROOT.parent / "shared/testdata/attestation"
PROGRAM = BIN / "dstack-kms"
passed, failed, skipped = 0, 0, 0


def check(name, condition, detail=""):
    global passed, failed
    if condition:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {name}: {detail}")


def run(*words):
    return subprocess.run([str(PROGRAM), *map(str, words)], capture_output=True, text=True, timeout=30)


def check_verdict(name, done, accepted, stage, status=None):
    check(f"{name}: exit status", done.returncode == (0 if accepted else 1), f"{done.returncode} {done.stderr}")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        check(f"{name}: one JSON object", False, done.stdout[:200] + done.stderr)
        return {}
    check(f"{name}: verdict", answer["verdict"] == ("accepted" if accepted else "refused"), answer["verdict"])
    check(f"{name}: stage", answer["stage"] == stage, answer["stage"])
    check(f"{name}: reason", bool(answer["reason"]) != accepted, answer["reason"])
    if status:
        check(f"{name}: state", answer["tcb_status"] == status, answer["tcb_status"])
    return answer


def mock_quotes():
    folder = VECTORS / "dcap-mock"
    for case in json.loads((folder / "cases.json").read_text()):
        if any(case["options"].values()):
            continue  # options that the program does not have
        expect = case["expect"]
        policy_refuses = expect["result"] == "ok" and expect["dstack_policy"] != "ok"
        accepted = expect["result"] == "ok" and not policy_refuses
        stage = None if accepted else "dstack_policy" if policy_refuses else expect["stage"]
        done = run("verify-quote", folder / case["quote"], "--collateral", folder / case["collateral"], "--root",
                   folder / case["root"], "--at", case["now"], "--json")
        answer = check_verdict(case["name"], done, accepted, stage, expect["status"] if accepted else None)
        if accepted:
            check(f"{case['name']}: advisories", answer["advisory_ids"] == expect["advisory_ids"], answer["advisory_ids"])


def real_quotes():
    global skipped
    if not SHARED.exists():
        skipped += 1
        print("skipped: real quotes: the shared test data is not here")
        return
    for case in json.loads((SHARED / "dcap/cases.json").read_text()):
        for one in case.get("runs", []):
            expect = one["expect"]
            accepted = expect["result"] == "ok"
            done = run("verify-quote", SHARED / "dcap" / case["dir"] / "quote.bin", "--collateral",
                       SHARED / "dcap" / case["dir"] / "collateral.json", "--at", one["now"], "--json")
            check_verdict(f"{case['dir']}@{one['now']}", done, accepted, None if accepted else expect["stage"],
                          expect.get("status") if accepted else None)


def attestations():
    folder = VECTORS / "dstack/mock-attestations"
    for case in json.loads((folder / "cases.json").read_text()):
        expect = case["expect"]
        words = ["inspect-attestation", folder / case["attestation"], "--collateral", folder / case["collateral"], "--root",
                 folder / case["root"], "--at", case["now"], "--json"]
        done = run(*words)
        if expect.get("stage") == "decode":
            check(f"{case['name']}: unreadable", done.returncode == 2 and done.stderr != "" and done.stdout == "")
            continue
        accepted = expect["result"] == "ok"
        answer = check_verdict(case["name"], done, accepted, None if accepted else expect["stage"])
        if accepted:
            for member, want in expect["app_info"]["runtime"].items():
                check(f"{case['name']}: {member}", answer["app_info"][member] == want, answer["app_info"][member])
            check(f"{case['name']}: replay", answer["rtmr3_replayed"] == answer["rtmr3"])


def other_inputs():
    global skipped
    case = VECTORS / "dcap-mock"
    quote = case / "quotes/tdx-v4-uptodate.bin"
    common = ["--collateral", case / "collateral/tdx-v4-uptodate.json", "--root", case / "roots/vector-root.der", "--at",
              1767225600]
    with tempfile.TemporaryDirectory() as directory:
        as_hex = pathlib.Path(directory) / "quote.hex"
        as_hex.write_text("0x" + quote.read_bytes().hex().upper() + "\n")
        check("hex text", run("verify-quote", as_hex, *common).returncode == 0)
        text = run("verify-quote", quote, *common).stdout
        check("the text tells every stage", "isv_signature: passed" in text and "mr_td: " in text, text)
        late = run("verify-quote", quote, *common[:-1], 4102444800)
        check("the text tells what refused", "refused" in late.stdout and "CrlExpired" in late.stdout, late.stdout)
        check("stages after it were not reached", "isv_signature: not reached" in late.stdout)
        broken = pathlib.Path(directory) / "broken.json"
        broken.write_text("{}")
        for name, words in (("no file", ["/nonexistent", *common]), ("a folder", [directory, *common]),
                            ("no argument", []), ("no collateral", [quote]),
                            ("collateral that is none", [quote, "--collateral", broken]),
                            ("a root that is none", [quote, "--collateral", common[1], "--root", broken]),
                            ("a time that is none", [quote, "--collateral", common[1], "--at", "noon"]),
                            ("an unknown option", [quote, "--colateral", common[1]]),
                            ("two files", [quote, quote])):
            done = run("verify-quote", *words)
            check(f"{name}: status 2 and a sentence",
                  done.returncode == 2 and done.stdout == "" and done.stderr.startswith("dstack-kms verify-quote: "),
                  f"{done.returncode} {done.stderr}")
    check("help", run("verify-quote", "--help").stdout.startswith("Usage: dstack-kms verify-quote"))
    check("help of the other", run("inspect-attestation", "--help").stdout.startswith("Usage: dstack-kms inspect"))
    check("a bare quote", run("inspect-attestation", quote, *common).returncode == 0)
    requests = SHARED / "peer/kms-requests"
    if not requests.exists():
        skipped += 1
        print("skipped: attested certificates: the shared test data is not here")
        return
    for name, stage in (("v0", None), ("v1", None), ("v0-full-log", None), ("legacy-quote-and-log", None),
                        ("v1-events-v2-stripped", None), ("quote-v4-trailing", None), ("quote-signature", "isv_signature"),
                        ("rtmr3-mismatch", "rtmr3"), ("report-data-wrong", "key_binding"),
                        ("report-data-field-wrong", "key_binding"), ("v1-pod", "report_data_payload")):
        done = run("inspect-attestation", requests / "requests" / name / "client-N.crt", "--collateral",
                   requests / "pki-N/collateral.json", "--root", requests / "pki-N/root.pem", "--at", 1767225600, "--json")
        check_verdict("certificate " + name, done, stage is None, stage)
    for name in ("no-attestation", "truncated", "legacy-quote-without-log", "attestation-garbage-legacy-good"):
        done = run("inspect-attestation", requests / "requests" / name / "client-N.crt")
        check("certificate " + name, done.returncode == 2 and done.stderr != "", done.stderr)


mock_quotes()
real_quotes()
attestations()
other_inputs()
print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
sys.exit(1 if failed else 0)
