"""Google's own SDK: chats, streams, tools, counts, vectors, models, errors."""

from __future__ import annotations

import pytest
from google import genai
from google.genai import errors, types

from asks import MODEL

SHORT = types.GenerateContentConfig(temperature=0, max_output_tokens=12)
WEATHER = types.FunctionDeclaration(
    name="weather",
    description="the weather somewhere",
    parameters=types.Schema(
        type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}, required=["city"]
    ),
)


@pytest.fixture
def sdk(server):
    return genai.Client(
        api_key=server.key.bearer, vertexai=False, http_options=types.HttpOptions(base_url=server.url)
    )


def test_a_whole_answer(sdk):
    answer = sdk.models.generate_content(model=MODEL, contents="Name three rocks.", config=SHORT)
    assert answer.text
    assert answer.candidates[0].finish_reason in (types.FinishReason.STOP, types.FinishReason.MAX_TOKENS)
    usage = answer.usage_metadata
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count
    assert answer.model_version == MODEL and answer.response_id


def test_a_stream_says_the_same(sdk):
    whole = sdk.models.generate_content(model=MODEL, contents="Name three rocks.", config=SHORT)
    chunks = list(sdk.models.generate_content_stream(model=MODEL, contents="Name three rocks.", config=SHORT))
    assert "".join(chunk.text or "" for chunk in chunks) == whole.text
    assert chunks[-1].candidates[0].finish_reason == whole.candidates[0].finish_reason
    assert chunks[-1].usage_metadata.candidates_token_count == whole.usage_metadata.candidates_token_count


def test_a_conversation_goes_on(sdk):
    chat = sdk.chats.create(model=MODEL, config=SHORT)
    assert chat.send_message("Hello.").text
    for _ in chat.send_message_stream("And now?"):
        pass
    assert [content.role for content in chat.get_history(curated=True)][:2] == ["user", "model"]


def test_a_tool_is_called(sdk):
    config = types.GenerateContentConfig(
        temperature=0,
        max_output_tokens=100,
        tools=[types.Tool(function_declarations=[WEATHER])],
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
        ),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    answer = sdk.models.generate_content(model=MODEL, contents="How is the weather in Bern?", config=config)
    (call,) = answer.function_calls
    assert call.name == "weather" and isinstance(call.args["city"], str) and call.id


def test_json_by_a_schema(sdk):
    schema = {"type": "object", "properties": {"rock": {"type": "string"}}, "required": ["rock"]}
    config = types.GenerateContentConfig(
        temperature=0, max_output_tokens=60, response_mime_type="application/json", response_json_schema=schema
    )
    answer = sdk.models.generate_content(model=MODEL, contents="Name a rock.", config=config)
    assert set(answer.parsed) == {"rock"}


def test_tokens_are_counted(sdk):
    count = sdk.models.count_tokens(model=MODEL, contents="Name three rocks.")
    answer = sdk.models.generate_content(model=MODEL, contents="Name three rocks.", config=SHORT)
    assert count.total_tokens == answer.usage_metadata.prompt_token_count


def test_models(sdk):
    names = [model.name for model in sdk.models.list(config={"page_size": 1})]
    assert f"models/{MODEL}" in names and len(set(names)) == len(names)
    assert sdk.models.get(model=MODEL).input_token_limit > 0


@pytest.mark.parametrize("stream", [False, True])
def test_errors(sdk, stream):
    ask = sdk.models.generate_content_stream if stream else sdk.models.generate_content
    with pytest.raises(errors.ClientError) as raised:
        list(ask(model="no-such-model", contents="hi"))
    assert (raised.value.code, raised.value.status) == (404, "NOT_FOUND")


def test_a_stranger_is_turned_away(server):
    stranger = genai.Client(
        api_key="nobody", vertexai=False, http_options=types.HttpOptions(base_url=server.url)
    )
    with pytest.raises(errors.ClientError) as raised:
        stranger.models.generate_content(model=MODEL, contents="hi")
    assert (raised.value.code, raised.value.status) == (401, "UNAUTHENTICATED")
