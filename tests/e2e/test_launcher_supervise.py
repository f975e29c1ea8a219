#!/usr/bin/env python3
"""What kms-launcher makes of its services: readiness, freezes, diagnoses, signals, systemd, secrets, mistakes."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from launcher_fixture import LAUNCHER, Checks, Launcher, Workspace, service_pid, until, up_probe

checks = Checks()
check = checks.check

# An HTTP service whose answers the test controls by files next to it. It never asks anybody.
WEB = r'''
import http.server, os, select, signal, socket, sys
args = dict(a.split("=", 1) for a in sys.argv[1:])
here = args["dir"]
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/" and os.path.exists(here + "/upstream-hangs"):
            select.select([self.rfile], [], [], 60)
            return
        status, body = 200, b"OK"
        if self.path == "/":
            body = b'{"status":"ok"}'
        if self.path == "/launcher-probe":
            status = 404
        if self.path == "/" and os.path.exists(here + "/upstream-fails"):
            status = 500
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
signal.signal(signal.SIGTERM, lambda *a: os._exit(0))
http.server.ThreadingHTTPServer.address_family = socket.AF_INET
http.server.ThreadingHTTPServer.daemon_threads = True
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(args["port"])), Handler)
print(args["name"], "up", os.getpid(), flush=True)
server.serve_forever()
'''


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def web(work, name, port):
    script = work.path / "web.py"
    script.write_text(WEB)
    words = ["/usr/bin/python3", "-E", str(script), f"name={name}", f"port={port}", f"dir={work.path}"]
    return json.dumps(words)


def ask(work, path):
    """(status, body) of the launcher's health endpoint, through its unix socket."""

    class Connection(http.client.HTTPConnection):
        def connect(self):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(10)
            self.sock.connect(str(work.path / "health.sock"))

    connection = Connection("localhost", timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def ask_until(work, path, status, timeout=20):
    def there():
        try:
            return ask(work, path)[0] == status
        except OSError:
            return False

    return until(there, timeout, 0.05)


def service(work, launcher, name):
    document = json.loads(ask(work, "/status")[1])
    return next(entry for entry in document["services"] if entry["name"] == name)


def http_probe(name, role, port, path, extra):
    return (f'[service.{name}.probe.{role}]\nkind = "http"\nurl = "http://127.0.0.1:{port}{path}"\n' + extra + "\n")


def auth_service(work, port, probed=None, liveness="", readiness=None):
    probed = probed or port
    text = f'[service.auth-eth]\ncommand = {web(work, "auth-eth", port)}\nstop_timeout = "1s"\n'
    text += http_probe("auth-eth", "startup", probed, "/launcher-probe", 'expect_status = [404]\ndeadline = "2s"')
    if liveness:
        text += http_probe("auth-eth", "liveness", probed, "/launcher-probe", "expect_status = [404]\n" + liveness)
    if readiness:
        text += http_probe("auth-eth", "readiness", probed, "/", 'expect_json = { "/status" = "ok" }\n' + readiness)
    return text


def stop(launcher):
    launcher.signal(signal.SIGTERM)
    return launcher.status()


def wrong_port():
    with Workspace() as work:
        real, probed = free_port(), free_port()
        config = work.config(auth_service(work, real, probed) + f'[service.kms]\ncommand = {work.command(name="kms")}\n'
                             'depends_on = { auth-eth = "started" }\n')
        with Launcher(config) as launcher:
            began = time.monotonic()
            status = launcher.status()
            took = time.monotonic() - began
            record = launcher.action("stop-begin", timeout=1) or {}
            check("a start-up deadline that passes: status 75", status == 75 and took < 8, f"{status} {took:.1f}s {launcher.dump()}")
            said = record.get("message", "")
            check("the diagnosis names both ports and the way out",
                  f"nothing listens on 127.0.0.1:{probed}" in said and f"listens on 127.0.0.1:{real}" in said
                  and f"set PORT={probed}" in said, said)
            fields = record.get("fields", {})
            wanted = {"service", "deadline_seconds", "last_results", "first_result", "last_result", "listening", "last_lines",
                      "thread_states"}
            check("the record holds all that is needed to understand it", wanted <= set(fields), str(wanted - set(fields)))
            check("the last five results come with their stage times",
                  1 <= len(fields.get("last_results", [])) <= 5 and "stages_ms" in fields["last_results"][0], str(fields))
            check("the service that depends on it was never started",
                  not any(r.get("fields", {}).get("service") == "kms" and r.get("event.action") == "service-start"
                          for r in launcher.records))


def freeze():
    with Workspace() as work:
        port = free_port()
        config = work.config(auth_service(
            work, port, liveness='interval = "1s"\ntimeouts = { connect = "500ms", headers = "1s", total = "2s" }'))
        with Launcher(config) as launcher:
            launcher.action("service-ready", "auth-eth")
            pid = service_pid(launcher, "auth-eth")
            began = time.monotonic()
            os.kill(pid, signal.SIGSTOP)
            frozen = launcher.action("freeze-begin", "auth-eth", 30)
            took = time.monotonic() - began
            check("a stopped service is called frozen within 10 s", frozen is not None and took < 10, f"{took:.1f}s {launcher.dump()}")
            check("the suspicion came first", launcher.action("freeze-suspect", timeout=1) is not None)
            check("the record names the layer and the cause",
                  frozen and frozen["fields"]["class"] == "http_headers_timeout" and "stopped by a signal" in frozen["message"],
                  str(frozen))
            check("/readyz and /healthz say no", ask(work, "/readyz")[0] == 503 and ask(work, "/healthz")[0] == 503)
            check("/livez says yes: the launcher works", ask(work, "/livez")[0] == 200)
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
            check("the service is left as it is", state == "T" and service_pid(launcher, "auth-eth") == pid, state)
            os.kill(pid, signal.SIGCONT)
            ended = launcher.action("freeze-end", "auth-eth", 20)
            check("the end of the freeze is told with its duration", ended is not None and ended["fields"]["seconds"] > 0, str(ended))
            check("/readyz says yes again", ask_until(work, "/readyz", 200))
            metrics = ask(work, "/metrics")[1]
            check("the freeze is counted by class",
                  'kms_launcher_freezes_total{service="auth-eth",class="http_headers_timeout"} 1' in metrics,
                  "\n".join(line for line in metrics.splitlines() if "freezes_total" in line))
            started = [r for r in launcher.records if r.get("event.action") == "service-start"]
            check("nothing was restarted", len(started) == 1 and 'restarts_total{service="auth-eth"} 0' in metrics)
            check("and everything stops cleanly", stop(launcher) == 0, launcher.dump())


def upstream():
    with Workspace() as work:
        port = free_port()
        (work.path / "upstream-hangs").touch()
        config = work.config(auth_service(
            work, port, liveness='interval = "1s"',
            readiness='interval = "1s"\nfailure_threshold = 2\ntimeouts = { headers = "500ms" }')
            + f'[service.kms]\ncommand = {work.command(name="kms")}\ndepends_on = {{ auth-eth = "started" }}\n')
        with Launcher(config) as launcher:
            record = launcher.wait_for(lambda r: "but GET / timed out" in r.get("message", ""))
            check("a webhook whose upstream hangs is told apart from one that hangs",
                  record is not None and "answers 404 in" in record["message"] and "Ethereum RPC does not answer" in record["message"],
                  str(record))
            check("the KMS has started all the same", launcher.action("service-start", "kms") is not None)
            check("/startupz says yes, /readyz says no",
                  ask_until(work, "/startupz", 200) and ask(work, "/readyz")[0] == 503 and ask(work, "/readyz/kms")[0] == 200)
            check("it is not frozen", service(work, launcher, "auth-eth")["freeze"]["state"] == "none")
            (work.path / "upstream-fails").touch()
            (work.path / "upstream-hangs").unlink()
            record = launcher.wait_for(lambda r: "with status 500" in r.get("message", ""))
            check("an upstream that fails is told as such", record is not None and "Ethereum RPC fails" in record["message"], str(record))
            (work.path / "upstream-fails").unlink()
            check("/readyz says yes when it is back", ask_until(work, "/readyz", 200))
            stop(launcher)


def probe_kinds():
    with Workspace() as work:
        port = free_port()
        notifier = work.path / "notifier.py"
        notifier.write_text(
            "import os, signal, socket\n"
            "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
            "a = os.environ['NOTIFY_SOCKET']\n"
            "s.sendto(b'READY=1\\nSTATUS=fine', '\\0' + a[1:] if a[0] == '@' else a)\n"
            "signal.pause()\n")
        flag = work.path / "flag"
        config = work.config(
            f'[service.by-tcp]\ncommand = {work.command(name="by-tcp", listen=port)}\nstop_timeout = "1s"\n'
            f'[service.by-tcp.probe.startup]\nkind = "tcp"\nhost = "127.0.0.1"\nport = {port}\ndeadline = "20s"\n'
            f'[service.by-notify]\ncommand = ["/usr/bin/python3", "-S", "-E", "{notifier}"]\nstop_timeout = "1s"\n'
            '[service.by-notify.probe.startup]\nkind = "notify"\ndeadline = "20s"\n'
            f'[service.by-exec]\ncommand = {work.command(name="by-exec")}\nstop_timeout = "1s"\n'
            f'[service.by-exec.probe.startup]\nkind = "exec"\ncommand = ["/usr/bin/test", "-e", "{flag}"]\ndeadline = "20s"\n'
            f'[service.by-all]\ncommand = {work.command(name="by-all")}\nstop_timeout = "1s"\n'
            '[service.by-all.probe.startup]\nkind = "all"\ndeadline = "20s"\n'
            '[[service.by-all.probe.startup.probes]]\nkind = "log-line"\npattern = "by-all up"\n'
            f'[[service.by-all.probe.startup.probes]]\nkind = "exec"\ncommand = ["/usr/bin/test", "-e", "{flag}"]\n', log="warn")
        with Launcher(config) as launcher:
            states = lambda: {s["name"]: s["state"] for s in json.loads(ask(work, "/status")[1])["services"]}
            until(lambda: os.path.exists(work.path / "health.sock"))
            until(lambda: states()["by-tcp"] == "ready" and states()["by-notify"] == "ready", 20, 0.05)
            now = states()
            check("tcp and notify probes see their service", now["by-tcp"] == "ready" and now["by-notify"] == "ready", str(now))
            check("exec and all wait for their conditions", now["by-exec"] == "starting" and now["by-all"] == "starting", str(now))
            flag.touch()
            until(lambda: set(states().values()) == {"ready"}, 20, 0.05)
            check("and see them, even lines that the filter hides", set(states().values()) == {"ready"}, str(states()))
            check("no probe command is left behind", stop(launcher) in (0, 143), launcher.dump())


def own_signals():
    with Workspace() as work:
        log = work.path / "launcher.log"
        config = work.config(f'[service.kms]\ncommand = {work.command(name="kms")}\nforward_signals = ["SIGUSR2"]\n'
                             + up_probe("kms") + "")
        text = config.read_text().replace('[health]', f'[[log.sink]]\nkind = "file"\npath = "{log}"\nformat = "json"\n[health]')
        config.write_text(text)
        with Launcher(config) as launcher:
            launcher.action("service-ready", "kms")
            launcher.signal(signal.SIGUSR2)
            record = launcher.wait_for(lambda r: r.get("message") == "status")
            check("SIGUSR2 logs the status document", record is not None and "services" in json.dumps(record["fields"]), str(record))
            check("and goes to the service that asks for it", launcher.message(f"kms got signal {int(signal.SIGUSR2)}") is not None)
            moved = work.path / "moved.log"
            log.rename(moved)
            config.write_text(config.read_text().replace('filter = "info"', 'filter = "debug"'))
            launcher.signal(signal.SIGHUP)
            record = launcher.wait_for(lambda r: r.get("event.action") == "config-loaded" and "reloaded" in r["message"])
            check("SIGHUP reloads the filter", record is not None and record["fields"]["filter"] == "debug", str(record))
            check("and opens the log file anew", until(log.exists, 5))
            config.write_text(config.read_text().replace('filter = "debug"', 'filter = "dbug=loud"'))
            launcher.signal(signal.SIGHUP)
            record = launcher.wait_for(lambda r: "log filter stays" in r.get("message", ""))
            check("a broken file leaves the filter as it was", record is not None, launcher.dump())
            check("SIGHUP is not passed on", not any(r.get("message") == f"kms got signal {int(signal.SIGHUP)}" for r in launcher.records))
            for number in (signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT, signal.SIGTTIN, signal.SIGALRM, signal.SIGUSR1):
                launcher.signal(number)
            check("other signals change nothing", ask(work, "/readyz")[0] == 200)
            launcher.signal(signal.SIGRTMIN + 3)
            check("SIGRTMIN+3 stops in order", launcher.status() == 0, launcher.dump())
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGPWR):
            with Launcher(config_of(work)) as launcher:
                launcher.action("service-ready", "kms")
                launcher.signal(number)
                check(f"{number.name} stops in order", launcher.status() == 0, launcher.dump())


