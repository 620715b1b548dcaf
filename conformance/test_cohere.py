"""Cohere's own SDK, version 2: chats, streams, tools, errors."""

from __future__ import annotations

import cohere
import pytest
from cohere.errors import NotFoundError, UnauthorizedError

from asks import MODEL

ASK = {"model": MODEL, "messages": [{"role": "user", "content": "Name three rocks."}], "temperature": 0, "max_tokens": 12}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "the weather somewhere",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def sdk(server):
    return cohere.ClientV2(api_key=server.key.bearer, base_url=server.url)


def test_a_whole_answer(sdk):
    answer = sdk.chat(**ASK)
    assert answer.message.content[0].text
    assert answer.finish_reason in ("COMPLETE", "MAX_TOKENS")
    assert answer.usage.tokens.input_tokens > 0 and answer.usage.tokens.output_tokens > 0


def test_a_stream_says_the_same(sdk):
    whole = sdk.chat(**ASK)
    events = list(sdk.chat_stream(**ASK))
    kinds = [event.type for event in events]
    assert kinds[0] == "message-start" and kinds[-1] == "message-end"
    text = "".join(event.delta.message.content.text for event in events if event.type == "content-delta")
    assert text == whole.message.content[0].text
    assert events[-1].delta.finish_reason == whole.finish_reason


def test_a_tool_is_called(sdk):
    answer = sdk.chat(**ASK | {"tools": [WEATHER], "tool_choice": "REQUIRED", "max_tokens": 100})
    (call,) = answer.message.tool_calls
    assert answer.finish_reason == "TOOL_CALL" and call.function.name == "weather"


def test_errors(sdk, server):
    with pytest.raises(NotFoundError):
        sdk.chat(**ASK | {"model": "no-such-model"})
    stranger = cohere.ClientV2(api_key="nobody", base_url=server.url)
    with pytest.raises(UnauthorizedError):
        stranger.chat(**ASK)
