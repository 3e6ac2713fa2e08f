"""What is asked of every row: each load returns `n` units, their `rate`, how many `failed`, and what else it saw."""
import json
import re
import subprocess

from proc import EVERYWHERE, Process, cpu_ns, pinned, tie, wait_for


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]


def client(bench, argv, seconds, cpus=None):
    done = subprocess.run(pinned(cpus or bench.load_cpu, argv), capture_output=True, text=True, timeout=seconds + 20)
    return done.stdout + (done.stderr if done.returncode else "")


def own(bench, row, words, seconds):
    """Our load program as a client of the row (of nobody: `row` is None)."""
    argv = [bench.load, *map(str, words)]
    return json.loads(client(bench, row.client(argv) if row else argv, seconds))


def http(bench, row, seconds):
    """wrk, one thread, 64 kept-alive connections, 1 KiB answers."""
    host, port = row.http
    argv = ["wrk", "-t1", "-c64", f"-d{seconds}s", "--latency", "--timeout", "5s", "-H", "Host: web.mesh",
            f"http://{host}:{port}/1k"]
    out = client(bench, row.client(argv), seconds)
    done = re.search(r"(\d+) requests in ([\d.]+\w+),", out)
    if not done:
        raise RuntimeError(out[-400:])
    latency = dict(re.findall(r"^\s+(50|99)%\s+(\S+)", out, re.M))
    failed = sum(map(int, re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", out)))
    return {"n": int(done[1]), "rate": int(done[1]) / milliseconds(done[2]) * 1e3, "failed": failed,
            "p50_ms": milliseconds(latency["50"]), "p99_ms": milliseconds(latency["99"])}


def bulk(bench, row, seconds, cpus=None):
    """iperf3, one stream towards the server."""
    host, port = row.bulk
    argv = row.client(["iperf3", "-c", host, "-p", str(port), "-t", str(seconds), "-J"])
    received = json.loads(client(bench, argv, seconds, cpus))["end"]["sum_received"]
    return {"n": received["bytes"] / 2**30, "rate": received["bits_per_second"] / 1e9, "failed": 0}


def loose(bench, row, seconds):
    """The same with client, proxy and server on whatever CPU the scheduler likes, as on any host."""
    server = bench.servers["iperf3"].pids()
    tie([*row.pids(), *server], EVERYWHERE)
    try:
        return bulk(bench, row, seconds, EVERYWHERE)
    finally:
        tie(server, str(bench.load_cpu))


def connect(bench, row, seconds):
    """Connect, a byte there and back, close, through the proxy to a server; one after another."""
    done = own(bench, row, ["connect", *row.connect, seconds], seconds)
    return {"n": done["n"], "rate": done["n"] / done["seconds"], "failed": done["failed"]}


def taken(bench, row, target, seconds, captured=True):
    """The same with nothing behind the listener: client and server share a CPU, and their time is the cost."""
    asked = row if captured else None
    server = Process([bench.load, "answer", str(row.listener)], bench.load_cpu, f"{bench.run}/answer.log")
    try:
        # Behind meshd's listener is nothing that answers: no failure means that ours has taken its place.
        wait_for("the answering server", lambda: not own(bench, asked, ["connect", *target, 0.1], 1)["failed"])
        before = cpu_ns(server.pids())
        done = own(bench, asked, ["connect", *target, seconds], seconds)
        spent = (cpu_ns(server.pids()) - before) / 1e9 + done["cpu"]
    finally:
        server.stop()
    if done["failed"]:
        raise RuntimeError(f"{done['failed']} connections failed")
    return {"n": done["n"], "rate": done["n"] / done["seconds"], "failed": done["failed"],
            "cost": spent * 1e6 / done["n"]}


def take(bench, row, seconds):
    """A captured connection delivered to a local listener that answers by itself: capture and nothing else."""
    return taken(bench, row, row.take, seconds)


def aside(bench, row, seconds):
    """The same for a program nobody captures, while capture is in force for others."""
    return taken(bench, row, row.aside, seconds, captured=False)


FLOWS, WINDOW, SIZE = 16, 8, 64


def echoed(bench, row, flows, window, seconds):
    done = own(bench, row, ["loop", *row.datagrams, flows, window, SIZE, seconds], seconds)
    return {"n": done["n"], "rate": done["n"] / done["seconds"], "failed": done["failed"]}


def datagrams(bench, row, seconds):
    """16 sockets with 8 datagrams of 64 bytes under way on each, answered by an echo server."""
    return echoed(bench, row, FLOWS, WINDOW, seconds)


def singles(bench, row, seconds):
    """As many datagrams under way, each on a socket of its own: questions and answers."""
    return echoed(bench, row, FLOWS * WINDOW, 1, seconds)


def loss(bench, row, seconds):
    """Datagrams at half the rate that would fill the proxy's core: what does not come back, and what is lost without
    a proxy at the same rate."""
    rate = int(0.5e6 / row.costs["datagrams"])
    lost = {}
    for name, asked, to in ("direct", None, bench.echo), ("row", row, row.datagrams):
        done = own(bench, asked, ["pace", *to, FLOWS, rate, SIZE, seconds], seconds)
        lost[name] = done["failed"] / done["sent"]
    return {"n": done["n"], "rate": done["n"] / done["seconds"], "failed": done["failed"], "offered": rate,
            "lost": lost["row"], "lost_direct": lost["direct"]}


def attach(bench, row, seconds):
    """1,000 cgroups become workloads: in force when each call is answered."""
    took, refused = row.attach_all(1000)
    if refused:
        raise RuntimeError(f"{refused} of 1,000 calls refused")
    return {"n": 1000, "rate": 1000 / took, "failed": 0, "seconds": took}


# Its name is also the attribute of a row that says where its client goes; None: not measured.
SCENARIOS = {load.__name__: load
             for load in (http, bulk, loose, connect, take, aside, datagrams, singles, loss, attach)}
