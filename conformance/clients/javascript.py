"""AWS SDK for JavaScript v3, run in Node.js by `js/driver.mjs`.

Its Bedrock runtime client speaks HTTP/2 without TLS by default (prior knowledge) and
signs `:authority`; the control-plane client speaks HTTP/1.1.
"""

from __future__ import annotations

import base64
import itertools
import json
import pathlib
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

from asks import Answer, Ask, Problem, Recorder
from outcrop import REPOSITORY, clean_environment

from . import converse
from .base import Client
from .boto import REGION


class JavaScriptError(Exception):
    """What the SDK threw, as the driver described it."""

    def __init__(self, thrown: dict[str, Any]):
        super().__init__(thrown["message"])
        self.thrown = thrown


class Driver:
    """One Node.js process; calls go in as lines of JSON and come back as lines of JSON."""

    def __init__(self, authority: pathlib.Path):
        folder = REPOSITORY / "conformance/js"
        self._process = subprocess.Popen(
            [REPOSITORY / ".venv/bin/node", "driver.mjs"],
            cwd=folder,
            env=clean_environment() | {"NODE_EXTRA_CA_CERTS": str(authority)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._answers: dict[int, queue.SimpleQueue] = {}
        self._ids = itertools.count()
        self._lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def call(self, client: dict[str, Any], command: str, input: dict[str, Any], **options: Any) -> Iterator[dict]:
        """Yields `{event, at}` for each event of a stream, then `{output}`."""
        id = next(self._ids)
        answers = self._answers[id] = queue.SimpleQueue()
        line = json.dumps({"id": id, "client": client, "command": command, "input": pack(input), **options})
        with self._lock:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        try:
            while True:
                answer = answers.get(timeout=120)
                if "error" in answer:
                    raise JavaScriptError(answer["error"])
                yield unpack(answer)
                if "output" in answer:
                    return
        finally:
            del self._answers[id]

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)

    def _read(self) -> None:
        for line in self._process.stdout:
            answer = json.loads(line)
            if answers := self._answers.get(answer["id"]):
                answers.put(answer)


class Drivers:
    """A driver for each authority to trust (Node.js reads it once, at its start)."""

    def __init__(self) -> None:
        self._drivers: dict[pathlib.Path, Driver] = {}

    def of(self, authority: pathlib.Path) -> Driver:
        if authority not in self._drivers:
            self._drivers[authority] = Driver(authority)
        return self._drivers[authority]

    def close(self) -> None:
        for driver in self._drivers.values():
            driver.close()
        self._drivers.clear()


DRIVERS = Drivers()


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
        return DRIVERS.of(self.server.ca).call(client, command, input, **options)

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
        if not isinstance(error, JavaScriptError) or not error.thrown["isServiceException"]:
            return None
        thrown = error.thrown
        # The class is what `catch (e) { if (e instanceof X) }` would see.
        return Problem(thrown["class"], thrown["status"], thrown["name"], thrown["message"], thrown["requestId"])


def pack(value: Any) -> Any:
    """Bytes as `{"$bytes": base64}`, all through a JSON value."""
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: pack(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [pack(item) for item in value]
    return value


def unpack(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"$bytes"}:
            return base64.b64decode(value["$bytes"])
        return {key: unpack(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unpack(item) for item in value]
    return value
