"""SIGTERM: streams in flight finish, newcomers get their dialect's 'unavailable'."""

from __future__ import annotations

import http.client
import json
import queue
import signal
import threading

import pytest

from asks import MODEL, ask
from clients import MAIN
from outcrop import Server

CONFIG = f'models = ["{MODEL}"]\n'
LONG = ask("Count from one to one hundred in words.", max_tokens=64)
BODIES = {
    "/v1/messages": {"max_tokens": 1},
    "/v1/chat/completions": {"max_tokens": 1},
    f"/model/{MODEL}/invoke": {"max_tokens": 1, "anthropic_version": "bedrock-2023-05-31"},
}


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
        assert answer.output_tokens == LONG.max_tokens, client.name
    assert own_server.wait() == 0


def test_newcomers_are_told(own_server):
    """While it drains, requests on live connections get 503 in their dialect's shape,
    with the request id and advice to retry."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {own_server.key.bearer}"}
    connections = {path: http.client.HTTPConnection("127.0.0.1", own_server.port, timeout=30) for path in BODIES}
    for connection in connections.values():
        connection.connect()

    replies = {}

    def newcomers() -> None:
        own_server.terminate()
        for path, connection in connections.items():
            body = BODIES[path] | {"messages": [{"role": "user", "content": "Hello"}]}
            if not path.startswith("/model"):
                body["model"] = MODEL
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            replies[path] = (response.status, dict(response.getheaders()), json.loads(response.read()))

    MAIN["openai"](own_server).stream(LONG, once(newcomers))
    assert own_server.wait() == 0
    for path, (status, head, body) in replies.items():
        assert status == 503, (path, status, body)
        assert "retry-after" in {name.lower() for name in head}
    assert replies["/v1/messages"][2]["error"]["type"] in ("api_error", "overloaded_error")
    assert replies["/v1/chat/completions"][2]["error"]["message"]
    bedrock = {name.lower(): value for name, value in replies[f"/model/{MODEL}/invoke"][1].items()}
    assert bedrock["x-amzn-errortype"] == "ServiceUnavailableException"


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
