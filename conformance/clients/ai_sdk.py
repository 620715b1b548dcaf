"""The Vercel AI SDK, run in Node.js by `js/ai.mjs`, over each of its providers that
speaks a dialect of ours."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

from asks import Answer, Ask, Image, Problem, Recorder, ToolResult, ToolUse

from .base import Client
from .boto import REGION
from .driver import DRIVERS, Thrown, node


class AiSdk(Client):
    """`generateText` and `streamText` with `createAnthropic`."""

    name = "ai-anthropic"
    family = "ai-sdk"
    provider: ClassVar[str] = "anthropic"
    counts = False
    lists = False
    # The SDK has one set of words for all providers.
    finish = {"end": "stop", "length": "length", "stop_sequence": "stop", "tool": "tool-calls"}

    def call(self, command: str, input: dict[str, Any]) -> Any:
        client = {
            "provider": self.provider,
            "url": self.url,
            "region": REGION,
            "key": dataclasses.asdict(self.key),
        }
        return DRIVERS.of(*node("ai.mjs", self.server.ca)).call(command, input, client=client)

    def ask(self, ask: Ask) -> Answer:
        (reply,) = self.call("generateText", request(ask))
        return answer(reply["output"], reply["output"]["text"])

    def stream(self, ask: Ask, on_piece: Callable[[str], None] | None = None) -> Answer:
        recorder = Recorder(on_piece)
        for reply in self.call("streamText", request(ask)):
            if "event" in reply:
                recorder.add(reply["event"].get("text", ""), reply["at"])
        result = answer(reply["output"], recorder.text())
        result.pieces = recorder.pieces
        return result

    def tell(self, ask: Ask) -> None:
        try:
            self.ask(ask)
        except Thrown as error:
            # The SDK itself sees that the model did not do as `toolChoice` says.
            if error.thrown["class"] != "AI_ToolChoiceViolationError":
                raise

    def object(self, ask: Ask, schema: dict[str, Any]) -> Any:
        """An answer by `Output.object`."""
        (reply,) = self.call("generateText", request(ask) | {"schema": schema})
        return reply["output"]["object"]

    def models(self) -> list[str]:
        raise NotImplementedError("the AI SDK has no model list")

    def send_raw(self, body: bytes, model: str) -> Any:
        raise NotImplementedError("the AI SDK sends no foreign bodies")

    def without_credential(self) -> Client:
        raise NotImplementedError("the AI SDK cannot send nothing")

    def unbuilt(self) -> Any:
        raise NotImplementedError("nothing of the AI SDK's is unbuilt")

    def describe(self, error: Exception) -> Problem | None:
        if not isinstance(error, Thrown) or not error.thrown["class"].startswith("AI_"):
            return None
        thrown = error.thrown
        return Problem(thrown["class"], thrown["status"], None, thrown["message"], request_id(thrown["headers"]))


def request_id(headers: dict[str, str]) -> str | None:
    names = ("request-id", "x-request-id", "x-amzn-requestid")
    return next((headers[name] for name in names if name in headers), None)


def answer(output: dict[str, Any], text: str) -> Answer:
    usage = output["usage"]
    return Answer(
        text=text,
        tools=[ToolUse(call["toolCallId"], call["toolName"], call["input"]) for call in output["toolCalls"]],
        finish=output["finishReason"],
        input_tokens=usage["inputTokens"],
        output_tokens=usage["outputTokens"],
        request_id=request_id(output["headers"]),
        raw=output,
    )


def request(ask: Ask) -> dict[str, Any]:
    names = {part.id: part.name for turn in ask.turns for part in turn.blocks() if isinstance(part, ToolUse)}
    messages: list[dict[str, Any]] = []
    for turn in ask.turns:
        results = [part_of(part, names) for part in turn.blocks() if isinstance(part, ToolResult)]
        rest = [part_of(part, names) for part in turn.blocks() if not isinstance(part, ToolResult)]
        # What tools said is a role of its own.
        messages += [{"role": "tool", "content": results}] if results else []
        messages += [{"role": turn.role, "content": rest}] if rest else []
    body: dict[str, Any] = {
        "model": ask.model,
        "messages": messages,
        "maxOutputTokens": ask.max_tokens,
        "temperature": 0,
    }
    if ask.system is not None:
        body["instructions"] = ask.system
    if ask.stop:
        body["stopSequences"] = list(ask.stop)
    if ask.tools:
        body["tools"] = {tool.name: {"description": tool.description, "inputSchema": tool.schema} for tool in ask.tools}
        named = {"type": "tool", "toolName": ask.tool_choice}
        body["toolChoice"] = {"auto": "auto", "any": "required"}.get(ask.tool_choice, named)
    return body


def part_of(part: Any, names: dict[str, str]) -> dict[str, Any]:
    match part:
        case str(text):
            return {"type": "text", "text": text}
        case ToolUse(id, name, input):
            return {"type": "tool-call", "toolCallId": id, "toolName": name, "input": input}
        case ToolResult(id, text):
            output = {"type": "text", "value": text}
            return {"type": "tool-result", "toolCallId": id, "toolName": names[id], "output": output}
        case Image(png):
            data = base64.b64encode(png).decode()
            return {"type": "file", "mediaType": "image/png", "data": data}
    raise TypeError(part)
