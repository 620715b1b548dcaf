"""The `anthropic` SDK: its own API, and its Bedrock client."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from typing import Any

import anthropic

from asks import Answer, Ask, Problem, Recorder

from . import messages
from .base import Client
from .boto import REGION

#: `temperature` is no keyword of this SDK any more, but the API has it still.
GREEDY = {"temperature": 0}


class Anthropic(Client):
    """`Anthropic`, with `x-api-key` or a bearer token."""

    name = "anthropic"
    family = "anthropic"
    finish = messages.FINISH
    anonymous = False

    def sdk(self) -> Any:
        headers = {}
        if self.anonymous:
            headers = {"X-Api-Key": anthropic.Omit(), "Authorization": anthropic.Omit()}
        secret = {"auth_token": self.key.bearer} if self.credential == "bearer" else {"api_key": self.key.bearer}
        return anthropic.Anthropic(
            base_url=self.url, max_retries=0, timeout=120, default_headers=headers, **secret, **self.transport()
        )

    def transport(self) -> dict[str, Any]:
        if not self.tls:
            return {}
        trust = ssl.create_default_context(cafile=str(self.server.ca))
        return {"http_client": anthropic.DefaultHttpxClient(verify=trust)}

    def ask(self, ask: Ask) -> Answer:
        with self.surroundings():
            response = self.sdk().messages.with_raw_response.create(
                model=ask.model, **messages.body(ask), extra_body=GREEDY
            )
        return messages.answer(response.parse().to_dict(), request_id(response.headers))

    def stream(self, ask: Ask, on_piece: Callable[[str], None] | None = None) -> Answer:
        with self.surroundings():
            events = self.sdk().messages.create(model=ask.model, **messages.body(ask), extra_body=GREEDY, stream=True)
        with events:
            heard = (event.to_dict() for event in events)
            return messages.streamed(heard, request_id(events.response.headers), Recorder(on_piece))

    def count(self, ask: Ask) -> int:
        return self.sdk().messages.count_tokens(model=ask.model, **messages.content(ask)).input_tokens

    def models(self) -> list[str]:
        found = list(self.sdk().models.list(limit=1))
        for model in found:
            assert model.type == "model" and model.display_name and model.created_at.year >= 1970, model
        return [model.id for model in found]

    def send_raw(self, body: bytes, model: str) -> Any:
        return self.sdk().post(
            "/v1/messages",
            cast_to=object,
            content=body,
            options={"headers": {"content-type": "application/json"}},
        )

    def without_credential(self) -> Anthropic:
        other = type(self)(self.server, self.key)
        other.anonymous = True
        return other

    def unbuilt(self) -> Any:
        return self.sdk().messages.batches.list()

    def describe(self, error: Exception) -> Problem | None:
        if not isinstance(error, anthropic.APIError):
            return None
        body = error.body if isinstance(error.body, dict) else {}
        inner = body.get("error", body) if isinstance(body.get("error", body), dict) else {}
        return Problem(
            type(error).__name__,
            getattr(error, "status_code", None),
            inner.get("type"),
            inner.get("message") or error.message,
            getattr(error, "request_id", None),
        )


class AnthropicBedrock(Anthropic):
    """`AnthropicBedrock`: Messages bodies through InvokeModel, signed or with a bearer key."""

    name = "anthropic-bedrock"
    family = "anthropic-bedrock"
    signs = True
    counts = False
    lists = False

    def sdk(self) -> Any:
        secret = (
            {"api_key": self.key.bearer}
            if self.credential == "bearer"
            else {"aws_access_key": self.key.access_key_id, "aws_secret_key": self.key.secret_access_key}
        )
        return anthropic.AnthropicBedrock(
            base_url=self.url, aws_region=REGION, max_retries=0, timeout=120, **secret, **self.transport()
        )

    def models(self) -> list[str]:
        raise NotImplementedError("AnthropicBedrock has no model list")

    def send_raw(self, body: bytes, model: str) -> Any:
        return self.sdk().post(
            f"/model/{model}/invoke",
            cast_to=object,
            content=body,
            options={"headers": {"content-type": "application/json"}},
        )

    def without_credential(self) -> Client:
        raise NotImplementedError("AnthropicBedrock cannot send nothing")

    def unbuilt(self) -> Any:
        return self.sdk().post("/async-invoke", cast_to=object, body={})

    def describe(self, error: Exception) -> Problem | None:
        problem = super().describe(error)
        if problem is None or not isinstance(error, anthropic.APIStatusError):
            return problem
        # Its errors are Bedrock's: {"message": …}, and the request id in Bedrock's header.
        try:
            message = json.loads(error.response.text).get("message", "")
        except ValueError:
            message = ""
        headers = error.response.headers
        return Problem(
            problem.cls,
            problem.status,
            headers.get("x-amzn-errortype"),
            message,
            headers.get("x-amzn-requestid"),
        )


def request_id(headers: Any) -> str | None:
    """In Anthropic's header, or in Bedrock's."""
    return headers.get("request-id") or headers.get("x-amzn-requestid")
