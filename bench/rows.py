"""The proxies measured: how each is started, and how a client reaches the backend through it."""
import contextlib
import glob
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request

from proc import Process, listens, read, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.environ.get("MESH_BENCH_VENV") or os.path.expanduser("~/.cache/mesh-bench")


class Row:
    """One line of the table. A plain proxy listens at 10080 (HTTP), 10120 and 10121 (TCP); nginx beside one does not.

    An attribute named as a load says where its client goes; None: not measured here."""

    name, process, port = "", None, 10080
    http, bulk, connect = ("127.0.0.1", 10080), ("127.0.0.1", 10120), ("127.0.0.1", 10121)
    loose = take = aside = datagrams = singles = loss = attach = None
    # Where captured connections are delivered: the server of `take` listens there, ahead of the proxy.
    listener = 15001
    # Called: the ids of maps in which that server has to free what was noted of a connection, as the proxy would.
    notes = list

    def __init__(self, bench):
        self.bench, self.costs = bench, {}

    def available(self):
        return True

    def version(self):
        return ""

    def client(self, argv):
        """The command line that makes `argv` a client of this row."""
        return argv

    def start(self):
        argv = self.argv()
        self.process = Process(argv, self.bench.proxy_cpu, f"{self.bench.run}/{self.name}.log")
        wait_for(f"{self.name} listens", lambda: self.process.alive() and listens(self.port))

    def stop(self):
        if self.process:
            self.process.stop()
        self.process = None

    def pids(self):
        return self.process.pids() if self.process else []


class Direct(Row):
    """No proxy: what the load generator and the backend can do."""

    name, http, bulk, connect = "direct", ("127.0.0.1", 9080), ("127.0.0.1", 9201), ("127.0.0.1", 9301)
    loose, take, datagrams, singles = True, ("127.0.0.1", 15001), ("127.0.0.1", 9300), True

    def start(self):
        pass


class Haproxy(Row):
    name = "haproxy"

    def available(self):
        return shutil.which("haproxy") is not None

    def version(self):
        return first_line("haproxy", "-v")

    def argv(self):
        return ["haproxy", "-db", "-q", "-f", self.bench.conf("haproxy.cfg")]


class HaproxySplice(Haproxy):
    """Its splice(2) mode: the mark for bulk transfers."""

    name, http, bulk, loose, connect = "haproxy-splice", None, ("127.0.0.1", 10122), True, None


class HaproxyRedirect(Haproxy):
    """Plain interception: one REDIRECT rule of iptables leads into it."""

    name, http, bulk, connect, take = "haproxy-redirect", None, None, ("127.0.0.1", 9401), ("127.0.0.1", 9402)
    rules = (9401, 10121), (9402, 15001)

    def available(self):
        return super().available() and shutil.which("iptables") is not None

    def iptables(self, change):
        for port, to in self.rules:
            subprocess.run(["iptables", "-w", "-t", "nat", change, "OUTPUT", "-p", "tcp", "-d", "127.0.0.1", "--dport",
                            str(port), "-j", "REDIRECT", "--to-ports", str(to)], check=True)

    def start(self):
        self.iptables("-A")
        super().start()

    def stop(self):
        super().stop()
        self.iptables("-D")


class Nginx(Row):
    name, port, http, bulk, connect = "nginx", 10180, ("127.0.0.1", 10180), ("127.0.0.1", 10220), None
    datagrams, singles, loss = ("127.0.0.1", 10130), True, True

    def available(self):
        return os.path.exists("/usr/lib/nginx/modules/ngx_stream_module.so")

    def version(self):
        return first_line("nginx", "-v")

    def argv(self):
        return ["nginx", "-c", self.bench.conf("nginx.conf")]


class Envoy(Row):
    name, loose, connect = "envoy", True, None

    def binary(self):
        found = glob.glob(f"{VENV}/lib/python3*/site-packages/envoy/_bin/envoy")
        return found[0] if found else shutil.which("envoy")

    def available(self):
        return self.binary() is not None

    def version(self):
        return first_line(self.binary(), "--version")

    def argv(self):
        return [self.binary(), "--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c",
                self.bench.conf("envoy.yaml")]


