"""How Outcrop's engine compares with llama.cpp's own server on the same model file.

    python -m pip install xllamacpp            # the peer, once
    python bench/engine --model model.gguf [--peer-python PYTHON] [--only shared] [--json FILE]

Both servers run one after the other for each work, with the same number of threads. CPU
seconds are the unit where one can be had: they are steady on a machine that does other
things as well. Where time is the point (first tokens, gaps), both numbers come from one run.
"""

import argparse
import asyncio
import json
import sys

import servers
import works

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", required=True, help="a GGUF file")
parser.add_argument("--outcrop", default="target/release/outcrop")
parser.add_argument("--peer-python", default=sys.executable, help="a Python that has xllamacpp")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--context", type=int, default=16384)
parser.add_argument("--only", default="", help="only works whose name contains this")
parser.add_argument("--without-peer", action="store_true")
parser.add_argument("--settings", default="", help="more lines for Outcrop's [engine] table")
parser.add_argument("--json", help="also write the figures to this file")
options = parser.parse_args()

results = {}
for name, work in works.ALL.items():
    if options.only not in name:
        continue
    shape = (options.model, options.threads, 32, options.context)
    contenders = [servers.Outcrop(options.outcrop, *shape, options.settings)]
    if not options.without_peer:
        contenders.append(servers.Peer(options.peer_python, *shape))
    for server in contenders:
        with server:
            asyncio.run(works.warm_up(server))
            figures = asyncio.run(work(server))
        results.setdefault(name, {})[server.name] = figures
        for figure, value in figures.items():
            print(f"{name:12} {server.name:14} {figure:34} {value:10.3f}", flush=True)
if options.json:
    with open(options.json, "w") as file:
        json.dump(results, file, indent=1)
