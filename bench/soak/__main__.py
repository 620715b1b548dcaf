"""Hours of use in a short time: random calls, cancels and model swaps, and nothing left behind.

    python bench/soak --chat model.gguf --embed embed.gguf [--minutes 60] [--json FILE]

Two models share memory for one, so that every embedding unloads the model that chats, and
the next conversation loads it again. Callers come and go, many of them in the middle of an
answer. Two adapters of the first are asked as often as itself. Now and then a fixed question is asked greedily: its answer must never change, which
it would if cells of the KV cache were lost or mixed up. At the end nobody is left inside, the
gateway has the files open and the memory that it had after its first quarter, and so has a
worker that did as much.
"""

import argparse
import asyncio
import json
import pathlib
import random
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).parent.parent
sys.path += [str(ROOT / "engine"), str(ROOT.parent / "conformance")]
import lora
import servers
from load import ask

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--chat", required=True, help="a GGUF file of a model that chats")
parser.add_argument("--embed", required=True, help="one of a model that embeds")
parser.add_argument("--outcrop", default="target/release/outcrop")
parser.add_argument("--minutes", type=float, default=60)
parser.add_argument("--callers", type=int, default=12)
parser.add_argument("--swap-seconds", type=float, default=45, help="an embedding is asked for this often")
parser.add_argument("--memory-mib", type=int, default=420, help="room for either model, not for both")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--json", help="also write the figures to this file")
options = parser.parse_args()

BEGINNINGS = ["", "You are terse. " * 20, "The harbour town lay between two hills. " * 25]
ADAPTERS = ["one", "other"]
PROBE = "Count from one to twenty, in words."
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "stone",
        "schema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    },
}


class Soak(servers.Outcrop):
    """The server, with room for one of its two models."""

    def __init__(self):
        settings = f"memory_mib = {options.memory_mib}\nsaved_mib = 32\nqueue = 64"
        super().__init__(options.outcrop, options.chat, 1, 8, 4096, settings)
        self.embeds = pathlib.Path(options.embed).stem
        config = pathlib.Path(f"{self.folder}/outcrop.toml")
        models = json.dumps([str(pathlib.Path(file).resolve()) for file in (options.chat, options.embed)])
        text = config.read_text().split("\n", 1)[1]
        for seed, name in enumerate(ADAPTERS):
            path = lora.write(pathlib.Path(f"{self.folder}/{name}.gguf"), seed)
            text += f'\n[adapters.{name}]\nmodel = "{self.model}"\npath = "{path}"\n'
        config.write_text(f"models = {models}\n{text}")

    def open_files(self, pid):
        return sum(1 for _ in pathlib.Path(f"/proc/{pid}/fd").iterdir())

    def resident_mib(self, pid):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def sample(self):
        gateway, *workers = self.family()
        return {
            "gateway MiB": self.resident_mib(gateway),
            "gateway files": self.open_files(gateway),
            "workers": len(workers),
            "workers MiB": sum(map(self.resident_mib, workers)),
        }


class Tally:
    """What became of calls."""

    def __init__(self):
        self.calls = self.tokens = self.cancelled = self.swaps = self.probes = 0
        self.statuses = {}
        self.changed = []

    def count(self, answer):
        self.calls += 1
        self.tokens += answer.tokens
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1


async def caller(server, tally, until, choose):
    """One who asks one thing after the other, and often leaves early."""
    while time.monotonic() < until:
        prompt = choose.choice(BEGINNINGS) + f"Tell me about stone number {choose.randrange(40)}."
        model = choose.choice([server.model, *ADAPTERS])
        more = {"model": model, "temperature": choose.choice([0, 0.8]), "seed": choose.randrange(5)}
        kind = choose.random()
        if kind < 0.1:
            more |= {"response_format": SCHEMA}
        elif kind < 0.2:
            more |= {"n": 2}
        elif kind < 0.25:
            more |= {"logprobs": True, "top_logprobs": 3}
        call = asyncio.create_task(ask(server, prompt, choose.randrange(1, 120), **more))
        patience = choose.choice([None, None, 0.01, 0.3, 1.5])
        try:
            tally.count(await asyncio.wait_for(call, patience))
        except TimeoutError:
            tally.cancelled += 1
        except OSError as error:
            tally.statuses[str(error)] = tally.statuses.get(str(error), 0) + 1
        await asyncio.sleep(choose.random() * 0.2)


async def prober(server, tally, until):
    expected = None
    while time.monotonic() < until:
        answer = await ask(server, PROBE, 40)
        if answer.status == 200:
            expected = expected or answer.text
            tally.probes += 1
            if answer.text != expected:
                tally.changed.append(answer.text)
        await asyncio.sleep(5)


def embed(server):
    body = json.dumps({"model": server.embeds, "input": "a stone"}).encode()
    head = {"Authorization": f"Bearer {server.keys['heavy']}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/v1/embeddings", body, head)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status == 200
    except OSError:
        return False


async def swapper(server, tally, until):
    while time.monotonic() < until:
        await asyncio.sleep(options.swap_seconds)
        tally.swaps += await asyncio.to_thread(embed, server)


async def soak(server):
    tally, choose = Tally(), random.Random(options.seed)
    began = time.monotonic()
    until = began + options.minutes * 60
    tasks = [caller(server, tally, until, random.Random(choose.random())) for _ in range(options.callers)]
    running = asyncio.gather(*tasks, prober(server, tally, until), swapper(server, tally, until))
    samples = []
    while not running.done():
        await asyncio.wait([running], timeout=15)
        samples.append(server.sample())
        told = json.dumps(samples[-1])
        print(f"{time.monotonic() - began:6.0f} s  {tally.calls} calls, {tally.tokens} tokens  {told}", flush=True)
    await running
    # Those who left are noticed within a step.
    await asyncio.sleep(3)
    samples.append(server.sample())
    return tally, samples


with Soak() as server:
    tally, samples = asyncio.run(soak(server))
    early, end = samples[len(samples) // 4], samples[-1]
    figures = {
        "minutes": options.minutes,
        "calls": tally.calls,
        "cancelled": tally.cancelled,
        "tokens": tally.tokens,
        "swaps": tally.swaps,
        "probes": tally.probes,
        "probes answered otherwise": len(tally.changed),
        "statuses": tally.statuses,
        "after a quarter": early,
        "at the end": end,
    }
    print(json.dumps(figures, indent=1))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(figures, indent=1))
    wrong = []
    if tally.changed:
        wrong.append(f"the probe was answered otherwise: {tally.changed[0]!r}")
    if end["gateway files"] > early["gateway files"]:
        wrong.append("the gateway has more files open")
    if end["gateway MiB"] > early["gateway MiB"] * 1.15 + 8:
        wrong.append("the gateway has more memory")
    if odd := {status: n for status, n in tally.statuses.items() if status not in (200, 429, 503, 529)}:
        wrong.append(f"calls ended oddly: {odd}")
    raise SystemExit("; ".join(wrong) or None)
