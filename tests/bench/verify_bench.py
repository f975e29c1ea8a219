#!/usr/bin/env python3
"""Quote verification beside the Rust verifier that the field uses (the published crate dcap-qvl 0.5.2, ring backend): the same
quote, one thread, back to back, processor time, allocations. Without cargo, or without the crate, that half is reported as
absent; without the real quote of the shared test data a synthetic one is taken, and there is nothing to compare with.

usage: verify_bench.py [--seconds=S]   processor time of each row and round (default 2)
"""
import json
import re
import shutil
import statistics
import subprocess
import sys

from bench_kit import BIN, ROOT, heading, option, table

SHARED = ROOT.parent / "shared/testdata/attestation/dcap/tdx-v4-uptodate"
OWN = ROOT / "tests/vectors/attestation/dcap-mock"
WORK = ROOT / "build/dcap-qvl"
# What the issue asks for: times as fast as dcap-qvl, and its allocations.
GOALS = {"cold": 1.2, "collateral held": 3, "platform seen before": 8}
PARSE_GOAL_US = 1.0

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
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

struct Counting;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        System.alloc(layout)
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        System.dealloc(memory, layout)
    }
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        System.realloc(memory, layout, size)
    }
}
#[global_allocator]
static COUNTING: Counting = Counting;

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
    verify(&quote, &collateral, now).unwrap();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    verify(&quote, &collateral, now).unwrap();
    let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
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
    println!("dcap-qvl {:.2} us {} allocations", rounds[rounds.len() / 2], allocated);
}
"""


def build_other():
    """The program that measures dcap-qvl, or the reason why there is none."""
    if shutil.which("cargo") is None:
        return None, "cargo is not installed"
    (WORK / "src").mkdir(parents=True, exist_ok=True)
    for path, text in ((WORK / "Cargo.toml", CARGO_TOML), (WORK / "src/main.rs", MAIN_RS)):
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    try:
        done = subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=WORK, capture_output=True, text=True, timeout=900)
    except subprocess.TimeoutExpired:
        return None, "cargo did not build dcap-qvl 0.5.2 within 15 minutes"
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        return None, "cargo cannot build dcap-qvl 0.5.2: " + lines[-1].strip()
    return WORK / "target/release/dcap_qvl_bench", None


def inputs(seconds):
    """(arguments of both programs, what they are, whether the other one can take them)"""
    if SHARED.exists():
        runs = next(case for case in json.loads((SHARED.parent / "cases.json").read_text()) if case["name"] == SHARED.name)["runs"]
        now = next(run["now"] for run in runs if run["expect"]["result"] == "ok")
        return [SHARED / "quote.bin", SHARED / "collateral.json", now, seconds], "a real quote of version 4, 4 certificates", True
    return ([OWN / "quotes/tdx-v4-uptodate.bin", OWN / "collateral/tdx-v4-uptodate.json", 1767225600, seconds, OWN / "roots/vector-root.der"],
            "a synthetic quote of version 4 (the real one is not here)", False)


def measure(program, arguments):
    """row → (microseconds, allocations)"""
    done = subprocess.run([str(word) for word in (program, *arguments)], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        sys.exit(f"{program} failed: {done.stderr.strip()}")
    rows = {}
    for line in done.stdout.splitlines():
        if found := re.match(r"(.+?)\s+([0-9.]+) us.*?([0-9]+) allocations", line):
            rows[found.group(1).strip()] = (float(found.group(2)), int(found.group(3)))
    return rows


def main():
    arguments, what, comparable = inputs(option("seconds", 2.0))
    other, absent = build_other() if comparable else (None, "it cannot be told another root")
    heading("Verification of a quote", f"{what}; one thread, processor time, median of 3 alternating rounds")
    ours, theirs = {}, []
    for _ in range(3):
        for name, value in measure(BIN / "verify_bench", arguments).items():
            ours.setdefault(name, []).append(value)
        if other:
            theirs.append(measure(other, arguments)["dcap-qvl"])
    rows, missed = [["", "µs", "per second", "allocations", "times as fast", "goal"]], []
    reference = statistics.median(time for time, _ in theirs) if theirs else None
    if reference:
        rows.append(["dcap-qvl 0.5.2 (ring)", f"{reference:.1f}", f"{1e6 / reference:.0f}", theirs[0][1], "1", ""])
    for name, values in ours.items():
        time, allocations = statistics.median(value for value, _ in values), values[0][1]
        factor, goal = (f"{reference / time:.2f}", GOALS.get(name)) if reference and name in GOALS else ("", None)
        if goal and reference / time < goal:
            missed.append(f"{name}: {reference / time:.2f} times as fast instead of {goal}")
        rows.append([name, f"{time:.2f}", f"{1e6 / time:.0f}", allocations, factor, goal or ("≤ 1 µs" if name == "parse" else "")])
    table(rows)
    if absent:
        print(f"dcap-qvl 0.5.2 is absent: {absent}")
    if statistics.median(value for value, _ in ours["parse"]) > PARSE_GOAL_US:
        missed.append("parse: more than 1 µs")
    if theirs and ours["cold"][0][1] * 2 > theirs[0][1]:
        missed.append(f"cold: {ours['cold'][0][1]} allocations, more than half of {theirs[0][1]}")
    for line in missed:
        print("missed:", line)
    sys.exit(1 if missed else 0)


main()
