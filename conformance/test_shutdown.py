"""SIGTERM: streams in flight finish, newcomers get their dialect's 'unavailable'."""

from __future__ import annotations

import queue
import signal
import threading

import pytest

from asks import MODEL, ask
from clients import MAIN
from outcrop import Server, poll
from scripted import TEXT, Scripted

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


def test_newcomers_are_told(make_home):
    """While it drains, new requests raise each SDK's own 'unavailable', and `/readyz`
    tells load balancers to go elsewhere."""
    upstream = Scripted()
    provider = f'[providers.slow]\ndialect = "openai-chat"\nbase_url = "{upstream.url}/v1"\nmodels = ["gated"]\n'
    server = Server(make_home("draining", share_models=False), provider).start()
    clients = [client(server) for client in MAIN.values()]
    problems: dict = {}

    def newcomers() -> None:
        server.terminate()
        poll(lambda: server.health("/readyz") == 503, 10, "not ready while it drains")
        assert server.health("/livez") == 200
        for client in clients:
            problems[client] = client.problem(lambda: client.ask(question))

    # In flight for as long as its pieces are not acknowledged.
    question = ask("Hello", model="slow/gated")
    first = once(newcomers)

    def acknowledge(text: str) -> None:
        first(text)
        upstream.acknowledged.release()

    assert clients[0].stream(question, acknowledge).text == TEXT
    assert server.wait() == 0
    upstream.close()
    assert problems.keys() == set(clients)
    for client, problem in problems.items():
        assert (problem.cls, problem.status) == (UNAVAILABLE[client.family], 503), problem
        assert problem.request_id and problem.message, problem


def test_second_signal_ends_at_once(own_server):
    """Ctrl-C twice: whoever is impatient is obeyed, and the stream says it was cut."""

    def twice() -> None:
        own_server.process.send_signal(signal.SIGINT)
        own_server.process.send_signal(signal.SIGINT)

    client = MAIN["anthropic"](own_server)
    with pytest.raises(Exception) as error:
        client.stream(LONG.but(max_tokens=2000), once(twice))
    assert not isinstance(error.value, AssertionError), "the stream ended as if all were well"
    assert own_server.wait() is not None


def once(action):
    """A listener that acts at the first piece."""
    left = [action]
    return lambda _: left and left.pop()()
