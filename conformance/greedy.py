"""Greedy answers of the engine against llama.cpp's own `llama-simple`, word for word.

    cargo build --release -p engine --example greedy
    python conformance/greedy.py MODEL.gguf path/to/llama-simple

`llama-simple` is llama.cpp's examples/simple at the revision that llama-cpp-sys-2 vendors
(`cmake --build … --target llama-simple`, or its one file linked against the vendored
libraries). Not part of the suite, which compares with the same loop written over the
binding (crates/engine/src/backend/tests.rs): this shows that nothing is lost in between.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

TOKENS = 32
ROOT = pathlib.Path(__file__).parent.parent
SOURCE = ROOT / "crates/engine/src/backend/tests.rs"
ENGINE = ROOT / "target/release/examples/greedy"


def prompts() -> list[str]:
    """The twenty prompts of the engine's own test."""
    listed = re.search(r"const PROMPTS.*?= \[(.*?)\];", SOURCE.read_text(), re.DOTALL)
    assert listed, f"no prompts in {SOURCE}"
    return [json.loads(line.strip().rstrip(",")) for line in listed[1].strip().splitlines()]


def engine(model: str, prompt: str) -> str:
    """What the engine continues a prompt with, alone: company may turn a near tie."""
    asked = json.dumps([prompt]).encode()
    done = subprocess.run([ENGINE, model, str(TOKENS)], input=asked, capture_output=True, check=True)
    return json.loads(done.stdout)[0]


def simple(binary: str, model: str, prompt: str) -> str:
    """What llama.cpp's example continues a prompt with."""
    command = [binary, "-m", model, "-n", str(TOKENS), prompt]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    text = done.stdout.decode(errors="replace")
    assert prompt in text, f"{prompt!r} is not repeated in {text!r}"
    return text[text.index(prompt) + len(prompt) :].removesuffix("\n")


def main() -> int:
    """Compares all prompts; the exit status is the number of those that differ."""
    _, model, binary = sys.argv
    asked = prompts()
    different = 0
    for prompt in asked:
        ours = engine(model, prompt)
        theirs = simple(binary, model, prompt)
        if ours.rstrip("\n") != theirs.rstrip("\n"):
            different += 1
            print(f"{prompt!r}\n  engine {ours!r}\n  simple {theirs!r}")
    print(f"{len(asked) - different} of {len(asked)} prompts: the same")
    return different


if __name__ == "__main__":
    sys.exit(main())
