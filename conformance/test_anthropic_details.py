"""What only Anthropic's SDK has: its stream helper, beta calls, paging of models."""

from __future__ import annotations

import asyncio

import anthropic
import pytest

from asks import MODEL
from clients import Anthropic

QUESTION = {"model": MODEL, "max_tokens": 8, "messages": [{"role": "user", "content": "Name three rocks."}]}


@pytest.fixture
def sdk(server):
    return Anthropic(server).sdk()


def test_stream_helper(sdk):
    """The SDK's accumulator builds the same message that a whole answer is."""
    whole = sdk.messages.create(**QUESTION, extra_body={"temperature": 0})
    with sdk.messages.stream(**QUESTION, extra_body={"temperature": 0}) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == final.content[0].text == whole.content[0].text
    assert final.usage.output_tokens == whole.usage.output_tokens == 8
    assert final.stop_reason == "max_tokens"


def test_beta_calls_are_the_same_calls(sdk):
    message = sdk.beta.messages.create(**QUESTION, betas=["interleaved-thinking-2025-05-14"])
    assert message.content[0].type == "text"


def test_what_claude_code_sends_is_accepted(sdk):
    """Thinking, effort, context management, cache markers and mid-conversation system
    turns mean nothing to a small local model; they are no reason to refuse."""
    message = sdk.beta.messages.create(
        model=MODEL,
        max_tokens=8,
        betas=["context-management-2025-06-27", "mid-conversation-system-2026-04-07", "effort-2025-11-24"],
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        metadata={"user_id": '{"device":"d"}'},
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}]},
            {"role": "system", "content": "The user is a geologist."},
        ],
        extra_body={
            "thinking": {"type": "adaptive"},
            "output_config": {"effort": "low"},
            "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        },
    )
    assert message.usage.output_tokens > 0


def test_async_client(server):
    async def ask() -> str:
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key=server.key.bearer, max_retries=0) as sdk:
            async with sdk.messages.stream(**QUESTION) as stream:
                return await stream.get_final_text()

    assert asyncio.run(ask())


def test_raw_headers(sdk):
    response = sdk.messages.with_raw_response.create(**QUESTION)
    assert response.headers["request-id"] and response.headers["content-type"].startswith("application/json")
