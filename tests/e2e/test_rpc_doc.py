#!/usr/bin/env python3
"""docs/rpc.md tells the truth: every curl line in it is run, and its answer is the one that stands there (… = anything)."""
import hashlib
import re
import shutil
import subprocess

from harness import ROOT, Checks, free_ports
from kms_server import Kms, configuration

checks = Checks()
TEXT = (ROOT / "docs/rpc.md").read_text()


def examples():
    """(command line, expected output) of every line that begins with a prompt."""
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output.rstrip("\n")


def fits(got, wanted):
    # [^\0] so that an ellipsis may stand for several lines
    pattern = "[^\0]*".join(re.escape(piece) for piece in wanted.split("…"))
    return re.fullmatch(pattern, got) is not None


def main():
    if not shutil.which("curl"):
        checks.skip("the lines of docs/rpc.md", "curl is not installed")
        return
    token = hashlib.sha256(b"peer-admin-token").hexdigest()
    port, = free_ports(1)
    onboard = configuration(onboard=f'address = "127.0.0.1"\nport = {port}')
    core = f'admin_token_hash = "{token}"\n[core.image]\ncache_dir = "cache"'
    with Kms(configuration(core=core)) as kms, \
            Kms(onboard, keys=False, env={"DSTACK_AGENT_ADDRESS": "unix:/nowhere/no-agent.sock"}) as empty:
        ready = kms.ready() and empty.program.wait_for_line("waiting for an operator", 10)
        if not checks.check("both listeners", ready, kms.program.output + empty.program.output):
            return
        variables = {"KMS": f"https://127.0.0.1:{kms.port}", "ONBOARD": f"http://127.0.0.1:{port}", "PATH": "/usr/bin:/bin"}
        count = 0
        for command, wanted in examples():
            done = subprocess.run(["bash", "-c", command], env=variables, capture_output=True, text=True, timeout=20)
            checks.check(command, done.returncode == 0 and fits(done.stdout.rstrip("\n"), wanted), f"{done.returncode}: {done.stdout}{done.stderr}")
            count += 1
        checks.check("there are lines for every method", count >= 18, str(count))


main()
checks.finish()
