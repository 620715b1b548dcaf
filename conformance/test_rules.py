"""The scripted upstreams' own rules: a sound request passes, and each way to break one is
seen. An upstream that let everything pass would prove nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import rules

ANTHROPIC: dict[str, Any] = {
    "model": "m",
    "max_tokens": 2000,
    "stream": True,
    "temperature": 1,
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}],
    "messages": [
        {"role": "user", "content": "Look."},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "So.", "signature": "s"},
                {"type": "tool_use", "id": "a", "name": "look", "input": {}},
                {"type": "tool_use", "id": "b", "name": "look", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "b", "content": "2"},
                {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "1"}]},
                {"type": "text", "text": "And?"},
            ],
        },
    ],
}

CALL = {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
OPENAI: dict[str, Any] = {
    "model": "m",
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "stop": ["END"],
    "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look."}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL, CALL | {"id": "b"}]},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    ],
}

CALLED = {"type": "function_call", "call_id": "a", "name": "look", "arguments": "{}"}
RESPONSES: dict[str, Any] = {
    "model": "m",
    "stream": True,
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}],
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Look."}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "s"},
        CALLED,
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "So."}]},
    ],
}

GEMINI: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "generationConfig": {"maxOutputTokens": 5},
    "tools": [{"functionDeclarations": [{"name": "look", "parameters": {"type": "OBJECT", "properties": {}}}]}],
    "contents": [
        {"role": "user", "parts": [{"text": "Look."}]},
        {
            "role": "model",
            "parts": [{"functionCall": {"id": "a", "name": "look", "args": {}}, "thoughtSignature": "s"}],
        },
        {"role": "user", "parts": [{"functionResponse": {"id": "a", "name": "look", "response": {"output": "1"}}}]},
    ],
}

CONVERSE: dict[str, Any] = {
    "inferenceConfig": {"maxTokens": 5},
    "toolConfig": {"tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object"}}}}]},
    "messages": [
        {"role": "user", "content": [{"text": "Look."}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "a", "name": "look", "input": {}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": [{"text": "1"}]}}]},
    ],
}


def test_sound_requests_pass():
    rules.check_anthropic(ANTHROPIC)
    rules.check_openai(OPENAI)
    rules.check_responses(RESPONSES)
    rules.check_gemini(GEMINI)
    rules.check_converse(CONVERSE)


#: Where to put what (None: take it away), and words of the complaint.
BROKEN_ANTHROPIC = {
    "unknown-field": (("logit_bias",), {}, "no such field"),
    "unknown-field-inside": (("tools", 0, "strictly"), True, "no such field"),
    "missing-field": (("max_tokens",), None, "lacks"),
    "wrong-type": (("max_tokens",), "many", "is no"),
    "boolean-for-number": (("max_tokens",), True, "is no"),
    "unknown-block": (("messages", 0, "content"), [{"type": "sound"}], "messages"),
    "unknown-role": (("messages", 0, "role"), "developer", "role"),
    "assistant-first": (("messages", 0), {"role": "assistant", "content": "x"}, "first message"),
    "same-role-twice": (("messages", 1), {"role": "user", "content": "x"}, "alternate"),
    "white-space": (("messages", 0, "content"), " \n", "white space"),
    "missing-result": (("messages", 2, "content", 0), None, "without a tool_result"),
    "unknown-result": (("messages", 2, "content", 0, "tool_use_id"), "c", "without a tool_result"),
    "text-before-results": (("messages", 2, "content", 1), {"type": "text", "text": "x"}, "without a tool_result"),
    "calls-at-the-end": (("messages", 2), None, "without a tool_result"),
    "bad-tool-name": (("tools", 0, "name"), "look.up", "tool names"),
    "forced-while-thinking": (("tool_choice",), {"type": "any"}, "forces"),
    "cool-while-thinking": (("temperature",), 0.5, "temperature"),
    "no-room-to-think": (("max_tokens",), 1024, "budget_tokens"),
}
BROKEN_OPENAI = {
    "unknown-field": (("thinking",), {"type": "adaptive"}, "no such field"),
    "unknown-field-inside": (("messages", 1, "content", 0, "cache_control"), {}, "no such field"),
    "missing-field": (("messages", 3, "tool_call_id"), None, "lacks"),
    "stream-options-alone": (("stream",), None, "stream_options"),
    "no-tools": (("tools",), [], "empty array"),
    "long-tool-name": (("tools", 0, "function", "name"), "x" * 65, "tool names"),
    "schema-of-no-object": (("tools", 0, "function", "parameters"), {"type": "string"}, "type object"),
    "five-stops": (("stop",), list("abcde"), "four stops"),
    "unanswered": (("messages", 4), None, "without an answering"),
    "unasked": (("messages", 4, "tool_call_id"), "c", "must answer"),
    "empty-calls": (("messages", 2, "tool_calls"), [], "empty array"),
    "half-arguments": (("messages", 2, "tool_calls", 0, "function", "arguments"), "{", "Expecting"),
    "null-content": (("messages", 0, "content"), None, "lacks"),
}
BROKEN_RESPONSES = {
    "unknown-field": (("messages",), [], "no such field"),
    "unknown-item": (("input", 0), {"type": "sound"}, "sound|lacks"),
    "input-text-of-the-assistant": (("input", 4, "content", 0, "type"), "text", "lacks|none of"),
    "no-output": (("input", 3), None, "no tool output"),
    "no-call": (("input", 2), None, "following item|no tool call"),
    "call-twice": (("input", 3), CALLED, "unique"),
    "reasoning-alone": (("input", 2), {"type": "function_call_output", "call_id": "a", "output": "1"}, "following"),
}
BROKEN_GEMINI = {
    "unknown-field": (("messages",), [], "unknown name"),
    "assistant": (("contents", 1, "role"), "assistant", "valid roles"),
    "model-first": (("contents", 0), None, "the user's"),
    "same-role-twice": (("contents", 1, "role"), "user", "alternate"),
    "no-parts": (("contents", 0, "parts"), [], "empty"),
    "two-in-one": (("contents", 1, "parts", 0, "text"), "x", "one kind"),
    "no-response": (("contents", 2, "parts"), [{"text": "1"}], "as many"),
    "json-schema": (("tools", 0, "functionDeclarations", 0, "parameters", "$schema"), "x", "in a schema"),
}
BROKEN_CONVERSE = {
    "unknown-field": (("max_tokens",), 5, "Unknown parameter"),
    "unknown-block": (("messages", 0, "content", 0), {"sound": {}}, "Unknown parameter"),
    "wrong-type": (("inferenceConfig", "maxTokens"), "many", "Invalid type"),
    "assistant-first": (("messages", 0), None, "start with a user"),
    "no-result": (("messages", 2, "content"), [{"text": "1"}], "exceed or lack"),
    "no-tools": (("toolConfig",), None, "must be defined"),
}


def broken(body: dict[str, Any], where: tuple, what: Any) -> dict[str, Any]:
    body = copy.deepcopy(body)
    place = body
    for step in where[:-1]:
        place = place[step]
    if what is None:
        del place[where[-1]]
    else:
        place[where[-1]] = what
    return body


@pytest.mark.parametrize("where, what, says", BROKEN_ANTHROPIC.values(), ids=BROKEN_ANTHROPIC)
def test_anthropic_refuses(where, what, says):
    with pytest.raises(AssertionError, match=says):
        rules.check_anthropic(broken(ANTHROPIC, where, what))


@pytest.mark.parametrize("where, what, says", BROKEN_OPENAI.values(), ids=BROKEN_OPENAI)
def test_openai_refuses(where, what, says):
    with pytest.raises((AssertionError, ValueError), match=says):
        rules.check_openai(broken(OPENAI, where, what))


@pytest.mark.parametrize("where, what, says", BROKEN_RESPONSES.values(), ids=BROKEN_RESPONSES)
def test_responses_refuses(where, what, says):
    with pytest.raises(AssertionError, match=says):
        rules.check_responses(broken(RESPONSES, where, what))


@pytest.mark.parametrize("where, what, says", BROKEN_GEMINI.values(), ids=BROKEN_GEMINI)
def test_gemini_refuses(where, what, says):
    with pytest.raises(AssertionError, match=says):
        rules.check_gemini(broken(GEMINI, where, what))


@pytest.mark.parametrize("where, what, says", BROKEN_CONVERSE.values(), ids=BROKEN_CONVERSE)
def test_converse_refuses(where, what, says):
    with pytest.raises(AssertionError, match=says):
        rules.check_converse(broken(CONVERSE, where, what))


def test_anthropic_refuses_text_before_results():
    body = copy.deepcopy(ANTHROPIC)
    body["messages"][2]["content"].reverse()
    with pytest.raises(rules.Broken, match="come first"):
        rules.check_anthropic(body)


def test_anthropic_refuses_beta_fields_unasked():
    body = ANTHROPIC | {"context_management": {"edits": []}}
    rules.check_anthropic(body, beta=True)
    with pytest.raises(AssertionError, match="no such field"):
        rules.check_anthropic(body)
