"""More models than memory: each is loaded when it is called, in place of those that were
not called for longest; none is taken away from a call, and nothing is left behind."""

from __future__ import annotations

import json
import os
import pathlib
import threading
import time
import urllib.request

import openai
import pytest

from asks import MODEL, ask
from clients import OpenAI
from outcrop import Server, poll
from test_worker import JsonLog, children, lives, logged, unix_sockets

EMBEDS = "all-minilm-l6-v2"
HELLO = ask("Hello", max_tokens=4)
#: Room for either model alone, whatever the sizes of their files: the one that chats is
#: given little context and keeps no prompts.
ENGINE = "[engine]\ncontext_tokens = 1024\nsaved_mib = 0\nslots = 4\n"
SMALL = 300
SWAPS = 20


def config(chats: str = "", embeds: str = "", memory_mib: int = SMALL) -> str:
    def table(model: str, more: str) -> str:
        return f'{{ model = "{model}"{more and ", " + more} }}'

    models = f"models = [{table(MODEL, chats)}, {table(EMBEDS, embeds)}]\n"
    return models + ENGINE + f"memory_mib = {memory_mib}\n"


@pytest.fixture
def launch(tmp_path):
    """Starts servers, and ends those a failed test left."""
    started: list[Server] = []

    def start(text: str) -> Server:
        server = Server(JsonLog(tmp_path / f"home-{len(started)}"), text)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        if server.process.poll() is None:
            server.crash()


def states(server: Server) -> dict[str, str]:
    with urllib.request.urlopen(server.url + "/readyz", timeout=5) as response:
        return json.load(response)["models"]


def embed(server: Server) -> list[float]:
    return OpenAI(server).sdk().embeddings.create(model=EMBEDS, input="Hello").data[0].embedding


def open_files(pid: int) -> int:
    """How many files it has open; connections of clients, which come and go, are none."""
    files = pathlib.Path(f"/proc/{pid}/fd").iterdir()
    return sum(1 for file in files if os.path.lexists(file) and not os.readlink(file).startswith("socket:"))


def test_calls_take_turns_in_room_for_one(launch):
    """Twenty swaps: one worker at a time, the same answers, nothing left behind."""
    # Neither fits beside the other, so only the first is loaded at the start.
    server = launch(config(memory_mib=240))
    pid = server.process.pid
    assert states(server) == {MODEL: "ready", EMBEDS: "asleep"}
    assert EMBEDS in OpenAI(server).models(), "asleep, it is listed"
    text, vector = OpenAI(server).ask(HELLO).text, embed(server)
    assert states(server) == {MODEL: "asleep", EMBEDS: "ready"}
    sockets, files = unix_sockets(pid), open_files(pid)
    for _ in range(SWAPS // 2):
        assert OpenAI(server).ask(HELLO).text == text
        assert len(children(pid)) == 1, "one worker at a time, and no zombie"
        assert embed(server) == vector
        assert len(children(pid)) == 1
    assert unix_sockets(pid) == sockets, "a socket of a worker that was unloaded is left"
    assert open_files(pid) == files
    assert len(logged(server, "unloaded")) == SWAPS + 1
    assert not logged(server, "the model's worker died")
    server.stop()


def test_a_stream_is_never_cut_for_another_model(launch):
    server = launch(config(memory_mib=240))
    begun, answers, client = threading.Event(), [], OpenAI(server)
    long = ask("Count from one to one hundred in words.", max_tokens=120)
    stream = threading.Thread(target=lambda: answers.append(client.stream(long, lambda _: begun.set())))
    stream.start()
    assert begun.wait(30)
    # Waits for the stream's end, and is answered then.
    assert len(embed(server)) == 384
    stream.join(60)
    (answer,) = answers
    assert answer.finish in ("stop", "length") and answer.output_tokens > 0
    assert not logged(server, "the model's worker died")
    server.stop()


def test_what_is_pinned_stays_and_who_can_never_fit_is_told(launch):
    server = launch(config(chats="pinned = true", embeds='load = "demand"', memory_mib=240))
    with pytest.raises(openai.InternalServerError) as refused:
        embed(server)
    assert refused.value.status_code == 503
    message = str(refused.value)
    assert "pinned" in message and "engine.memory_mib" in message, message
    assert ".gguf" not in message, "where files lie is nobody's business"
    assert states(server)[MODEL] == "ready"
    assert OpenAI(server).ask(HELLO).output_tokens > 0
    assert len(children(server.process.pid)) == 1
    server.stop()


def test_keep_alive_unloads_what_nobody_calls(launch):
    server = launch(config(chats='load = "demand", keep_alive_s = 1', embeds="pinned = true", memory_mib=4096))
    pid = server.process.pid
    assert states(server) == {MODEL: "asleep", EMBEDS: "ready"}
    (pinned,) = children(pid)
    assert OpenAI(server).ask(HELLO).output_tokens > 0
    assert len(children(pid)) == 2
    poll(lambda: children(pid) == [pinned], 20, "the one that nobody calls unloaded")
    assert poll(lambda: states(server)[MODEL] == "asleep", 5, "asleep")
    (line,) = poll(lambda: logged(server, "unloaded"), 5, "the log of it")
    assert line["model"] == MODEL
    assert OpenAI(server).ask(HELLO).output_tokens > 0, "the next call loads it again"
    server.stop()


def test_calls_that_come_together_load_a_model_once(launch):
    server = launch(config(chats='load = "demand"', memory_mib=4096))
    answers, client = [], OpenAI(server)
    threads = [threading.Thread(target=lambda: answers.append(client.ask(HELLO).text)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 6 and len(set(answers)) == 1
    assert len([line for line in logged(server, "loaded") if line["model"] == MODEL]) == 1
    server.stop()


def test_a_model_that_cannot_be_loaded_tells_each_caller_why(launch, tmp_path):
    """And is tried again with the next call; others are served meanwhile."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(64))
    text = f'models = ["{EMBEDS}", {{ model = "{broken}", load = "demand" }}]\n{ENGINE}'
    server = launch(text)
    sdk = OpenAI(server).sdk().with_options(max_retries=0)
    for _ in range(2):
        with pytest.raises(openai.InternalServerError) as refused:
            sdk.chat.completions.create(model="broken", messages=[{"role": "user", "content": "Hello"}])
        message = str(refused.value)
        assert refused.value.status_code == 503
        assert "could not be loaded" in message and str(tmp_path) not in message, message
    assert server.health("/readyz") == 200
    assert "could not be loaded" in states(server)["broken"]
    assert len(embed(server)) == 384
    server.stop()


def test_no_worker_outlives_a_gateway_that_swaps(launch):
    server = launch(config(memory_mib=240))
    embed(server)
    (pid,) = children(server.process.pid)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 20 and not lives(pid)
    assert not os.path.exists(f"/proc/{pid}/exe")
