"""Hosted models: every client against an upstream of each dialect.

The upstream (`scripted.py`) does what the model's name says, so these tests are exact:
what it received, what the client heard, which error it raised.
"""

from __future__ import annotations

import json
import socket
import urllib.request
from typing import Any

import pytest

import scripted as script
from asks import Ask, ToolResult, ToolUse, ask, assistant, user
from clients import FRAMEWORKS, MAIN
from outcrop import Server
from scripted import INPUT_TOKENS, OUTPUT_TOKENS, PIECES, TEXT, USE, Scripted
from test_answers import CLOCK, WEATHER

MODELS = ["text", "tool", "gated", "endless", "limited", "overloaded", "refused", "late", "cut", "garbage", "silent"]

CONFIG = """
models = []

[providers.anthropic-like]
dialect = "anthropic"
base_url = "{url}"
auth = {{ scheme = "x-api-key", value = "{secret}" }}
timeouts = {{ first_byte_ms = 400 }}
models = {models}

[providers.openai-like]
dialect = "openai-chat"
base_url = "{url}/v1"
auth = {{ value = "{secret}" }}
timeouts = {{ first_byte_ms = 400 }}
models = {models}

[aliases]
claude = "anthropic-like/text"
gpt = "openai-like/text"
"""

UPSTREAMS = {"anthropic": script.Anthropic, "openai": script.OpenAI}


@pytest.fixture(scope="module")
def upstream():
    running = Scripted()
    yield running
    running.close()


@pytest.fixture(scope="module")
def hosted(make_home, upstream):
    config = CONFIG.format(url=upstream.url, secret=script.SECRET, models=json.dumps(MODELS))
    running = Server(make_home("hosted", share_models=False), config).start()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def fresh(upstream):
    upstream.reset()


@pytest.fixture
def client(hosted, request):
    return (MAIN | FRAMEWORKS)[request.param](hosted)


every = pytest.mark.parametrize("client", MAIN | FRAMEWORKS, indirect=True)
main = pytest.mark.parametrize("client", MAIN, indirect=True)
to_both = pytest.mark.parametrize("to", UPSTREAMS)


def model(to: str, name: str) -> str:
    return f"{to}-like/{name}"


