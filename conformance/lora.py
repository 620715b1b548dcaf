"""LoRA adapters for the default model, made of a seed: files as fine-tuning leaves them."""

from __future__ import annotations

import array
import pathlib
import random
import struct

#: Numbers per token in SmolLM2-135M, its layers, and the rank of the adapters.
WIDTH, LAYERS, RANK = 576, 30, 8
ALIGNMENT = 32


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def write(path: pathlib.Path, seed: int, strength: float = 2.0) -> pathlib.Path:
    """An adapter of the query and attention output matrices, whose numbers are so large."""
    choose = random.Random(seed)
    tensors = []
    for layer in range(LAYERS):
        for matrix in ("attn_q", "attn_output"):
            for name, shape, size in (("lora_a", (WIDTH, RANK), 0.1), ("lora_b", (RANK, WIDTH), strength)):
                numbers = array.array("f", ((choose.random() - 0.5) * size for _ in range(WIDTH * RANK)))
                tensors.append((f"blk.{layer}.{matrix}.weight.{name}", shape, numbers.tobytes()))
    head = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), 4)]
    for key, value in (
        ("general.type", "adapter"),
        ("general.architecture", "llama"),
        ("adapter.type", "lora"),
    ):
        head += [text(key), struct.pack("<I", 8), text(value)]
    head += [text("adapter.lora.alpha"), struct.pack("<If", 6, RANK)]
    offset = 0
    for name, shape, data in tensors:
        head.append(text(name) + struct.pack("<IQQIQ", 2, *shape, 0, offset))
        offset += -(-len(data) // ALIGNMENT) * ALIGNMENT
    file = b"".join(head)
    for _, _, data in tensors:
        file += b"\0" * (-len(file) % ALIGNMENT) + data
    path.write_bytes(file)
    return path
