"""SIGTERM: streams in flight finish, newcomers get their dialect's 'unavailable'."""

from __future__ import annotations

import queue
import signal
import threading

import pytest

from asks import MODEL, ask
from clients import MAIN
from outcrop import Key, Server, poll
from scripted import PIECES, TEXT, Scripted

CONFIG = f'models = ["{MODEL}"]\n'
LONG = ask("Count from one to one hundred in words.", max_tokens=64)


@pytest.fixture
def own_server(make_home):
    server = Server(make_home("shutdown"), CONFIG).start()
    yield server
    if server.process.poll() is None:
        server.crash()


def test_all_streams_finish(own_server):
    """Every SDK streams while the server is told to stop."""
    begun = threading.Barrier(len(MAIN) + 1)
    answers: queue.SimpleQueue = queue.SimpleQueue()

    def stream(client) -> None:
        try:
            answers.put((client, client.stream(LONG, once(lambda: begun.wait(60)))))
        except Exception as error:
            answers.put((client, error))

    threads = [threading.Thread(target=stream, args=(client(own_server),)) for client in MAIN.values()]
    for thread in threads:
        thread.start()
    begun.wait(60)
    own_server.terminate()
    for _ in threads:
        client, answer = answers.get(timeout=120)
        assert not isinstance(answer, Exception), (client.name, answer)
        assert answer.finish in client.finish.values() and answer.output_tokens > 0, client.name
    assert own_server.wait() == 0


UNAVAILABLE = {
    "bedrock": "ServiceUnavailableException",
    "anthropic": "ServiceUnavailableError",
    "anthropic-bedrock": "ServiceUnavailableError",
    "openai": "InternalServerError",
}


@pytest.fixture
def gated(make_home):
    """A server before an upstream that sends a piece only after the one before was
    acknowledged: requests are in flight for exactly as long as a test wants."""
    upstream = Scripted()
    provider = f'[providers.slow]\ndialect = "openai-chat"\nbase_url = "{upstream.url}/v1"\nmodels = ["gated"]\n'
    server = Server(make_home("gated", share_models=False), provider).start()
    yield server, upstream
    upstream.close()


GATED = ask("Hello", model="slow/gated")


def test_newcomers_are_told(gated):
    """While it drains, new requests raise each SDK's own 'unavailable', and `/readyz`
    tells load balancers to go elsewhere."""
    server, upstream = gated
    clients = [client(server) for client in MAIN.values()]
    problems: dict = {}

    def newcomers() -> None:
        server.terminate()
        poll(lambda: server.health("/readyz") == 503, 10, "not ready while it drains")
        assert server.health("/livez") == 200
        for client in clients:
            problems[client] = client.problem(lambda: client.ask(GATED))

    first = once(newcomers)

    def acknowledge(text: str) -> None:
        first(text)
        upstream.acknowledged.release()

    assert clients[0].stream(GATED, acknowledge).text == TEXT
    assert server.wait() == 0
    assert problems.keys() == set(clients)
    for client, problem in problems.items():
        assert (problem.cls, problem.status) == (UNAVAILABLE[client.family], 503), problem
        assert problem.request_id and problem.message, problem


@pytest.mark.parametrize("name", MAIN)
def test_second_signal_ends_at_once(gated, name):
    """Ctrl-C twice: whoever is impatient is obeyed, and the stream says it was cut."""
    server, _ = gated

    def twice() -> None:
        server.process.send_signal(signal.SIGINT)
        poll(lambda: server.health("/readyz") == 503, 10, "not ready while it drains")
        server.process.send_signal(signal.SIGINT)

    heard: list[str] = []
    first = once(twice)
    with pytest.raises(Exception) as error:
        MAIN[name](server).stream(GATED, lambda text: (heard.append(text), first(text)))
    assert not isinstance(error.value, AssertionError), "the stream ended as if all were well"
    assert heard == PIECES[:1]
    server.wait()


def test_nobody_reads_the_log(make_home):
    """Whoever read its output is gone: it serves on, and still stops when told."""
    server = Server(make_home("unheard"), CONFIG)
    server.launch(heard=False)
    server.process.stdout.close()
    server.process.stderr.close()
    server.wait_ready()
    client = MAIN["openai"](server, Key("ock_nobody", "OCAKNOBODY", "x"))
    assert client.problem(lambda: client.ask(LONG)).status == 401
    assert server.health("/readyz") == 200
    server.terminate()
    assert server.process.wait(30) == 0


def once(action):
    """A listener that acts at the first piece."""
    left = [action]
    return lambda _: left and left.pop()()
