"""The `openai` SDK: chat completions and models."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable
from typing import Any

import openai

from asks import Answer, Ask, Image, Problem, Recorder, ToolResult, ToolUse, Turn

from .base import Client


class OpenAI(Client):
    """`OpenAI(base_url=…/v1)`."""

    name = "openai"
    family = "openai"
    counts = False
    finish = {"end": "stop", "length": "length", "stop_sequence": "stop", "tool": "tool_calls"}
    anonymous = False

    def sdk(self) -> openai.OpenAI:
        transport = {}
        if self.tls:
            context = ssl.create_default_context(cafile=str(self.server.ca))
            transport = {"http_client": openai.DefaultHttpxClient(verify=context)}
        elif self.anonymous:
            # The SDK insists on a key; it is taken off on the way.
            off = {"request": [lambda request: request.headers.pop("authorization")]}
            transport = {"http_client": openai.DefaultHttpxClient(event_hooks=off)}
        return openai.OpenAI(
            base_url=f"{self.url}/v1",
            api_key=self.key.bearer,
            max_retries=0,
            timeout=120,
            **transport,
        )

    def ask(self, ask: Ask) -> Answer:
        completion = self.sdk().chat.completions.create(**request(ask))
        assert completion.object == "chat.completion" and completion.id and completion.created > 0
        (choice,) = completion.choices
        assert choice.index == 0 and choice.message.role == "assistant"
        tools = [
            ToolUse(call.id, call.function.name, json.loads(call.function.arguments))
            for call in choice.message.tool_calls or []
        ]
        usage = completion.usage
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
        return Answer(
            text=choice.message.content or "",
            tools=tools,
            finish=choice.finish_reason,
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            request_id=completion._request_id,
            raw=completion,
        )

    def stream(self, ask: Ask, on_piece: Callable[[str], None] | None = None) -> Answer:
        chunks = self.sdk().chat.completions.create(**request(ask), stream=True, stream_options={"include_usage": True})
        with chunks:
            return streamed(chunks, chunks.response.headers.get("x-request-id"), Recorder(on_piece))

    def models(self) -> list[str]:
        found = list(self.sdk().models.list())
        assert all(model.object == "model" and model.owned_by and model.created >= 0 for model in found), found
        return [model.id for model in found]

    def send_raw(self, body: bytes, model: str) -> Any:
        return self.sdk().post(
            "/chat/completions",
            cast_to=object,
            content=body,
            options={"headers": {"content-type": "application/json"}},
        )

    def without_credential(self) -> OpenAI:
        other = type(self)(self.server, self.key)
        other.anonymous = True
        return other

    def unbuilt(self) -> Any:
        return self.sdk().moderations.create(input="x")

    def describe(self, error: Exception) -> Problem | None:
        if not isinstance(error, openai.APIError):
            return None
        return Problem(
            type(error).__name__,
            getattr(error, "status_code", None),
            error.code or error.type,
            error.message,
            getattr(error, "request_id", None),
        )


def turn_messages(turn: Turn) -> list[dict[str, Any]]:
    """One turn may be several messages: every tool result is its own."""
    if isinstance(turn.content, str):
        return [{"role": turn.role, "content": turn.content}]
    results = [part for part in turn.content if isinstance(part, ToolResult)]
    uses = [part for part in turn.content if isinstance(part, ToolUse)]
    rest = [part for part in turn.content if isinstance(part, (str, Image))]
    found = [{"role": "tool", "tool_call_id": result.id, "content": result.text} for result in results]
    if rest or uses:
        message: dict[str, Any] = {"role": turn.role, "content": [part_of(part) for part in rest] or None}
        if uses:
            message["tool_calls"] = [
                {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": json.dumps(use.input)}}
                for use in uses
            ]
        found.append(message)
    return found


def part_of(part: str | Image) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    data = base64.b64encode(part.png).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def request(ask: Ask) -> dict[str, Any]:
    system = [] if ask.system is None else [{"role": "system", "content": ask.system}]
    body: dict[str, Any] = {
        "model": ask.model,
        "messages": system + [message for turn in ask.turns for message in turn_messages(turn)],
        "max_completion_tokens": ask.max_tokens,
        "temperature": 0,
    }
    if ask.stop:
        body["stop"] = list(ask.stop)
    if ask.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
            }
            for tool in ask.tools
        ]
        named = {"type": "function", "function": {"name": ask.tool_choice}}
        body["tool_choice"] = {"auto": "auto", "any": "required"}.get(ask.tool_choice, named)
    return body


def streamed(chunks: Any, request_id: str | None, recorder: Recorder) -> Answer:
    """Folds chunks: one id for all, the role first, dense tool indices, usage last."""
    result = Answer(request_id=request_id, pieces=recorder.pieces)
    ids: set[str] = set()
    calls: list[dict[str, str]] = []
    first = True
    for chunk in chunks:
        assert chunk.object == "chat.completion.chunk"
        ids.add(chunk.id)
        if chunk.usage is not None:
            assert chunk.choices == [] and result.output_tokens == -1, chunk
            result.input_tokens, result.output_tokens = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
            continue
        (choice,) = chunk.choices
        assert choice.index == 0, chunk
        if first:
            assert choice.delta.role == "assistant", chunk
            first = False
        if choice.delta.content:
            result.text += choice.delta.content
            recorder.add(choice.delta.content)
        for call in choice.delta.tool_calls or []:
            if call.index == len(calls):
                calls.append({"id": call.id, "name": call.function.name, "arguments": ""})
            calls[call.index]["arguments"] += call.function.arguments or ""
            recorder.add("")
        if choice.finish_reason:
            assert result.finish is None, chunk
            result.finish = choice.finish_reason
    assert len(ids) == 1, ids
    result.tools = [ToolUse(call["id"], call["name"], json.loads(call["arguments"] or "{}")) for call in calls]
    return result
