"""Requests made from botocore's service model, as large and as small as it allows.

    python conformance/botocore_shapes.py > crates/dialect/fixtures/bedrock/swept.json

`minimal` has what is required and nothing else; `maximal` has every member, down to the
leaves. A list of a union has one element for each of its members; where a union stands
alone, there is one request for each (`maximal 0`, `maximal 1`, …), and every enum takes all
its values in turn. What the model cannot say of a value (that a string holds JSON, a
pointer, an S3 address) stands in `WORDS`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import botocore.serialize
import botocore.session
from botocore.model import Shape

SERVICE = "bedrock-runtime"

#: Operations that carry a call to a model. boto3 has no InvokeModelWithBidirectionalStream.
CALLS = ["Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream", "CountTokens"]

#: Values of strings whose meaning their shape does not tell, by the member's name.
WORDS = {
    "modelId": "house-model",
    "uri": "s3://bucket/key",
    "bucketOwner": "123456789012",
    "schema": json.dumps({"type": "object", "properties": {}, "additionalProperties": False}),
    "effort": "high",
    "additionalModelResponseFieldPaths": "/stop_sequence",
    "requestMetadata": "team",
    "guardrailIdentifier": "abc123",
    "guardrailVersion": "1",
    "toolUseId": "tooluse_1",
    "name": "a-name",
}

#: A body of a family is opaque to the model.
BODY = json.dumps(
    {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}
)

#: What a tool's schema must be, and what any other free document is.
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
DOCUMENT = {"a": [1, 1.5, "b", True, {}]}


class Maker:
    """Makes a value of a shape. `turn` says which member of a lone union, which value of an enum."""

    def __init__(self, turn: int, maximal: bool):
        self.turn = turn
        self.maximal = maximal
        #: The most members of a union that stood alone.
        self.unions = 1

    def make(self, shape: Shape, name: str = "") -> Any:
        return getattr(self, shape.type_name, self.scalar)(shape, name)

    def structure(self, shape: Shape, name: str) -> Any:
        if shape.is_document_type:
            return SCHEMA if name == "json" else DOCUMENT
        if shape.is_tagged_union:
            self.unions = max(self.unions, len(shape.members))
            member = list(shape.members)[self.turn % len(shape.members) if self.maximal else 0]
            return {member: self.make(shape.members[member], member)}
        wanted = shape.members if self.maximal else shape.required_members
        return {member: self.make(shape.members[member], member) for member in wanted}

    def list(self, shape: Shape, name: str) -> Any:
        member = shape.member
        if getattr(member, "is_tagged_union", False) and self.maximal:
            return [{key: self.make(value, key)} for key, value in member.members.items()]
        return [self.make(member, name)] * max(1, shape.metadata.get("min", 1))

    def map(self, shape: Shape, name: str) -> Any:
        return {self.make(shape.key, name): self.make(shape.value, name)}

    def string(self, shape: Shape, name: str) -> Any:
        if shape.enum:
            return shape.enum[self.turn % len(shape.enum)]
        return WORDS.get(name, "text")

    def blob(self, shape: Shape, name: str) -> Any:
        return BODY.encode() if name == "body" else b"hi"

    def scalar(self, shape: Shape, name: str) -> Any:
        least = shape.metadata.get("min", 0)
        match shape.type_name:
            case "boolean":
                return self.turn % 2 == 0
            case "float" | "double":
                return float(least) + 0.5
            case "integer" | "long":
                return max(1, least)
            case "timestamp":
                return "2026-11-22T12:00:00Z"
        raise NotImplementedError(shape.type_name)


def model():
    return botocore.session.get_session().get_service_model(SERVICE)


def requests(operation: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, parameters) of every request for an operation."""
    shape = model().operation_model(operation).input_shape
    yield "minimal", Maker(0, maximal=False).make(shape)
    turns, turn = 1, 0
    while turn < turns:
        maker = Maker(turn, maximal=True)
        yield f"maximal {turn}", maker.make(shape)
        turns, turn = max(turns, maker.unions), turn + 1


def serialized(operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The request as botocore writes it: method, path, query, headers and body."""
    serializer = botocore.serialize.create_serializer("rest-json", include_validation=True)
    return serializer.serialize_to_request(parameters, model().operation_model(operation))


def main() -> None:
    swept: dict[str, dict[str, Any]] = {}
    for operation in CALLS:
        for name, parameters in requests(operation):
            request = serialized(operation, parameters)
            body = request["body"] or b"{}"
            body = body.encode() if isinstance(body, str) else body
            swept.setdefault(operation, {})[name] = json.loads(body)
    json.dump(swept, sys.stdout, indent=1, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
