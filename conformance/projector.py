"""A projector for SmolLM2-135M with numbers by chance, always the same, and pictures to show
it: what the model says of a picture means nothing, but it depends on the picture."""

from __future__ import annotations

import pathlib
import random
import struct
import zlib

#: Rows that an image has: 6 by 6 patches.
ROWS = 36
SIDE, PATCH, WIDTH, HIDDEN, LAYERS, MODEL_WIDTH = 48, 8, 32, 64, 2, 576

_TEXT, _COUNT, _NUMBER, _FLAG, _LIST = 8, 4, 6, 7, 9


def _name(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _value(value) -> bytes:
    match value:
        case str():
            return struct.pack("<I", _TEXT) + _name(value)
        case bool():
            return struct.pack("<IB", _FLAG, value)
        case int():
            return struct.pack("<II", _COUNT, value)
        case float():
            return struct.pack("<If", _NUMBER, value)
        case list():
            return struct.pack(f"<IIQ{len(value)}f", _LIST, _NUMBER, len(value), *value)


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 32)


def write_projector(path: pathlib.Path) -> pathlib.Path:
    """Writes the file, a vision transformer of two layers (GGUF, `janus_pro`)."""
    dice = random.Random(0)
    about = {
        "general.architecture": "clip",
        "clip.projector_type": "janus_pro",
        "clip.has_vision_encoder": True,
        "clip.use_gelu": True,
        "clip.vision.image_size": SIDE,
        "clip.vision.patch_size": PATCH,
        "clip.vision.embedding_length": WIDTH,
        "clip.vision.feed_forward_length": HIDDEN,
        "clip.vision.block_count": LAYERS,
        "clip.vision.projection_dim": MODEL_WIDTH,
        "clip.vision.attention.head_count": 4,
        "clip.vision.attention.layer_norm_epsilon": 1e-6,
        "clip.vision.image_mean": [0.5] * 3,
        "clip.vision.image_std": [0.5] * 3,
    }
    shapes = {
        "v.patch_embd.weight": (PATCH, PATCH, 3, WIDTH),
        "v.patch_embd.bias": (WIDTH,),
        "v.position_embd.weight": (WIDTH, ROWS),
        "v.post_ln.weight": (WIDTH,),
        "v.post_ln.bias": (WIDTH,),
        "mm.0.weight": (WIDTH, HIDDEN),
        "mm.0.bias": (HIDDEN,),
        "mm.1.weight": (HIDDEN, MODEL_WIDTH),
        "mm.1.bias": (MODEL_WIDTH,),
    }
    for layer in range(LAYERS):
        matrices = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_out"), (WIDTH, WIDTH))
        for name, shape in (matrices | {"ffn_up": (WIDTH, HIDDEN), "ffn_down": (HIDDEN, WIDTH)}).items():
            shapes[f"v.blk.{layer}.{name}.weight"] = shape
            shapes[f"v.blk.{layer}.{name}.bias"] = shape[1:]
        for name in ("ln1", "ln2"):
            shapes[f"v.blk.{layer}.{name}.weight"] = shapes[f"v.blk.{layer}.{name}.bias"] = (WIDTH,)
    heads, data = b"", b""
    for name, shape in shapes.items():
        count = 1
        for side in shape:
            count *= side
        scale = 0.06 if name == "mm.1.weight" else 0.3 if name.endswith("weight") else 0.05
        around = 1.0 if "ln" in name and name.endswith("weight") else 0.0
        numbers = [around + dice.uniform(-scale, scale) for _ in range(count)]
        heads += _name(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        data += _pad(struct.pack(f"<{count}f", *numbers))
    pairs = b"".join(_name(key) + _value(value) for key, value in about.items())
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(about)) + pairs + heads
    path.write_bytes(_pad(head) + data)
    return path


def png(seed: int, width: int = 40, height: int = 30) -> bytes:
    """A picture: bands of colours that depend on `seed`."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def row(y: int) -> bytes:
        return b"\0" + bytes((x * seed * (band + 2) + y * 3) % 256 for x in range(width) for band in range(3))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(map(row, range(height))))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
