#!/usr/bin/env python3
"""The health endpoint beside 1,000 clients that send a byte a second and never end a request: those that stay, and those that
come back for ever; and how long `kms-launcher health` takes. Options: --clients=1000, --seconds=5."""
import json
import select
import socket
import subprocess
import threading
import time

from bench_kit import LAUNCHER, Place, cpu_of, heading, median, option, own_environment, percentile, table, until

REACH_P99, REACH_HEALTH = 50.0, 5.0


class Slow:
    """The clients, in a thread of their own."""

    def __init__(self, port, count, come_back):
        self.address, self.come_back = ("127.0.0.1", port), come_back
        self.poller, self.clients, self.connects = select.epoll(), {}, 0
        self.stop = threading.Event()
        for _ in range(count):
            self.connect()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def connect(self):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(self.address)
        self.clients[client.fileno()] = client
        if self.come_back:
            self.poller.register(client, select.EPOLLIN | select.EPOLLHUP)
        self.connects += 1

    def run(self):
        next_byte = time.monotonic()
        while not self.stop.is_set():
            if time.monotonic() >= next_byte:
                next_byte += 1
                for client in self.clients.values():
                    try:
                        client.send(b"G")
                    except OSError:
                        pass
            for descriptor, _ in self.poller.poll(0.01):
                self.poller.unregister(descriptor)
                self.clients.pop(descriptor).close()
                self.connect()

    def end(self):
        self.stop.set()
        self.thread.join(5)
        for client in self.clients.values():
            client.close()


def main():
    count, seconds = option("clients", 1000), option("seconds", 5)
    heading("/livez beside slow clients", f"kms-launcher poll asks every 20 ms on fresh connections for {seconds} s while {count} clients send one byte a second")
    rows, missed = [["", "polls", "answered", "p50 ms", "p99 ms", "max ms", "connects of the clients"]], []
    with Place() as place:
        free = socket.socket()
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        config = place.path / "launcher.toml"
        config.write_text(f'version = 1\n[health]\nlisten = ["127.0.0.1:{port}"]\n[service.stamp]\ncommand = ["{place.stamp}", "serve", "{place.path}/notes"]\n')
        launcher = subprocess.Popen([LAUNCHER, "run", "--config", config], stdout=subprocess.DEVNULL, env=own_environment())
        try:
            health = [LAUNCHER, "health", "--url", f"http://127.0.0.1:{port}"]
            until(lambda: subprocess.run(health, capture_output=True).returncode == 0)
            for name, clients, come_back in (("alone", 0, False), ("clients that stay", count, False), ("clients that come back", count, True)):
                slow = Slow(port, clients, come_back)
                told = json.loads(subprocess.run([LAUNCHER, "poll", f"http://127.0.0.1:{port}/livez", "--for", f"{seconds}s", "--every", "20ms", "--json", "--quiet"],
                                                 capture_output=True, text=True).stdout)
                slow.end()
                latency = told["latency_ms"]
                rows.append([name, told["polls"], told["answered"], f"{latency['p50']:.2f}", f"{latency['p99']:.2f}", f"{latency['max']:.2f}", f"{slow.connects:,}"])
                if latency["p99"] >= REACH_P99 or told["answered"] != told["polls"]:
                    missed.append(name)
            table(rows)
            runs = [cpu_of(health, stdout=subprocess.DEVNULL) for _ in range(30)]
            wall = [wall * 1000 for _, wall in runs]
            print(f"kms-launcher health: median {median(wall):.1f} ms, p95 {percentile(wall, 0.95):.1f} ms, processor {median([cpu * 1000 for cpu, _ in runs]):.1f} ms\n")
            if median(wall) > REACH_HEALTH:
                missed.append("kms-launcher health")
        finally:
            launcher.terminate()
            launcher.wait(12)
    print("reached" if not missed else "missed: " + "; ".join(missed))


main()
