#!/usr/bin/env python3
"""The SDK that applications use accepts our signatures: npm's @phala/dstack-sdk verifies GetAppEnvEncryptPubKey."""
import json
import shutil
import subprocess

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

checks = Checks()


def installed(folder):
    """Whether the SDK is in `folder`; fetched from npm on first use."""
    if (folder / "node_modules/@phala/dstack-sdk").is_dir():
        return True
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["npm", "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", SDK, CURVES],
                          capture_output=True, text=True, timeout=180)
    return done.returncode == 0


def main():
    folder = ROOT / "build/npm"
    if not shutil.which("npm") or not shutil.which("node"):
        checks.skip("the SDK verifies our signatures", "node and npm are not installed")
        return
    if not installed(folder):
        checks.skip("the SDK verifies our signatures", f"{SDK} cannot be had from npm here")
        return
    with Stack() as stack:
        if not checks.check("the stack becomes ready", stack.ready(), stack.program.output[-3000:]):
            return
        answer = fetch(stack.kms_port, "/prpc/GetAppEnvEncryptPubKey?json", tls=True, body=json.dumps({"app_id": APP_ID})).json()
        root = stack.get_meta().json()["k256_pubkey"]
        done = subprocess.run(["node", "--input-type=module", "-e", VERIFY, json.dumps({**answer, "app_id": APP_ID})],
                              cwd=folder, capture_output=True, text=True, timeout=60)
        if not checks.equal("the SDK ran", done.returncode, 0):
            print(done.stderr[-2000:])
            return
        seen = json.loads(done.stdout)
        wanted = "0x" + root
        checks.equal("the signature without timestamp recovers our root key", seen["legacy"], wanted)
        checks.equal("the signature with timestamp recovers our root key", seen["timed"], wanted)
        checks.check("another application id does not", seen["tampered"] != wanted, str(seen))


main()
checks.finish()
