"""Several answers to one call, and calls that can wait, by the vendors' own SDKs."""

from __future__ import annotations

import openai
import pytest
from google import genai
from google.genai import types

from asks import MODEL
from clients import OpenAI

QUESTION = {"model": MODEL, "messages": [{"role": "user", "content": "Tell me a story about a fox."}], "max_tokens": 12}


@pytest.fixture
def sdk(server):
    return OpenAI(server).sdk()


@pytest.fixture
def google(server):
    return genai.Client(
        api_key=server.key.bearer, vertexai=False, http_options=types.HttpOptions(base_url=server.url)
    )


def test_whole_answers_are_numbered_and_the_prompt_counts_once(sdk):
    alone = sdk.chat.completions.create(**QUESTION, temperature=1, seed=7)
    several = sdk.chat.completions.create(**QUESTION, temperature=1, seed=7, n=3)
    assert [choice.index for choice in several.choices] == [0, 1, 2]
    assert all(choice.message.content and choice.finish_reason for choice in several.choices)
    assert len({choice.message.content for choice in several.choices}) == 3
    assert several.usage.prompt_tokens == alone.usage.prompt_tokens
    assert several.usage.completion_tokens == 3 * alone.usage.completion_tokens


def test_streamed_answers_come_by_turns(sdk):
    texts, reasons, usage = {}, {}, None
    stream = sdk.chat.completions.create(
        **QUESTION, temperature=1, n=3, stream=True, stream_options={"include_usage": True}
    )
    order = []
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            order.append(choice.index)
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
            reasons[choice.index] = choice.finish_reason or reasons.get(choice.index)
    assert reasons == dict.fromkeys(range(3), "length") and all(texts.values())
    assert order != sorted(order), "each speaks as it is made, not one after the other"
    assert usage.completion_tokens == 3 * 12


def test_the_older_interface_gives_several_as_well(sdk):
    several = sdk.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=8, n=2, best_of=2)
    assert [choice.index for choice in several.choices] == [0, 1]
    with pytest.raises(openai.BadRequestError, match="best_of"):
        sdk.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=8, n=1, best_of=2)


def test_more_than_are_given_is_refused_by_name(sdk):
    with pytest.raises(openai.BadRequestError, match="n: a model served here gives at most 16"):
        sdk.chat.completions.create(**QUESTION, n=17)


def test_candidates(google):
    config = types.GenerateContentConfig(candidate_count=2, temperature=1, max_output_tokens=12)
    whole = google.models.generate_content(model=MODEL, contents="Tell me a story.", config=config)
    assert [candidate.index for candidate in whole.candidates] == [0, 1]
    assert all(candidate.content.parts[0].text and candidate.finish_reason for candidate in whole.candidates)
    assert whole.usage_metadata.candidates_token_count == 24
    texts, last = {}, None
    for last in google.models.generate_content_stream(model=MODEL, contents="Tell me a story.", config=config):
        for candidate in last.candidates:
            texts[candidate.index] = texts.get(candidate.index, "") + (candidate.content.parts[0].text or "")
    assert sorted(texts) == [0, 1] and all(texts.values())
    assert [candidate.finish_reason for candidate in last.candidates] == [types.FinishReason.MAX_TOKENS] * 2


def test_a_call_that_can_wait_is_told_so(sdk):
    flex = sdk.chat.completions.create(**QUESTION, service_tier="flex")
    assert flex.service_tier == "flex"
    header = {"x-outcrop-priority": "batch"}
    assert sdk.chat.completions.create(**QUESTION, service_tier="auto", extra_headers=header).service_tier == "flex"
    usual = sdk.chat.completions.with_raw_response.create(**QUESTION, service_tier="auto")
    assert usual.parse().service_tier == "default" and "x-outcrop-dropped" not in usual.headers
    with pytest.raises(openai.BadRequestError, match="x-outcrop-priority: expected `interactive` or `batch`"):
        sdk.chat.completions.create(**QUESTION, extra_headers={"x-outcrop-priority": "later"})


def test_bedrock_names_the_tier(server):
    import boto3

    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id=server.key.access_key_id,
        aws_secret_access_key=server.key.secret_access_key,
    )
    asked = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    asked["inferenceConfig"] = {"maxTokens": 4}
    assert client.converse(**asked, serviceTier={"type": "flex"})["serviceTier"] == {"type": "flex"}
    assert client.converse(**asked, serviceTier={"type": "priority"})["serviceTier"] == {"type": "default"}
