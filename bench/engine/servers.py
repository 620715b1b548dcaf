"""The two servers that are compared: Outcrop, and llama.cpp's own server.

Each runs as a process of its own on the same model file with the same number of threads,
and is asked through the same OpenAI endpoint. What a server costs is the CPU time of its
process and of those it started.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server under test."""

    name = ""

    def __init__(self):
        self.port = free_port()
        self.process = None
        # Who asks, and with which key.
        self.keys = {"light": "light", "heavy": "heavy"}

    def __enter__(self):
        self.process = self.start()
        deadline = time.monotonic() + 120
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self.name} did not start; its log: {self.log}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.health}", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def family(self):
        """The process and all below it."""
        children = {}
        for folder in pathlib.Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                except OSError:
                    continue
                children.setdefault(int(fields[1]), []).append(int(folder.name))
        family, left = [], [self.process.pid]
        while left:
            pid = left.pop()
            family.append(pid)
            left.extend(children.get(pid, []))
        return family

    def cpu_seconds(self):
        total = 0
        for pid in self.family():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def memory_mib(self):
        total = 0
        for pid in self.family():
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total / 1024


class Outcrop(Server):
    """Outcrop, from its release binary."""

    name = "outcrop"
    health = "/readyz"

    def __init__(self, binary, model, threads, slots, context, settings=""):
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="outcrop-bench-")
        self.log = f"{self.folder}/log"
        self.binary = binary
        self.model = pathlib.Path(model).stem
        pathlib.Path(f"{self.folder}/outcrop.toml").write_text(
            f'models = ["{model}"]\n[server]\nlisten = "127.0.0.1:{self.port}"\ntls = false\n'
            f"[engine]\nthreads = {threads}\nslots = {slots}\ncontext_tokens = {context}\n{settings}\n"
        )

    def start(self):
        home = {**os.environ, "OUTCROP_HOME": f"{self.folder}/home"}
        for who in ("light", "heavy"):
            command = [self.binary, "keys", "create", "--name", who, "--json"]
            self.keys[who] = json.loads(subprocess.check_output(command, env=home))["bearer"]
        command = [self.binary, "serve", "--config", f"{self.folder}/outcrop.toml"]
        return subprocess.Popen(command, env=home, stdout=open(self.log, "w"), stderr=subprocess.STDOUT)


PEER = """
import sys, time, xllamacpp
port, model, threads, slots, context = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = model
params.hostnames = ["127.0.0.1"]
params.port = int(port)
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
params.n_parallel = int(slots)
params.n_ctx = int(context)
params.kv_unified = True
server = xllamacpp.Server(params)
while True:
    time.sleep(3600)
"""


class Peer(Server):
    """llama.cpp's own server, as the Python wheel `xllamacpp` packs it."""

    name = "llama-server"
    health = "/health"

    def __init__(self, python, model, threads, slots, context):
        super().__init__()
        self.log = tempfile.mkstemp(prefix="peer-")[1]
        self.model = pathlib.Path(model).stem
        self.command = [python, "-c", PEER, *map(str, (self.port, model, threads, slots, context))]

    def start(self):
        return subprocess.Popen(self.command, stdout=open(self.log, "w"), stderr=subprocess.STDOUT)

