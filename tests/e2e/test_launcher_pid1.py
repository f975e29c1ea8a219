#!/usr/bin/env python3
"""Process duties of kms-launcher: start, signals, reaping, orderly stop, exit status. Every scenario runs twice, with
the launcher as PID 1 of a namespace and as a subreaper."""

import json
import os
import signal
import statistics
import sys
import time
from pathlib import Path

from launcher_fixture import (Checks, Launcher, Workspace, children_of, pause, seconds_of, service_pid, stat_fields,
                              until, up_probe)

checks = Checks()
check = checks.check


def two_services(work, kms, auth, extra=""):
    return work.config(
        extra
        + f'[service.auth-eth]\ncommand = {work.command(name="auth-eth", **auth)}\nstop_timeout = "2s"\n'
        + up_probe("auth-eth")
        + f'[service.kms]\ncommand = {work.command(name="kms", **kms)}\ndepends_on = {{ auth-eth = "started" }}\n'
        + up_probe("kms")
    )


def pull(fifo):
    """Lets a fake service go on that waits at its trigger."""
    with open(fifo, "w") as pipe:
        pipe.write("x")


def late_by(launcher, service):
    """Milliseconds from a fake service's own report of its death to the launcher's record."""
    death = launcher.wait_for(lambda r: f"{service} dies at" in r.get("message", ""))
    record = launcher.action("service-exit", service)
    if not death or not record:
        return None
    return (seconds_of(record["@timestamp"]) - float(death["message"].rsplit(" ", 1)[1])) * 1000


def in_time(seconds, attempt):
    """Tries up to three times, as another process may take the machine for a moment; the last (good, seconds, detail), for
    which good is whether everything but the time was right."""
    for _ in range(3):
        good, took, detail = attempt()
        if not good or took <= seconds:
            break
    return good and took <= seconds, f"{took * 1000:.0f} ms, {detail}"


def p1_orphans(mode, pid1):
    check(f"{mode} P1: 100 orphans leave no zombie after 100 ms", *in_time(0.1, lambda: orphans(mode, pid1)))


def orphans(mode, pid1):
    with Workspace() as work:
        config = work.config(f'[service.kms]\ncommand = {work.command(name="kms", orphans=100)}\n' + up_probe("kms"))
        with Launcher(config, pid1) as launcher:
            launcher.message("kms up")
            began = time.monotonic()

            def zombies():
                return [p for p in children_of(launcher.pid()) if (stat_fields(p) or ("", 0))[0] == "Z"]

            until(lambda: not zombies(), 1.0, 0.005)
            took = time.monotonic() - began
            left = zombies()
            launcher.signal(signal.SIGTERM)
            check(f"{mode} P1: and the launcher still stops cleanly", launcher.status() == 0, launcher.dump())
            last = launcher.records[-1].get("fields", {})
            check(f"{mode} P1: … having reaped them all", last.get("orphans_reaped", 0) >= 100, json.dumps(last))
            return not left, took, f"zombies {left}"


def p2_kms_ends(mode, pid1):
    for action, expected in (("7", 7), (f"signal:{int(signal.SIGSEGV)}", 139), ("0", 80)):
        with Workspace() as work:
            fifo = work.fifo("trigger")
            config = two_services(work, {"trigger": fifo, "action": action}, {"cleanup": 0.4})
            with Launcher(config, pid1) as launcher:
                launcher.action("service-ready", "kms")
                pull(fifo)
                status = launcher.status()
                check(f"{mode} P2: kms ends by {action}: status {expected}", status == expected, f"{status} {launcher.dump()}")
                check(f"{mode} P2: auth-eth got SIGTERM and finished its clean-up",
                      launcher.has_message("auth-eth got SIGTERM") and launcher.has_message("auth-eth cleaned up"),
                      launcher.dump())
                record = launcher.action("service-exit", "kms", 1) or {}
                fields = record.get("fields", {})
                check(f"{mode} P2: the record tells the last lines and the usage",
                      record.get("log.level") == "error" and any("dies at" in line for line in fields.get("last_lines", []))
                      and "max_rss_bytes" in fields and "uptime_seconds" in fields, json.dumps(record))


