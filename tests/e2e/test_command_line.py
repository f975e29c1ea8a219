#!/usr/bin/env python3
"""The command line of kms-launcher: help that fits a screen, mistakes shown at their place, values with their origin,
and completions as the real shells make them."""
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

from harness import BIN, ROOT, Checks

checks = Checks()
LAUNCHER = BIN / "kms-launcher"
COMPLETION = ROOT / "units/completion"
SERVICE = '[service.kms]\ncommand = ["/bin/true"]\n'
HTTP = SERVICE + '[service.kms.probe.startup]\nkind = "http"\ndeadline = "9s"\n'
# A mistake each: the text of the file with @ where the caret must stand, words of the sentence, words of the hint.
MISTAKES = [
    ("version = @2\n" + SERVICE, "out of range", ""),
    ("[launcher]\n@stop_totl = \"9s\"\n" + SERVICE, "unknown key 'stop_totl'", "did you mean 'stop_total'?"),
    ("[launcher]\nstop_total = @\"9 s\"\n" + SERVICE, "not a duration", ""),
    ("[launcher]\nstop_order = @\"paralel\"\n" + SERVICE, "not known", "parallel"),
    (SERVICE + "stop_signal = @\"SIGTERMINATE\"\n", "unknown signal", "SIGTERM"),
    (SERVICE + "depends_on = @{ kms = \"started\" }\n", "wait for each other", ""),
    (SERVICE + "env = { API_TOKEN = @\"hunter22hunter\" }\n", "looks like a secret", "secret_env"),
    (SERVICE + "stop_timeout = @\"20s\"\n", "longer than launcher.stop_total", ""),
    (SERVICE + "umask = @\"999\"\n", "no umask", "0077"),
    (HTTP + "url = @\"https://127.0.0.1:9100/\"\n", "needs an http://", "https"),
    (HTTP + "url = \"http://127.0.0.1:9100/\"\nexpect_status = @[]\n", "empty list", ""),
    (HTTP + "url = \"http://127.0.0.1:9100/\"\ntimeouts = { @header = \"1s\" }\n", "unknown key 'header'", "headers"),
    (HTTP + "url = @\"http://127.0.0.1:9180/\"\n", "also that of the health endpoint", "own port"),
    ("[log]\nfilter = \"info,foo=@warning\"\n" + SERVICE, "", "warn"),
    ("[[log.sink]]\nkind = @\"stdot\"\n" + SERVICE, "not known", "stdout"),
    ("[health]\nlisten = @[\"0.0.0.0:9180\"]\n" + SERVICE, "from other machines", "allow_remote"),
    ("[service.kms]\ncommand = @[\"/no/such/program\"]\n", "No such file", "install"),
    ("[service.kms]\ncommand = @[\"/etc/passwd\"]\n", "Permission denied", "chmod"),
    (SERVICE + "cwd = @\"/no/such/place\"\n", "cannot enter", ""),
    (SERVICE + "env = { PORT = @\"9200\" }\n[service.kms.probe.startup]\nkind = \"http\"\n"
     "url = \"http://127.0.0.1:8000/\"\ndeadline = \"9s\"\n", "is told to listen on port 9200, but is probed on port 8000", "agree"),
    (SERVICE + "note = \"é\"; @\n", "", ""),
]


def run(*words, env=None, cwd=None):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LAUNCHER_") and name != "RUST_LOG"}
    return subprocess.run([LAUNCHER, *map(str, words)], capture_output=True, text=True, timeout=20,
                          env={**clean, **(env or {})}, cwd=cwd)


