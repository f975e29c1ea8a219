#!/usr/bin/env python3
"""Who may include whom: the table of docs/architecture.md, checked against every #include of the tree."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

BASE = {"result", "deadline", "bytes", "secret", "openssl_ptr", "config", "config_node", "file_system", "keccak", "log_filter", "log_filter_state", "metrics", "sha256"}
# folder → folders whose headers it may include, besides its own and runtime's base. "runtime" means all of it.
ALLOWED = {
    "launcher/runtime": set(),
    "launcher/plan": set(),
    "launcher/supervise": {"launcher/plan"},
    "launcher/logs": {"runtime", "launcher/plan"},
    "launcher/process": {"runtime", "launcher/plan"},
    "launcher/probe": {"runtime", "launcher/plan"},
    "launcher/evidence": {"runtime", "launcher/plan"},
    "launcher/control": {"runtime", "launcher/plan", "launcher/supervise", "launcher/logs", "launcher/process",
                         "launcher/probe", "launcher/evidence"},
    "launcher": {"runtime", "launcher/plan", "launcher/supervise", "launcher/logs", "launcher/process",
                 "launcher/probe", "launcher/evidence", "launcher/control"},
    "kms/crypto": set(),
    "kms/keys": {"kms/crypto"},
    "kms/evidence": {"kms/crypto"},
    "kms/verify": {"kms/evidence", "kms/crypto"},
    "kms/cli": {"runtime", "kms/attest", "kms/onboard", "kms/client", "kms/rpc", "kms/guest", "kms/keys", "kms/verify", "kms/evidence",
                "kms/crypto"},
    "kms/config": set(),
    "kms/simulator": {"runtime", "kms/verify", "kms/evidence", "kms/crypto"},
    "kms/guest": {"runtime", "kms/evidence"},
    "kms/authorize": {"runtime", "kms/config", "kms/guest", "kms/evidence", "kms/crypto"},
    "kms/rpc": {"runtime", "kms/config", "kms/authorize", "kms/keys", "kms/evidence", "kms/crypto"},
    "kms/client": {"runtime", "kms/rpc", "kms/crypto"},
    "kms/onboard": {"runtime", "kms/client", "kms/rpc", "kms/authorize", "kms/guest", "kms/keys", "kms/evidence",
                    "kms/crypto"},
    "kms/attest": {"runtime", "kms/config", "kms/authorize", "kms/verify", "kms/evidence", "kms/crypto"},
    "kms/program": {"runtime", "kms/config", "kms/onboard", "kms/client", "kms/rpc", "kms/authorize", "kms/guest",
                    "kms/keys", "kms/evidence", "kms/crypto"},
    "kms": {"runtime", "kms/attest", "kms/cli", "kms/program", "kms/authorize", "kms/evidence", "kms/verify"},
    "auth/policy": set(),
    "auth/abi": {"auth/policy"},
    "auth/chain": {"runtime", "auth/abi", "auth/policy"},
    "auth/webhook": {"runtime", "auth/policy", "auth/abi", "auth/chain"},
    "auth": {"runtime", "auth/policy", "auth/abi", "auth/chain", "auth/webhook"},
}
# Folders that must not be able to wait: no Asio, no log.
PURE = {"launcher/plan", "launcher/supervise", "kms/crypto", "kms/keys", "kms/evidence", "kms/verify", "kms/config", "auth/policy", "auth/abi"}
# Heavy libraries stay out of headers, so that their cost is paid where they are used.
ONLY_IN_CPP = re.compile(r"boost/(beast|json|url|process)|toml\+\+|curl/|spdlog|re2/")
INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', re.MULTILINE)


def folder_of(path):
    return str(pathlib.PurePosixPath(path).parent)


def mistakes_in(path, text):
    """Every include of this file that the table forbids, as sentences."""
    folder = folder_of(path)
    is_header = path.endswith((".hpp", ".ipp"))
    is_runtime_base = folder == "launcher/runtime" and pathlib.PurePosixPath(path).stem in BASE
    found = []
    for included in INCLUDE.findall(text):
        if is_header and ONLY_IN_CPP.search(included):
            found.append(f"{path} includes {included}: this library belongs into .cpp files only")
        if (folder in PURE or is_runtime_base) and included.startswith("boost/asio"):
            found.append(f"{path} includes {included}: this folder must not be able to wait")
        if not included.startswith(("launcher/", "kms/", "auth/", "tests/")) or folder not in ALLOWED:
            continue
        target = folder_of(included)
        if target == folder or included.endswith((".pb.h",)):
            continue
        if target == "launcher/runtime":
            if "runtime" in ALLOWED[folder] or pathlib.PurePosixPath(included).stem in BASE:
                continue
        elif target in ALLOWED[folder]:
            continue
        found.append(f"{path} includes {included}: {folder} must not know {target}")
    return found


def sources():
    for top in ("launcher", "kms", "auth"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in (".cpp", ".hpp", ".ipp"):
                yield str(path.relative_to(ROOT)), path.read_text()


def self_test():
    """The checks see what they must see."""
    bad = [
        ("launcher/supervise/x.cpp", '#include "launcher/runtime/clock.hpp"'),
        ("launcher/plan/x.cpp", "#include <boost/asio/post.hpp>"),
        ("kms/rpc/x.cpp", '#include "auth/policy/decision.hpp"'),
        ("auth/policy/x.cpp", '#include "kms/keys/key_set.hpp"'),
        ("launcher/probe/x.hpp", "#include <boost/beast/http.hpp>"),
        ("launcher/runtime/x.cpp", '#include "launcher/plan/plan.hpp"'),
        ("kms/keys/x.cpp", '#include "launcher/runtime/log.hpp"'),
    ]
    good = [
        ("launcher/supervise/x.cpp", '#include "launcher/runtime/deadline.hpp"\n#include "launcher/plan/plan.hpp"'),
        ("kms/rpc/x.cpp", '#include "kms/keys/key_set.hpp"\n#include <boost/json.hpp>'),
    ]
    return [f"the check overlooks: {text!r} in {path}" for path, text in bad if not mistakes_in(path, text)] + [
        f"the check refuses: {text!r} in {path}" for path, text in good if mistakes_in(path, text)]


def main():
    failed = self_test()
    checked = 0
    for path, text in sources():
        if folder_of(path) not in ALLOWED:
            failed.append(f"{path}: its folder is not in the table of tests/layering_test.py")
        failed += mistakes_in(path, text)
        checked += 1
    for sentence in failed:
        print(sentence)
    print(f"{checked} passed, {len(failed)} failed")
    sys.exit(1 if failed or checked == 0 else 0)


main()
