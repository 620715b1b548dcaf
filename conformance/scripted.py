"""A scripted model server: speaks the Anthropic and the OpenAI dialect, and does what
the model's name says.

| model | what it does |
| --- | --- |
| text | answers `TEXT` |
| tool | calls `USE` |
| gated | streams `TEXT`, each piece only after the one before was acknowledged |
| endless | streams until the connection is gone, then says so in `gone` |
| limited | 429 with retry-after |
| overloaded | 529 (Anthropic), 503 (OpenAI) |
| refused | 400 with a message of its own |
| late | two pieces, then the dialect's in-stream error |
| cut | two pieces, then the connection is gone |
| garbage | 200, and a page of HTML |
| silent | takes the request and never answers |
"""

from __future__ import annotations

import dataclasses
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

from asks import ToolUse

PIECES = ["An ", "outcrop ", "is rock \u2014 ", "岩 ", "laid bare."]
TEXT = "".join(PIECES)
USE = ToolUse("toolu_01", "get_weather", {"city": "Paris", "unit": "celsius"})
INPUT_TOKENS = 25
OUTPUT_TOKENS = 15
RETRY_AFTER = 7
REFUSAL = "temperature and top_p cannot both be specified"
SECRET = "sk-of-the-upstream"


@dataclasses.dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


