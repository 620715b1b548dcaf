"""What only OpenAI's Responses have (kept responses, the background, compaction, parsed
output), and the older interfaces beside them: Completions and Embeddings."""

from __future__ import annotations

import time
from typing import Literal

import openai
import pydantic
import pytest

from asks import MODEL
from clients import OpenAI
from outcrop import Server

ASK = {"model": MODEL, "input": "Name three rocks.", "max_output_tokens": 12, "temperature": 0}


class Rock(pydantic.BaseModel):
    name: Literal["granite", "basalt"]
    hard: bool


PARSED = ASK | {"max_output_tokens": 64}

#: Longer than any answer here takes.
PATIENCE_S = 60


@pytest.fixture
def sdk(server):
    return OpenAI(server).sdk()


def ended(sdk, response):
    """The response, once nobody works on it any more."""
    deadline = time.monotonic() + PATIENCE_S
    while response.status in ("queued", "in_progress"):
        assert time.monotonic() < deadline, response
        response = sdk.responses.retrieve(response.id)
    return response


def test_every_event_in_its_place(sdk):
    events = list(sdk.responses.create(**ASK, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:-1] == ["response.output_text.done", "response.content_part.done", "response.output_item.done"]
    assert kinds[-1] in ("response.completed", "response.incomplete")
    assert set(kinds[4:-4]) == {"response.output_text.delta"}
    last = events[-1].response
    assert "".join(event.delta for event in events[4:-4]) == last.output_text
    assert last.usage.total_tokens == last.usage.input_tokens + last.usage.output_tokens > 0


def test_the_sdks_own_accumulator_agrees(sdk):
    with sdk.responses.stream(**PARSED, text_format=Rock) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert final.output_parsed == sdk.responses.parse(**PARSED, text_format=Rock).output_parsed


def test_kept_responses_are_found_gone_on_from_and_forgotten(sdk):
    first = sdk.responses.create(**ASK)
    assert sdk.responses.retrieve(first.id) == first
    second = sdk.responses.create(**ASK | {"input": "And three more?"}, previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert second.usage.input_tokens > first.usage.input_tokens
    items = list(sdk.responses.input_items.list(second.id, order="asc", limit=1))
    assert [item.role for item in items] == ["user", "assistant", "user"]
    # The same conversation said whole is the same to the model.
    said = [
        {"role": "user", "content": ASK["input"]},
        {"role": "assistant", "content": first.output_text},
        {"role": "user", "content": "And three more?"},
    ]
    assert sdk.responses.create(**ASK | {"input": said}).output_text == second.output_text
    sdk.responses.delete(first.id)
    for gone in (
        lambda: sdk.responses.retrieve(first.id),
        lambda: sdk.responses.delete(first.id),
        lambda: sdk.responses.create(**ASK, previous_response_id=second.id),
    ):
        with pytest.raises(openai.NotFoundError):
            gone()


def test_what_shall_not_be_kept_is_not(sdk):
    response = sdk.responses.create(**ASK, store=False)
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(response.id)


def test_the_background(sdk):
    queued = sdk.responses.create(**ASK, background=True)
    assert queued.status == "queued" and queued.background
    whole = ended(sdk, queued)
    assert whole.id == queued.id and whole.status in ("completed", "incomplete") and whole.output_text
    events = list(sdk.responses.retrieve(queued.id, stream=True))
    later = list(sdk.responses.retrieve(queued.id, stream=True, starting_after=2))
    assert later == events[3:] and events[-1].response == whole
    assert sdk.responses.cancel(queued.id) == whole


def test_the_background_streams(sdk):
    events = list(sdk.responses.create(**ASK, background=True, stream=True))
    assert events[-1].response == sdk.responses.retrieve(events[0].response.id)


def test_a_restart_loses_nothing_that_was_kept(make_home):
    home = make_home("responses")
    config = f'models = ["{MODEL}"]'
    running = Server(home, config).start()
    first = OpenAI(running).sdk().responses.create(**ASK)
    running.stop()
    running = Server(home, config).start(running.key)
    try:
        assert OpenAI(running).sdk().responses.retrieve(first.id).to_dict() == first.to_dict()
    finally:
        running.stop()


def test_compaction(sdk):
    compacted = sdk.responses.compact(model=MODEL, input=[{"role": "user", "content": "Granite is a rock."}])
    assert compacted.object == "response.compaction" and compacted.output[0].type == "compaction"
    items = [item.model_dump(exclude_none=True) for item in compacted.output]
    items.append({"role": "user", "content": "Go on."})
    assert sdk.responses.create(**ASK | {"input": items}).output_text


def test_input_tokens(sdk):
    counted = sdk.responses.input_tokens.count(model=MODEL, input=ASK["input"])
    assert counted.input_tokens == sdk.responses.create(**ASK).usage.input_tokens


def test_parsed_output(sdk):
    parsed = sdk.responses.parse(**PARSED, text_format=Rock)
    assert parsed.status == "completed" and isinstance(parsed.output_parsed, Rock)


def test_what_only_the_vendor_keeps_is_refused(sdk):
    with pytest.raises(openai.BadRequestError, match="conversation"):
        sdk.responses.create(**ASK, conversation="conv_1")


# --- Completions ---------------------------------------------------------------------

PROMPT = {"model": MODEL, "prompt": "Granite is a", "max_tokens": 6, "temperature": 0}


def test_a_bare_prompt_is_continued(sdk):
    whole = sdk.completions.create(**PROMPT, logprobs=2)
    choice = whole.choices[0]
    assert whole.usage.completion_tokens == 6 and choice.finish_reason == "length"
    assert "".join(choice.logprobs.tokens) == choice.text
    chunks = list(sdk.completions.create(**PROMPT, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == choice.text
    assert chunks[-1].usage.completion_tokens == 6


def test_what_only_completions_can_do_is_refused(sdk):
    for more in ({"echo": True}, {"best_of": 2}, {"suffix": "."}, {"prompt": ["a", "b"]}):
        with pytest.raises(openai.BadRequestError):
            sdk.completions.create(**PROMPT | more)
