"""boto3: Bedrock's Python SDK. SigV4 over HTTP; bearer keys over TLS, since botocore
refuses them over plain HTTP."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import unittest.mock
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import botocore.config
import botocore.exceptions

from asks import Answer, Ask, Problem, Recorder

from . import converse, messages
from .base import Client, dumps

REGION = "us-east-1"


class Boto3(Client):
    """Converse, ConverseStream, CountTokens and the control plane."""

    name = "boto3"
    family = "bedrock"
    signs = True
    finish = converse.FINISH
    anonymous = False
    operation = "Converse"

    def service(self, service: str = "bedrock-runtime") -> Any:
        """The SDK's client. Built anew for each test: its environment is part of it."""
        config = botocore.config.Config(
            retries={"total_max_attempts": 1},
            # The server's own checks are under test, not the SDK's.
            parameter_validation=False,
            read_timeout=120,
            **({"signature_version": botocore.UNSIGNED} if self.anonymous else {}),
        )
        # With a bearer key in the environment, it is the only credential.
        pair = {} if self.anonymous or self.credential != "native" else self.pair()
        return boto3.Session(region_name=REGION, **pair).client(service, endpoint_url=self.url, config=config)

    def environment(self) -> dict[str, str]:
        """What the SDK is told through its environment, as its users would."""
        told = {"AWS_CA_BUNDLE": str(self.server.ca)} if self.tls else {}
        if self.credential == "bearer":
            told["AWS_BEARER_TOKEN_BEDROCK"] = self.key.bearer
        elif self.credential == "short-term":
            told["AWS_BEARER_TOKEN_BEDROCK"] = self.short_term_key()
        return told

    @contextlib.contextmanager
    def surroundings(self) -> Iterator[None]:
        with super().surroundings(), unittest.mock.patch.dict(os.environ, self.environment()):
            yield

    def pair(self) -> dict[str, str]:
        return {"aws_access_key_id": self.key.access_key_id, "aws_secret_access_key": self.key.secret_access_key}

    def short_term_key(self) -> str:
        """What AWS's own generator makes of the access-key pair."""
        import aws_bedrock_token_generator
        import botocore.credentials

        class Pair(botocore.credentials.CredentialProvider):
            METHOD = "test"

            def load(provider) -> botocore.credentials.Credentials:
                return botocore.credentials.Credentials(self.key.access_key_id, self.key.secret_access_key)

        return aws_bedrock_token_generator.provide_token(
            region=REGION, aws_credentials_provider=Pair(None), expiry=datetime.timedelta(hours=1)
        )

    def ask(self, ask: Ask) -> Answer:
        with self.surroundings():
            output = self.service().converse(**converse.request(ask))
        return converse.answer(output, request_id(output))

    def stream(self, ask: Ask, on_piece: Callable[[str], None] | None = None) -> Answer:
        with self.surroundings():
            output = self.service().converse_stream(**converse.request(ask))
        events = ((None, event) for event in output["stream"])
        return converse.streamed(events, request_id(output), Recorder(on_piece))

    def count(self, ask: Ask) -> int:
        question = {"converse": converse.content(ask)}
        with self.surroundings():
            return self.service().count_tokens(modelId=ask.model, input=question)["inputTokens"]

    def models(self) -> list[str]:
        with self.surroundings():
            found = self.service("bedrock").list_foundation_models()["modelSummaries"]
        for model in found:
            assert model["modelArn"].endswith(f"foundation-model/{model['modelId']}"), model
            assert model["modelLifecycle"]["status"] == "ACTIVE", model
        return [model["modelId"] for model in found]

    def send_raw(self, body: bytes, model: str) -> Any:
        service = self.service()

        def replace(request: Any, **_: Any) -> None:
            request.data = body

        service.meta.events.register(f"request-created.bedrock-runtime.{self.operation}", replace)
        return service.converse(modelId=model, messages=[])

    def without_credential(self) -> Boto3:
        other = type(self)(self.server, self.key)
        other.anonymous = True
        return other

    def unbuilt(self) -> Any:
        return self.service("bedrock").list_guardrails()

    def describe(self, error: Exception) -> Problem | None:
        if not isinstance(error, botocore.exceptions.ClientError):
            return None
        response = error.response
        head = response.get("ResponseMetadata", {})
        return Problem(
            type(error).__name__,
            head.get("HTTPStatusCode"),
            response["Error"].get("Code"),
            response["Error"].get("Message", ""),
            head.get("RequestId"),
        )


class Boto3Invoke(Boto3):
    """InvokeModel and InvokeModelWithResponseStream, with Anthropic-family bodies."""

    name = "boto3-invoke"
    lists = False
    finish = messages.FINISH
    operation = "InvokeModel"

    def ask(self, ask: Ask) -> Answer:
        output = self.service().invoke_model(modelId=ask.model, body=self._body(ask))
        assert output["contentType"] == "application/json"
        answer = messages.answer(json.loads(output["body"].read()), request_id(output))
        headers = output["ResponseMetadata"]["HTTPHeaders"]
        cached = int(headers.get("x-amzn-bedrock-cache-read-input-token-count", 0))
        assert int(headers["x-amzn-bedrock-input-token-count"]) + cached == answer.input_tokens
        assert int(headers["x-amzn-bedrock-output-token-count"]) == answer.output_tokens
        assert int(headers["x-amzn-bedrock-invocation-latency"]) >= 0
        return answer

    def stream(self, ask: Ask, on_piece: Callable[[str], None] | None = None) -> Answer:
        output = self.service().invoke_model_with_response_stream(modelId=ask.model, body=self._body(ask))
        last: dict[str, Any] = {}

        def decoded():
            for event in output["body"]:
                last.clear()
                last.update(json.loads(event["chunk"]["bytes"]))
                yield dict(last)

        answer = messages.streamed(decoded(), request_id(output), Recorder(on_piece))
        metrics = last["amazon-bedrock-invocationMetrics"]
        inputs = metrics["inputTokenCount"] + metrics.get("cacheReadInputTokenCount", 0)
        assert (inputs, metrics["outputTokenCount"]) == (answer.input_tokens, answer.output_tokens)
        return answer

    def count(self, ask: Ask) -> int:
        counted = self.service().count_tokens(modelId=ask.model, input={"invokeModel": {"body": self._body(ask)}})
        return counted["inputTokens"]

    def send_raw(self, body: bytes, model: str) -> Any:
        return self.service().invoke_model(modelId=model, body=body)["body"].read()

    def unbuilt(self) -> Any:
        return self.service().apply_guardrail(
            guardrailIdentifier="g", guardrailVersion="1", source="INPUT", content=[{"text": {"text": "x"}}]
        )

    def _body(self, ask: Ask) -> bytes:
        return dumps({"anthropic_version": "bedrock-2023-05-31", "temperature": 0, **messages.body(ask)})


def request_id(output: dict[str, Any]) -> str:
    return output["ResponseMetadata"]["RequestId"]
