#!/usr/bin/env python3
"""Quote verification beside the Rust verifier that the field uses (the published crate dcap-qvl 0.5.2, ring backend): the same
quote, one thread, back to back, processor time. Without cargo, or without the crate, that half is reported as absent.

Usage: verify_compare.py VERIFY_BENCH QUOTE COLLATERAL.json NOW [--work DIR] [--seconds S]
"""
import argparse
import pathlib
import re
import shutil
import statistics
import subprocess
import sys

CARGO_TOML = """\
[package]
name = "dcap_qvl_bench"
version = "0.1.0"
edition = "2021"

[dependencies]
dcap-qvl = { version = "=0.5.2", default-features = false, features = ["std", "ring", "default-x509"] }
serde_json = "1"
libc = "0.2"

[profile.release]
opt-level = 3
lto = true
codegen-units = 1
"""

MAIN_RS = """\
use dcap_qvl::{verify::ring::verify, QuoteCollateralV3};

fn cpu_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let quote = std::fs::read(&words[1]).unwrap();
    let text = std::fs::read_to_string(&words[2]).unwrap();
    let collateral: QuoteCollateralV3 = serde_json::from_str(&text).unwrap();
    let now: u64 = words[3].parse().unwrap();
    let seconds: f64 = words[4].parse().unwrap();
    let mut rounds = Vec::new();
    let end = cpu_time() + seconds * 1e6;
    while cpu_time() < end {
        let start = cpu_time();
        for _ in 0..20 {
            verify(&quote, &collateral, now).unwrap();
        }
        rounds.push((cpu_time() - start) / 20.0);
    }
    rounds.sort_by(|a, b| a.total_cmp(b));
    println!("dcap-qvl {:.2} us", rounds[rounds.len() / 2]);
}
"""


def build_other(work):
    """The program that measures dcap-qvl, or the reason why there is none."""
    if shutil.which("cargo") is None:
        return None, "cargo is not installed"
    (work / "src").mkdir(parents=True, exist_ok=True)
    for path, text in ((work / "Cargo.toml", CARGO_TOML), (work / "src/main.rs", MAIN_RS)):
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    done = subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=work, capture_output=True, text=True, timeout=1200)
    if done.returncode != 0:
        return None, "cargo cannot build dcap-qvl 0.5.2: " + done.stderr.strip().splitlines()[-1]
    return work / "target/release/dcap_qvl_bench", None


def measure(command):
    """Microseconds by row name."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    rows = {}
    for line in done.stdout.splitlines():
        found = re.match(r"(.+?)\s+([0-9.]+) us", line)
        if found:
            rows[found.group(1).strip()] = float(found.group(2))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench")
    parser.add_argument("quote")
    parser.add_argument("collateral")
    parser.add_argument("now")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("build/dcap-qvl"))
    parser.add_argument("--seconds", default="2")
    arguments = parser.parse_args()
    inputs = [arguments.quote, arguments.collateral, arguments.now, arguments.seconds]
    other, absent = build_other(arguments.work)
    ours, theirs = {}, []
    for _ in range(3):
        for name, value in measure([arguments.bench, *inputs]).items():
            ours.setdefault(name, []).append(value)
        if other:
            theirs.append(measure([str(other), *inputs])["dcap-qvl"])
    if absent:
        print(f"dcap-qvl 0.5.2 is absent: {absent}")
    reference = statistics.median(theirs) if theirs else None
    if reference:
        print(f"dcap-qvl 0.5.2 (ring): {reference:.1f} us, {1e6 / reference:.0f}/s")
    goals = {"cold": 1.2, "collateral held": 3, "platform seen before": 8}
    missed = 0
    for name, values in ours.items():
        value = statistics.median(values)
        line = f"{name}: {value:.2f} us, {1e6 / value:.0f}/s"
        if reference and name in goals:
            ratio = reference / value
            missed += ratio < goals[name]
            line += f", {ratio:.2f} times as fast (goal {goals[name]})"
        print(line)
    sys.exit(1 if missed else 0)


main()
