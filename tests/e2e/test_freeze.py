#!/usr/bin/env python3
"""The reported freeze: the webhook stops answering, and the KMS goes on."""
import json
import os
import signal
import time

from harness import Checks, Stack, answers, fetch, is_running, percentile, wait_for

checks = Checks()
POLLS = 1000


def facts_age(stack):
    text = fetch(stack.kms_port, "/metrics", tls=True).text
    line = next((l for l in text.splitlines() if l.startswith("dstack_kms_chain_facts_age_seconds")), None)
    return float(line.split()[-1]) if line else None


def frozen_webhook():
    with Stack() as stack:
        if not checks.check("the stack becomes ready", stack.ready(), stack.program.output[-3000:]):
            return
        before = stack.get_meta().json()
        checks.equal("facts are known before", before["chain_id"], 31337)
        auth = stack.services()["auth-eth"]
        os.kill(auth, signal.SIGSTOP)
        times, bad = [], []
        for number in range(POLLS):
            answer = stack.get_meta(timeout=3)
            times.append(answer.seconds)
            if answer.status != 200 or answer.json()["chain_id"] != 31337:
                bad.append((number, answer.status, answer.text[:200]))
        p99 = percentile(times, 0.99)
        checks.check(f"{POLLS} GetMeta on fresh connections are answered from what was last known", not bad, str(bad[:3]))
        checks.check("p99 is at most 50 ms", p99 <= 0.050, f"{p99 * 1000:.1f} ms")
        print(f"     median {percentile(times, 0.5) * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, max {max(times) * 1000:.1f} ms")
        age = facts_age(stack)
        checks.check("the metric tells how old the facts are", age is not None and age > 1, str(age))
        other = fetch(stack.kms_port, "/prpc/GetTempCaCert?json", tls=True)
        checks.check("another method is not disturbed", other.status == 200 and other.seconds < 0.05, f"{other.status}, {other.seconds}")
        words = [l for l in stack.program.lines if '"service.name":"kms"' in l and "facts" in l]
        checks.check("a log line tells how old the facts are", any("age" in line for line in words), str(words[-3:]))
        checks.check("… and not one per request", len(words) < 50, str(len(words)))
        checks.check("nobody was restarted or killed", stack.services().get("auth-eth") == auth and is_running(auth))
        os.kill(auth, signal.SIGCONT)
        # The first poll after the thaw asks again and shows fresh facts.
        fresh = wait_for(lambda: answers(stack.auth_port, "/"), 5) and stack.get_meta().status == 200 and (facts_age(stack) or 99) < 1.0
        checks.check("after SIGCONT facts are fresh within one poll", fresh, f"age {facts_age(stack)}")


def killed_webhook():
    with Stack() as stack:
        if not checks.check("the stack becomes ready", stack.ready(), stack.program.output[-3000:]):
            return
        services = stack.services()
        began = time.monotonic()
        os.kill(services["auth-eth"], signal.SIGKILL)
        status = stack.program.wait(10)
        seconds = time.monotonic() - began
        checks.equal("auth-eth killed: the launcher ends with 128 + 9", status, 137)
        checks.check("… within a second", seconds < 1.0, f"{seconds:.2f} s")
        checks.check("… and no process is left", not any(is_running(pid) for pid in services.values()))
        exits = [json.loads(l) for l in stack.program.lines if '"service-exit"' in l]
        checks.check("… with a record of the death", any("auth-eth" in json.dumps(record) for record in exits), str(exits))


def killed_kms():
    with Stack() as stack:
        if not checks.check("the stack becomes ready", stack.ready(), stack.program.output[-3000:]):
            return
        services = stack.services()
        os.kill(services["dstack-kms"], signal.SIGSEGV)
        checks.equal("the KMS killed by SIGSEGV: the launcher ends with 139", stack.program.wait(10), 139)
        checks.check("… and no process is left", not any(is_running(pid) for pid in services.values()))


frozen_webhook()
killed_webhook()
killed_kms()
checks.finish()
