"""Every client, every kind of question: answered by the local model.

A model of this size says odd things, so nothing is asserted about wisdom. What is
asserted: shapes (by the SDK's own parser and by `clients/`), counts, finish reasons, and
that the same greedy ask gives the same answer through every SDK and wire format: then
they all render system prompts, turns, tools and results alike.
"""

from __future__ import annotations

import pytest

from asks import Answer, Ask, Tool, ToolResult, ToolUse, ask, assistant, user
from clients import EVERY, MAIN

WEATHER = Tool(
    "get_weather",
    "Tells the weather of a city.",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string", "enum": ["Oslo", "Paris"]},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
)
CLOCK = Tool(
    "get_time",
    "Tells the time of a city.",
    {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Oslo", "Paris"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
)

PLAIN = ask("Name three rocks.")
SYSTEM = ask("Name three rocks.", system="You are a pirate. Answer in one word.")
TURNS = Ask((user("My name is Ada."), assistant("Hello Ada."), user("What is my name?")))
LIST = ask("Count from one to twenty in words.", max_tokens=32)
ANY_TOOL = ask("What is the weather in Paris?", tools=(WEATHER,), tool_choice="any", max_tokens=96)
NAMED_TOOL = ask("How is it in Oslo?", tools=(WEATHER, CLOCK), tool_choice="get_time", max_tokens=96)
USE = ToolUse("tooluse_1", "get_weather", {"city": "Paris", "unit": "celsius"})
TOOL_RESULT = Ask(
    (user("What is the weather in Paris?"), assistant(USE), user(ToolResult(USE.id, "22 degrees, sunny"))),
    tools=(WEATHER,),
    max_tokens=24,
)


@pytest.fixture
def client(server, request):
    return EVERY[request.param](server)


main = pytest.mark.parametrize("client", MAIN, indirect=True)
every = pytest.mark.parametrize("client", EVERY, indirect=True)
stopping = pytest.mark.parametrize("client", [name for name, c in MAIN.items() if c.stops], indirect=True)
counting = pytest.mark.parametrize("client", [name for name, c in MAIN.items() if c.counts], indirect=True)


@pytest.fixture(scope="session")
def reference(server):
    """What one client heard; every other must hear the same."""
    answers: dict[str, Answer] = {}

    def answer(question: Ask) -> Answer:
        # Schemas are dicts, which have no hash.
        if repr(question) not in answers:
            answers[repr(question)] = EVERY["openai"](server).ask(question)
        return answers[repr(question)]

    return answer


@pytest.fixture(scope="session")
def any_tool():
    """Each client's answer to `ANY_TOOL`, asked once."""
    answers: dict[str, Answer] = {}

    def answer(client) -> Answer:
        if client.name not in answers:
            answers[client.name] = client.ask(ANY_TOOL)
        return answers[client.name]

    return answer


def check(client, answer: Answer, question: Ask) -> None:
    """What holds for every answer."""
    assert answer.request_id
    assert answer.input_tokens > 0
    assert 0 < answer.output_tokens <= question.max_tokens
    assert answer.finish in client.finish.values(), answer.finish
    if answer.output_tokens == question.max_tokens and not answer.tools:
        assert answer.finish == client.finish["length"]


@every
def test_plain(client, reference):
    answer = client.ask(PLAIN)
    check(client, answer, PLAIN)
    assert answer.text.strip()
    assert answer.said() == reference(PLAIN).said()


@every
def test_stream(client, reference):
    """The same answer in pieces that arrive one by one."""
    answer = client.stream(LIST)
    check(client, answer, LIST)
    assert answer.said() == reference(LIST).said()
    assert answer.text == "".join(piece.text for piece in answer.pieces)
    # Of 32 tokens, each some milliseconds of work: a buffered answer has one moment.
    moments = {round(piece.at, 3) for piece in answer.pieces}
    assert len(answer.pieces) >= 8 and len(moments) >= 8, answer.pieces
    assert answer.pieces[-1].at - answer.pieces[0].at > 0.02, answer.pieces


@main
def test_multi_turn(client, reference):
    answer = client.ask(TURNS)
    check(client, answer, TURNS)
    assert answer.said() == reference(TURNS).said()
    alone = reference(TURNS.but(turns=TURNS.turns[-1:]))
    assert answer.input_tokens > alone.input_tokens


@main
def test_system_prompt(client, reference):
    answer = client.ask(SYSTEM)
    check(client, answer, SYSTEM)
    assert answer.said() == reference(SYSTEM).said()
    assert answer.input_tokens != reference(PLAIN).input_tokens


@main
def test_max_tokens(client):
    question = LIST.but(max_tokens=5)
    for answer in (client.ask(question), client.stream(question)):
        assert answer.output_tokens == 5
        assert answer.finish == client.finish["length"]


@stopping
def test_stop_sequence(client, reference):
    """Cut where the unhindered answer first says it: nothing of it or after it is shown."""
    whole = reference(LIST).text
    stop = whole[len(whole) // 2 :].strip()[:6]
    before = whole[: whole.index(stop)]
    assert before, whole
    question = LIST.but(stop=("never said", stop))
    for answer in (client.ask(question), client.stream(question)):
        assert answer.text.rstrip() == before.rstrip()
        assert answer.finish == client.finish["stop_sequence"]
        assert 0 < answer.output_tokens <= LIST.max_tokens
        if client.family == "anthropic":
            assert answer.stopped_by == stop


def check_same(client, answer: Answer, reference, question: Ask) -> None:
    """What the reference heard; of a question with tools, if the client keeps their order."""
    if client.ordered:
        assert answer.said() == reference(question).said()


def check_tool(client, answer: Answer, tool: Tool) -> None:
    assert answer.finish == client.finish["tool"]
    (use,) = answer.tools
    assert use.name == tool.name and use.id
    properties = tool.schema["properties"]
    assert set(tool.schema["required"]) <= use.input.keys() <= properties.keys(), use
    assert all(value in properties[name]["enum"] for name, value in use.input.items()), use


@main
def test_any_tool(client, any_tool, reference):
    answer = any_tool(client)
    check(client, answer, ANY_TOOL)
    check_tool(client, answer, WEATHER)
    check_same(client, answer, reference, ANY_TOOL)


@main
def test_named_tool(client):
    answer = client.ask(NAMED_TOOL)
    check_tool(client, answer, CLOCK)


@main
def test_streamed_tool(client, reference):
    answer = client.stream(ANY_TOOL)
    check_tool(client, answer, WEATHER)
    check_same(client, answer, reference, ANY_TOOL)


@main
def test_tool_result(client, reference):
    answer = client.ask(TOOL_RESULT)
    check(client, answer, TOOL_RESULT)
    assert answer.text.strip() or answer.tools
    check_same(client, answer, reference, TOOL_RESULT)
    # The call and its result are part of what the model reads.
    assert answer.input_tokens > reference(TOOL_RESULT.but(turns=TOOL_RESULT.turns[:1])).input_tokens


@main
def test_tool_round(client, any_tool):
    """The model's own call, answered, goes back as the SDK gave it."""
    (use,) = any_tool(client).tools
    answer = client.ask(
        ANY_TOOL.but(
            turns=(*ANY_TOOL.turns, assistant(use), user(ToolResult(use.id, "rain"))), tool_choice="auto", max_tokens=8
        )
    )
    assert answer.output_tokens > 0


@counting
@pytest.mark.parametrize("question", [PLAIN, SYSTEM, TURNS, ANY_TOOL, TOOL_RESULT], ids=lambda q: "")
def test_count_tokens(client, reference, question):
    """The count before is the count after."""
    if client.ordered or not question.tools:
        assert client.count(question) == reference(question).input_tokens
    else:
        # The order of a schema's fields moves a token or two.
        assert abs(client.count(question) - reference(question).input_tokens) < 10


@main
def test_alias(client, reference):
    """A configured name answers as the model it stands for."""
    assert client.ask(PLAIN.but(model="house-model")).said() == reference(PLAIN).said()


def test_request_ids_are_unique(server):
    ids = [client(server).ask(PLAIN.but(max_tokens=1)).request_id for client in MAIN.values()]
    assert len(set(ids)) == len(ids)
    assert all(len(id) >= 16 for id in ids), ids


def test_utf8_is_never_split(server, reference):
    """Characters of several tokens arrive whole: the SDKs' decoders would show U+FFFD."""
    question = ask("Repeat exactly: 日本語 🌋 Ελλάδα žluťoučký", max_tokens=32)
    for client in MAIN.values():
        answer = client(server).stream(question)
        # Only the token limit may cut a character, at the very end.
        assert "\ufffd" not in answer.text.rstrip("\ufffd"), answer.text
        assert answer.text == reference(question).text