class Meshd(Row):
    """Our daemon with capture, routing, metrics and decision records on; the client is an unmodified
    program under `meshctl run`. It dials the service's IPv4 address, since the peers are dialled by IPv4."""

    name, backend = "meshd", "ebpf"
    # Measured; where to is known once it runs.
    http = bulk = loose = connect = take = aside = datagrams = singles = loss = attach = True
    # Nobody answers at 9399: `take` listens in meshd's place.
    services = {"web": "http:9080", "bulk": "tcp:9201", "one": "tcp:9301", "echo": "udp:9300", "taken": "tcp:9399"}

    def version(self):
        return first_line(f"{self.bench.programs}/meshd", "--version")

    def argv(self):
        run = f"{self.bench.run}/{self.name}"
        os.makedirs(run, exist_ok=True)
        return [f"{self.bench.programs}/meshd", "--workers", "1", "--backend", self.backend, "--node", "n1",
                "--state-dir", f"{run}/state", "--socket", f"{run}/sock", "--cgroup", self.cgroup()]

    def cgroup(self):
        return f"mesh-bench-{os.getpid()}.slice"

    def meshctl(self, *args, text=None):
        env = {**os.environ, "MESHCTL_SOCKET": f"{self.bench.run}/{self.name}/sock"}
        done = subprocess.run([f"{self.bench.programs}/meshctl", *args], env=env, check=True, text=True, input=text,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return done.stdout

    def address(self, service):
        shown = json.loads(self.meshctl("get", f"service/{service}", "-o", "json"))
        ip, _, port = shown["status"]["address"].rpartition(":")
        return ip, int(port)

    def client(self, argv):
        socket = f"{self.bench.run}/{self.name}/sock"
        return [f"{self.bench.programs}/meshctl", "--socket", socket, "run", "--as", "load", "--", *argv]

    def start(self):
        shutil.rmtree(f"{self.bench.run}/{self.name}", ignore_errors=True)
        self.process = Process(self.argv(), self.bench.proxy_cpu, f"{self.bench.run}/{self.name}.log")
        wait_for("meshd is ready", ready, 20)
        self.declare()

    def declare(self):
        for service, port in self.services.items():
            self.meshctl("register", service, "--port", port)
        places = map(self.address, self.services)
        for load, place in zip(("http", "bulk", "connect", "datagrams", "take"), places):
            if getattr(self, load):
                setattr(self, load, place)

    def notes(self):
        """Its eBPF map of connects under way, the one of its maps that is shared memory."""
        texts = map(read, glob.glob(f"/proc/{self.process.popen.pid}/fdinfo/*"))
        shared = r"max_entries:\t32768\nmap_flags:\t0x400\n(?s:.*)map_id:\t(\d+)"
        return [found[1] for found in (re.search(shared, text) for text in texts) if found][:1]

    def attach_all(self, count):
        """Makes `count` empty cgroups workloads by one gRPC call each, one after another on one connection. Seconds
        it took, and how many were refused. curl is the client: starting meshctl 1,000 times would be measured too."""
        with workloads(f"mesh-bench-{os.getpid()}-work.slice", count) as names:
            calls = [self.grpc_call(f"{self.bench.run}/{n}.call", name) for n, name in enumerate(names)]
            with open(f"{self.bench.run}/calls", "w") as file:
                file.write("\nnext\n".join(calls))
            argv = ["curl", "-sS", "--http2-prior-knowledge", "-K", file.name]
            begun = time.monotonic()
            done = subprocess.run(argv, check=True, capture_output=True, text=True)
            took = time.monotonic() - begun
        return took, count - done.stdout.count("grpc-status: 0")

    def grpc_call(self, file, cgroup):
        """One request in curl's own notation: AttachRequest{subject {cgroup}}."""
        subject = b"\x32" + varint(len(cgroup)) + cgroup.encode()
        message = b"\x0a" + varint(len(subject)) + subject
        with open(file, "wb") as body:
            body.write(b"\0" + len(message).to_bytes(4, "big") + message)
        return "\n".join([f'unix-socket = "{self.bench.run}/{self.name}/sock"', f'data-binary = "@{file}"',
                          'url = "http://meshd/mesh.v1.AttachService/Attach"', 'dump-header = "-"',
                          'output = "/dev/null"', 'header = "content-type: application/grpc"', 'header = "te: trailers"'])


class MeshdNft(Meshd):
    name, backend, loose = "meshd-nft", "nft", None


class MeshdIptables(Meshd):
    """As nft where it matters; what differs is measured."""

    name, backend = "meshd-iptables", "iptables"
    http = bulk = loose = singles = loss = None
    # A rule per workload, all loaded with each: nobody attaches a thousand this way.
    attach = None


@contextlib.contextmanager
def workloads(slice_name, count):
    """Empty cgroups, named below the cgroup2 mount."""
    with open("/proc/self/mountinfo") as mounts:
        mount = next(line.split()[4] for line in mounts if " - cgroup2 " in line)
    names = [f"{slice_name}/w{n}" for n in range(count)]
    try:
        for name in names:
            os.makedirs(f"{mount}/{name}")
        yield names
    finally:
        for name in [*names, slice_name]:
            with contextlib.suppress(OSError):
                os.rmdir(f"{mount}/{name}")


def varint(number):
    """As protobuf writes a length below 16,384."""
    return bytes([number]) if number < 128 else bytes([number & 127 | 128, number >> 7])


class MeshdConnect(Meshd):
    """The endpoint chosen by the kernel when the client connects: the connection itself is direct."""

    name, backend = "meshd-connect", "ebpf"
    http = connect = aside = datagrams = singles = loss = attach = None
    listener, notes = 9302, list
    services = {"bulk": "tcp:9201", "taken": "tcp:9302"}

    def declare(self):
        for name, port in ("bulk", 9201), ("taken", self.listener):
            spec = {"forward": "connect", "ports": [{"port": port, "protocol": "tcp"}],
                    "endpoints": [{"address": "127.0.0.1", "port": port}]}
            self.meshctl("apply", "-f", "-", text=json.dumps(
                {"apiVersion": "mesh/v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}))
        self.bulk, self.take = map(self.address, ("bulk", "taken"))


def ready():
    try:
        with urllib.request.urlopen("http://127.0.0.1:15020/ready", timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


def first_line(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    lines = (done.stdout + done.stderr).strip().splitlines() or ["?"]
    return lines[0].strip().removeprefix(str(argv[0])).strip()


ROWS = [Direct, Haproxy, HaproxySplice, HaproxyRedirect, Nginx, Envoy, Meshd, MeshdNft, MeshdIptables, MeshdConnect]
# What those below them are measured beside.
REFERENCES = [Direct, Haproxy, Nginx]
