"""Processes of the benchmark: started pinned to a CPU, their CPU time and memory read from /proc."""
import ctypes
import os
import re
import signal
import socket
import subprocess
import time

libc = ctypes.CDLL(None)
TICK = os.sysconf("SC_CLK_TCK")


def read(path):
    """Text of a file under /proc; empty when the process has gone."""
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def tree(pid):
    """pid and everything below it."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        fields = read(f"/proc/{entry}/stat").rpartition(")")[2].split()
        if fields:
            parents.setdefault(int(fields[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += parents.get(found[-1], [])
    return found


def cpu_ns(pids):
    """Nanoseconds all threads of these processes have run, from the scheduler."""
    total = 0
    for pid in pids:
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for thread in threads:
            total += int((read(f"/proc/{pid}/task/{thread}/schedstat") or "0").split()[0])
    return total


def resident_kib(pids):
    texts = (read(f"/proc/{pid}/status") for pid in pids)
    return sum(int(n) for text in texts for n in re.findall(r"^VmRSS:\s+(\d+)", text, re.M))


def busy_ticks():
    """Clock ticks all CPUs were busy."""
    fields = [int(n) for n in read("/proc/stat").split("\n")[0].split()[1:]]
    return fields[0] + fields[1] + fields[2] + fields[5] + fields[6]


EVERYWHERE = f"0-{os.cpu_count() - 1}"


def pinned(cpus, argv):
    return ["taskset", "-c", str(cpus), *argv]


def tie(pids, cpus):
    """Ties all threads of these processes to other CPUs."""
    for pid in pids:
        subprocess.run(["taskset", "-a", "-p", "-c", cpus, str(pid)], check=True, stdout=subprocess.DEVNULL)


class Process:
    """A program in the background; its output goes to a file."""

    def __init__(self, argv, cpu, log, env=None):
        self.log = open(log, "ab")
        self.popen = subprocess.Popen(pinned(cpu, argv), stdin=subprocess.DEVNULL, stdout=self.log,
                                      stderr=self.log, env={**os.environ, **(env or {})})

    def pids(self):
        return tree(self.popen.pid)

    def alive(self):
        return self.popen.poll() is None

    def stop(self):
        """SIGTERM, then SIGKILL to exactly the processes of its tree."""
        pids = self.pids()
        self.popen.terminate()
        try:
            self.popen.wait(15)
        except subprocess.TimeoutExpired:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.popen.wait()
        self.log.close()


class Namespace:
    """A new network namespace, and this process in it; `with` it, whatever is done happens in it."""

    NET = 0x40000000  # CLONE_NEWNET; mounts and cgroups stay visible

    def __init__(self):
        if libc.unshare(self.NET):
            raise SystemExit("bench: needs root")
        self.file = open("/proc/self/ns/net")

    def __enter__(self):
        self.back = open("/proc/self/ns/net")
        libc.setns(self.file.fileno(), self.NET)

    def __exit__(self, *_):
        libc.setns(self.back.fileno(), self.NET)
        self.back.close()


def wait_for(what, condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    raise RuntimeError(f"{what}: not within {seconds} s")


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
