"""What only OpenAI's chat completions have: log-probabilities, JSON modes, its helpers."""

from __future__ import annotations

import json
import math

import pytest
from openai.types.chat import ChatCompletionChunk

from asks import MODEL
from clients import OpenAI

QUESTION = {"model": MODEL, "messages": [{"role": "user", "content": "Name three rocks."}], "temperature": 0}
SCHEMA = {
    "type": "object",
    "properties": {
        "rock": {"type": "string", "enum": ["granite", "basalt"]},
        "hardness": {"type": "integer", "minimum": 1, "maximum": 10},
    },
    "required": ["rock", "hardness"],
    "additionalProperties": False,
}


@pytest.fixture
def sdk(server):
    return OpenAI(server).sdk()


def check_logprobs(tokens, text: str, count: int) -> None:
    assert len(tokens) == count
    assert b"".join(bytes(token.bytes) for token in tokens).decode(errors="replace") == text
    for token in tokens:
        assert token.logprob <= 0
        likeliest = [top.logprob for top in token.top_logprobs]
        assert likeliest == sorted(likeliest, reverse=True) and len(likeliest) == 3
        # Greedy: the token taken is the likeliest.
        assert math.isclose(token.logprob, likeliest[0], abs_tol=1e-4)
        assert sum(map(math.exp, likeliest)) <= 1.0001


def test_logprobs(sdk):
    completion = sdk.chat.completions.create(**QUESTION, max_tokens=8, logprobs=True, top_logprobs=3)
    choice = completion.choices[0]
    assert choice.finish_reason == "length"
    check_logprobs(choice.logprobs.content, choice.message.content, completion.usage.completion_tokens)


def test_streamed_logprobs(sdk):
    chunks: list[ChatCompletionChunk] = list(
        sdk.chat.completions.create(**QUESTION, max_tokens=8, logprobs=True, top_logprobs=3, stream=True)
    )
    choices = [choice for chunk in chunks for choice in chunk.choices]
    text = "".join(choice.delta.content or "" for choice in choices)
    tokens = [token for choice in choices if choice.logprobs for token in choice.logprobs.content or []]
    check_logprobs(tokens, text, 8)


def test_no_usage_chunk_unless_asked_for(sdk):
    chunks = list(sdk.chat.completions.create(**QUESTION, max_tokens=4, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "length"


def test_json_schema(sdk):
    completion = sdk.chat.completions.create(
        **QUESTION,
        max_tokens=64,
        response_format={"type": "json_schema", "json_schema": {"name": "rock", "strict": True, "schema": SCHEMA}},
    )
    rock = json.loads(completion.choices[0].message.content)
    assert rock.keys() == {"rock", "hardness"}
    assert rock["rock"] in ("granite", "basalt") and 1 <= rock["hardness"] <= 10


def test_seed(sdk):
    """The same seed says the same, and is not ignored."""
    warm = QUESTION | {"temperature": 1.5, "max_tokens": 12}

    def say(seed: int) -> str:
        return sdk.chat.completions.create(**warm, seed=seed).choices[0].message.content

    assert say(7) == say(7)
    assert len({say(seed) for seed in range(4)}) > 1


def test_stream_helper(sdk):
    """The SDK's own accumulator understands the chunks."""
    with sdk.chat.completions.stream(**QUESTION, max_tokens=100, stop="o") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.delta" in kinds and kinds[-1] in ("content.done", "chunk")
    assert final.choices[0].message.content
