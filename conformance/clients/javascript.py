"""AWS SDK for JavaScript v3, run in Node.js by `js/driver.mjs`.

Its Bedrock runtime client speaks HTTP/2 without TLS by default (prior knowledge) and
signs `:authority`; the control-plane client speaks HTTP/1.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from asks import Answer, Ask, Problem, Recorder

from . import converse
from .base import Client
from .boto import REGION
from .driver import DRIVERS, Thrown, node, pack


class JavaScript(Client):
    """`BedrockRuntimeClient` and `BedrockClient`."""

    name = "js-h2c"
    family = "bedrock"
    signs = True
    finish = converse.FINISH
    #: "default" is the SDK's own choice (HTTP/2), "http1" its NodeHttpHandler.
    handler = "default"
    attempts = 1
    anonymous = False

    def call(self, command: str, input: dict[str, Any], service: str = "runtime", **options: Any) -> Iterator[dict]:
        client: dict[str, Any] = {
            "service": service,
            "endpoint": self.url,
            "region": REGION,
            "handler": self.handler,
            "maxAttempts": self.attempts,
            "clockSkewMs": int(self.skew.total_seconds() * 1000),
            "anonymous": self.anonymous,
        }
        if self.credential == "bearer":
            client["token"] = self.key.bearer
        else:
            client["credentials"] = {
                "accessKeyId": self.key.access_key_id,
                "secretAccessKey": self.key.secret_access_key,
            }
        return self.driver().call(command, input, client=client, **options)

    def driver(self) -> Any:
        return DRIVERS.of(*node("driver.mjs", self.server.ca))

    def ask(self, ask: Ask) -> Answer:
        (reply,) = self.call("Converse", converse.request(ask))
        output = reply["output"]
        return converse.answer(output, output["$metadata"]["requestId"])

    def stream(self, ask: Ask, on_piece: Callable[[str], None] | None = None) -> Answer:
        output: dict[str, Any] = {}

        def events() -> Iterator[tuple[float, dict[str, Any]]]:
            for reply in self.call("ConverseStream", converse.request(ask)):
                if "event" in reply:
                    yield reply["at"], reply["event"]
                else:
                    output.update(reply["output"])

        answer = converse.streamed(events(), "", Recorder(on_piece))
        answer.request_id = output["$metadata"]["requestId"]
        return answer

    def count(self, ask: Ask) -> int:
        (reply,) = self.call("CountTokens", {"modelId": ask.model, "input": {"converse": converse.content(ask)}})
        return reply["output"]["inputTokens"]

    def models(self) -> list[str]:
        (reply,) = self.call("ListFoundationModels", {}, service="control")
        return [model["modelId"] for model in reply["output"]["modelSummaries"]]

    def send_raw(self, body: bytes, model: str) -> Any:
        return list(self.call("Converse", {"modelId": model, "messages": []}, body=pack(body)))

    def without_credential(self) -> JavaScript:
        other = type(self)(self.server, self.key)
        other.anonymous = True
        return other

    def unbuilt(self) -> Any:
        return list(self.call("ListGuardrails", {}, service="control"))

    def describe(self, error: Exception) -> Problem | None:
        if not isinstance(error, Thrown) or not error.thrown["isServiceException"]:
            return None
        thrown = error.thrown
        # The class is what `catch (e) { if (e instanceof X) }` would see.
        return Problem(thrown["class"], thrown["status"], thrown["name"], thrown["message"], thrown["requestId"])
