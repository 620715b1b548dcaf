"""Ollama's own client: chats, prompts, streams, tools, models, errors."""

from __future__ import annotations

import ollama
import pytest

from asks import MODEL

SHORT = {"temperature": 0, "num_predict": 12}
MESSAGES = [{"role": "user", "content": "Name three rocks."}]


def weather(city: str) -> str:
    """The weather somewhere.

    Args:
        city: where
    """
    return f"sunny in {city}"


@pytest.fixture
def sdk(server):
    return ollama.Client(host=server.url, headers={"Authorization": f"Bearer {server.key.bearer}"})


def test_a_whole_answer(sdk):
    answer = sdk.chat(model=MODEL, messages=MESSAGES, options=SHORT)
    assert answer.message.content and answer.done and answer.done_reason in ("stop", "length")
    assert answer.prompt_eval_count > 0 and answer.eval_count > 0 and answer.total_duration > 0


def test_a_stream_says_the_same(sdk):
    whole = sdk.chat(model=MODEL, messages=MESSAGES, options=SHORT)
    pieces = list(sdk.chat(model=MODEL, messages=MESSAGES, options=SHORT, stream=True))
    assert "".join(piece.message.content for piece in pieces) == whole.message.content
    assert [piece.done for piece in pieces].count(True) == 1 and pieces[-1].done
    assert pieces[-1].eval_count == whole.eval_count


def test_a_prompt_as_a_turn_and_raw(sdk):
    turn = sdk.generate(model=MODEL, prompt="Name three rocks.", options=SHORT)
    raw = sdk.generate(model=MODEL, prompt="Once upon a time", raw=True, options=SHORT)
    assert turn.response and raw.response
    # A turn is written into the model's template, a raw prompt is not.
    assert turn.prompt_eval_count > raw.prompt_eval_count


def test_json_by_a_schema(sdk):
    schema = {"type": "object", "properties": {"rock": {"type": "string"}}, "required": ["rock"]}
    options = SHORT | {"num_predict": 60}
    answer = sdk.chat(model=MODEL, messages=MESSAGES, format=schema, options=options)
    assert answer.message.content.startswith("{")


def test_tools_are_offered(sdk):
    answer = sdk.chat(model=MODEL, messages=MESSAGES, tools=[weather], options=SHORT)
    for call in answer.message.tool_calls or []:
        assert call.function.name == "weather"


def test_models(sdk):
    names = [model.model for model in sdk.list().models]
    assert MODEL in names
    assert "completion" in sdk.show(MODEL).capabilities
    assert MODEL in [model.model for model in sdk.ps().models]


def test_errors(sdk):
    with pytest.raises(ollama.ResponseError) as raised:
        sdk.chat(model="no-such-model", messages=MESSAGES)
    assert raised.value.status_code == 404
    with pytest.raises(ollama.ResponseError) as raised:
        sdk.show("no-such-model")
    assert raised.value.status_code == 404
