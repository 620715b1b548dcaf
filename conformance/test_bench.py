"""`outcrop bench` on the default model: figures that can be true, as a table and as JSON."""

from __future__ import annotations

import json
import os
import subprocess

from asks import MODEL
from outcrop import BINARY, user_home


def bench(*arguments: str, code: int = 0) -> str:
    environment = dict(os.environ) | {"OUTCROP_HOME": str(user_home())}
    ran = subprocess.run(
        [BINARY, "bench", *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == code, ran.stderr
    return ran.stdout if code == 0 else ran.stderr


SMALL = [MODEL, "--threads", "1", "--tokens", "8", "--prompt", "100"]


def test_figures_can_be_true():
    report = json.loads(bench(*SMALL, "--streams", "1,4", "--json"))
    machine = report["machine"]
    assert machine["memory_bytes_per_s"] > 1e8 and machine["f32_operations_per_s"] > 1e8
    assert report["prefill"]["tokens"] in range(60, 300)
    one, four = report["decode"]
    assert (one["streams"], four["streams"]) == (1, 4)
    assert one["tokens"] == 8 and four["tokens"] == 32
    assert 0 < one["p95_gap_s"] and one["tokens_per_s"] > 0 and four["tokens_per_cpu_s"] > 0
    # All weights are read for each token of one answer: more than memory gives cannot be.
    assert one["tokens_per_s"] * report["model"]["size_bytes"] < 4 * machine["memory_bytes_per_s"]
    shared = report["shared"]
    # The first computes what all begin with, and the others their own ends.
    assert shared["reused"] > shared["computed"] > 60
    assert report["peak_bytes"] >= report["loaded_bytes"] > report["model"]["size_bytes"] / 2


def test_a_table_for_people():
    said = bench(*SMALL, "--streams", "2")
    assert "2 at once" in said and "tokens/CPU-s" in said and "this machine: reads" in said


def test_what_cannot_be_measured_is_said():
    assert "makes embeddings" in bench("all-minilm-l6-v2", code=2)
    assert "raise engine.slots" in bench("--streams", "200", code=2)
