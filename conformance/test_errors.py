"""Every error, through every SDK: the typed exception that its users catch.

`ERRORS` says how each error is provoked and what its message must hold; `EXPECTED` says
what each family of SDKs raises.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from asks import MODEL, Ask, Image, Problem, ask, user
from clients import EVERY, MAIN
from clients.base import Client
from conftest import BODY_MAX_BYTES
from outcrop import Key

#: A PNG of one pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
HELLO = ask("Hello", max_tokens=1)
#: More than the default model's 8192 tokens, in less than the largest body.
TOO_LONG = ask("granite " * 12_000, max_tokens=1)
LATE = datetime.timedelta(hours=1)


@dataclasses.dataclass(frozen=True)
class Error:
    """How to provoke an error, and what its message says."""

    provoke: Callable[[Client], Any]
    message: str
    clients: Callable[[type[Client]], bool] = lambda client: True


def wrong_type(client: Client) -> Any:
    """`max_tokens` is a word."""
    bodies = {
        "bedrock": {
            "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
            "inferenceConfig": {"maxTokens": "many"},
        },
        "anthropic": {
            "model": MODEL,
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": "many",
            "messages": [{"role": "user", "content": "Hello"}],
        },
        "openai": {"model": MODEL, "max_completion_tokens": "many", "messages": [{"role": "user", "content": "Hello"}]},
    }
    dialect = "anthropic" if client.name == "boto3-invoke" else client.family.removesuffix("-bedrock")
    body = bodies[dialect]
    if client.name == "openai-responses":
        body = {"model": MODEL, "max_output_tokens": "many", "input": "Hello"}
    if client.name in ("boto3-invoke", "anthropic-bedrock"):
        del body["model"]
    return client.send_raw(json.dumps(body).encode(), MODEL)


def with_key(client: Client, **changes: str) -> Client:
    return type(client)(client.server, dataclasses.replace(client.key, **changes))


def unknown_key(client: Client) -> Client:
    """A key of the right form that nobody has."""
    key = client.key
    flip = lambda text: text[:-6] + ("AAAAAA" if not text.endswith("AAAAAA") else "BBBBBB")
    return type(client)(client.server, Key(flip(key.bearer), flip(key.access_key_id), key.secret_access_key))


def skewed(hours: int) -> Callable[[Client], Any]:
    return lambda client: type(client)(client.server, client.key, datetime.timedelta(hours=hours)).ask(HELLO)


def signing(client: type[Client]) -> bool:
    return client.signs and client.credential == "native"


#: Clients whose `ask` is made under the set-off clock.
def skewable(client: type[Client]) -> bool:
    return signing(client) and client.name != "boto3-invoke"


ERRORS = {
    "bad-json": Error(lambda c: c.send_raw(b'{"messages": [', MODEL), r"JSON"),
    "not-an-object": Error(lambda c: c.send_raw(b"[1, 2]", MODEL), r"object"),
    "too-deep": Error(lambda c: c.send_raw(b'{"a":' + b"[" * 100_000, MODEL), r"deep|nest|depth"),
    "wrong-type": Error(wrong_type, r"max_?(completion_|output_)?[tT]okens.*(expected|integer|number)"),
    "unknown-model": Error(lambda c: c.ask(HELLO.but(model="smollm2-135m-instuct")), re.escape(MODEL)),
    "unknown-model-streamed": Error(lambda c: c.stream(HELLO.but(model="smollm2-135m-instuct")), re.escape(MODEL)),
    "no-key": Error(
        lambda c: c.without_credential().ask(HELLO), r"key|credential|token", lambda c: c.name != "anthropic-bedrock"
    ),
    "unknown-key": Error(lambda c: unknown_key(c).ask(HELLO), r"key"),
    "wrong-secret": Error(lambda c: with_key(c, secret_access_key="x" * 40).ask(HELLO), r"signature", signing),
    "late-clock": Error(skewed(-1), r"clock|time|expired", skewable),
    "early-clock": Error(skewed(+1), r"clock|time|future|not yet", skewable),
    "body-too-large": Error(
        lambda c: c.ask(ask("granite " * (BODY_MAX_BYTES // 8 + 1), max_tokens=1)), rf"{BODY_MAX_BYTES}|4 ?MiB"
    ),
    "context-overflow": Error(lambda c: c.ask(TOO_LONG), r"8192"),
    "context-overflow-streamed": Error(lambda c: c.stream(TOO_LONG), r"8192"),
    "image": Error(lambda c: c.ask(Ask((user("What is this?", Image(PIXEL)),), max_tokens=1)), r"image"),
    "unbuilt-operation": Error(lambda c: c.unbuilt(), r"does not offer"),
}

# class (None: whatever the SDK calls an error it has no class for), status, code
INVALID = {
    "bedrock": ("ValidationException", 400, "ValidationException"),
    "anthropic": ("BadRequestError", 400, "invalid_request_error"),
    "anthropic-bedrock": ("BadRequestError", 400, "ValidationException"),
    "openai": ("BadRequestError", 400, None),
}
NO_MODEL = {
    "bedrock": ("ResourceNotFoundException", 404, "ResourceNotFoundException"),
    "anthropic": ("NotFoundError", 404, "not_found_error"),
    "anthropic-bedrock": ("NotFoundError", 404, "ResourceNotFoundException"),
    "openai": ("NotFoundError", 404, "model_not_found"),
}


def denied(aws: str, openai: str | None = None) -> dict[str, tuple]:
    return {
        "bedrock": (None, 403, aws),
        "anthropic": ("AuthenticationError", 401, "authentication_error"),
        "anthropic-bedrock": ("PermissionDeniedError", 403, aws),
        "openai": ("AuthenticationError", 401, openai),
    }


# One of the codes at which the JavaScript SDK sets its clock right and signs again.
SKEWED = {
    "bedrock": (None, 400, "RequestExpired"),
    "anthropic-bedrock": ("BadRequestError", 400, "RequestExpired"),
}
OVERFLOW = INVALID | {"openai": ("BadRequestError", 400, "context_length_exceeded")}
EXPECTED: dict[str, dict[str, tuple[str | None, int, str | None]]] = {
    "bad-json": INVALID,
    "not-an-object": INVALID,
    "too-deep": INVALID,
    "wrong-type": INVALID,
    "unknown-model": NO_MODEL,
    "unknown-model-streamed": NO_MODEL,
    "no-key": denied("MissingAuthenticationTokenException", "missing_api_key"),
    "unknown-key": denied("UnrecognizedClientException", "invalid_api_key"),
    "wrong-secret": denied("InvalidSignatureException"),
    "late-clock": SKEWED,
    "early-clock": SKEWED,
    "body-too-large": {
        "bedrock": ("ValidationException", 413, "ValidationException"),
        "anthropic": ("ContentTooLargeError", 413, "request_too_large"),
        "anthropic-bedrock": ("ContentTooLargeError", 413, "ValidationException"),
        "openai": ("APIStatusError", 413, None),
    },
    "context-overflow": OVERFLOW,
    "context-overflow-streamed": OVERFLOW,
    "image": INVALID,
    "unbuilt-operation": INVALID,
}

CASES = [
    pytest.param(error, name, id=f"{error}-{name}")
    for error, how in ERRORS.items()
    for name, client in MAIN.items()
    if how.clients(client)
]


def check(problem: Problem, error: str, family: str) -> None:
    cls, status, code = EXPECTED[error][family]
    assert problem.status == status, problem
    assert cls is None or problem.cls == cls, problem
    assert code is None or problem.code == code, problem
    assert re.search(ERRORS[error].message, problem.message), problem
    assert problem.request_id, problem


@pytest.mark.parametrize("error, name", CASES)
def test_error(server, error, name):
    client = MAIN[name](server)
    check(client.problem(lambda: ERRORS[error].provoke(client)), error, client.family)


@pytest.mark.parametrize("name", ["boto3-bearer-https", "js-bearer-https", "anthropic-bearer-https", "openai-https"])
def test_unknown_bearer(server, name):
    client = EVERY[name](server)
    check(client.problem(lambda: unknown_key(client).ask(HELLO)), "unknown-key", client.family)


def test_short_term_key_of_a_wrong_secret(server):
    client = with_key(EVERY["boto3-short-term-key-https"](server), secret_access_key="x" * 40)
    check(client.problem(lambda: client.ask(HELLO)), "wrong-secret", "bedrock")


def test_short_term_key_expires(server):
    """Made two hours ago for one hour."""
    cls = EVERY["boto3-short-term-key-https"]
    client = cls(server, skew=-2 * LATE)
    problem = client.problem(lambda: client.ask(HELLO))
    assert problem.status == 403 and re.search(r"expired", problem.message), problem


@pytest.mark.parametrize("hours", [-1, 1])
def test_javascript_mends_its_clock(server, hours):
    """With its usual attempts the SDK reads our `date`, corrects itself, and succeeds."""
    client = EVERY["js-h2c"](server, skew=datetime.timedelta(hours=hours))
    client.attempts = 3
    assert client.ask(HELLO).output_tokens == 1


def test_server_lives_on(server):
    """After all of the above, an answer."""
    assert all(client(server).ask(HELLO).output_tokens == 1 for client in MAIN.values())
