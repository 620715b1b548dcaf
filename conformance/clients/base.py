"""What every client can do."""

from __future__ import annotations

import abc
import contextlib
import datetime
import json
import unittest.mock
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import botocore.auth

from asks import Answer, Ask, Problem
from outcrop import Key, Server


class Client(abc.ABC):
    """One official SDK, pointed at a server."""

    #: As in test ids.
    name: ClassVar[str]
    #: How its errors look: bedrock, anthropic, anthropic-bedrock or openai.
    family: ClassVar[str]
    #: "native" to the SDK (SigV4, x-api-key, …), "bearer", or "short-term".
    credential: ClassVar[str] = "native"
    #: Over TLS, trusting the server's own authority.
    tls: ClassVar[bool] = False
    #: Prefix of all paths.
    root: ClassVar[str] = ""
    #: Whether the SDK can count tokens.
    counts: ClassVar[bool] = True
    #: Whether the SDK can list models.
    lists: ClassVar[bool] = True
    #: Whether schemas and tool inputs keep the order of their fields. Without it the model
    #: reads another prompt each time.
    ordered: ClassVar[bool] = True
    #: Whether it can send stop sequences.
    stops: ClassVar[bool] = True
    #: Whether it leaves out the tools that `tool_choice` does not name.
    names_alone: ClassVar[bool] = False
    #: Whether requests are signed.
    signs: ClassVar[bool] = False
    #: end, length, stop_sequence, tool → the SDK's own words.
    finish: ClassVar[dict[str, str]]

    def __init__(self, server: Server, key: Key | None = None, skew: datetime.timedelta = datetime.timedelta()):
        self.server = server
        self.key = key or server.key
        self.skew = skew
        self.url = (server.tls_url if self.tls else server.url) + self.root

    @classmethod
    def variant(cls, name: str, **changes: Any) -> type[Client]:
        """The same client by another way."""
        return type(f"{cls.__name__}_{name}", (cls,), {"name": name, **changes})

    @abc.abstractmethod
    def ask(self, ask: Ask) -> Answer:
        """A whole answer."""

    @abc.abstractmethod
    def stream(self, ask: Ask, on_piece: Callable[[str], None] | None = None) -> Answer:
        """A streamed answer, with the time of each delta."""

    def tell(self, ask: Ask) -> None:
        """Asks, for the sake of what the upstream receives: the answer may be any."""
        self.ask(ask)

    def count(self, ask: Ask) -> int:
        """How many tokens the request is."""
        raise NotImplementedError(f"{self.name} cannot count tokens")

    @abc.abstractmethod
    def models(self) -> list[str]:
        """The ids of all models."""

    @abc.abstractmethod
    def send_raw(self, body: bytes, model: str) -> Any:
        """Sends these bytes as the body of the SDK's own request for an answer."""

    @abc.abstractmethod
    def without_credential(self) -> Client:
        """The same client, sending no credential at all."""

    @abc.abstractmethod
    def unbuilt(self) -> Any:
        """Calls an operation that the vendor has and Outcrop has not yet."""

    @abc.abstractmethod
    def describe(self, error: Exception) -> Problem | None:
        """The SDK's exception in common words; None if it is not one of the SDK's."""

    def problem(self, action: Callable[[], Any]) -> Problem:
        """Runs `action`, which must raise the SDK's own exception."""
        try:
            result = action()
        except Exception as error:
            if (problem := self.describe(error)) is None:
                raise
            return problem
        raise AssertionError(f"{self.name}: expected an error, got {result!r}")

    @contextlib.contextmanager
    def surroundings(self) -> Iterator[None]:
        """What holds while a request is made: the clock that Python's signers read, set
        off by `skew`; and for boto3, its environment."""
        real = botocore.auth.get_current_datetime

        def skewed(*arguments: Any, **named: Any) -> datetime.datetime:
            return real(*arguments, **named) + self.skew

        with unittest.mock.patch("botocore.auth.get_current_datetime", skewed):
            yield


def dumps(value: Any) -> bytes:
    return json.dumps(value).encode()
