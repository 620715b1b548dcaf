"""The `openai` SDK: responses."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any

import openai

from asks import Answer, Ask, Image, Recorder, ToolResult, ToolUse, Turn

from .openai_sdk import OpenAI


class OpenAIResponses(OpenAI):
    """`OpenAI().responses`, keeping nothing at the server."""

    name = "openai-responses"
    lists = False
    # The API has no stop sequences.
    stops = False
    # A call is as complete as a text.
    finish = {"end": "completed", "length": "max_output_tokens", "stop_sequence": "completed", "tool": "completed"}

    def ask(self, ask: Ask) -> Answer:
        response = self.sdk().responses.create(**request(ask))
        return answer(response, response._request_id)

    def stream(self, ask: Ask, on_piece: Callable[[str], None] | None = None) -> Answer:
        events = self.sdk().responses.create(**request(ask), stream=True)
        with events:
            return streamed(events, events.response.headers.get("x-request-id"), Recorder(on_piece))

    def send_raw(self, body: bytes, model: str) -> Any:
        headers = {"content-type": "application/json"}
        return self.sdk().post("/responses", cast_to=object, content=body, options={"headers": headers})


def request(ask: Ask) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": ask.model,
        "input": [item for turn in ask.turns for item in items(turn)],
        "max_output_tokens": ask.max_tokens,
        "temperature": 0,
        "store": False,
    }
    if ask.system is not None:
        body["instructions"] = ask.system
    if ask.tools:
        body["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.schema,
                "strict": False,
            }
            for tool in ask.tools
        ]
        named = {"type": "function", "name": ask.tool_choice}
        body["tool_choice"] = {"auto": "auto", "any": "required"}.get(ask.tool_choice, named)
    return body


def items(turn: Turn) -> list[dict[str, Any]]:
    """One turn may be several items: every call and every result is its own."""
    found: list[dict[str, Any]] = []
    rest: list[dict[str, Any]] = []
    for part in turn.blocks():
        match part:
            case str(text):
                rest.append({"type": "input_text" if turn.role == "user" else "output_text", "text": text})
            case Image(png):
                data = base64.b64encode(png).decode()
                rest.append({"type": "input_image", "image_url": f"data:image/png;base64,{data}", "detail": "auto"})
            case ToolUse(id, name, input):
                arguments = json.dumps(input)
                found.append({"type": "function_call", "call_id": id, "name": name, "arguments": arguments})
            case ToolResult(id, text):
                found.append({"type": "function_call_output", "call_id": id, "output": text})
    message = [{"type": "message", "role": turn.role, "content": rest}] if rest else []
    # The assistant says why it calls; what a tool said comes before what the user adds.
    return message + found if turn.role == "assistant" else found + message


def answer(response: Any, request_id: str | None) -> Answer:
    assert response.object == "response" and response.id and response.created_at > 0, response
    assert response.status in ("completed", "incomplete"), response
    calls = [item for item in response.output if item.type == "function_call"]
    usage = response.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    return Answer(
        text=response.output_text,
        tools=[ToolUse(call.call_id, call.name, json.loads(call.arguments)) for call in calls],
        finish=response.incomplete_details.reason if response.incomplete_details else response.status,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        request_id=request_id,
        raw=response,
    )


def streamed(events: Iterable[Any], request_id: str | None, recorder: Recorder) -> Answer:
    """Folds a stream, checking what the API promises: numbers without a gap, a beginning,
    every item and part opened before it is added to and closed as what was added, and an
    end that says it all again."""
    order: list[str] = []
    #: Text of each part and arguments of each call, as heard.
    heard: dict[tuple[int, int | None], str] = {}
    done: dict[int, Any] = {}
    last = None
    for event in events:
        assert event.sequence_number == len(order), event
        order.append(event.type)
        if event.type == "error":
            raise openai.APIError(event.message, None, body={"message": event.message, "code": event.code})
        if event.type == "response.output_item.added":
            assert event.output_index == len(done), event
            if event.item.type == "function_call":
                heard[event.output_index, None] = ""
        elif event.type == "response.content_part.added":
            heard[event.output_index, event.content_index] = ""
        elif event.type == "response.output_text.delta":
            heard[event.output_index, event.content_index] += event.delta
            recorder.add(event.delta)
        elif event.type == "response.function_call_arguments.delta":
            heard[event.output_index, None] += event.delta
            recorder.add("")
        elif event.type == "response.output_text.done":
            assert event.text == heard[event.output_index, event.content_index], event
        elif event.type == "response.function_call_arguments.done":
            assert event.arguments == heard[event.output_index, None], event
        elif event.type == "response.output_item.done":
            done[event.output_index] = event.item
        elif event.type in ("response.completed", "response.incomplete", "response.failed"):
            last = event
    assert order[0] == "response.created" and order.count("response.created") == 1, order
    assert last is not None and order[-1] == last.type, order
    if last.type == "response.failed":
        error = last.response.error
        raise openai.APIError(error.message, None, body={"message": error.message, "code": error.code})
    result = answer(last.response, request_id)
    assert [item.to_dict() for item in last.response.output] == [done[index].to_dict() for index in sorted(done)]
    assert result.text == recorder.text()
    result.pieces = recorder.pieces
    return result
