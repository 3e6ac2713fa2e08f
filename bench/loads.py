"""What is asked of every row: each load returns `n` units, their `rate`, how many `failed`, and what else it saw."""
import contextlib
import json
import re
import subprocess

from proc import EVERYWHERE, Process, pinned, tie, wait_for

# Its name is also the attribute of a row that says where its client goes; None: not measured.
SCENARIOS = {}


def scenario(seconds=None, beside=(), prepared=contextlib.nullcontext):
    """Registers a load. It is measured in slices of so many seconds (None: in one go) that alternate with those of
    the rows `beside`: the machine's speed drifts within a minute, but hardly from slice to slice. What is `prepared`
    says whose time is the cost."""
    def register(load):
        load.seconds, load.beside, load.prepared = seconds, beside, prepared
        SCENARIOS[load.__name__] = load
        return load
    return register


@contextlib.contextmanager
def answering(row, *notes):
    """A server that answers at the row's listener by itself, ahead of the proxy, and shares a CPU with the client:
    the time of both is the cost."""
    argv = [row.bench.load, "answer", str(row.listener), *notes]
    server = Process(argv, row.bench.load_cpu, f"{row.bench.run}/answer.log")
    try:
        # Behind meshd's listener is nothing that answers: no failure means that ours has taken its place.
        wait_for("the answering server", lambda: not own(row, ["connect", *row.take], 0.1)["failed"])
        yield server
    finally:
        server.stop()


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]


def client(row, argv, seconds, cpus=None):
    cpus = cpus or row.bench.load_cpu
    done = subprocess.run(pinned(cpus, argv), capture_output=True, text=True, timeout=seconds + 20)
    return done.stdout + (done.stderr if done.returncode else "")


def own(row, words, seconds, captured=True):
    """Our load program, as a client of the row unless nobody is to know of it."""
    argv = [row.bench.load, *map(str, words), str(seconds)]
    return json.loads(client(row, row.client(argv) if captured else argv, seconds))


def counted(done):
    return {"n": done["n"], "rate": done["n"] / done["seconds"], "failed": done["failed"]}


@scenario(1, beside=("haproxy", "nginx"))
def http(row, seconds):
    """wrk, one thread, 64 kept-alive connections, 1 KiB answers."""
    host, port = row.http
    argv = ["wrk", "-t1", "-c64", f"-d{seconds}s", "--latency", "--timeout", "5s", "-H", "Host: web.mesh",
            f"http://{host}:{port}/1k"]
    out = client(row, row.client(argv), seconds)
    done = re.search(r"(\d+) requests in ([\d.]+\w+),", out)
    if not done:
        raise RuntimeError(out[-400:])
    latency = dict(re.findall(r"^\s+(50|99)%\s+(\S+)", out, re.M))
    failed = sum(map(int, re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", out)))
    return {"n": int(done[1]), "rate": int(done[1]) / milliseconds(done[2]) * 1e3, "failed": failed,
            "p50_ms": milliseconds(latency["50"]), "p99_ms": milliseconds(latency["99"])}


@scenario(1, beside=("direct", "haproxy"))
def bulk(row, seconds, cpus=None):
    """iperf3, one stream towards the server."""
    host, port = row.bulk
    argv = row.client(["iperf3", "-c", host, "-p", str(port), "-t", str(seconds), "-J"])
    received = json.loads(client(row, argv, seconds, cpus))["end"]["sum_received"]
    return {"n": received["bytes"] / 2**30, "rate": received["bits_per_second"] / 1e9, "failed": 0}


@scenario(1, beside=("direct",))
def loose(row, seconds):
    """The same with client, proxy and server on whatever CPU the scheduler likes, as on any host."""
    server = row.bench.servers["iperf3"].pids()
    tie([*row.pids(), *server], EVERYWHERE)
    try:
        return bulk(row, seconds, EVERYWHERE)
    finally:
        tie(server, str(row.bench.load_cpu))


@scenario(0.5, beside=("haproxy",))
def connect(row, seconds):
    """Connect, a byte there and back, close, through the proxy to a server; one after another."""
    return counted(own(row, ["connect", *row.connect], seconds))


def taken(row, target, seconds, captured=True):
    done = own(row, ["connect", *target], seconds, captured)
    if done["failed"]:
        raise RuntimeError(f"{done['failed']} connections failed")
    return {**counted(done), "client_cpu": done["cpu"]}


@scenario(0.25, beside=("direct",), prepared=lambda row: answering(row, *row.notes()))
def take(row, seconds):
    """A captured connection delivered to a local listener that answers by itself: capture and nothing else."""
    return taken(row, row.take, seconds)


@scenario(0.25, beside=("direct",), prepared=answering)
def aside(row, seconds):
    """The same for a program nobody captures, while capture is in force for others."""
    return taken(row, ("127.0.0.1", row.listener), seconds, captured=False)


FLOWS, WINDOW, SIZE = 16, 8, 64


def echoed(row, flows, window, seconds):
    return counted(own(row, ["loop", *row.datagrams, flows, window, SIZE], seconds))


@scenario(0.5, beside=("nginx",))
def datagrams(row, seconds):
    """16 sockets with 8 datagrams of 64 bytes under way on each, answered by an echo server."""
    return echoed(row, FLOWS, WINDOW, seconds)


@scenario(0.5, beside=("nginx",))
def singles(row, seconds):
    """As many datagrams under way, each on a socket of its own: questions and answers."""
    return echoed(row, FLOWS * WINDOW, 1, seconds)


@scenario()
def loss(row, seconds):
    """Datagrams at half the rate that would fill the proxy's core: what does not come back, and what is lost without
    a proxy at the same rate."""
    rate = int(0.5e6 / row.costs["datagrams"])
    lost = {}
    for captured, to in (False, row.bench.echo), (True, row.datagrams):
        done = own(row, ["pace", *to, FLOWS, rate, SIZE], seconds, captured)
        lost[captured] = done["failed"] / done["sent"]
    return {**counted(done), "offered": rate, "lost": lost[True], "lost_direct": lost[False]}


@scenario()
def attach(row, seconds):
    """1,000 cgroups become workloads: in force when each call is answered."""
    took, refused = row.attach_all(1000)
    if refused:
        raise RuntimeError(f"{refused} of 1,000 calls refused")
    return {"n": 1000, "rate": 1000 / took, "failed": 0, "seconds": took}
