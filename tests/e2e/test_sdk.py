#!/usr/bin/env python3
"""The SDKs that applications use accept our signatures: npm's @phala/dstack-sdk and PyPI's dstack-sdk verify GetAppEnvEncryptPubKey."""
import json
import shutil
import subprocess
import sys

from harness import ROOT, Checks, Stack, fetch

APP_ID = "1111111111111111111111111111111111111111"
SDK = "@phala/dstack-sdk@0.5.8"
CURVES = "@noble/curves@1.8.1"  # what the SDK leaves to its user to install
VERIFY = """
import { createRequire } from 'node:module'
const require = createRequire(process.cwd() + '/')
const sdk = require('@phala/dstack-sdk')
const answer = JSON.parse(process.argv[1])
const bytes = (hex) => new Uint8Array(Buffer.from(hex, 'hex'))
const key = bytes(answer.public_key)
console.log(JSON.stringify({
  legacy: sdk.verifyEnvEncryptPublicKeyLegacy(key, bytes(answer.signature), answer.app_id),
  timed: sdk.verifyEnvEncryptPublicKey(key, bytes(answer.signature_v1), answer.app_id, BigInt(answer.timestamp)),
  tampered: sdk.verifyEnvEncryptPublicKeyLegacy(key, bytes(answer.signature), '2' + answer.app_id.slice(1)),
}))
"""

PYTHON_SDK = ["dstack-sdk==0.5.4", "eth-keys==0.8.0", "eth-hash[pycryptodome]==0.8.0"]  # the last two: what the SDK leaves to its user
VERIFY_PYTHON = """
import json, sys
import dstack_sdk as sdk
answer = json.loads(sys.argv[1])
key, old, new = (bytes.fromhex(answer[n]) for n in ("public_key", "signature", "signature_v1"))
app = answer["app_id"]
print(json.dumps({
  "legacy": sdk.verify_env_encrypt_public_key_legacy(key, old, app),
  "timed": sdk.verify_env_encrypt_public_key(key, new, app, answer["timestamp"]),
  "tampered": sdk.verify_env_encrypt_public_key_legacy(key, old, "2" + app[1:]),
}))
"""

checks = Checks()


def npm_sdk():
    """The command that verifies with npm's SDK, or None and why not; fetched on first use."""
    folder = ROOT / "build/npm"
    if not shutil.which("npm") or not shutil.which("node"):
        return None, "node and npm are not installed"
    if not (folder / "node_modules/@phala/dstack-sdk").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["npm", "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", SDK, CURVES],
                              capture_output=True, text=True, timeout=180)
        if done.returncode != 0:
            return None, f"{SDK} cannot be had from npm here"
    return (["node", "--input-type=module", "-e", VERIFY], folder), ""


def python_sdk():
    """The same for PyPI's."""
    folder = ROOT / "build/pypi"
    python = folder / "bin/python"
    if not python.exists() and subprocess.run([sys.executable, "-m", "venv", str(folder)], capture_output=True, timeout=120).returncode != 0:
        return None, "python3 has no module venv"
    if subprocess.run([str(python), "-c", "import dstack_sdk, eth_keys, Crypto"], capture_output=True, timeout=60).returncode != 0:
        done = subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PYTHON_SDK], capture_output=True, text=True, timeout=180)
        if done.returncode != 0:
            return None, f"{PYTHON_SDK[0]} cannot be had from PyPI here"
    return ([str(python), "-c", VERIFY_PYTHON], folder), ""


def verify(name, found, answer, root):
    command, why_not = found
    if command is None:
        checks.skip(f"{name} verifies our signatures", why_not)
        return
    done = subprocess.run([*command[0], json.dumps(answer)], cwd=command[1], capture_output=True, text=True, timeout=60)
    if not checks.equal(f"{name} ran", done.returncode, 0):
        print(done.stderr[-2000:])
        return
    seen = json.loads(done.stdout)
    checks.equal(f"{name}: the signature without timestamp recovers our root key", seen["legacy"], "0x" + root)
    checks.equal(f"{name}: the signature with timestamp recovers our root key", seen["timed"], "0x" + root)
    checks.check(f"{name}: another application id does not", seen["tampered"] != "0x" + root, str(seen))


def main():
    sdks = {"the npm SDK": npm_sdk(), "the PyPI SDK": python_sdk()}
    with Stack() as stack:
        if not checks.check("the stack becomes ready", stack.ready(), stack.program.output[-3000:]):
            return
        answer = fetch(stack.kms_port, "/prpc/GetAppEnvEncryptPubKey?json", tls=True, body=json.dumps({"app_id": APP_ID})).json()
        root = stack.get_meta().json()["k256_pubkey"]
        for name, found in sdks.items():
            verify(name, found, {**answer, "app_id": APP_ID}, root)


main()
checks.finish()
