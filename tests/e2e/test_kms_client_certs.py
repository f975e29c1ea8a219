#!/usr/bin/env python3
"""Client certificates: the same ones are let in and turned away as with the original, under TLS 1.3 and 1.2."""
import json
import pathlib
import ssl
import tempfile

from harness import SHARED, Checks
from kms_server import Kms, call, tls_context

checks = Checks()
OUTCOMES = SHARED / "kms/peer/tls_E.json"
CERTIFICATES = SHARED / "kms/peer/client_certs.json"
VERSIONS = {"tls1.3": ssl.TLSVersion.TLSv1_3, "tls1.2": ssl.TLSVersion.TLSv1_2}
# What OpenSSL's verifier decides otherwise than the original's. Neither direction gives anybody anything: the temporary
# CA's key is public, so the chain authenticates nobody; only a quote does.
NOT_THE_SAME = {
    "client-cert/ca-true": "a CA certificate as the caller's own is let in",
    "client-cert/the-temp-ca-itself": "a CA certificate as the caller's own is let in",
    "client-cert/via-intermediate": "the path length of the temporary CA is enforced",
}


def outcome(port, version, certificate, key):
    """(status, body) when the handshake succeeds; a word when it does not."""
    context = tls_context(certificate, key)
    context.minimum_version = context.maximum_version = VERSIONS[version]
    try:
        response = call(port, "GetAppKey", {}, context=context)
    except OSError as failure:
        return f"refused: {failure}"
    return (response.status, response.body.decode()) if response else "refused: closed without an answer"


def main():
    if not OUTCOMES.exists():
        checks.skip("client certificates", f"{OUTCOMES} is not here")
        checks.finish()
    certificates = json.loads(CERTIFICATES.read_text())
    with Kms() as kms, tempfile.TemporaryDirectory() as folder:
        if not checks.check("the KMS becomes ready", kms.ready(), kms.program.output[-2000:]):
            checks.finish()
        certificate, key = pathlib.Path(folder) / "c.pem", pathlib.Path(folder) / "k.pem"
        for case in json.loads(OUTCOMES.read_text())["client_certificates"]:
            pair = certificates[case["client_cert"]]
            if case["name"] in NOT_THE_SAME or "BEGIN" not in pair["cert_pem"]:
                checks.skip(case["name"], NOT_THE_SAME.get(case["name"], "the recording does not hold the certificate"))
                continue
            certificate.write_text(pair["cert_pem"])
            key.write_text(pair["key_pem"])
            for version in VERSIONS:
                recorded = case[version]
                got = outcome(kms.port, version, certificate, key)
                name = f"{case['name']} {version}"
                if "http_status" in recorded:
                    checks.equal(f"{name}: let in", got, (recorded["http_status"], recorded["body"]))
                else:
                    checks.check(f"{name}: turned away", isinstance(got, str), str(got))
        response = call(kms.port, "GetMeta", {})
        checks.check("a caller without a certificate is served", response and response.status == 200)
    checks.finish()


main()
