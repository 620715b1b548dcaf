"""One vocabulary for all clients: what is asked, what was answered, what went wrong.

Every client of `clients/` takes an `Ask` and gives an `Answer` or raises its SDK's own
exception, which it can describe as a `Problem`. So a scenario is written once, and
answers of different SDKs can be compared with each other.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

MODEL = "smollm2-135m-instruct"


@dataclasses.dataclass(frozen=True)
class ToolUse:
    """The model wants a tool called."""

    id: str
    name: str
    input: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class ToolResult:
    """What the tool said."""

    id: str
    text: str


@dataclasses.dataclass(frozen=True)
class Image:
    """A picture, PNG."""

    png: bytes


@dataclasses.dataclass(frozen=True)
class Turn:
    """One message: its role, and text or blocks."""

    role: str
    content: str | tuple[ToolUse | ToolResult | Image | str, ...]

    def blocks(self) -> tuple[ToolUse | ToolResult | Image | str, ...]:
        return (self.content,) if isinstance(self.content, str) else self.content


def user(*content: Any) -> Turn:
    return Turn("user", content)


def assistant(*content: Any) -> Turn:
    return Turn("assistant", content)


@dataclasses.dataclass(frozen=True)
class Tool:
    """A tool the model may call; `schema` is JSON Schema of its input."""

    name: str
    description: str
    schema: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Ask:
    """One request to a model. Always greedy: answers are compared."""

    turns: tuple[Turn, ...]
    system: str | None = None
    max_tokens: int = 16
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    #: "auto", "any", or a tool's name.
    tool_choice: str = "auto"
    model: str = MODEL

    def but(self, **changes: Any) -> Ask:
        return dataclasses.replace(self, **changes)


def ask(text: str, **rest: Any) -> Ask:
    return Ask((user(text),), **rest)


@dataclasses.dataclass(frozen=True)
class Piece:
    """One delta of a stream: when it came (monotonic seconds of its client's process)."""

    at: float
    text: str


@dataclasses.dataclass
class Answer:
    """What a model said, whichever client asked."""

    text: str = ""
    tools: list[ToolUse] = dataclasses.field(default_factory=list)
    #: The SDK's own word; `Client.finish` translates.
    finish: str | None = None
    input_tokens: int = -1
    output_tokens: int = -1
    request_id: str | None = None
    #: Streams only.
    pieces: list[Piece] = dataclasses.field(default_factory=list)
    #: Which stop sequence ended it, where the dialect says.
    stopped_by: str | None = None
    #: The SDK's own object.
    raw: Any = None

    def said(self) -> tuple[str, list[tuple[str, dict[str, Any]]], int, int]:
        """What must be the same for the same greedy ask by any client."""
        tools = [(tool.name, tool.input) for tool in self.tools]
        return self.text, tools, self.input_tokens, self.output_tokens


@dataclasses.dataclass(frozen=True)
class Problem:
    """An SDK's exception: its class, and what the SDK read out of the response."""

    cls: str
    status: int | None
    code: str | None
    message: str
    request_id: str | None = None


class Recorder:
    """Collects a stream's deltas with their times, and tells a listener of each."""

    def __init__(self, on_piece: Callable[[str], None] | None = None):
        self.pieces: list[Piece] = []
        self._on_piece = on_piece

    def add(self, text: str, at: float | None = None) -> None:
        self.pieces.append(Piece(time.monotonic() if at is None else at, text))
        if self._on_piece:
            self._on_piece(text)

    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)