def config_of(work):
    return work.config(f'[service.kms]\ncommand = {work.command(name="kms")}\n' + up_probe("kms"))


def systemd():
    with Workspace() as work:
        address = str(work.path / "notify.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(address)
            listener.settimeout(20)
            said = []

            def hear(word):
                while True:
                    try:
                        said.append(listener.recv(65536).decode())
                    except socket.timeout:
                        return None
                    if word in said[-1]:
                        return said[-1]

            environment = dict(os.environ, NOTIFY_SOCKET=address, WATCHDOG_PID="1")
            with Launcher(config_of(work), env=environment) as launcher:
                ready = hear("READY=1")
                check("systemd is told READY=1 with a status", ready is not None and "STATUS=kms" in ready, str(said))
                check("and asked for time before", any("EXTEND_TIMEOUT_USEC=" in message for message in said), str(said))
                check("nobody feeds a watchdog", not any("WATCHDOG" in message for message in said), str(said))
                pid = service_pid(launcher, "kms")
                names = {entry.split(b"=")[0] for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")}
                check("services cannot speak in the launcher's name", b"NOTIFY_SOCKET" not in names and b"WATCHDOG_PID" not in names)
                launcher.signal(signal.SIGHUP)
                check("a reload is framed", hear("RELOADING=1") is not None and hear("READY=1") is not None, str(said))
                launcher.signal(signal.SIGTERM)
                check("STOPPING=1 comes first in a stop", hear("STOPPING=1") is not None, str(said))
                launcher.status()
        environment = dict(os.environ, WATCHDOG_USEC="1000000")
        environment.pop("WATCHDOG_PID", None)
        with Launcher(config_of(work), env=environment) as launcher:
            check("a watchdog that would kill the launcher: status 78", launcher.status() == 78, launcher.dump())
            check("with a sentence", b"WatchdogSec=0" in launcher.errors, str(launcher.errors))
        with Launcher(config_of(work), env=environment, arguments=("--allow-watchdog",)) as launcher:
            check("unless that is allowed", launcher.action("service-ready", "kms") is not None, launcher.dump())
            stop(launcher)


def secrets():
    secret = "https://rpc.example/v3/0123456789abcdef0123456789abcdef"
    with Workspace() as work:
        printer = work.path / "printer.py"
        printer.write_text("import os, signal\nprint('url', os.environ['ETH_RPC_URL'], flush=True)\nprint('up', flush=True)\nsignal.pause()\n")
        config = work.config(
            f'[service.kms]\ncommand = ["/usr/bin/python3", "-S", "-E", "{printer}"]\n'
            'secret_env = { ETH_RPC_URL = { env = "ETH_RPC_URL" } }\nenv_pass = ["ADMIN_TOKEN"]\n' + up_probe("kms", "up")
            + f'[service.other]\ncommand = {work.command(name="other")}\nstop_timeout = "1s"\n')
        with Launcher(config, env=dict(os.environ, ETH_RPC_URL=secret, ADMIN_TOKEN="planted-by-name-4711")) as launcher:
            launcher.action("service-ready", "kms")
            line = launcher.wait_for(lambda r: r.get("message", "").startswith("url "))
            check("a service gets its secret, and its log does not show it",
                  line is not None and "0123456789abcdef" not in line["message"] and "[redacted]" in line["message"], str(line))
            own = Path(f"/proc/{launcher.pid()}/environ").read_bytes()
            check("the launcher's own environment does not show it either", b"0123456789abcdef" not in own and own != b"")
            check("nor what a name alone calls secret, which the service gets", b"planted-by-name" not in own
                  and b"planted-by-name" in Path(f"/proc/{launcher.action('service-start', 'kms')['fields']['pid']}/environ").read_bytes())
            other = Path(f"/proc/{service_pid(launcher, 'other')}/environ").read_bytes()
            check("nor does the other service's", b"ETH_RPC_URL" not in other)
            shown = subprocess.run([LAUNCHER, "print-config", "--config", str(config)], env=dict(os.environ, ETH_RPC_URL=secret),
                                   capture_output=True, timeout=20)
            check("print-config shows that it is set, and no more",
                  b"[set]" in shown.stdout and b"0123456789abcdef" not in shown.stdout + shown.stderr, shown.stdout.decode())
            stop(launcher)
            check("it is in no output at all", secret[-20:] not in "".join(launcher.lines) and secret[-20:].encode() not in launcher.errors)


def exit_record():
    with Workspace() as work:
        path = work.path / "exit.json"
        trigger = work.fifo("trigger")
        config = work.config(f'[service.kms]\ncommand = {work.command(name="kms", trigger=trigger, action="75")}\n' + up_probe("kms"))
        config.write_text(config.read_text().replace("version = 1\n", f'version = 1\n[launcher]\nexit_record = "{path}"\n'))
        with Launcher(config) as launcher:
            launcher.action("service-ready", "kms")
            with open(trigger, "w") as pipe:
                pipe.write("x")
            status = launcher.status()
            record = json.loads(path.read_text())
            check("the exit record tells a service's 75 from the launcher's",
                  status == 75 and record["cause"] == "service-ended" and record["services"][0]["exit_code"] == 75, str(record))


def command_line():
    def run(*words, env=None):
        done = subprocess.run([LAUNCHER, *words], capture_output=True, timeout=30, env=env, text=True)
        return done.returncode, done.stdout, done.stderr

    with Workspace() as work:
        good = config_of(work)
        code, out, _ = run("check", "--config", str(good))
        check("check of a good file: status 0 and one line", code == 0 and "ok, 1 services" in out, out)
        bad = work.path / "bad.toml"
        bad.write_text('version = 1\n[launcher]\nstop_totl = "9s"\n[log]\nfilter = "info,foo=warning"\n[service.kms]\n'
                       'command = ["/nonexistent/kms"]\nstop_timeout = "x"\n')
        code, out, err = run("check", "--config", str(bad))
        check("check of a bad file: status 78, every mistake with place, caret and hint",
              code == 78 and f"{bad}:3:1: error: unknown key 'stop_totl'" in err and "did you mean 'stop_total'?" in err
              and f"{bad}:5:20: error: " in err and f"{bad}:8:16: error: " in err and "/nonexistent/kms" in err and "^" in err, err)
        code, out, err = run("check", "--config", str(bad), "--offline")
        check("check --offline looks at no program", code == 78 and "/nonexistent/kms: " not in err, err)
        code, out, _ = run("check", "--config", str(bad), "--json")
        listed = json.loads(out)
        check("check --json is for machines", code == 78 and {"file", "line", "column", "text", "hint", "severity"} <= set(listed[0]), out)
        code, _, err = run("run", "--config", str(bad))
        check("run refuses the same file with the same report", code == 78 and "stop_totl" in err, err)
        code, _, err = run("run", "--config", "/nonexistent.toml")
        check("a file that is not there: status 78", code == 78 and "/nonexistent.toml" in err, err)
        code, _, err = run("run", "--confg", str(good))
        check("an unknown option: status 64", code == 64 and "--confg" in err, err)
        code, _, err = run("start")
        check("an unknown command: status 64", code == 64 and "start" in err, err)
        code, out, _ = run("version")
        check("version", code == 0 and out.startswith("kms-launcher "), out)
        code, out, _ = run("--help")
        check("--help fits a screen", code == 0 and len(out.splitlines()) <= 24 and max(map(len, out.splitlines())) <= 100, out)
        code, out, _ = run("print-config", "--config", str(good), env=dict(os.environ, LAUNCHER_SERVICE__KMS__STOP_TIMEOUT="3s"))
        check("print-config tells where each value comes from",
              'service.kms.stop_timeout = "3s"  # LAUNCHER_SERVICE__KMS__STOP_TIMEOUT' in out and "# default" in out
              and f"# {good}:" in out, out[:500])
        code, _, err = run("check", "--config", str(good), env=dict(os.environ, LAUNCHER_SERVICE__KMS__STOP_TIMOUT="3s"))
        check("an unknown LAUNCHER_ variable: status 78 and the nearest name",
              code == 78 and "LAUNCHER_SERVICE__KMS__STOP_TIMEOUT" in err, err)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            good.write_text(good.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
            code, _, err = run("run", "--config", str(good))
            check("a taken health port: one sentence with the pid that holds it", code == 70 and str(os.getpid()) in err and str(port) in err,
                  f"{code} {err}")


NODE = r"""
const http = require('http');
const port = Number(process.env.PORT);
const log = (level, msg) => console.log(JSON.stringify({level, time: Date.now(), pid: process.pid, hostname: 'h', msg}));
const server = http.createServer((req, res) => {
  if (req.url !== '/') { res.statusCode = 404; res.end('{}'); return; }
  res.setHeader('Content-Type', 'application/json');
  res.end(JSON.stringify({status: 'ok', contract: process.env.KMS_CONTRACT_ADDR}));
});
server.listen(port, process.env.HOST, () => log(30, `Server listening at http://127.0.0.1:${port}`));
process.on('SIGTERM', () => { log(30, 'closing'); server.close(() => process.exit(0)); server.closeAllConnections?.(); });
"""

# Any KMS: in onboarding it speaks plain HTTP, and knows /health.
NODE_KMS = r"""
const http = require('http');
const server = http.createServer((req, res) => { res.statusCode = req.url === '/health' ? 200 : 404; res.end('OK'); });
server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('2026-01-01T00:00:00.000000Z  INFO dstack_kms: listening'));
process.on('SIGTERM', () => process.exit(0));
"""


def other_peoples_services():
    """The built-in configuration and environment variables alone, with a real Node program in the webhook's place."""
    node = shutil.which("node")
    if not node:
        print("skip  built-in configuration with Node: no node program here")
        return
    with Workspace() as work:
        program = work.path / "main.js"
        program.write_text(NODE)
        kms_program = work.path / "kms.js"
        kms_program.write_text(NODE_KMS)
        auth, kms = free_port(), free_port()
        environment = {
            "PATH": os.environ["PATH"], "PORT": str(auth), "ETH_RPC_URL": "http://127.0.0.1:1/", "KMS_CONTRACT_ADDR": "0xabc",
            "RUST_LOG": "info", "KMS_DOMAIN": "kms.example",
            "LAUNCHER_SERVICE__AUTH_ETH__COMMAND": f"{node},{program}",
            "LAUNCHER_SERVICE__KMS__COMMAND": f"{node},{kms_program}",
            "LAUNCHER_SERVICE__KMS__ENV__PORT": str(kms),
            "LAUNCHER_SERVICE__KMS__PROBE__STARTUP__URL": f"https://127.0.0.1:{kms}/health",
            "LAUNCHER_SERVICE__KMS__PROBE__LIVENESS__URL": f"https://127.0.0.1:{kms}/health",
            "LAUNCHER_SERVICE__KMS__PROBE__STARTUP__READY_PHASES": "serving,onboarding",
            "LAUNCHER_SERVICE__KMS__PROBE__LIVENESS__READY_PHASES": "serving,onboarding",
            "LAUNCHER_HEALTH__LISTEN": "127.0.0.1:0", "LAUNCHER_HEALTH__UNIX": f"{work.path}/health.sock",
        }
        with Launcher(None, env=environment) as launcher:
            ready = launcher.action("service-ready", "kms")
            check("the built-in configuration runs a Node webhook and another KMS by variables alone", ready is not None, launcher.dump())
            line = launcher.message("Server listening")
            check("the Node program's log is read as pino", line is not None and line["log.level"] == "info"
                  and line["service.name"] == "auth-eth", str(line))
            check("the deep probe sees it", ask_until(work, "/readyz", 200), launcher.dump())
            check("it stops cleanly", stop(launcher) == 0, launcher.dump())


def main():
    scenarios = [wrong_port, freeze, upstream, probe_kinds, own_signals, systemd, secrets, exit_record, command_line,
                 other_peoples_services]
    wanted = sys.argv[1:]
    for scenario in scenarios:
        if not wanted or scenario.__name__ in wanted:
            scenario()
    checks.finish()


main()
