"""Settings beyond OpenAI's own, and forms of answers, by the openai SDK (`extra_body`) as
vLLM's and llama.cpp's users send them, to the local model."""

from __future__ import annotations

import json
import re
from typing import Any

import openai
import pytest

from asks import MODEL
from clients import OpenAI

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
}
GBNF = 'root ::= ("yes" | "no") "." # and nothing else\n'
# Bounded: how often what may go on for ever goes on is the model's to say.
LARK = 'start: "SELECT " NAME (", " NAME){0,4} " FROM " NAME\nNAME: /[a-z]{1,8}/\n'


@pytest.fixture
def client(server):
    return OpenAI(server).sdk()


def ask(client: openai.OpenAI, text: str = "Describe a person.", **settings: Any) -> str:
    settings = {"max_tokens": 60, "temperature": 0} | settings
    completion = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": text}], **settings
    )
    return completion.choices[0].message.content or ""


@pytest.mark.parametrize(
    "body",
    [
        {"guided_json": SCHEMA},
        {"guided_json": json.dumps(SCHEMA)},
        {"structured_outputs": {"json": SCHEMA}},
        {"json_schema": SCHEMA},
    ],
)
def test_a_schema_by_any_name_gives_a_document_of_it(client: openai.OpenAI, body: dict[str, Any]) -> None:
    document = json.loads(ask(client, extra_body=body))
    assert set(document) == {"name", "age"}
    assert isinstance(document["age"], int)
    assert len(document["name"]) <= 12


@pytest.mark.parametrize(
    ("body", "pattern"),
    [
        ({"guided_regex": "[A-Z]{2}[0-9]{3}"}, "[A-Z]{2}[0-9]{3}"),
        ({"structured_outputs": {"regex": "(ab)+"}}, "(ab)+"),
        ({"guided_choice": ["red", "green"]}, "red|green"),
        ({"structured_outputs": {"choice": ["red", "green"]}}, "red|green"),
        ({"guided_grammar": GBNF}, r"(yes|no)\."),
        ({"grammar": GBNF}, r"(yes|no)\."),
        ({"structured_outputs": {"grammar": LARK}}, r"SELECT [a-z]+(, [a-z]+)* FROM [a-z]+"),
    ],
)
def test_an_answer_is_of_its_language(client: openai.OpenAI, body: dict[str, Any], pattern: str) -> None:
    text = ask(client, extra_body=body)
    assert re.fullmatch(pattern, text), text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"guided_regex": "("}, "grammar"),
        ({"guided_json": {"not": {}}}, "`not` at #"),
        ({"guided_choice": []}, "guided_choice"),
        ({"guided_choice": ["a"], "guided_regex": "a"}, "guided_choice"),
        ({"typical_p": 2}, "typical_p"),
        ({"logit_bias": {"9999999": 1}}, "logit_bias"),
        ({"mirostat": 1}, "mirostat"),
        ({"dry_multiplier": "much"}, "dry_multiplier"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_by_name(client: openai.OpenAI, body: dict[str, Any], said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=re.escape(said)):
        ask(client, extra_body=body)


def test_a_bias_bans(client: openai.OpenAI) -> None:
    settings: dict[str, Any] = {"max_tokens": 1}
    first = ask(client, "Say hello.", **settings)
    # SmolLM2's tokens are not known to a client: all that begin an answer are banned by
    # allowing one other only, and the end by a number of tokens.
    allowed = ask(client, "Say hello.", extra_body={"allowed_token_ids": [33, 34]}, max_tokens=4)
    assert first
    assert allowed != first
    assert len(set(allowed)) <= 2


def test_the_end_is_put_off(client: openai.OpenAI) -> None:
    def count(**body: Any) -> int:
        completion = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Say only: yes"}],
            temperature=0,
            max_tokens=48,
            extra_body=body,
        )
        assert completion.usage
        return completion.usage.completion_tokens

    assert count(ignore_eos=True) == 48
    assert count(min_tokens=40) >= 40


@pytest.mark.parametrize(
    "body",
    [
        {"typical_p": 0.5},
        {"top_n_sigma": 1.0},
        {"xtc_probability": 0.5, "xtc_threshold": 0.1},
        {"dry_multiplier": 0.8, "dry_base": 1.75, "dry_allowed_length": 2, "dry_sequence_breakers": ["\n"]},
        {"mirostat": 2, "mirostat_tau": 5.0, "mirostat_eta": 0.1},
        {"dynatemp_range": 0.5, "dynatemp_exponent": 1.0},
        {"repeat_penalty": 1.2, "top_k": 20, "min_p": 0.05},
    ],
)
def test_a_seed_says_the_same_again_with_every_setting(client: openai.OpenAI, body: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"temperature": 1.0, "seed": 7, "max_tokens": 24, "extra_body": body}
    assert ask(client, **settings) == ask(client, **settings)


def test_a_custom_tool_is_called_with_text_of_its_grammar(client: openai.OpenAI) -> None:
    form = {"type": "grammar", "grammar": {"syntax": "lark", "definition": LARK}}
    tool: Any = {"type": "custom", "custom": {"name": "query", "description": "Runs SQL.", "format": form}}
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Which users are there?"}],
        tools=[tool],
        tool_choice={"type": "custom", "custom": {"name": "query"}},
        max_tokens=80,
        temperature=0,
    )
    calls = completion.choices[0].message.tool_calls
    assert calls
    assert calls[0].type == "custom"
    assert re.fullmatch(r"SELECT [a-z]+(, [a-z]+)* FROM [a-z]+", calls[0].custom.input), calls


def test_a_custom_tool_of_responses_is_held_to_a_regex(client: openai.OpenAI) -> None:
    form = {"type": "grammar", "syntax": "regex", "definition": "[0-9]{4}-[0-9]{2}"}
    tool: Any = {"type": "custom", "name": "month", "description": "Picks a month.", "format": form}
    response = client.responses.create(
        model=MODEL,
        input="Pick a month.",
        tools=[tool],
        tool_choice={"type": "custom", "name": "month"},
        max_output_tokens=80,
        temperature=0,
    )
    (call,) = [item for item in response.output if item.type == "custom_tool_call"]
    assert re.fullmatch("[0-9]{4}-[0-9]{2}", call.input), call
