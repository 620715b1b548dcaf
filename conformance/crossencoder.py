"""A folder as model hubs publish a cross-encoder, made of the embedding model that is here.

No package carries a trained one: so the encoder of all-MiniLM-L6-v2, as it was pulled, gets
a pooler and a classifier whose numbers are those of `bench/rerank/head.py`. Its scores mean
nothing, and are the same in every run.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, BinaryIO

WIDE = 384
#: GGUF's types of tensors that are here, in the words of safetensors, with their size.
TYPES = {0: ("F32", 4), 1: ("F16", 2)}
#: The names of tensors: here, and as Hugging Face has them.
OUTER = {
    "token_embd": "embeddings.word_embeddings",
    "position_embd": "embeddings.position_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "token_embd_norm": "embeddings.LayerNorm",
}
LAYER = {
    "attn_q": "attention.self.query",
    "attn_k": "attention.self.key",
    "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense",
    "ffn_down": "output.dense",
    "layer_output_norm": "output.LayerNorm",
}


class Gguf:
    """The settings and tensors of a file."""

    def __init__(self, path: Path):
        self.settings: dict[str, Any] = {}
        self.tensors: dict[str, tuple[str, list[int], bytes]] = {}
        with path.open("rb") as file:
            self.file: BinaryIO = file
            file.read(8)
            tensors, settings = self.number("Q"), self.number("Q")
            for _ in range(settings):
                name = self.text()
                self.settings[name] = self.value(self.number("I"))
            infos = [self.info() for _ in range(tensors)]
            start = (file.tell() + 31) // 32 * 32
            for name, shape, kind, offset in infos:
                dtype, size = TYPES[kind]
                for side in shape:
                    size *= side
                file.seek(start + offset)
                self.tensors[name] = (dtype, shape, file.read(size))

    def number(self, form: str) -> Any:
        return struct.unpack(f"<{form}", self.file.read(struct.calcsize(f"<{form}")))[0]

    def text(self) -> str:
        return self.file.read(self.number("Q")).decode()

    def value(self, kind: int) -> Any:
        if kind == 8:
            return self.text()
        if kind == 9:
            inner, count = self.number("I"), self.number("Q")
            return [self.value(inner) for _ in range(count)]
        return self.number("BbHhIif?__QqD"[kind].replace("D", "d"))

    def info(self) -> tuple[str, list[int], int, int]:
        name = self.text()
        shape = [self.number("Q") for _ in range(self.number("I"))]
        return name, shape[::-1], self.number("I"), self.number("Q")


def published(name: str) -> str:
    """Hugging Face's name of a tensor."""
    stem, _, kind = name.rpartition(".")
    if stem.startswith("blk."):
        _, layer, inner = stem.split(".", 2)
        return f"bert.encoder.layer.{layer}.{LAYER[inner]}.{kind}"
    return f"bert.{OUTER[stem]}.{kind}"


def word(token: str) -> str:
    """A token as `vocab.txt` has it."""
    if token.startswith("\u2581"):
        return token[1:]
    return token if token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") else f"##{token}"


def numbers(start: int, count: int, scale: float) -> bytes:
    """Numbers between -scale/2 and scale/2, by Knuth's multiplicative hash."""
    hashed = ((n * 2654435761 % 2**32) >> 8 for n in range(start, start + count))
    return struct.pack(f"<{count}f", *((n / 2**24 - 0.5) * scale for n in hashed))


def write(embedder: Path, folder: Path) -> None:
    """Makes the folder from the embedding model's GGUF file."""
    gguf = Gguf(embedder)
    tensors = {published(name): tensor for name, tensor in gguf.tensors.items()}
    tensors["bert.pooler.dense.weight"] = ("F32", [WIDE, WIDE], numbers(1, WIDE * WIDE, 0.3))
    tensors["bert.pooler.dense.bias"] = ("F32", [WIDE], bytes(4 * WIDE))
    tensors["classifier.weight"] = ("F32", [1, WIDE], numbers(1_000_000, WIDE, 1.5))
    tensors["classifier.bias"] = ("F32", [1], struct.pack("<f", 3.75))
    header, place = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [place, place + len(data)]}
        place += len(data)
    text = json.dumps(header).encode()
    data = b"".join(data for _, _, data in tensors.values())
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    words = [word(token) for token in gguf.settings["tokenizer.ggml.tokens"]]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    own = {key.removeprefix("bert."): value for key, value in gguf.settings.items()}
    config = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": own["embedding_length"],
        "id2label": {"0": "LABEL_0"},
        "intermediate_size": own["feed_forward_length"],
        "layer_norm_eps": own["attention.layer_norm_epsilon"],
        "max_position_embeddings": own["context_length"],
        "num_attention_heads": own["attention.head_count"],
        "num_hidden_layers": own["block_count"],
        "type_vocab_size": 2,
        "vocab_size": len(words),
    }
    (folder / "config.json").write_text(json.dumps(config))
