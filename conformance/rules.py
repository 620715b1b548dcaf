"""What the vendors refuse, as their API references document it: the types of a request
(`shapes.py`, out of the vendor's SDK) and what types cannot say: which turn may follow
which, what answers a tool call, what goes together.

A scripted upstream that holds requests to these rules turns a wrong translation into a
failed run, as the vendor's server would.

Sources: `anthropic` 2.12.0, `openai` 3.54.0, `google-genai` 3.4.0, botocore 1.44.5;
platform.claude.com/docs, "Tool use" and "Extended thinking"; platform.openai.com/docs,
"Function calling"; read 2026-11-22.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import anthropic.types as anthropic_types
import anthropic.types.beta as anthropic_beta_types
import botocore.session
import botocore.validate
import openai.types.chat as openai_types
import openai.types.responses as responses_types

import shapes


class Broken(AssertionError):
    """The rule that the request breaks."""


def rule(holds: Any, text: str, *about: Any) -> None:
    if not holds:
        raise Broken(" ".join([text, *(f"{thing!r:.300}" for thing in about)]))


# --- Anthropic Messages --------------------------------------------------------------

#: Sampling parameters, which the API has and the SDK's types no longer show.
ANTHROPIC_UNTYPED = {"temperature", "top_p", "top_k"}
CACHE_MARKERS = 4
THINKING_BUDGET_MIN_TOKENS = 1024


def check_anthropic(body: dict[str, Any], beta: bool = False) -> None:
    """`beta`: the request names beta features, so their fields may be there."""
    kinds = anthropic_beta_types if beta else anthropic_types
    kind = kinds.message_create_params
    stream = kind.MessageCreateParamsStreaming if body.get("stream") else kind.MessageCreateParamsNonStreaming
    shapes.check({name: value for name, value in body.items() if name not in ANTHROPIC_UNTYPED}, stream)
    names = [tool["name"] for tool in body.get("tools", ()) if "name" in tool]
    rule(all(re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", name) for name in names), "tool names:", names)
    rule(len(set(names)) == len(names), "tool names must be unique:", names)
    rule("tool_choice" not in body or names, "tool_choice may only be given with tools")
    rule(json.dumps(body).count('"cache_control": {') <= CACHE_MARKERS, "at most four cache_control markers")
    anthropic_turns(body["messages"])
    anthropic_thinking(body)


def anthropic_turns(messages: list[dict[str, Any]]) -> None:
    rule(messages and messages[0]["role"] == "user", "the first message must be the user's")
    waiting: list[str] = []
    before = ""
    for message in messages:
        rule(message["role"] != before, "roles must alternate:", [message["role"] for message in messages])
        before = message["role"]
        blocks = blocks_of(message["content"])
        rule(blocks, "a message must have content")
        rule(
            all(block["text"].strip() for block in blocks if block["type"] == "text"),
            "text blocks must hold more than white space:",
            message,
        )
        if message["role"] == "system":
            continue
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        rule(sorted(results) == sorted(waiting), "tool_use ids without a tool_result right after:", waiting, results)
        kinds = [block["type"] for block in blocks[: len(results)]]
        rule(set(kinds) <= {"tool_result"}, "tool_result blocks come first:", kinds)
        waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]
        rule(not waiting or message["role"] == "assistant", "tool_use is the assistant's")
        rule(all(re.fullmatch(r"[a-zA-Z0-9_-]+", id) for id in waiting), "tool_use ids:", waiting)
        rule(len(set(waiting)) == len(waiting), "tool_use ids must be unique:", waiting)
    rule(not waiting, "tool_use ids without a tool_result:", waiting)
    if messages[-1]["role"] == "assistant":
        last = blocks_of(messages[-1]["content"])[-1].get("text", "")
        rule(last == last.rstrip(), "the last assistant text must not end with white space")


def anthropic_thinking(body: dict[str, Any]) -> None:
    thinking = body.get("thinking") or {"type": "disabled"}
    if thinking["type"] == "disabled":
        return
    rule(body.get("temperature", 1) == 1, "temperature may only be 1 when thinking is enabled")
    rule(body.get("top_k") is None, "top_k must be unset when thinking is enabled")
    choice = body.get("tool_choice", {"type": "auto"})["type"]
    rule(choice in ("auto", "none"), "thinking may not be enabled when tool_choice forces tool use:", choice)
    rule(body["messages"][-1]["role"] != "assistant", "no prefilled answer when thinking is enabled")
    if thinking["type"] == "enabled":
        budget = thinking["budget_tokens"]
        rule(THINKING_BUDGET_MIN_TOKENS <= budget < body["max_tokens"], "budget_tokens:", budget, body["max_tokens"])


def blocks_of(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


# --- OpenAI Chat Completions ---------------------------------------------------------

TOOLS_MAX = 128
STOPS_MAX = 4


def check_openai(body: dict[str, Any], beta: bool = False) -> None:
    kind = openai_types.completion_create_params
    shapes.check(body, kind.CompletionCreateParamsStreaming if body.get("stream") else kind.CompletionCreateParamsBase)
    rule("stream_options" not in body or body.get("stream"), "stream_options is only allowed when streaming")
    tools = body.get("tools")
    rule(tools is None or 0 < len(tools) <= TOOLS_MAX, "tools: an empty array, or more than 128")
    names = [tool[tool["type"]]["name"] for tool in tools or ()]
    rule(all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names), "tool names:", names)
    rule(len(set(names)) == len(names), "tool names must be unique:", names)
    for only_with_tools in ("tool_choice", "parallel_tool_calls"):
        rule(only_with_tools not in body or tools, f"{only_with_tools} is only allowed when tools are given")
    for tool in tools or ():
        parameters = tool.get("function", {}).get("parameters")
        rule(parameters is None or parameters.get("type") == "object", "schema must be of type object:", tool)
    rule(len(body["stop"]) <= STOPS_MAX if isinstance(body.get("stop"), list) else True, "at most four stops")
    for name, value in (body.get("metadata") or {}).items():
        rule(len(name) <= 64 and len(value) <= 512, "metadata is too long:", name)
    openai_turns(body["messages"])


def openai_turns(messages: list[dict[str, Any]]) -> None:
    rule(messages, "messages must not be empty")
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            id = message["tool_call_id"]
            rule(id in waiting, "a tool message must answer a tool call right before it:", id, waiting)
            waiting.remove(id)
            continue
        rule(not waiting, "tool_call_ids without an answering message:", waiting, message)
        calls = message.get("tool_calls")
        rule(calls is None or calls, "tool_calls: an empty array")
        rule(message.get("content") is not None or calls or message.get("refusal"), "content is null:", message)
        for call in calls or ():
            json.loads(call["function"]["arguments"]) if call["type"] == "function" else None
        waiting = [call["id"] for call in calls or ()]
        rule(len(set(waiting)) == len(waiting), "tool call ids must be unique:", waiting)
    rule(not waiting, "tool_call_ids without an answering message:", waiting)


# --- OpenAI Responses ----------------------------------------------------------------


def check_responses(body: dict[str, Any], beta: bool = False) -> None:
    kind = responses_types.response_create_params
    stream = kind.ResponseCreateParamsStreaming if body.get("stream") else kind.ResponseCreateParamsNonStreaming
    given = body.get("input")
    typed = body | {"input": [completed(item) for item in given]} if isinstance(given, list) else body
    shapes.check(typed, stream)
    names = [tool["name"] for tool in body.get("tools", ()) if "name" in tool]
    rule(all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names), "tool names:", names)
    rule(len(set(names)) == len(names), "tool names must be unique:", names)
    if isinstance(body.get("input"), list):
        responses_items(body["input"])


def completed(item: dict[str, Any]) -> dict[str, Any]:
    """The API takes an assistant's message without what it adds to one itself; the types
    do not say so, but OpenAI's own Codex sends such."""
    if item.get("role") != "assistant" or isinstance(item["content"], str):
        return item
    content = [{"annotations": []} | part if part["type"] == "output_text" else part for part in item["content"]]
    return {"id": "msg_1", "status": "completed"} | item | {"content": content}


