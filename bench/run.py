#!/usr/bin/env python3
"""Measures meshd beside HAProxy, nginx and Envoy on this machine; bench/README.md says how to read it.

Needs root: everything happens in a network namespace of its own, on its loopback.
"""
import argparse
import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import loads
from proc import TICK, Process, busy_ticks, cpu_ns, listens, resident_kib, wait_for
from report import tables
from rows import HERE, ROWS

ALL = ",".join(loads.SCENARIOS)
SETTINGS = {"net/ipv4/ip_local_port_range": "20000 65000", "net/ipv4/tcp_tw_reuse": "1",
            "net/core/somaxconn": "4096", "net/ipv4/tcp_congestion_control": "reno"}


class Bench:
    """The namespace, the backends, and the folder everything is written to while it runs."""

    def __init__(self, args, run):
        self.args, self.run, self.programs = args, run, os.path.abspath(args.programs)
        self.proxy_cpu, self.load_cpu = 0, os.cpu_count() - 1
        self.load, self.echo = f"{run}/load", ("127.0.0.1", 9300)
        subprocess.run(["cc", "-O2", "-o", self.load, f"{HERE}/load.c"], check=True)

    def conf(self, name):
        """A configuration with its placeholders filled in."""
        with open(f"{HERE}/conf/{name}") as source:
            text = source.read().replace("@RUN@", self.run).replace("@K1@", "x" * 1024)
        with open(f"{self.run}/{name}", "w") as target:
            target.write(text)
        return target.name

    @contextlib.contextmanager
    def backends(self):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        if ctypes.CDLL(None).unshare(0x40000000):  # CLONE_NEWNET; mounts and cgroups stay visible
            sys.exit("bench: needs root")
        for words in "link set lo up", "route add default dev lo":  # a host has a way to its name server
            subprocess.run(["ip", *words.split()], check=True)
        for key, value in SETTINGS.items():
            with contextlib.suppress(OSError), open(f"/proc/sys/{key}", "w") as file:
                file.write(value)
        backends = {"nginx": ["nginx", "-c", self.conf("backend.conf")], "iperf3": ["iperf3", "-s", "-p", "9201"],
                    "answer": [self.load, "answer", "9301"], "echo": [self.load, "echo", str(self.echo[1])]}
        self.servers = {name: Process(argv, self.load_cpu, f"{self.run}/backend-{name}.log")
                        for name, argv in backends.items()}
        try:
            wait_for("the backends listen", lambda: all(map(listens, (9080, 9201, 9301))))
            yield self.servers.values()
        finally:
            for process in self.servers.values():
                process.stop()


def sample(bench, row, load, backends):
    """One row under one load: cost per unit from the scheduler's own figures."""
    try:
        row.start()
        if load not in (loads.attach, loads.loss):
            load(bench, row, 1)  # warm: pools filled, pages touched
        proxy, others = row.pids(), [pid for process in backends for pid in process.pids()]

        def counters():
            own = os.times()
            return (time.monotonic(), cpu_ns(proxy), cpu_ns(others), busy_ticks(),
                    own.children_user + own.children_system)

        before = counters()
        result = load(bench, row, bench.args.seconds)
        after = counters()
        wall, spent, served, busy, loading = (b - a for a, b in zip(before, after))
        result.setdefault("cost", spent / 1e3 / result["n"])  # µs of CPU per request, or per GiB
        result["proxy_cpu"] = spent / 1e9 / wall
        result["foreign_cpu"] = busy / TICK / wall - (spent + served) / 1e9 / wall - loading / wall
        return result
    finally:
        row.stop()
        # What iptables leaves even without a rule: chains that make every later packet dearer.
        subprocess.run(["nft", "flush", "ruleset"], check=True)


def quiet_sample(bench, row, load, backends):
    """The quietest of up to three: another program's work makes every figure worse."""
    best = None
    for _ in range(3):
        try:
            result = sample(bench, row, load, backends)
        except (RuntimeError, ValueError, KeyError, subprocess.SubprocessError) as error:
            print(f"  {row.name}: {error}", file=sys.stderr)
            continue
        if best is None or result["foreign_cpu"] < best["foreign_cpu"]:
            best = result
        if best["foreign_cpu"] <= bench.args.max_foreign:
            break
    return best


def idle_memory(bench, row):
    """MiB resident after a quiet second."""
    try:
        row.start()
        time.sleep(1)
        return resident_kib(row.pids()) / 1024
    finally:
        row.stop()


def measure(bench, rows, backends, write):
    samples = []
    for repetition in range(bench.args.repetitions):
        turn = repetition % len(rows)
        for scenario in bench.args.scenarios.split(","):
            for row in rows[turn:] + rows[:turn]:
                if getattr(row, scenario) is None:
                    continue
                result = quiet_sample(bench, row, loads.SCENARIOS[scenario], backends)
                if result is None:
                    continue
                result.update(row=row.name, scenario=scenario, repetition=repetition)
                row.costs[scenario] = result["cost"]
                samples.append(result)
                write(result)
                print(f"  {scenario} {row.name:15} {result['rate']:12.1f}/s  {result['cost']:12.2f} µs  "
                      f"proxy {result['proxy_cpu']:.2f}  others {result['foreign_cpu']:.2f}", flush=True)
    for row in rows:
        if row.name != "direct" and "http" in bench.args.scenarios:
            memory = {"row": row.name, "scenario": "idle", "mib": idle_memory(bench, row)}
            samples.append(memory)
            write(memory)
    return samples


def conditions(args):
    return (f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} CPUs, Linux {os.uname().release}, "
            f"{args.repetitions} repetitions of {args.seconds} s, medians:")


def publish(shown):
    """Puts a whole run's tables into the README, between its two marks."""
    with open(f"{HERE}/README.md") as file:
        before, begin, rest = file.read().partition("<!-- results -->\n")
    _, end, after = rest.partition("<!-- end of results -->\n")
    if begin and end:
        with open(f"{HERE}/README.md", "w") as file:
            file.write(before + begin + shown + end + after)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", required=True, help="folder of meshd and meshctl")
    parser.add_argument("--rows", default="", help="comma-separated names (default: all)")
    parser.add_argument("--scenarios", default=ALL)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="length of one sample")
    parser.add_argument("--max-foreign", type=float, default=0.08, help="CPUs other programs may use during a sample")
    return parser.parse_args()


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that every `finally` runs
    with tempfile.TemporaryDirectory(prefix="mesh-bench-") as run:
        bench = Bench(args, run)
        rows = [row(bench) for row in ROWS if not args.rows or row.name in args.rows.split(",")]
        for row in [row for row in rows if not row.available()]:
            print(f"bench: {row.name} is not installed; left out")
            rows.remove(row)
        versions = {row.name: row.version() for row in rows}
        results = f"{HERE}/results"
        os.makedirs(results, exist_ok=True)
        with bench.backends() as backends, open(f"{results}/latest.jsonl", "w", buffering=1) as raw:
            samples = measure(bench, rows, backends, lambda s: raw.write(json.dumps(s) + "\n"))
        shown = f"{conditions(args)}\n\n{tables(samples, versions)}\n"
        with open(f"{results}/latest.md", "w") as file:
            file.write(shown)
        if not args.rows and args.scenarios == ALL:
            publish(shown)
        print(f"\n{shown}")


if __name__ == "__main__":
    main()
