"""Asks and answers in the shapes of Anthropic's Messages: shared by the `anthropic` SDK
and Bedrock's InvokeModel with Anthropic-family bodies."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

from asks import Answer, Ask, Image, Recorder, ToolResult, ToolUse

FINISH = {"end": "end_turn", "length": "max_tokens", "stop_sequence": "stop_sequence", "tool": "tool_use"}


def block(part: Any) -> dict[str, Any]:
    match part:
        case str(text):
            return {"type": "text", "text": text}
        case ToolUse(id, name, input):
            return {"type": "tool_use", "id": id, "name": name, "input": input}
        case ToolResult(id, text):
            return {"type": "tool_result", "tool_use_id": id, "content": text}
        case Image(png):
            data = base64.b64encode(png).decode()
            return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    raise TypeError(part)


def content(ask: Ask) -> dict[str, Any]:
    """What Messages and count_tokens share."""
    request: dict[str, Any] = {
        "messages": [
            {
                "role": turn.role,
                "content": turn.content if isinstance(turn.content, str) else [block(part) for part in turn.content],
            }
            for turn in ask.turns
        ]
    }
    if ask.system is not None:
        request["system"] = ask.system
    if ask.tools:
        request["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in ask.tools
        ]
        request["tool_choice"] = (
            {"type": ask.tool_choice}
            if ask.tool_choice in ("auto", "any")
            else {"type": "tool", "name": ask.tool_choice}
        )
    return request


def body(ask: Ask) -> dict[str, Any]:
    request = {**content(ask), "max_tokens": ask.max_tokens}
    if ask.stop:
        request["stop_sequences"] = list(ask.stop)
    return request


def inputs(usage: dict[str, Any]) -> int:
    """All input tokens: those that a cache held are told beside the others."""
    return usage["input_tokens"] + (usage.get("cache_read_input_tokens") or 0)


def answer(message: dict[str, Any], request_id: str | None) -> Answer:
    assert message["type"] == "message" and message["role"] == "assistant" and message["id"], message
    result = Answer(
        finish=message["stop_reason"],
        stopped_by=message.get("stop_sequence"),
        input_tokens=inputs(message["usage"]),
        output_tokens=message["usage"]["output_tokens"],
        request_id=request_id,
        raw=message,
    )
    for part in message["content"]:
        if part["type"] == "text":
            result.text += part["text"]
        else:
            assert part["type"] == "tool_use", part
            result.tools.append(ToolUse(part["id"], part["name"], part["input"]))
    return result


def streamed(events: Iterable[dict[str, Any]], request_id: str | None, recorder: Recorder) -> Answer:
    """Folds a Messages stream, checking the order that Anthropic documents: one block
    open at a time, indices counting up, deltas of the open block's own kind."""
    result = Answer(request_id=request_id, pieces=recorder.pieces)
    order: list[str] = []
    opened: dict[str, Any] | None = None
    blocks = 0
    arguments = ""
    for event in events:
        kind = event["type"]
        if kind == "ping":
            continue
        order.append(kind)
        if kind == "message_start":
            message = event["message"]
            assert message["id"] and message["content"] == [] and message["role"] == "assistant", message
            result.input_tokens = inputs(message["usage"])
        elif kind == "content_block_start":
            assert opened is None and event["index"] == blocks, event
            opened, arguments = event["content_block"], ""
        elif kind == "content_block_delta":
            assert opened is not None and event["index"] == blocks, event
            delta = event["delta"]
            if delta["type"] == "text_delta":
                assert opened["type"] == "text", event
                result.text += delta["text"]
                recorder.add(delta["text"])
            else:
                assert (delta["type"], opened["type"]) == ("input_json_delta", "tool_use"), event
                arguments += delta["partial_json"]
                recorder.add("")
        elif kind == "content_block_stop":
            assert opened is not None and event["index"] == blocks, event
            if opened["type"] == "tool_use":
                result.tools.append(ToolUse(opened["id"], opened["name"], json.loads(arguments or "{}")))
            opened, blocks = None, blocks + 1
        elif kind == "message_delta":
            result.finish = event["delta"]["stop_reason"]
            result.stopped_by = event["delta"].get("stop_sequence")
            usage = event["usage"]
            result.output_tokens = usage["output_tokens"]
            # A server that learns the input count late tells it here, as the SDK expects.
            if usage.get("input_tokens") is not None:
                assert result.input_tokens in (0, inputs(usage)), event
                result.input_tokens = inputs(usage)
        elif kind == "message_stop":
            result.raw = event
        else:
            raise AssertionError(event)
    assert order[0] == "message_start" and order.count("message_start") == 1, order
    assert order[-2:] == ["message_delta", "message_stop"], order
    return result