def responses_items(items: list[dict[str, Any]]) -> None:
    calls, waiting = set(), set()
    for n, item in enumerate(items):
        match item.get("type", "message"):
            case "function_call" | "custom_tool_call":
                rule(item["call_id"] not in calls, "call ids must be unique:", item)
                calls.add(item["call_id"])
                waiting.add(item["call_id"])
            case "function_call_output" | "custom_tool_call_output":
                rule(item["call_id"] in waiting, "no tool call found for function call output:", item)
                waiting.remove(item["call_id"])
            case "reasoning":
                followed = items[n + 1].get("type", "message") if n + 1 < len(items) else None
                rule(
                    followed in ("message", "function_call", "custom_tool_call", "reasoning"),
                    "reasoning was provided without its required following item:",
                    item,
                )
    rule(not waiting, "no tool output found for function call:", waiting)


# --- Gemini --------------------------------------------------------------------------

GEMINI_FIELDS = {
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "generationConfig",
    "safetySettings",
    "cachedContent",
    "labels",
}
#: What `parameters` may hold: Gemini's own schema, not JSON Schema (`parametersJsonSchema`).
GEMINI_SCHEMA = set(
    "type format title description nullable enum maxItems minItems properties required minProperties maxProperties"
    " minLength maxLength pattern example anyOf propertyOrdering default items minimum maximum".split()
)