def help_fits():
    told = run("--help")
    lines = told.stdout.splitlines()
    checks.check("--help fits 24 lines of 80 columns", told.returncode == 0 and 10 < len(lines) <= 24 and
                 max(map(len, lines)) <= 80, told.stdout)
    commands = re.findall(r"^  ([a-z-]+) .*  ", told.stdout, re.MULTILINE)
    commands = [name for name in commands if not name.startswith("-")]
    for name in commands:
        usage = run(name, "--help")
        checks.check(f"{name} --help", usage.returncode == 0 and usage.stdout.startswith("usage: kms-launcher ") and
                     usage.stderr == "" and max(map(len, usage.stdout.splitlines())) <= 80, usage.stdout + usage.stderr)
    for words, hint in ((["polll"], "did you mean 'poll'?"), (["frobnicate"], "--help"), (["check", "--ofline"], "--offline"),
                        (["run", "--offline"], "unknown option"), (["check", "extra"], "unexpected 'extra'"),
                        (["check", "--config"], "needs a value"), (["help", "statsu"], "'status'"),
                        (["status", "--sockt=/x"], "--socket"), (["poll"], "URL")):
        told = run(*words)
        checks.check(f"{' '.join(words)}: status 64 and a way out", told.returncode == 64 and hint in told.stderr and
                     told.stdout == "", told.stdout + told.stderr)


def version_is_told():
    plain, machine = run("version"), run("version", "--json")
    version = json.loads(machine.stdout)["version"]
    checks.equal("version", (plain.stdout, run("--version").stdout), (f"kms-launcher {version}\n",) * 2)


def mistakes_are_shown(directory):
    for number, (marked, sentence, hint) in enumerate(MISTAKES):
        at = marked.index("@")
        text = marked.replace("@", "", 1)
        line, column = text[:at].count("\n") + 1, at - (text[:at].rfind("\n") + 1) + 1
        path = directory / f"mistake{number}.toml"
        path.write_text(text)
        told = run("check", "--config", path)
        place = f"{path}:{line}:{column}: error: "
        found = [i for i, each in enumerate(told.stderr.splitlines()) if each.startswith(place) and sentence in each]
        # What follows the sentence: the line of the file, a caret under the column, perhaps a hint.
        shown = told.stderr.splitlines()[found[0] + 1:found[0] + 4] if found else []
        if "secret" in sentence:  # its line must not be shown
            good = len(shown) >= 1 and shown[0].startswith("  hint: ") and hint in shown[0]
        else:
            good = len(shown) >= 2 and shown[0].strip() == text.splitlines()[line - 1].strip() and shown[1] == "  " + " " * (column - 1) + "^"
            good = good and (not hint or (len(shown) > 2 and shown[2].startswith("  hint: ") and hint in shown[2]))
        if number == len(MISTAKES) - 1:  # what is no TOML is told in the parser's own words
            good = re.search(rf"^{re.escape(str(path))}:{line}:\d+: error: ", told.stderr, re.MULTILINE) is not None
        checks.check(f"check shows mistake {number + 1} ({sentence or hint or 'no TOML'})", good and told.returncode == 78 and
                     told.stdout == "" and "hunter22" not in told.stderr, told.stderr)
    path = directory / "many.toml"
    path.write_text('[launcher]\nstop_total = "x"\n[log]\nfilter = "warning"\n' + SERVICE + 'stop_mode = "tree"\nnice = 99\n')
    many = run("check", "--config", path, "--json")
    problems = json.loads(many.stdout)
    checks.check("check --json tells all of them", many.returncode == 78 and many.stderr == "" and len(problems) == 4 and
                 all(p["severity"] == "error" and p["line"] > 0 and p["column"] > 0 and p["text"] for p in problems), many.stdout)
    checks.equal("run refuses the same file with 78, and starts nothing", run("run", "--config", path).returncode, 78)
    path.write_text(SERVICE)
    fine = run("check", "--config", path)
    checks.equal("a good file: status 0", (fine.returncode, fine.stdout), (0, f"{path}: ok, 1 services\n"))
    path.write_text('[service.kms]\ncommand = ["/no/such/program"]\n')
    checks.equal("--offline looks at no program", run("check", "--config", path, "--offline").returncode, 0)
    told = run("check", "--config", path, "--offline", env={"LAUNCHER_SERVICE__KMS__STOP_TIMEOT": "8s"})
    checks.check("an unknown variable is a mistake with the nearest name", told.returncode == 78 and
                 "did you mean 'LAUNCHER_SERVICE__KMS__STOP_TIMEOUT'?" in told.stderr, told.stderr)
    missing = run("check", "--config", directory / "nowhere.toml")
    checks.check("a file that is not there", missing.returncode == 78 and "nowhere.toml" in missing.stderr, missing.stderr)


