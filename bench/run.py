#!/usr/bin/env python3
"""Measures meshd beside HAProxy, nginx and Envoy on this machine; bench/README.md says how to read it.

Needs root: everything happens in two network namespaces of its own, on their loopbacks. One is for the row measured,
the other for what it is measured beside: rules and connection tracking of ours would tax that too.
"""
import argparse
import contextlib
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from loads import SCENARIOS
from proc import TICK, Namespace, Process, busy_ticks, cpu_ns, listens, resident_kib, wait_for
from report import tables
from rows import HERE, REFERENCES, ROWS

ALL, ORDER = ",".join(SCENARIOS), [row.name for row in ROWS]
SETTINGS = {"net/ipv4/ip_local_port_range": "20000 65000", "net/ipv4/tcp_tw_reuse": "1",
            "net/core/somaxconn": "4096", "net/ipv4/tcp_congestion_control": "reno"}


class Bench:
    """A namespace, its backends, and the folder everything in it writes to."""

    def __init__(self, args, run):
        self.args, self.run, self.programs = args, run, os.path.abspath(args.programs)
        self.proxy_cpu, self.load_cpu = 0, os.cpu_count() - 1
        self.load, self.echo = f"{os.path.dirname(run)}/load", ("127.0.0.1", 9300)
        os.mkdir(run)

    def conf(self, name):
        """A configuration with its placeholders filled in."""
        with open(f"{HERE}/conf/{name}") as source:
            text = source.read().replace("@RUN@", self.run).replace("@K1@", "x" * 1024)
        with open(f"{self.run}/{name}", "w") as target:
            target.write(text)
        return target.name

    @contextlib.contextmanager
    def backends(self):
        """A new namespace, which this process stays in."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        self.namespace = Namespace()
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
            yield
        finally:
            for process in self.servers.values():
                process.stop()

    def pids(self):
        return [pid for process in self.servers.values() for pid in process.pids()]


class Side:
    """A row at work in its namespace, asked slice by slice."""

    def __init__(self, row, load, seconds):
        self.row, self.load, self.seconds, self.slices = row, load, seconds, []

    @contextlib.contextmanager
    def at_work(self):
        """Freshly started, and warm: pools filled, pages touched. Only then are all its processes there."""
        with contextlib.ExitStack() as stack:
            with self.row.bench.namespace:
                stack.callback(self.row.stop)  # in the row's namespace, this process's; references have no rules
                self.row.start()
                spender = stack.enter_context(self.load.prepared(self.row))
                if self.load.seconds and self.row.process:
                    self.load(self.row, self.seconds)
                self.watched = spender.pids()
            yield self

    def ask(self):
        """One slice: its cost per unit comes from the scheduler's own figures."""
        with self.row.bench.namespace:
            before, begun = cpu_ns(self.watched), time.monotonic()
            result = self.load(self.row, self.seconds)
            spent = (cpu_ns(self.watched) - before) / 1e9
        result["cpu"] = spent / (time.monotonic() - begun)
        spent += result.pop("client_cpu", 0)
        result["cost"] = spent * 1e6 / result["n"]  # µs of CPU per request, or per GiB
        self.slices.append(result)

    def ratios(self, other):
        """Each slice divided by the mean of the other's slices before and after it."""
        pairs = list(zip(self.slices, other.slices, other.slices[1:]))
        return {key: [round(2 * one[key] / (before[key] + after[key]), 4) for one, before, after in pairs]
                for key in ("cost", "rate") if all(before[key] for _, before, _ in pairs)}


def sample(bench, row, load, references):
    """One row under one load, in slices that alternate with those of its references."""
    length = load.seconds or bench.args.seconds
    above = ORDER[:ORDER.index(row.name)]  # a reference is measured beside those before it
    beside = [references[name] for name in load.beside if name in references and name in above]
    with contextlib.ExitStack() as stack:
        # What iptables leaves even without a rule: chains that make every later packet dearer.
        stack.callback(subprocess.run, ["nft", "flush", "ruleset"], check=True)
        own, *others = [stack.enter_context(Side(side, load, length).at_work()) for side in (row, *beside)]
        known = {pid for side in (own, *others) for pid in (*side.watched, *side.row.pids(), *side.row.bench.pids())}

        def counters():
            mine = os.times()
            return time.monotonic(), cpu_ns(known), busy_ticks(), mine.children_user + mine.children_system

        before = counters()
        for _ in range(max(1, round(bench.args.seconds / length))):
            for side in (*others, own):
                side.ask()
        for side in others:
            side.ask()
        wall, spent, busy, loading = (b - a for a, b in zip(before, counters()))
    over = {"n": sum, "failed": sum}
    result = {key: over.get(key, statistics.median)(one[key] for one in own.slices) for key in own.slices[0]}
    result["beside"] = {other.row.name: own.ratios(other) for other in others}
    result["foreign_cpu"] = (busy / TICK - spent / 1e9 - loading) / wall
    return result


def quiet_sample(bench, row, load, references):
    """The quietest of up to three: another program's work makes every figure worse."""
    best = None
    for _ in range(3):
        try:
            result = sample(bench, row, load, references)
        except (RuntimeError, ValueError, KeyError, ArithmeticError, subprocess.SubprocessError) as error:
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


def measure(bench, rows, references, write):
    samples = []
    for repetition in range(bench.args.repetitions):
        for scenario in bench.args.scenarios.split(","):
            for row in rows:
                if getattr(row, scenario) is None:
                    continue
                result = quiet_sample(bench, row, SCENARIOS[scenario], references)
                if result is None:
                    continue
                result.update(row=row.name, scenario=scenario, repetition=repetition)
                row.costs[scenario] = result["cost"]
                samples.append(result)
                write(result)
                print(f"  {scenario} {row.name:15} {result['rate']:12.1f}/s  {result['cost']:12.2f} µs  "
                      f"CPU {result['cpu']:.2f}  others {result['foreign_cpu']:.2f}", flush=True)
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
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=2, help="load of the row in one sample")
    parser.add_argument("--max-foreign", type=float, default=0.08, help="CPUs other programs may use during a sample")
    return parser.parse_args()


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that every `finally` runs
    with tempfile.TemporaryDirectory(prefix="mesh-bench-") as run:
        subprocess.run(["cc", "-O2", "-o", f"{run}/load", f"{HERE}/load.c"], check=True)
        quiet, bench = Bench(args, f"{run}/quiet"), Bench(args, f"{run}/row")
        rows = [row(bench) for row in ROWS if not args.rows or row.name in args.rows.split(",")]
        for row in [row for row in rows if not row.available()]:
            print(f"bench: {row.name} is not installed; left out")
            rows.remove(row)
        references = {row.name: row(quiet) for row in REFERENCES if row(quiet).available()}
        versions = {row.name: row.version() for row in rows}
        results = f"{HERE}/results"
        os.makedirs(results, exist_ok=True)
        with quiet.backends(), bench.backends(), open(f"{results}/latest.jsonl", "w", buffering=1) as raw:
            samples = measure(bench, rows, references, lambda s: raw.write(json.dumps(s) + "\n"))
        shown = f"{conditions(args)}\n\n{tables(samples, versions)}\n"
        with open(f"{results}/latest.md", "w") as file:
            file.write(shown)
        if not args.rows and args.scenarios == ALL:
            publish(shown)
        print(f"\n{shown}")


if __name__ == "__main__":
    main()
