"""What was computed of a prompt outlives the server, where it may be kept on disk."""

from __future__ import annotations

import stat

from asks import MODEL
from clients import OpenAI
from outcrop import Server

KEEPS = f"""
models = ["{MODEL}"]

[engine]
context_tokens = 2048
saved_disk_mib = 256
"""
STORY = "The harbour town lay between two hills, and everybody knew the sound of its bell. " * 12


def cached(server: Server) -> tuple[int, str]:
    answer = OpenAI(server).sdk().chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": STORY}], max_tokens=12, temperature=0
    )
    return answer.usage.prompt_tokens_details.cached_tokens, answer.choices[0].message.content


def test_a_prompt_is_known_after_a_restart(make_home):
    home = make_home("kept")
    server = Server(home, KEEPS).start()
    key = server.key
    before, said = cached(server)
    server.stop()
    kept = list((home.folder / "cache").rglob("*"))
    assert any(path.is_file() for path in kept)
    for folder in [path for path in kept if path.is_dir()]:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, "its owner alone reads what was asked"

    server = Server(home, KEEPS).start(key)
    again, repeated = cached(server)
    assert before < 50 and again > 200
    assert repeated == said
    server.stop()

    for path in kept:
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    server = Server(home, KEEPS).start(key)
    damaged, said_then = cached(server)
    assert damaged < 50 and said_then == said
    server.stop()