def origins_are_told(directory):
    path = directory / "origins.toml"
    path.write_text('version = 1\n[launcher]\nstop_total = "20s"\n' + SERVICE +
                    'stop_timeout = "3s"\nsecret_env = { TOKEN = { env = "TOKEN" }, OTHER = { env = "OTHER" } }\n')
    variables = {"LAUNCHER_SERVICE__KMS__STOP_TIMEOUT": "8s", "TOKEN": "correct-horse", "LAUNCHER_HEALTH__LISTEN": "127.0.0.1:1,127.0.0.1:2"}
    shown = run("print-config", "--config", path, "--log", "warn", env=variables)
    lines = set(shown.stdout.splitlines())
    for line in (f'launcher.stop_total = "20s"  # {path}:3', 'service.kms.stop_timeout = "8s"  # LAUNCHER_SERVICE__KMS__STOP_TIMEOUT',
                 'health.listen = ["127.0.0.1:1", "127.0.0.1:2"]  # LAUNCHER_HEALTH__LISTEN', 'log.filter = "warn"  # --log',
                 'service.kms.secret_env.TOKEN = [set]', 'service.kms.secret_env.OTHER = [unset]', 'launcher.stop_order = "reverse"  # default'):
        checks.check(f"print-config: {line.replace(str(directory), '')}", any(each == line or each.startswith(line + "  # ") for each in lines),
                     shown.stdout + shown.stderr)
    checks.check("print-config shows no secret", "correct-horse" not in shown.stdout + shown.stderr, "")
    machine = json.loads(run("print-config", "--config", path, "--json", env=variables).stdout)
    checks.check("print-config --json", {"key": "launcher.stop_total", "value": '"20s"', "origin": f"{path}:3"} in
                 [{**each, "origin": re.sub(r"(:\d+):\d+$", r"\1", each["origin"])} for each in machine], str(machine)[:500])
    builtin = run("print-config", "--offline", env={"PORT": "9333"})
    checks.check("the built-in configuration names itself", 'service.auth-eth.env.PORT = "9333"  # built-in' in builtin.stdout,
                 builtin.stdout[:500])


WORDS = [  # what is typed, what must be offered, what must not
    (["che"], {"check"}, {"status"}),
    (["p"], {"print-config", "probe", "poll"}, {"run"}),
    (["check", "--o"], {"--offline"}, {"--ready"}),
    (["health", "--re"], {"--ready"}, {"--last"}),
    (["evidence", "--la"], {"--last"}, {"--ready"}),
    (["log-level", "k"], {"kms"}, {"auth-eth"}),
    (["log-level", "kms", "de"], {"debug"}, {"kms"}),
    (["poll", "--conc"], {"--concurrency"}, {"--offline"}),
    (["run", "--log", "tr"], {"trace"}, {"run"}),
]


def environment():
    return {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "TERM": "dumb"}


