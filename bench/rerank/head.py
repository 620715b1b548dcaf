"""A cross-encoder of real weights and a made head: no package on PyPI or npm carries a
trained one (2026-11-23). all-MiniLM-L6-v2's encoder, and on top of it a pooler and a
classifier whose numbers are the same in every run and in Outcrop's own tests. Its scores
mean nothing; that two programs give the same ones does.
"""

import json
import pathlib

import safetensors.torch
import torch

WIDE = 384
# Such that the logits of `pairs` lie around 0, and as far apart as a trained model's.
POOLER, CLASSIFIER, BIAS = 0.3, 1.5, 3.75


def numbers(start, count, scale):
    """Numbers between -scale/2 and scale/2, by Knuth's multiplicative hash."""
    hashed = ((n * 2654435761 % 2**32) >> 8 for n in range(start, start + count))
    return torch.tensor([(n / 2**24 - 0.5) * scale for n in hashed], dtype=torch.float32)


def write(encoder, folder):
    """Puts a head on the model in one folder, and writes it to another."""
    encoder, folder = pathlib.Path(encoder), pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = safetensors.torch.load_file(encoder / "model.safetensors")
    weights = {f"bert.{name}": numbers for name, numbers in weights.items() if not name.startswith("pooler")}
    weights["bert.pooler.dense.weight"] = numbers(1, WIDE * WIDE, POOLER).reshape(WIDE, WIDE)
    weights["bert.pooler.dense.bias"] = torch.zeros(WIDE)
    weights["classifier.weight"] = numbers(1_000_000, WIDE, CLASSIFIER).reshape(1, WIDE)
    weights["classifier.bias"] = torch.tensor([BIAS])
    safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((encoder / "config.json").read_text())
    config |= {"architectures": ["BertForSequenceClassification"]}
    config |= {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    for name in ["vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]:
        if (encoder / name).exists():
            (folder / name).write_bytes((encoder / name).read_bytes())
