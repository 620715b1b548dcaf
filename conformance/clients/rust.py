"""AWS SDK for Rust, run by `rust/`, which `make conformance` builds.

Over HTTP/1.1 and without TLS, whose stacks would cost minutes of compiling; what is the
SDK's own, its types, signer and event-stream decoder, is all there.
"""

from __future__ import annotations

from typing import Any

from asks import Problem
from outcrop import REPOSITORY

from .driver import DRIVERS, Thrown, pack
from .javascript import JavaScript

BINARY = REPOSITORY / "target/conformance/debug/outcrop-conformance"


class Rust(JavaScript):
    """`aws_sdk_bedrockruntime::Client`; its driver speaks the protocol of `js/driver.mjs`."""

    name = "aws-rust"
    lists = False
    # A `Document`'s object is a `HashMap`.
    ordered = False

    def driver(self) -> Any:
        assert BINARY.is_file(), f"{BINARY} is missing; run: make conformance-rust"
        return DRIVERS.of((str(BINARY),))

    def models(self) -> list[str]:
        raise NotImplementedError("the runtime's SDK has no model list")

    def unbuilt(self) -> Any:
        return list(self.call("ApplyGuardrail", {}))

    def send_raw(self, body: bytes, model: str) -> Any:
        return list(self.call("Converse", {"modelId": model, "messages": []}, body=pack(body)))

    def describe(self, error: Exception) -> Problem | None:
        if not isinstance(error, Thrown) or not error.thrown["isServiceException"]:
            return None
        thrown = error.thrown
        # The class is the variant of the operation's error enum, which its users match on.
        return Problem(
            thrown["class"], thrown.get("status"), thrown["name"], thrown["message"], thrown.get("requestId")
        )