def p3_auth_ends(mode, pid1):
    best, status, told = None, None, False
    for _ in range(5):
        with Workspace() as work:
            fifo = work.fifo("trigger")
            config = two_services(work, {}, {"trigger": fifo, "action": "7"})
            with Launcher(config, pid1) as launcher:
                launcher.action("service-ready", "kms")
                pull(fifo)
                status = launcher.status()
                told = launcher.has_message("kms got SIGTERM")
                late = late_by(launcher, "auth-eth")
        if late is not None:
            best = late if best is None else min(best, late)
        if status != 7 or (best is not None and best < 20):
            break
    check(f"{mode} P3: auth-eth exits 7: status 7", status == 7, str(status))
    check(f"{mode} P3: kms got SIGTERM", told)
    check(f"{mode} P3: detected within 20 ms (best of 5)", best is not None and best < 20, f"{best} ms")


def p4_clean_stop(mode, pid1):
    check(f"{mode} P4: within a second", *in_time(1.0, lambda: clean_stop(mode, pid1)))


def clean_stop(mode, pid1):
    with Workspace() as work:
        with Launcher(two_services(work, {"cleanup": 0.4}, {"cleanup": 0.4}), pid1) as launcher:
            launcher.action("service-ready", "kms")
            began = time.monotonic()
            launcher.signal(signal.SIGTERM)
            status = launcher.status()
            took = time.monotonic() - began
            check(f"{mode} P4: status 0", status == 0, f"{status} {launcher.dump()}")
            check(f"{mode} P4: both finish their clean-up",
                  launcher.has_message("kms cleaned up") and launcher.has_message("auth-eth cleaned up"))
            order = [r["message"] for r in launcher.records if "got SIGTERM" in r.get("message", "")]
            check(f"{mode} P4: the KMS is asked first", order[:1] == ["kms got SIGTERM"], str(order))
            last = launcher.records[-1]
            check(f"{mode} P4: the last record is launcher-exit with every status",
                  last.get("event.action") == "launcher-exit" and len(last["fields"]["services"]) == 2, json.dumps(last))
            return True, took, ""


def p5_ignored_term(mode, pid1):
    with Workspace() as work:
        with Launcher(two_services(work, {"term": "ignore"}, {}), pid1) as launcher:
            launcher.action("service-ready", "kms")
            began = time.monotonic()
            launcher.signal(signal.SIGTERM)
            status = launcher.status()
            took = time.monotonic() - began
            check(f"{mode} P5: kms ignores SIGTERM: status 137", status == 137, f"{status} {launcher.dump()}")
            check(f"{mode} P5: after its 6 s, within 9.5 s", 5.9 < took < 9.5, f"{took:.2f}s")


def p6_second_signal(mode, pid1):
    with Workspace() as work:
        with Launcher(two_services(work, {"term": "ignore"}, {}), pid1) as launcher:
            launcher.action("service-ready", "kms")
            launcher.signal(signal.SIGTERM)
            launcher.action("stop-begin")
            began = time.monotonic()
            launcher.signal(signal.SIGTERM)
            status = launcher.status()
            took = time.monotonic() - began
            check(f"{mode} P6: the second SIGTERM kills at once", status == 137 and took < 1.0, f"{status} {took:.2f}s")


def p7_stopped_service(mode, pid1):
    with Workspace() as work:
        config = work.config(
            f'[service.kms]\ncommand = {work.command(name="kms", cleanup=0)}\nstop_timeout = "1s"\n' + up_probe("kms"))
        with Launcher(config, pid1) as launcher:
            launcher.action("service-ready", "kms")
            os.kill(service_pid(launcher, "kms"), signal.SIGSTOP)
            began = time.monotonic()
            launcher.signal(signal.SIGTERM)
            status = launcher.status()
            took = time.monotonic() - began
            check(f"{mode} P7: a stopped service is continued and stops", status == 0 and took < 1.9, f"{status} {took:.2f}s")
    with Workspace() as work:
        config = work.config(
            f'[service.kms]\ncommand = {work.command(name="kms", term="ignore")}\nstop_timeout = "1s"\n' + up_probe("kms"))
        with Launcher(config, pid1) as launcher:
            launcher.action("service-ready", "kms")
            os.kill(service_pid(launcher, "kms"), signal.SIGSTOP)
            began = time.monotonic()
            launcher.signal(signal.SIGTERM)
            status = launcher.status()
            took = time.monotonic() - began
            check(f"{mode} P7: a stopped service that ignores SIGTERM is killed in its time",
                  status == 137 and 0.9 < took < 3, f"{status} {took:.2f}s")