class Scripted:
    """The server, on a port of its own. `seen` has every request, `sent` every body."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.sent: list[bytes] = []
        #: Released once for each piece a client has.
        self.acknowledged = threading.Semaphore(0)
        self.gone = threading.Event()
        self.closing = threading.Event()
        outer = self

        class Handler(_Handler):
            scripted = outer

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def reset(self) -> None:
        self.seen.clear()
        self.sent.clear()
        self.acknowledged = threading.Semaphore(0)
        self.gone.clear()

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    scripted: Scripted

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        seen = Seen(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        self.scripted.seen.append(seen)
        request = seen.json()
        dialect = Anthropic if self.path.endswith("/messages") else OpenAI
        model = request["model"]
        if model == "silent":
            self.scripted.closing.wait()
        elif model == "garbage":
            self._whole(200, b"<html>It works!</html>", {"content-type": "text/html"})
        elif model == "limited":
            self._whole(429, dialect.error("rate_limit"), {"retry-after": str(RETRY_AFTER)})
        elif model == "overloaded":
            self._whole(dialect.overloaded_status, dialect.error("overloaded"))
        elif model == "refused":
            self._whole(400, dialect.error("invalid"))
        elif request.get("stream"):
            self._stream(dialect, model)
        else:
            self._whole(200, dialect.whole(model))

    def _whole(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.scripted.sent.append(body)
        self.send_response(status)
        for name, value in ({"content-type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, dialect: type[Anthropic | OpenAI], model: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        frames = []
        self.scripted.sent.append(b"")
        try:
            for frame, is_piece in dialect.stream(model):
                if frame is None:
                    # Cut: the connection ends with no last chunk.
                    self.close_connection = True
                    return
                frames.append(frame)
                self.scripted.sent[-1] = b"".join(frames)
                self.wfile.write(b"%x\r\n%s\r\n" % (len(frame), frame))
                if is_piece and model == "gated" and not self.scripted.acknowledged.acquire(timeout=20):
                    # Held back by somebody: the client hears no end.
                    self.close_connection = True
                    return
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True
            self.scripted.gone.set()

    def log_message(self, *_: Any) -> None:
        pass


def _pieces(model: str) -> Iterator[str | None]:
    """Texts of a stream; None where the script goes wrong."""
    if model == "endless":
        while True:
            yield "on and on "
    yield from PIECES[:2]
    if model in ("late", "cut"):
        yield None
    yield from PIECES[2:]


class Anthropic:
    """Messages, in bytes."""

    overloaded_status = 529
    #: The name it gives its model.
    model = "claude-of-the-upstream"
    words = {
        "rate_limit": ("rate_limit_error", "Number of requests has exceeded your rate limit"),
        "overloaded": ("overloaded_error", "Overloaded"),
        "invalid": ("invalid_request_error", REFUSAL),
    }

    @classmethod
    def error(cls, kind: str) -> bytes:
        type, message = cls.words[kind]
        return json.dumps({"type": "error", "error": {"type": type, "message": message}}).encode()

    @classmethod
    def whole(cls, model: str) -> bytes:
        if model == "tool":
            content = [{"type": "tool_use", "id": USE.id, "name": USE.name, "input": USE.input}]
        else:
            content = [{"type": "text", "text": TEXT}]
        message = cls.message(content, "tool_use" if model == "tool" else "end_turn", OUTPUT_TOKENS)
        return json.dumps(message, ensure_ascii=False, indent=1).encode()

    @classmethod
    def stream(cls, model: str) -> Iterator[tuple[bytes | None, bool]]:
        yield cls.event("message_start", message=cls.message([], None, 1)), False
        yield cls.event("ping"), False
        if model == "tool":
            block = {"type": "tool_use", "id": USE.id, "name": USE.name, "input": {}}
            yield cls.event("content_block_start", index=0, content_block=block), False
            for piece in split(json.dumps(USE.input)):
                delta = {"type": "input_json_delta", "partial_json": piece}
                yield cls.event("content_block_delta", index=0, delta=delta), True
        else:
            yield cls.event("content_block_start", index=0, content_block={"type": "text", "text": ""}), False
            for piece in _pieces(model):
                if piece is None and model == "late":
                    yield b"event: error\ndata: " + cls.error("overloaded") + b"\n\n", False
                    return
                if piece is None:
                    yield None, False
                    return
                delta = {"type": "text_delta", "text": piece}
                yield cls.event("content_block_delta", index=0, delta=delta), True
        yield cls.event("content_block_stop", index=0), False
        stop = {"stop_reason": "tool_use" if model == "tool" else "end_turn", "stop_sequence": None}
        yield cls.event("message_delta", delta=stop, usage={"output_tokens": OUTPUT_TOKENS}), False
        yield cls.event("message_stop"), False

    @staticmethod
    def event(kind: str, **rest: Any) -> bytes:
        data = json.dumps({"type": kind, **rest}, ensure_ascii=False)
        return f"event: {kind}\ndata: {data}\n\n".encode()

    @staticmethod
    def message(content: list[dict[str, Any]], stop: str | None, output_tokens: int) -> dict[str, Any]:
        return {
            "id": "msg_01",
            "type": "message",
            "role": "assistant",
            "model": Anthropic.model,
            "content": content,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": output_tokens},
            "an_unknown_field": {"kept": True},
        }


class OpenAI:
    """Chat completions, in bytes."""

    overloaded_status = 503
    model = "gpt-of-the-upstream"
    words = {
        "rate_limit": ("requests", "rate_limit_exceeded", "Rate limit reached"),
        "overloaded": ("server_error", None, "The server is overloaded"),
        "invalid": ("invalid_request_error", None, REFUSAL),
    }
    usage = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }

    @classmethod
    def error(cls, kind: str) -> bytes:
        type, code, message = cls.words[kind]
        return json.dumps({"error": {"message": message, "type": type, "param": None, "code": code}}).encode()

    @classmethod
    def whole(cls, model: str) -> bytes:
        message: dict[str, Any] = {"role": "assistant", "content": TEXT}
        if model == "tool":
            function = {"name": USE.name, "arguments": json.dumps(USE.input)}
            message = {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": USE.id, "type": "function", "function": function}],
            }
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if model == "tool" else "stop"}
        body = cls.chunk(choice, "chat.completion") | {"usage": cls.usage}
        return json.dumps(body, ensure_ascii=False, indent=1).encode()

    @classmethod
    def stream(cls, model: str) -> Iterator[tuple[bytes | None, bool]]:
        yield cls.delta({"role": "assistant", "content": None if model == "tool" else ""}), False
        if model == "tool":
            call = {"index": 0, "id": USE.id, "type": "function", "function": {"name": USE.name, "arguments": ""}}
            yield cls.delta({"tool_calls": [call]}), False
            for piece in split(json.dumps(USE.input)):
                yield cls.delta({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}), True
        else:
            for piece in _pieces(model):
                if piece is None and model == "late":
                    yield b"data: " + cls.error("overloaded") + b"\n\n", False
                    return
                if piece is None:
                    yield None, False
                    return
                yield cls.delta({"content": piece}), True
        yield cls.delta({}, "tool_calls" if model == "tool" else "stop"), False
        yield cls.data({**cls.chunk(None), "usage": cls.usage}), False
        yield b"data: [DONE]\n\n", False

    @classmethod
    def delta(cls, delta: dict[str, Any], finish: str | None = None) -> bytes:
        return cls.data(cls.chunk({"index": 0, "delta": delta, "finish_reason": finish}))

    @staticmethod
    def chunk(choice: dict[str, Any] | None, kind: str = "chat.completion.chunk") -> dict[str, Any]:
        return {
            "id": "chatcmpl-01",
            "object": kind,
            "created": 1_790_000_000,
            "model": OpenAI.model,
            "choices": [choice] if choice else [],
            "an_unknown_field": {"kept": True},
        }

    @staticmethod
    def data(value: dict[str, Any]) -> bytes:
        return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def split(text: str) -> list[str]:
    """In pieces of a few characters, as models write arguments."""
    return [text[start : start + 7] for start in range(0, len(text), 7)]
