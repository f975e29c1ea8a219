"""What the measurements share: the machine in words, tables with ratios, options, services that note the time."""
import os
import pathlib
import platform
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("BIN_DIR", ROOT / "build/release/bin"))
LAUNCHER = str(BIN / "kms-launcher")

# Notes the monotonic clock in a file, in nanoseconds, one word and one number a line:
#   stamp exec FILE PROGRAM...   notes "exec", becomes the program
#   stamp serve FILE [LINE]      notes "up", writes the line; on SIGUSR2 notes "dies" and exits 7; on SIGTERM exits 0
#   stamp note FILE WORD         notes the word
STAMP = r"""
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
static void note(const char* file, const char* word) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    char text[128];
    int size = snprintf(text, sizeof text, "%s %lld\n", word, now.tv_sec * 1000000000LL + now.tv_nsec);
    int descriptor = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0 || write(descriptor, text, (size_t)size) != size) _exit(111);
    close(descriptor);
}
int main(int count, char** words) {
    if (count < 3) return 64;
    if (strcmp(words[1], "exec") == 0) {
        note(words[2], "exec");
        execvp(words[3], words + 3);
        return 127;
    }
    if (strcmp(words[1], "note") == 0) {
        note(words[2], words[3]);
        return 0;
    }
    sigset_t awaited;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGUSR2);
    sigaddset(&awaited, SIGTERM);
    sigprocmask(SIG_BLOCK, &awaited, NULL);
    note(words[2], "up");
    if (count > 3) {
        printf("%s\n", words[3]);
        fflush(stdout);
    }
    int number = 0;
    sigwait(&awaited, &number);
    if (number == SIGTERM) return 0;
    note(words[2], "dies");
    return 7;
}
"""


def option(name, default):
    """The number behind --name=, else the default."""
    for word in sys.argv[1:]:
        if word.startswith(f"--{name}="):
            return type(default)(word.split("=", 1)[1])
    return default


def machine():
    model = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
                 platform.machine())
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, load {load:.1f} at the beginning"


def heading(what, method):
    print(f"{what}\nmachine: {machine()}\nmethod:  {method}\n", flush=True)


def table(rows):
    """Rows of words under each other; the first is the heading."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    for row in rows:
        print("  ".join(cell.ljust(widths[i]) if i == 0 else cell.rjust(widths[i]) for i, cell in enumerate(row)).rstrip(), flush=True)
    print()


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def median(values):
    return percentile(values, 0.5)


def ratio(other, ours):
    return f"{other / ours:.2f}×" if ours and other == other else "-"


def pause(seconds):
    select.select([], [], [], seconds)


def until(condition, seconds=10.0, step=0.002):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        pause(step)
    return True


def cpu_of(command, **how):
    """Runs it; (processor seconds of it and its children, wall seconds)."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(word) for word in command], check=False, **how)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - began


def memory_of(pids):
    """(RSS, PSS) in KiB of these processes together."""
    rss = pss = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                rss += int(line.split()[1])
            elif line.startswith("Pss:"):
                pss += int(line.split()[1])
    return rss, pss


def own_environment(**more):
    return {name: value for name, value in os.environ.items() if not name.startswith("LAUNCHER_") and name != "RUST_LOG"} | more


class Place:
    """A directory of its own with the stamp program; removed at the end."""

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="kms-bench-"))
        self.path.chmod(0o755)
        (self.path / "stamp.c").write_text(STAMP)
        self.stamp = self.path / "stamp"
        subprocess.run(["cc", "-O2", "-static", "-o", self.stamp, self.path / "stamp.c"], check=True)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def notes(file):
    """word → nanoseconds, the first of each word; empty while the file is not there."""
    found = {}
    if file.exists():
        for line in file.read_text().splitlines():
            word, _, number = line.partition(" ")
            if number:
                found.setdefault(word, int(number))
    return found
