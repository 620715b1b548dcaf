"""A model server whose model acts: it reads the conversation it was sent and answers with
the next step of its task, in the Anthropic or the OpenAI dialect.

The task, whatever the agent: read `rock.txt` and `motto.txt` (two calls in one answer),
then put the rock's name into the motto. What the model writes is made of what the tools
said, so nothing can be right by luck; and every request is held to its vendor's rules
(`rules.py`), so a wrong translation ends the run.
"""

from __future__ import annotations

import dataclasses
import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import rules
from asks import ToolUse
from scripted import OUTPUT_TOKENS, Anthropic, OpenAI, split

#: In `motto.txt`, to be replaced by the name in `rock.txt`.
PLACEHOLDER = "GRANITE"
#: How the rock's name looks, so that the model finds it in whatever the tool adds to it.
ROCK = re.compile(r"rock-[0-9a-f]{8}")
#: Thought before every step by a model that was asked to think; it must come back as it was.
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

    @property
    def rock(self) -> str:
        found = ROCK.search(self.results["call_rock"])
        rules.rule(found, "the tool's result did not arrive:", self.results)
        return found[0]


Step = list[str | ToolUse]


def claude_code(talk: Talk) -> Step:
    """The steps by Claude Code's tools."""
    if "Read" not in talk.tools:
        return ["A rock in a motto"]
    file = lambda name: re.search(rf"(/\S+/{name})", talk.text)[1]
    if "call_edit" in talk.results:
        return [f"The motto now says {talk.rock}."]
    if talk.results:
        rules.rule(PLACEHOLDER in talk.results["call_motto"], "the second result did not arrive:", talk.results)
        change = {"file_path": file("motto.txt"), "old_string": PLACEHOLDER, "new_string": talk.rock}
        return [ToolUse("call_edit", "Edit", change)]
    return [
        "I shall read both.",
        ToolUse("call_rock", "Read", {"file_path": file("rock.txt")}),
        ToolUse("call_motto", "Read", {"file_path": file("motto.txt")}),
    ]


def codex(talk: Talk) -> Step:
    """The steps by Codex' tools: one with JSON arguments, one with free text."""
    if "call_edit" in talk.results:
        return [f"The motto now says {talk.rock}."]
    if talk.results:
        rules.rule(PLACEHOLDER in talk.results["call_motto"], "the second result did not arrive:", talk.results)
        lines = ["*** Begin Patch", "*** Update File: motto.txt", "@@"]
        lines += [f"-As solid as {PLACEHOLDER}.", f"+As solid as {talk.rock}.", "*** End Patch", ""]
        return [ToolUse("call_edit", "apply_patch", {"input": "\n".join(lines)})]
    return [
        "I shall read both.",
        ToolUse("call_rock", "exec_command", {"cmd": "cat rock.txt"}),
        ToolUse("call_motto", "exec_command", {"cmd": "cat motto.txt"}),
    ]


class Acting:
    """The server, on a port of its own. `model` makes a step of a conversation."""

    def __init__(self, model: Callable[[Talk], Step]) -> None:
        self.model = model
        #: Bodies of the requests, and what was wrong with them.
        self.seen: list[dict[str, Any]] = []
        self.faults: list[str] = []
        outer = self

        class Handler(_Handler):
            acting = outer

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def step(self, dialect: type[_Anthropic | _OpenAI], body: dict[str, Any], beta: bool) -> Step:
        """The model's answer; a fault of the request is kept for the test and raised."""
        self.seen.append(body)
        try:
            dialect.check(body, beta)
            return self.model(dialect.read(body))
        except Exception as fault:
            self.faults.append(f"{type(fault).__name__}: {fault}")
            raise

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    acting: Acting

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        dialect = _Anthropic if self.path.split("?")[0].endswith("/messages") else _OpenAI
        try:
            step = self.acting.step(dialect, body, beta="anthropic-beta" in self.headers)
        except Exception as fault:
            return self._send(400, "application/json", dialect.refusal(str(fault)))
        if not body.get("stream"):
            return self._send(200, "application/json", json.dumps(dialect.whole(body, step)).encode())
        self._send(200, "text/event-stream", b"".join(dialect.stream(body, step)))

    def _send(self, status: int, type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class _Anthropic:
    """Messages: its rules, what a conversation says, and how a step is said."""

    check = staticmethod(rules.check_anthropic)

    @staticmethod
    def read(body: dict[str, Any]) -> Talk:
        texts = [block["text"] for block in rules.blocks_of(body.get("system", []))]
        results = {}
        for message in body["messages"]:
            blocks = rules.blocks_of(message["content"])
            if message["role"] == "assistant":
                _Anthropic._thought(body, blocks)
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
        if _Anthropic._thinks(body) and any(block["type"] == "tool_use" for block in blocks):
            rules.rule(blocks[0] == THOUGHT, "expected the thinking block as it was, found", blocks[0])

    @staticmethod
    def _thinks(body: dict[str, Any]) -> bool:
        return body.get("thinking", {}).get("type") in ("enabled", "adaptive")

    @staticmethod
    def _blocks(body: dict[str, Any], step: Step) -> list[dict[str, Any]]:
        thought = [THOUGHT] if _Anthropic._thinks(body) else []
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
        return Anthropic.message(_Anthropic._blocks(body, step), _Anthropic._stop(step), OUTPUT_TOKENS)

    @staticmethod
    def stream(body: dict[str, Any], step: Step) -> Iterator[bytes]:
        event = Anthropic.event
        yield event("message_start", message=Anthropic.message([], None, 1) | {"model": body["model"]})
        for index, block in enumerate(_Anthropic._blocks(body, step)):
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
        stop = {"stop_reason": _Anthropic._stop(step), "stop_sequence": None}
        yield event("message_delta", delta=stop, usage={"output_tokens": OUTPUT_TOKENS})
        yield event("message_stop")


class _OpenAI:
    """Chat completions: the same."""

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
        message: dict[str, Any] = {"role": "assistant", "content": "".join(_OpenAI._texts(step)) or None}
        calls = _OpenAI._calls(step)
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
        for text in _OpenAI._texts(step):
            for piece in split(text):
                yield OpenAI.delta({"content": piece})
        calls = _OpenAI._calls(step)
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
