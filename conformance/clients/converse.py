"""Asks and answers in the shapes of Bedrock's Converse: shared by boto3 and AWS JS."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from asks import Answer, Ask, Image, Recorder, ToolResult, ToolUse

FINISH = {"end": "end_turn", "length": "max_tokens", "stop_sequence": "stop_sequence", "tool": "tool_use"}


def block(part: Any) -> dict[str, Any]:
    match part:
        case str(text):
            return {"text": text}
        case ToolUse(id, name, input):
            return {"toolUse": {"toolUseId": id, "name": name, "input": input}}
        case ToolResult(id, text):
            return {"toolResult": {"toolUseId": id, "content": [{"text": text}]}}
        case Image(png):
            return {"image": {"format": "png", "source": {"bytes": png}}}
    raise TypeError(part)


def content(ask: Ask) -> dict[str, Any]:
    """What Converse and CountTokens share."""
    request: dict[str, Any] = {
        "messages": [{"role": turn.role, "content": [block(part) for part in turn.blocks()]} for turn in ask.turns]
    }
    if ask.system is not None:
        request["system"] = [{"text": ask.system}]
    if ask.tools:
        specs = [
            {"toolSpec": {"name": t.name, "description": t.description, "inputSchema": {"json": t.schema}}}
            for t in ask.tools
        ]
        choice = {"auto": {"auto": {}}, "any": {"any": {}}}.get(ask.tool_choice, {"tool": {"name": ask.tool_choice}})
        request["toolConfig"] = {"tools": specs, "toolChoice": choice}
    return request


def request(ask: Ask) -> dict[str, Any]:
    settings: dict[str, Any] = {"maxTokens": ask.max_tokens, "temperature": 0.0}
    if ask.stop:
        settings["stopSequences"] = list(ask.stop)
    return {"modelId": ask.model, **content(ask), "inferenceConfig": settings}


def answer(output: dict[str, Any], request_id: str) -> Answer:
    message = output["output"]["message"]
    assert message["role"] == "assistant"
    assert output["metrics"]["latencyMs"] >= 0
    result = Answer(finish=output["stopReason"], request_id=request_id, raw=output)
    for part in message["content"]:
        if "text" in part:
            result.text += part["text"]
        else:
            use = part["toolUse"]
            result.tools.append(ToolUse(use["toolUseId"], use["name"], use["input"]))
    _usage(result, output["usage"])
    return result


def streamed(events: Iterable[tuple[float | None, dict[str, Any]]], request_id: str, recorder: Recorder) -> Answer:
    """Folds ConverseStream events, checking their order as Bedrock documents it."""
    result = Answer(request_id=request_id, pieces=recorder.pieces)
    order: list[str] = []
    tool: dict[str, Any] | None = None
    for at, event in events:
        ((kind, body),) = event.items()
        order.append(kind)
        if kind == "messageStart":
            assert body["role"] == "assistant"
        elif kind == "contentBlockStart":
            assert tool is None
            tool = {**body["start"]["toolUse"], "json": ""}
        elif kind == "contentBlockDelta":
            if "toolUse" in body["delta"]:
                tool["json"] += body["delta"]["toolUse"]["input"]
                recorder.add("", at)
            else:
                result.text += body["delta"]["text"]
                recorder.add(body["delta"]["text"], at)
        elif kind == "contentBlockStop":
            if tool is not None:
                result.tools.append(ToolUse(tool["toolUseId"], tool["name"], json.loads(tool["json"] or "{}")))
                tool = None
        elif kind == "messageStop":
            result.finish = body["stopReason"]
        elif kind == "metadata":
            assert body["metrics"]["latencyMs"] >= 0
            _usage(result, body["usage"])
    assert order[0] == "messageStart", order
    assert order[-2:] == ["messageStop", "metadata"], order
    assert order.count("contentBlockStop") >= (1 if recorder.pieces else 0), order
    return result


def _usage(result: Answer, usage: dict[str, int]) -> None:
    # Those that a cache held are told beside the others.
    result.input_tokens = usage["inputTokens"] + (usage.get("cacheReadInputTokens") or 0)
    result.output_tokens = usage["outputTokens"]
    assert usage["totalTokens"] == result.input_tokens + result.output_tokens