def p8_launcher_killed(mode, pid1):
    check(f"{mode} P8: the launcher is killed: both services are gone within 100 ms", *in_time(0.1, lambda: launcher_killed(pid1)))


def launcher_killed(pid1):
    with Workspace() as work:
        with Launcher(two_services(work, {"term": "ignore"}, {"term": "ignore"}), pid1) as launcher:
            launcher.action("service-ready", "kms")
            pids = [service_pid(launcher, name) for name in ("kms", "auth-eth")]
            handles = [os.pidfd_open(pid) for pid in pids]
            launcher.signal(signal.SIGKILL)
            began = time.monotonic()
            import select
            poller = select.poll()
            for handle in handles:
                poller.register(handle, select.POLLIN)
            left = set(handles)
            while left and time.monotonic() - began < 5:
                for handle, _ in poller.poll(1000):
                    poller.unregister(handle)
                    left.discard(handle)
            took = time.monotonic() - began
            for handle in handles:
                os.close(handle)
            return not left, took, f"{len(left)} left"


def p9_grandchild(mode, pid1):
    for kind, bound in (("gentle", 1.0), ("stubborn", 2.0)):
        with Workspace() as work:
            config = work.config(f'[service.kms]\ncommand = {work.command(name="kms", grandchild=kind)}\n' + up_probe("kms"))
            with Launcher(config, pid1) as launcher:
                launcher.message("grandchild ")
                launcher.action("service-ready", "kms")
                # The grandchild has left the session and its parent is gone: it belongs to the launcher now.
                outside = until(lambda: [p for p in children_of(launcher.pid()) if p != service_pid(launcher, "kms")]
                                or [p for p in children_of(launcher.pid())][1:])
                handles = [os.pidfd_open(pid) for pid in outside]
                began = time.monotonic()
                launcher.signal(signal.SIGTERM)
                status = launcher.status()
                took = time.monotonic() - began
                gone = all(not os.path.exists(f"/proc/{pid}") or stat_fields(pid)[0] == "Z" for pid in outside)
                for handle in handles:
                    os.close(handle)
                check(f"{mode} P9: a {kind} grandchild in its own session is ended too",
                      status == 0 and outside and gone and took < bound + 0.5, f"{status} {outside} {gone} {took:.2f}s")
                last = launcher.records[-1].get("fields", {})
                check(f"{mode} P9: … and the pipes that it held are counted", last.get("pipe_held_by_descendant", 0) >= 1, json.dumps(last))


def p10_descriptors(mode, pid1):
    reading, writing = os.pipe()
    try:
        os.dup2(reading, 17)
        os.set_inheritable(17, True)
        with Workspace() as work:
            config = two_services(work, {}, {})
            with Launcher(config, pid1, pass_fds=(17,)) as launcher:
                launcher.action("service-ready", "kms")
                for name in ("kms", "auth-eth"):
                    pid = service_pid(launcher, name)
                    open_now = sorted(int(n) for n in os.listdir(f"/proc/{pid}/fd"))
                    check(f"{mode} P10: {name} has descriptors 0, 1, 2 and no other", open_now == [0, 1, 2], str(open_now))
                    status = Path(f"/proc/{pid}/status").read_text()
                    masks = {line.split(":")[0]: int(line.split()[1], 16) for line in status.splitlines()
                             if line.startswith(("SigBlk", "SigIgn"))}
                    # The interpreter itself ignores SIGPIPE (13) and SIGXFSZ (25).
                    ignored = masks["SigIgn"] & ~(1 << 12) & ~(1 << 24)
                    check(f"{mode} P10: {name} has an empty signal mask and nothing ignored",
                          masks["SigBlk"] == 0 and ignored == 0, str(masks))
                up = launcher.message("kms up")["message"].split()
                check(f"{mode} P10: a service leads its own session", up[up.index("sid") + 1] == up[up.index("up") + 1], str(up))
                launcher.signal(signal.SIGTERM)
                launcher.status()
    finally:
        os.close(reading)
        os.close(writing)
        os.close(17)


