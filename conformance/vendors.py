"""Model servers, as far as a scripted model needs one: each holds a request to its vendor's
rules, reads the conversation out of it, and says a step of the model in the vendor's
words, whole or as a stream.

Sources: `anthropic` 2.12.0, `openai` 3.54.0, `google-genai` 3.4.0 and botocore 1.44.5,
read 2026-11-22.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import rules
from asks import ToolUse
from scripted import INPUT_TOKENS, OUTPUT_TOKENS, Anthropic, OpenAI, split

#: Thought before every step by a Claude that was asked to think; it must come back as it was.
THOUGHT = {"type": "thinking", "thinking": "One step after the other.", "signature": "EqQBCkYIARgCKkBvdXRjcm9w"}


@dataclasses.dataclass(frozen=True)
class Talk:
    """A conversation, as far as a model of this kind minds."""

    #: What system and user said.
    text: str
    #: Names of the tools.
    tools: frozenset[str]
    #: What tools said, by the id of the call.
    results: dict[str, str]


Step = list[str | ToolUse]


class AnthropicModel:
    """Messages: its rules, what a conversation says, and how a step is said."""

    path = "/messages"

    check = staticmethod(rules.check_anthropic)

    @staticmethod
    def read(body: dict[str, Any]) -> Talk:
        texts = [block["text"] for block in rules.blocks_of(body.get("system", []))]
        results = {}
        for message in body["messages"]:
            blocks = rules.blocks_of(message["content"])
            if message["role"] == "assistant":
                AnthropicModel._thought(body, blocks)
                continue
            for block in blocks:
                if block["type"] == "tool_result":
                    rules.rule(not block.get("is_error"), "the tool failed:", block)
                    inner = rules.blocks_of(block.get("content", []))
                    results[block["tool_use_id"]] = "".join(part.get("text", "") for part in inner)
                elif block["type"] == "text":
                    texts.append(block["text"])
        return Talk("\n".join(texts), frozenset(tool["name"] for tool in body.get("tools", [])), results)

    @staticmethod
    def _thought(body: dict[str, Any], blocks: list[dict[str, Any]]) -> None:
        """What was thought before a tool call comes back with its signature."""
        if AnthropicModel._thinks(body) and any(block["type"] == "tool_use" for block in blocks):
            rules.rule(blocks[0] == THOUGHT, "expected the thinking block as it was, found", blocks[0])

    @staticmethod
    def _thinks(body: dict[str, Any]) -> bool:
        return body.get("thinking", {}).get("type") in ("enabled", "adaptive")

    @staticmethod
    def _blocks(body: dict[str, Any], step: Step) -> list[dict[str, Any]]:
        thought = [THOUGHT] if AnthropicModel._thinks(body) else []
        return thought + [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": "tool_use", "id": part.id, "name": part.name, "input": part.input}
            for part in step
        ]

    @staticmethod
    def _stop(step: Step) -> str:
        return "tool_use" if isinstance(step[-1], ToolUse) else "end_turn"

    @staticmethod
    def refusal(text: str) -> bytes:
        return json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": text}}).encode()

    @staticmethod
    def whole(body: dict[str, Any], step: Step) -> dict[str, Any]:
        return Anthropic.message(AnthropicModel._blocks(body, step), AnthropicModel._stop(step), OUTPUT_TOKENS)

    @staticmethod
    def stream(body: dict[str, Any], step: Step) -> Iterator[bytes]:
        event = Anthropic.event
        yield event("message_start", message=Anthropic.message([], None, 1) | {"model": body["model"]})
        for index, block in enumerate(AnthropicModel._blocks(body, step)):
            match block["type"]:
                case "text":
                    empty = {"text": ""}
                    deltas = [{"type": "text_delta", "text": piece} for piece in split(block["text"])]
                case "thinking":
                    empty = {"thinking": "", "signature": ""}
                    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in split(block["thinking"])]
                    deltas.append({"type": "signature_delta", "signature": block["signature"]})
                case "tool_use":
                    empty = {"input": {}}
                    pieces = split(json.dumps(block["input"]))
                    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
            yield event("content_block_start", index=index, content_block=block | empty)
            for delta in deltas:
                yield event("content_block_delta", index=index, delta=delta)
            yield event("content_block_stop", index=index)
        stop = {"stop_reason": AnthropicModel._stop(step), "stop_sequence": None}
        yield event("message_delta", delta=stop, usage={"output_tokens": OUTPUT_TOKENS})
        yield event("message_stop")


class OpenAIModel:
    """Chat completions: the same."""

    path = "/chat/completions"

    check = staticmethod(rules.check_openai)

    @staticmethod
    def read(body: dict[str, Any]) -> Talk:
        texts, results = [], {}
        for message in body["messages"]:
            text = "\n".join(part.get("text", "") for part in rules.blocks_of(message.get("content") or []))
            if message["role"] == "tool":
                results[message["tool_call_id"]] = text
            elif message["role"] != "assistant":
                texts.append(text)
        names = frozenset(tool[tool["type"]]["name"] for tool in body.get("tools", []))
        return Talk("\n".join(texts), names, results)

    @staticmethod
    def refusal(text: str) -> bytes:
        error = {"message": text, "type": "invalid_request_error", "param": None, "code": None}
        return json.dumps({"error": error}).encode()

    @staticmethod
    def _calls(step: Step) -> list[dict[str, Any]]:
        uses = [part for part in step if isinstance(part, ToolUse)]
        return [
            {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": json.dumps(use.input)}}
            for use in uses
        ]

    @staticmethod
    def whole(body: dict[str, Any], step: Step) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(OpenAIModel._texts(step)) or None}
        calls = OpenAIModel._calls(step)
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
        return OpenAI.chunk(choice, "chat.completion") | {"usage": OpenAI.usage}

    @staticmethod
    def _texts(step: Step) -> list[str]:
        return [part for part in step if isinstance(part, str)]

    @staticmethod
    def stream(body: dict[str, Any], step: Step) -> Iterator[bytes]:
        yield OpenAI.delta({"role": "assistant", "content": ""})
        for text in OpenAIModel._texts(step):
            for piece in split(text):
                yield OpenAI.delta({"content": piece})
        calls = OpenAIModel._calls(step)
        for index, call in enumerate(calls):
            function = call["function"]
            start = {"index": index} | call | {"function": function | {"arguments": ""}}
            yield OpenAI.delta({"tool_calls": [start]})
            for piece in split(function["arguments"]):
                yield OpenAI.delta({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        yield OpenAI.delta({}, "tool_calls" if calls else "stop")
        if (body.get("stream_options") or {}).get("include_usage"):
            yield OpenAI.data({**OpenAI.chunk(None), "usage": OpenAI.usage})
        yield b"data: [DONE]\n\n"


class ResponsesModel:
    """OpenAI's Responses: the same, with encrypted reasoning before every step."""

    path = "/responses"
    #: It must come back as it was, and before the calls that it led to.
    sealed = "gAAAAABoutcropoutcropoutcrop=="

    check = staticmethod(rules.check_responses)

    @classmethod
    def read(cls, body: dict[str, Any]) -> Talk:
        texts, results = [body.get("instructions") or ""], {}
        given = body["input"]
        for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
            if item.get("type") == "function_call_output":
                results[item["call_id"]] = cls._text(item["output"])
            elif item.get("role") in ("user", "system", "developer"):
                texts.append(cls._text(item["content"]))
            elif item.get("type") == "reasoning":
                rules.rule(item.get("encrypted_content") == cls.sealed, "reasoning of another model:", item)
        if cls._seals(body) and results:
            kinds = [item.get("type") for item in given]
            rules.rule("reasoning" in kinds, "the reasoning that led to the calls is gone:", kinds)
        return Talk("\n".join(texts), frozenset(tool["name"] for tool in body.get("tools", [])), results)

    @staticmethod
    def _seals(body: dict[str, Any]) -> bool:
        return "reasoning.encrypted_content" in (body.get("include") or ())

    @staticmethod
    def _text(content: Any) -> str:
        return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)

    refusal = staticmethod(OpenAIModel.refusal)

    @classmethod
    def _items(cls, body: dict[str, Any], step: Step) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        if cls._seals(body):
            found.append({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": cls.sealed})
        for n, part in enumerate(step):
            if isinstance(part, str):
                text = {"type": "output_text", "text": part, "annotations": [], "logprobs": []}
                message = {"id": f"msg_{n}", "role": "assistant", "status": "completed", "content": [text]}
                found.append({"type": "message"} | message)
            else:
                call = {"id": f"fc_{n}", "call_id": part.id, "name": part.name, "arguments": json.dumps(part.input)}
                found.append({"type": "function_call", "status": "completed"} | call)
        return found

    @classmethod
    def whole(cls, body: dict[str, Any], step: Step, status: str = "completed") -> dict[str, Any]:
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1_790_000_000,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "model": body["model"],
            "output": cls._items(body, step) if status == "completed" else [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": INPUT_TOKENS,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": OUTPUT_TOKENS,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
            }
            if status == "completed"
            else None,
        }

    @classmethod
    def stream(cls, body: dict[str, Any], step: Step) -> Iterator[bytes]:
        for number, event in enumerate(cls._events(body, step)):
            data = json.dumps(event | {"sequence_number": number})
            yield f"event: {event['type']}\ndata: {data}\n\n".encode()

    @classmethod
    def _events(cls, body: dict[str, Any], step: Step) -> Iterator[dict[str, Any]]:
        begun = cls.whole(body, step, "in_progress")
        yield {"type": "response.created", "response": begun}
        yield {"type": "response.in_progress", "response": begun}
        for index, item in enumerate(cls._items(body, step)):
            at = {"output_index": index, "item_id": item["id"]}
            opened = {"message": {"content": [], "status": "in_progress"}, "function_call": {"arguments": ""}}
            added = item | opened.get(item["type"], {})
            yield {"type": "response.output_item.added", "output_index": index, "item": added}
            if item["type"] == "message":
                (part,) = item["content"]
                at |= {"content_index": 0}
                yield {"type": "response.content_part.added", **at, "part": part | {"text": ""}}
                for piece in split(part["text"]):
                    yield {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}
                yield {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []}
                yield {"type": "response.content_part.done", **at, "part": part}
            elif item["type"] == "function_call":
                for piece in split(item["arguments"]):
                    yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
                done = {"name": item["name"], "arguments": item["arguments"]}
                yield {"type": "response.function_call_arguments.done", **at, **done}
            yield {"type": "response.output_item.done", "output_index": index, "item": item}
        yield {"type": "response.completed", "response": cls.whole(body, step)}


class GeminiModel:
    """Gemini's generateContent: the same, with a thought signature on every step's first
    call, without which the vendor refuses the next request."""

    path = "enerateContent"
    signature = "b3V0Y3JvcA=="

    check = staticmethod(rules.check_gemini)

    @classmethod
    def read(cls, body: dict[str, Any]) -> Talk:
        parts = list((body.get("systemInstruction") or {}).get("parts", []))
        results: dict[str, str] = {}
        for content in body["contents"]:
            if content["role"] == "user":
                parts += content["parts"]
                continue
            calls = [part for part in content["parts"] if "functionCall" in part]
            signed = [part.get("thoughtSignature") for part in calls[:1]]
            rules.rule(signed in ([], [cls.signature]), "function call is missing a thought_signature:", calls)
        for part in parts:
            if answer := part.get("functionResponse"):
                results[answer["id"]] = json.dumps(answer["response"], ensure_ascii=False)
        texts = [part["text"] for part in parts if "text" in part]
        declared = [one for tool in body.get("tools", []) for one in tool.get("functionDeclarations", [])]
        return Talk("\n".join(texts), frozenset(one["name"] for one in declared), results)

    @staticmethod
    def refusal(text: str) -> bytes:
        return json.dumps({"error": {"code": 400, "message": text, "status": "INVALID_ARGUMENT"}}).encode()

    @classmethod
    def _parts(cls, step: Step) -> list[dict[str, Any]]:
        parts = [
            {"text": part}
            if isinstance(part, str)
            else {"functionCall": {"id": part.id, "name": part.name, "args": part.input}}
            for part in step
        ]
        for first in [part for part in parts if "functionCall" in part][:1]:
            first["thoughtSignature"] = cls.signature
        return parts

    @classmethod
    def _reply(cls, parts: list[dict[str, Any]], finish: str | None) -> dict[str, Any]:
        candidate = {"index": 0, "content": {"role": "model", "parts": parts}}
        if finish:
            candidate["finishReason"] = finish
        usage = {
            "promptTokenCount": INPUT_TOKENS,
            "candidatesTokenCount": OUTPUT_TOKENS,
            "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
        }
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-of-the-upstream"}

    @classmethod
    def whole(cls, body: dict[str, Any], step: Step) -> dict[str, Any]:
        return cls._reply(cls._parts(step), "STOP")

    @classmethod
    def stream(cls, body: dict[str, Any], step: Step) -> Iterator[bytes]:
        """A text comes in pieces, a call whole; the last chunk has the reason."""
        pieces: list[dict[str, Any]] = []
        for part in cls._parts(step):
            pieces += [{"text": piece} for piece in split(part["text"])] if "text" in part else [part]
        for n, piece in enumerate(pieces):
            finish = "STOP" if n == len(pieces) - 1 else None
            yield f"data: {json.dumps(cls._reply([piece], finish))}\r\n\r\n".encode()


class ConverseModel:
    """Bedrock's Converse: the same, in event-stream frames."""

    path = "/converse"
    media_type = "application/vnd.amazon.eventstream"

    check = staticmethod(rules.check_converse)

    @staticmethod
    def read(body: dict[str, Any]) -> Talk:
        texts = [block["text"] for block in body.get("system", []) if "text" in block]
        results = {}
        for message in body["messages"]:
            for block in message["content"] if message["role"] != "assistant" else []:
                if answer := block.get("toolResult"):
                    rules.rule(answer.get("status") != "error", "the tool failed:", answer)
                    results[answer["toolUseId"]] = "".join(part.get("text", "") for part in answer["content"])
                texts.append(block.get("text", ""))
        tools = body.get("toolConfig", {}).get("tools", [])
        names = frozenset(tool["toolSpec"]["name"] for tool in tools if "toolSpec" in tool)
        return Talk("\n".join(texts), names, results)

    @staticmethod
    def refusal(text: str) -> bytes:
        return json.dumps({"message": text, "__type": "ValidationException"}).encode()

    @staticmethod
    def _ending(step: Step) -> tuple[str, dict[str, Any]]:
        usage = {"inputTokens": INPUT_TOKENS, "outputTokens": OUTPUT_TOKENS}
        about = {"usage": usage | {"totalTokens": INPUT_TOKENS + OUTPUT_TOKENS}, "metrics": {"latencyMs": 1}}
        return "tool_use" if isinstance(step[-1], ToolUse) else "end_turn", about

    @classmethod
    def whole(cls, body: dict[str, Any], step: Step) -> dict[str, Any]:
        content = [
            {"text": part}
            if isinstance(part, str)
            else {"toolUse": {"toolUseId": part.id, "name": part.name, "input": part.input}}
            for part in step
        ]
        stop, about = cls._ending(step)
        return {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop, **about}

    @classmethod
    def stream(cls, body: dict[str, Any], step: Step) -> Iterator[bytes]:
        yield frame("messageStart", {"role": "assistant"})
        for index, part in enumerate(step):
            at = {"contentBlockIndex": index}
            if isinstance(part, str):
                deltas = [{"text": piece} for piece in split(part)]
            else:
                start = {"toolUse": {"toolUseId": part.id, "name": part.name}}
                yield frame("contentBlockStart", at | {"start": start})
                deltas = [{"toolUse": {"input": piece}} for piece in split(json.dumps(part.input))]
            for delta in deltas:
                yield frame("contentBlockDelta", at | {"delta": delta})
            yield frame("contentBlockStop", at)
        stop, about = cls._ending(step)
        yield frame("messageStop", {"stopReason": stop})
        yield frame("metadata", about)


def frame(event: str, payload: dict[str, Any]) -> bytes:
    """One message of an AWS event stream."""
    headers = {":message-type": "event", ":event-type": event, ":content-type": "application/json"}
    string = 7
    head = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", string, len(value)) + value.encode()
        for name, value in headers.items()
    )
    body = json.dumps(payload).encode()
    #: Two lengths and three checksums around headers and body.
    prelude = struct.pack(">II", len(head) + len(body) + 16, len(head))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + body
    return message + struct.pack(">I", zlib.crc32(message))


VENDORS = (AnthropicModel, OpenAIModel, ResponsesModel, GeminiModel, ConverseModel)


def vendor_of(path: str) -> Any:
    """By the request's path; whether it streams may be in it, too."""
    path = path.split("?")[0].removesuffix("-stream")
    return next(vendor for vendor in VENDORS if path.endswith(vendor.path))