def check(answer) -> None:
    assert (answer.input_tokens, answer.output_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert answer.request_id


@every
@to_both
def test_text(client, to):
    question = ask("What is an outcrop?", model=model(to, "text"))
    for answer in (client.ask(question), client.stream(question)):
        check(answer)
        assert answer.text == TEXT
        assert answer.finish == client.finish["end"]


@every
@to_both
def test_tool(client, to):
    question = ask("What is the weather in Paris?", tools=(WEATHER,), model=model(to, "tool"), max_tokens=64)
    for answer in (client.ask(question), client.stream(question)):
        check(answer)
        assert answer.tools == [USE] and answer.text == ""
        assert answer.finish == client.finish["tool"]


@every
@to_both
def test_stream_is_never_held_back(client, to, upstream):
    """The upstream sends a piece only after the client has the one before."""
    question = ask("What is an outcrop?", model=model(to, "gated"))
    answer = client.stream(question, lambda _: upstream.acknowledged.release())
    assert answer.text == TEXT
    assert [piece.text for piece in answer.pieces] == PIECES


@main
@pytest.mark.parametrize("alias, to", [("claude", "anthropic"), ("gpt", "openai")])
def test_alias(client, alias, to, upstream):
    assert client.ask(ask("Hello", model=alias)).text == TEXT
    assert upstream.seen[-1].json()["model"] == "text"
    assert upstream.seen[-1].path == {"anthropic": "/v1/messages", "openai": "/v1/chat/completions"}[to]


# --- what the upstream receives ------------------------------------------------------

FULL = Ask(
    turns=(
        user("What is the weather in Paris?"),
        assistant("I shall look.", ToolUse("call_1", "get_weather", {"city": "Paris", "unit": "celsius"})),
        user(ToolResult("call_1", "22 degrees"), "And in Oslo?"),
    ),
    system="Be brief.",
    max_tokens=50,
    stop=("END", "STOP"),
    tools=(WEATHER, CLOCK),
    tool_choice="get_time",
)


@every
@to_both
@pytest.mark.parametrize("choice", ["auto", "any", "get_time"])
def test_translation_out(client, to, upstream, choice):
    """Turns, system, tools, choice, stops and limits arrive with the same meaning."""
    question = FULL.but(model=model(to, "text"), tool_choice=choice)
    client.tell(question)
    seen = upstream.seen[-1]
    read = {"anthropic": read_anthropic, "openai": read_openai}[to](seen.json())
    tools = tuple(tool for tool in question.tools if tool.name == choice or not client.names_alone) or question.tools
    stop = question.stop if client.stops else ()
    assert read == question.but(model="text", turns=merged(question.turns), tools=tools, stop=stop)


def merged(turns) -> tuple:
    return tuple((turn.role, turn.blocks()) for turn in turns)


def blocks(content: str | list) -> list[Any]:
    return [content] if isinstance(content, str) else content


def read_anthropic(body: dict[str, Any]) -> Ask:
    def part(block: Any) -> Any:
        if isinstance(block, str):
            return block
        match block["type"]:
            case "text":
                return block["text"]
            case "tool_use":
                return ToolUse(block["id"], block["name"], block["input"])
            case "tool_result":
                (text,) = [part(inner) for inner in blocks(block["content"])]
                return ToolResult(block["tool_use_id"], text)
        raise AssertionError(block)

    choice = body.get("tool_choice", {"type": "auto"})
    (system,) = [part(block) for block in blocks(body["system"])]
    return Ask(
        turns=tuple((turn["role"], tuple(map(part, blocks(turn["content"])))) for turn in body["messages"]),
        system=system,
        max_tokens=body["max_tokens"],
        stop=tuple(body.get("stop_sequences", ())),
        tools=tuple(type(WEATHER)(tool["name"], tool["description"], tool["input_schema"]) for tool in body["tools"]),
        tool_choice=choice.get("name", choice["type"]),
        model=body["model"],
    )


def read_openai(body: dict[str, Any]) -> Ask:
    turns: list[tuple[str, tuple]] = []
    system = None
    for message in body["messages"]:
        role = message["role"]
        texts = [part if isinstance(part, str) else part["text"] for part in blocks(message.get("content") or [])]
        if role in ("system", "developer"):
            assert not turns and system is None
            (system,) = texts
        elif role == "tool":
            (text,) = texts
            add(turns, "user", ToolResult(message["tool_call_id"], text))
        else:
            calls = [
                ToolUse(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
                for call in message.get("tool_calls", [])
            ]
            add(turns, role, *texts, *calls)
    choice = body.get("tool_choice", "auto")
    return Ask(
        turns=tuple(turns),
        system=system,
        max_tokens=body.get("max_completion_tokens", body.get("max_tokens")),
        stop=tuple(blocks(body.get("stop", []))),
        tools=tuple(
            type(WEATHER)(tool["function"]["name"], tool["function"]["description"], tool["function"]["parameters"])
            for tool in body["tools"]
        ),
        tool_choice={"required": "any"}.get(choice, choice) if isinstance(choice, str) else choice["function"]["name"],
        model=body["model"],
    )


def add(turns: list, role: str, *parts: Any) -> None:
    """A tool's result and the text after it are one turn."""
    if turns and turns[-1][0] == role:
        turns[-1] = (role, turns[-1][1] + parts)
    else:
        turns.append((role, parts))


# --- at home: nothing is touched -----------------------------------------------------

HOME = {
    "anthropic": (
        "/v1/messages",
        b'{ "max_tokens": 16,\n\t"model" :"%s", "messages":[{"content":"caf\\u00e9 \xe2\x80\x94 x","role":"user"}],'
        b' "stream": %s, "thinking":{"type":"adaptive"}, "new_in_2027": [1.50, 1e2, {"a":null}] }',
    ),
    "openai": (
        "/v1/chat/completions",
        b'{ "max_tokens": 16,\n\t"model" :"%s", "messages":[{"content":"caf\\u00e9 \xe2\x80\x94 x","role":"user"}],'
        b' "stream": %s, "logit_bias":{"50256":-100}, "new_in_2027": [1.50, 1e2, {"a":null}] }',
    ),
}


@to_both
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", ["text", "tool"])
def test_home_is_byte_exact(hosted, upstream, to, stream, name):
    """Same dialect on both sides: the model's name is all that changes."""
    path, template = HOME[to]
    flag = b"true" if stream else b"false"
    status, _, body = post(hosted, path, template % (model(to, name).encode(), flag))
    assert status == 200
    assert upstream.seen[-1].body == template % (name.encode(), flag)
    # On the way back Anthropic's clients compare it with the one that they asked for.
    own = model(to, name) if to == "anthropic" else script.OpenAI.model
    assert body == upstream.sent[-1].replace(UPSTREAMS[to].model.encode(), own.encode())


@to_both
def test_credentials_stay_apart(hosted, upstream, to):
    """The upstream sees its own key and nothing of the client's."""
    path, template = HOME[to]
    post(hosted, path, template % (model(to, "text").encode(), b"false"))
    headers = upstream.seen[-1].headers
    assert hosted.key.bearer not in json.dumps(headers)
    own = {"anthropic": ("x-api-key", script.SECRET), "openai": ("authorization", f"Bearer {script.SECRET}")}[to]
    assert headers[own[0]] == own[1]
    assert {"authorization", "x-api-key"} & headers.keys() == {own[0]}


@pytest.mark.parametrize("client", ["openai"], indirect=True)
def test_dropped_is_said(hosted, client):
    """What the target cannot express is listed for the caller."""
    path, template = HOME["openai"]
    _, headers, _ = post(hosted, path, template % (b"anthropic-like/text", b"false"))
    assert "logit_bias" in headers["x-outcrop-dropped"]


def post(server: Server, path: str, body: bytes) -> tuple[int, Any, bytes]:
    request = urllib.request.Request(
        server.url + path,
        body,
        {
            "content-type": "application/json",
            "anthropic-version": "2023-06-01",
            "authorization": f"Bearer {server.key.bearer}",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.status, response.headers, response.read()


# --- errors --------------------------------------------------------------------------

RATE_LIMITED = {
    "ai-sdk": ("AI_APICallError", 429),
    "ai-sdk-bedrock": ("AI_APICallError", 429),
    "bedrock": ("ThrottlingException", 429),
    "anthropic": ("RateLimitError", 429),
    "anthropic-bedrock": ("RateLimitError", 429),
    "openai": ("RateLimitError", 429),
}
REFUSED = {
    "ai-sdk": ("AI_APICallError", 400),
    "ai-sdk-bedrock": ("AI_APICallError", 400),
    "bedrock": ("ValidationException", 400),
    "anthropic": ("BadRequestError", 400),
    "anthropic-bedrock": ("BadRequestError", 400),
    "openai": ("BadRequestError", 400),
}


@every
@to_both
@pytest.mark.parametrize("way", ["ask", "stream"])
def test_rate_limit(client, to, way):
    problem = client.problem(lambda: getattr(client, way)(ask("Hello", model=model(to, "limited"))))
    assert (problem.cls, problem.status) == RATE_LIMITED[client.family], problem


@to_both
@pytest.mark.parametrize("path, template", HOME.values(), ids=HOME)
def test_e1_retry_after_is_passed_on(hosted, to, path, template):
    with pytest.raises(urllib.error.HTTPError) as error:
        post(hosted, path, template % (model(to, "limited").encode(), b"false"))
    assert error.value.code == 429 and error.value.headers["retry-after"] == str(script.RETRY_AFTER)


@every
@to_both
@pytest.mark.parametrize("way", ["ask", "stream"])
def test_s19_refusal_keeps_its_message(client, to, way):
    problem = client.problem(lambda: getattr(client, way)(ask("Hello", model=model(to, "refused"))))
    assert (problem.cls, problem.status) == REFUSED[client.family], problem
    assert script.REFUSAL in problem.message, problem


@every
@to_both
@pytest.mark.parametrize("name", ["overloaded", "garbage", "silent"])
def test_upstream_failure(client, to, name):
    """The upstream's fault is a server error that says so, never the client's fault."""
    problem = client.problem(lambda: client.ask(ask("Hello", model=model(to, name))))
    # Bedrock's own statuses for a model that fails, is overloaded, or is late.
    faults = {408, 424, 429} if "bedrock" in client.family else set()
    assert problem.status >= 500 or problem.status in faults, problem
    assert problem.message and script.SECRET not in problem.message, problem


@every
@to_both
@pytest.mark.parametrize("name", ["late", "cut"])
def test_s14_s17_stream_that_breaks_raises(client, to, name, upstream):
    """What came before is delivered, once; then the SDK raises: never a clean end."""
    heard: list[str] = []
    with pytest.raises(Exception) as error:
        client.stream(ask("Hello", model=model(to, name)), heard.append)
    assert "".join(heard) == "".join(PIECES[:2])
    assert not isinstance(error.value, AssertionError), "the stream ended as if all were well"
    assert len(upstream.seen) == 1, "an answer that has begun is not asked for again"


@to_both
@pytest.mark.parametrize("path, template", HOME.values(), ids=HOME)
def test_e5_timeouts_hold_at_every_door(hosted, to, path, template):
    for stream in (b"true", b"false"):
        with pytest.raises(urllib.error.HTTPError) as error:
            post(hosted, path, template % (model(to, "silent").encode(), stream))
        assert error.value.code in (504, 529), error.value.code


@to_both
@pytest.mark.parametrize("path, template", HOME.values(), ids=HOME)
def test_e8_each_failure_has_its_own_advice(hosted, to, path, template):
    """A failure never carries the `retry-after` of the one before it."""
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError) as error:
            post(hosted, path, template % (model(to, "limited").encode(), b"false"))
        assert error.value.headers["retry-after"] == str(script.RETRY_AFTER)
        with pytest.raises(urllib.error.HTTPError) as error:
            post(hosted, path, template % (model(to, "overloaded").encode(), b"false"))
        assert error.value.headers["retry-after"] != str(script.RETRY_AFTER)


@to_both
@pytest.mark.parametrize("path, template", HOME.values(), ids=HOME)
def test_c6_c7_nothing_is_replayed(hosted, upstream, to, path, template):
    """The same words again are a call again: a refusal is not kept, and whoever asks for a
    stream after a whole answer gets a stream."""
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError):
            post(hosted, path, template % (model(to, "refused").encode(), b"false"))
    assert len(upstream.seen) == 2
    for stream, kind in (
        (b"false", "application/json"),
        (b"true", "text/event-stream"),
        (b"false", "application/json"),
    ):
        status, headers, _ = post(hosted, path, template % (model(to, "text").encode(), stream))
        assert status == 200 and headers["content-type"].startswith(kind)


@to_both
def test_e7_client_gone_frees_the_upstream(hosted, upstream, to):
    """A client that hangs up ends the upstream's work."""
    path, template = HOME[to]
    body = template % (model(to, "endless").encode(), b"true")
    with socket.create_connection(("127.0.0.1", hosted.port)) as connection:
        connection.sendall(
            b"POST %s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-length: %d\r\n\r\n%s"
            % (path.encode(), hosted.key.bearer.encode(), len(body), body)
        )
        assert connection.recv(1).startswith(b"H")
    assert upstream.gone.wait(20)


def test_no_upstream(hosted):
    """Models of a provider that is not configured do not exist."""
    client = MAIN["openai"](hosted)
    problem = client.problem(lambda: client.ask(ask("Hello", model="nobody/text")))
    assert problem.status == 404