def completes_in_bash():
    script = (f'source "{COMPLETION}/kms-launcher.bash"; COMP_WORDS=(kms-launcher "$@"); COMP_CWORD=$#; _kms_launcher; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    for words, wanted, unwanted in WORDS:
        told = subprocess.run(["bash", "--norc", "-c", script, "bash", *words], capture_output=True, text=True, timeout=20, env=environment())
        offered = set(told.stdout.split())
        checks.check(f"bash completes {' '.join(words)}", wanted <= offered and not unwanted & offered, f"{offered} {told.stderr}")
    told = subprocess.run(["bash", "--norc", "-c", f'source "{COMPLETION}/kms-launcher.bash"; complete -p kms-launcher'],
                          capture_output=True, text=True, timeout=20)
    checks.check("bash knows whom to ask", "-F _kms_launcher kms-launcher" in told.stdout, told.stderr)


def completes_in_fish():
    if not shutil.which("fish"):
        checks.skip("fish completes", "fish is not installed (apt-get install fish)")
        return
    with tempfile.TemporaryDirectory() as home:
        for words, wanted, unwanted in WORDS:
            line = "kms-launcher " + " ".join(words)
            told = subprocess.run(["fish", "--no-config", "-c", f'source "{COMPLETION}/kms-launcher.fish"; complete -C "{line}"'],
                                  capture_output=True, text=True, timeout=20, env={**environment(), "HOME": home})
            offered = {each.split("\t")[0] for each in told.stdout.splitlines()}
            checks.check(f"fish completes {' '.join(words)}", wanted <= offered and not unwanted & offered, f"{offered} {told.stderr}")


class Zsh:
    """An interactive zsh on a terminal. After each line a key of ours makes it tell what is offered or was inserted."""

    def __init__(self, directory):
        self.answers = directory / "answers"
        os.mkfifo(self.answers)
        (directory / ".zshrc").write_text(f'''
PS1='ready> '
fpath=("{COMPLETION}" $fpath)
autoload -Uz compinit && compinit -u -D
zstyle ':completion:*' list-prompt ''
zstyle ':completion:*' menu no
LISTMAX=10000
# Every match that a completion function offers passes through compadd.
compadd() {{
    if [[ "$*" != *-[OAD]\\ * && "$*" != -[OAD]* ]]; then
        local -a offered_now; builtin compadd -O offered_now "$@"; offered+=($offered_now)
    fi
    builtin compadd "$@"
}}
tell() {{ offered=(); zle complete-word; print -r -- "$BUFFER|$offered" > "{self.answers}"; BUFFER= }}
zle -N tell
bindkey '^T' tell
: > "{self.answers}"
''')
        self.reader = os.open(self.answers, os.O_RDONLY | os.O_NONBLOCK)
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execvpe("zsh", ["zsh", "-i"], {**environment(), "ZDOTDIR": str(directory), "HOME": str(directory)})
        self.screen = ""
        self.up = self._until(lambda: "ready> " in self.screen, 20)

    def _until(self, condition, seconds):
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            if select.select([self.terminal], [], [], 0.05)[0]:
                try:
                    self.screen += os.read(self.terminal, 4096).decode(errors="replace")
                except OSError:
                    return False
        return condition()

    def offered(self, line):
        told = []

        def answer():
            try:
                told.append(os.read(self.reader, 65536).decode())
            except BlockingIOError:
                pass
            return "\n" in "".join(told)

        os.write(self.terminal, line.encode() + b"\x14")
        self._until(answer, 10)
        return set(re.split(r"[\s|]+", "".join(told)))

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)
        os.close(self.reader)


def completes_in_zsh():
    if not shutil.which("zsh"):
        checks.skip("zsh completes", "zsh is not installed (apt-get install zsh)")
        return
    with tempfile.TemporaryDirectory() as directory:
        shell = Zsh(pathlib.Path(directory))
        if checks.check("zsh loads the completion", shell.up, shell.screen):
            for words, wanted, unwanted in WORDS:
                offered = shell.offered("kms-launcher " + " ".join(words))
                checks.check(f"zsh completes {' '.join(words)}", wanted <= offered and not unwanted - set(words) & offered,
                             f"{offered} {shell.screen[-500:]}")
        shell.close()


with tempfile.TemporaryDirectory() as place:
    help_fits()
    version_is_told()
    mistakes_are_shown(pathlib.Path(place))
    origins_are_told(pathlib.Path(place))
completes_in_bash()
completes_in_fish()
completes_in_zsh()
checks.finish()
