"""The proxies measured: how each is started, and how a client reaches the backend through it."""
import glob
import json
import os
import shutil
import subprocess
import urllib.request

from proc import Process, listens, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.environ.get("MESH_BENCH_VENV") or os.path.expanduser("~/.cache/mesh-bench")


class Row:
    """One line of the table. A plain proxy listens at 10080 (HTTP) and 10120 (TCP)."""

    name, http, bulk, process = "", ("127.0.0.1", 10080), ("127.0.0.1", 10120), None

    def __init__(self, bench):
        self.bench = bench

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
        wait_for(f"{self.name} listens", lambda: listens(10080))

    def stop(self):
        self.process.stop()
        self.process = None

    def pids(self):
        return self.process.pids() if self.process else []


class Direct(Row):
    """No proxy: what the load generator and the backend can do."""

    name, http, bulk = "direct", ("127.0.0.1", 9080), ("127.0.0.1", 9201)

    def start(self):
        pass

    def stop(self):
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

    name, http, bulk = "haproxy-splice", None, ("127.0.0.1", 10122)


class Nginx(Row):
    name = "nginx"

    def available(self):
        return os.path.exists("/usr/lib/nginx/modules/ngx_stream_module.so")

    def version(self):
        return first_line("nginx", "-v")

    def argv(self):
        return ["nginx", "-c", self.bench.conf("nginx.conf")]


class Envoy(Row):
    name = "envoy"

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

    def version(self):
        return first_line(f"{self.bench.programs}/meshd", "--version")

    def argv(self):
        run = f"{self.bench.run}/{self.name}"
        os.makedirs(run, exist_ok=True)
        return [f"{self.bench.programs}/meshd", "--workers", "1", "--backend", self.backend, "--node", "n1",
                "--state-dir", f"{run}/state", "--socket", f"{run}/sock", "--cgroup", self.cgroup()]

    def cgroup(self):
        return f"mesh-bench-{os.getpid()}.slice"

    def meshctl(self, *args):
        env = {**os.environ, "MESHCTL_SOCKET": f"{self.bench.run}/{self.name}/sock"}
        done = subprocess.run([f"{self.bench.programs}/meshctl", *args], env=env, check=True,
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
        self.meshctl("register", "web", "--port", "http:9080")
        self.meshctl("register", "bulk", "--port", "tcp:9201")
        self.http, self.bulk = self.address("web"), self.address("bulk")


class MeshdNft(Meshd):
    name, backend = "meshd-nft", "nft"


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


ROWS = [Direct, Haproxy, HaproxySplice, Nginx, Envoy, Meshd, MeshdNft]