def check_gemini(body: dict[str, Any], beta: bool = False) -> None:
    rule(body.keys() <= GEMINI_FIELDS, "unknown name:", body.keys() - GEMINI_FIELDS)
    for tool in body.get("tools", ()):
        for declared in tool.get("functionDeclarations", ()):
            rule(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}", declared["name"]), "invalid function name:", declared)
            rule(not {"parameters", "parametersJsonSchema"} <= declared.keys(), "one schema, not two:", declared)
            if "parameters" in declared:
                gemini_schema(declared["parameters"])
    before, waiting = "", 0
    rule(body["contents"] and body["contents"][0]["role"] == "user", "the first turn is the user's")
    for content in body["contents"]:
        rule(content["role"] in ("user", "model"), "valid roles are user and model:", content["role"])
        rule(content["role"] != before, "roles must alternate")
        before = content["role"]
        rule(content["parts"], "contents.parts must not be empty")
        for part in content["parts"]:
            data = part.keys() - {"thought", "thoughtSignature", "videoMetadata", "mediaResolution"}
            rule(len(data) == 1, "a part has one kind of data:", part)
        answers = sum("functionResponse" in part for part in content["parts"])
        rule(answers == waiting, "as many function responses as function calls:", content)
        waiting = sum("functionCall" in part for part in content["parts"])
        rule(not waiting or content["role"] == "model", "function calls are the model's")
    rule(not waiting, "function calls without responses")


def gemini_schema(schema: dict[str, Any]) -> None:
    rule(schema.keys() <= GEMINI_SCHEMA, "unknown name in a schema:", schema.keys() - GEMINI_SCHEMA)
    for inner in (schema.get("properties") or {}).values():
        gemini_schema(inner)
    for inner in [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())]:
        gemini_schema(inner)


# --- Bedrock Converse ----------------------------------------------------------------


@functools.cache
def converse_shape() -> Any:
    model = botocore.session.Session().get_service_model("bedrock-runtime")
    return model.operation_model("Converse").input_shape


def check_converse(body: dict[str, Any], beta: bool = False) -> None:
    report = botocore.validate.ParamValidator().validate(body | {"modelId": "m"}, converse_shape())
    rule(not report.has_errors(), report.generate_report())
    turns = body["messages"]
    rule(turns and turns[0]["role"] == "user", "a conversation must start with a user message")
    before, waiting = "", []
    for turn in turns:
        rule(turn["role"] != before, "roles must alternate between user and assistant")
        before = turn["role"]
        rule(turn["content"], "the content field is empty")
        rule(all(block.get("text", "x").strip() for block in turn["content"]), "the text field is blank:", turn)
        if turn["role"] == "system":
            continue
        results = [block["toolResult"]["toolUseId"] for block in turn["content"] if "toolResult" in block]
        rule(sorted(results) == sorted(waiting), "toolResult blocks exceed or lack toolUse blocks:", results, waiting)
        waiting = [block["toolUse"]["toolUseId"] for block in turn["content"] if "toolUse" in block]
    rule(not waiting, "toolUse ids without toolResult:", waiting)
    blocks = [block for turn in turns for block in turn["content"]]
    used = any("toolUse" in block or "toolResult" in block for block in blocks)
    rule("toolConfig" in body or not used, "toolConfig must be defined when using toolUse and toolResult blocks")