def p11_no_program(mode, pid1):
    for kind, expected, reason in (("missing", 127, "No such file"), ("not-executable", 126, "Permission denied"),
                                   ("no-interpreter", 127, "No such file"), ("garbage", 126, "Exec format error")):
        with Workspace() as work:
            program = work.path / kind
            if kind != "missing":
                program.write_text({"no-interpreter": "#!/no/such/shell\n"}.get(kind, "\x00\x01 garbage"))
                program.chmod(0o644 if kind == "not-executable" else 0o755)
            config = work.config(
                f'[service.auth-eth]\ncommand = {work.command(name="auth-eth")}\n'
                f'[service.kms]\ncommand = ["{program}"]\n')
            with Launcher(config, pid1) as launcher:
                status = launcher.status()
                check(f"{mode} P11: program is {kind}: status {expected}", status == expected, f"{status} {launcher.dump()}")
                said = [r["message"] for r in launcher.records if r.get("event.action") == "service-exit"]
                check(f"{mode} P11: the message names path and reason",
                      any(str(program) in text and reason in text and "errno" in text for text in said), str(said))
                if kind in ("missing", "not-executable"):
                    check(f"{mode} P11: the other service was never started",
                          not any(r.get("event.action") == "service-start" for r in launcher.records), launcher.dump())


STORM = r"""
use POSIX (); $| = 1; print "storm up\n";
my $end = time() + 4;
while (time() < $end) {
    my $middle = fork();
    if ($middle == 0) { for (1 .. 100) { my $p = fork(); POSIX::_exit(0) if defined $p && $p == 0; } POSIX::_exit(0); }
    waitpid($middle, 0) if $middle;
}
print "storm over\n";
sleep 1000;
"""


def p12_storm(mode, pid1):
    lates, rate = [], 0
    for _ in range(3):
        with Workspace() as work:
            fifo = work.fifo("trigger")
            storm = work.path / "storm.pl"
            storm.write_text(STORM)
            config = work.config(
                f'[service.storm]\ncommand = ["/usr/bin/perl", "{storm}"]\nstop_timeout = "1s"\n' + up_probe("storm")
                + f'[service.kms]\ncommand = {work.command(name="kms", trigger=fifo, action="7")}\n'
                + 'depends_on = { storm = "started" }\nstop_timeout = "1s"\n' + up_probe("kms"))
            with Launcher(config, pid1) as launcher:
                launcher.action("service-ready", "kms")
                began = time.monotonic()
                launcher.wait_for(lambda r: False, 1.5)  # the storm rages
                pull(fifo)
                status = launcher.status()
                late = late_by(launcher, "kms")
                lates.append(late if late is not None else 1e9)
                exit_record = next((r for r in launcher.records if r.get("event.action") == "launcher-exit"), {})
                rate = max(rate, exit_record.get("fields", {}).get("orphans_reaped", 0) / max(time.monotonic() - began, 0.1))
                if status != 7:
                    check(f"{mode} P12: status 7 in a storm of orphans", False, f"{status} {launcher.dump()}")
                    return
        if statistics.median(lates) <= 50:
            break
    check(f"{mode} P12: {rate:.0f} orphans/s delay the record of a death by at most 50 ms",
          statistics.median(lates) <= 50, f"{lates} ms")


SCENARIOS = [p1_orphans, p2_kms_ends, p3_auth_ends, p4_clean_stop, p5_ignored_term, p6_second_signal, p7_stopped_service,
             p8_launcher_killed, p9_grandchild, p10_descriptors, p11_no_program, p12_storm]


def main():
    wanted = sys.argv[1:]
    for mode, pid1 in (("PID 1", True), ("subreaper", False)):
        for scenario in SCENARIOS:
            if wanted and not any(scenario.__name__.startswith(word) for word in wanted):
                continue
            if scenario is p8_launcher_killed and pid1:
                continue  # the kernel ends the namespace of a killed PID 1
            scenario(mode, pid1)
    checks.finish()


main()
