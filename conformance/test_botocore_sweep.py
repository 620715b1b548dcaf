"""Every operation of bedrock-runtime, with requests made from botocore's service model.

Each request is answered, or refused by a typed error where the design says so; the
refusals are all listed here. Each answer is checked twice against the model's output shape:
the body as it came (no member the model does not know, none missing), and what botocore's
parser made of it, streams event by event.
"""

from __future__ import annotations

import json
from typing import Any

import botocore.exceptions
import botocore.validate
import pytest

import scripted as script
from botocore_shapes import CALLS, model, requests
from clients.boto import Boto3
from outcrop import Server
from scripted import Scripted

CONFIG = """
models = []

[providers.anthropic-like]
dialect = "anthropic"
base_url = "{url}"
auth = {{ scheme = "x-api-key", value = "{secret}" }}
models = ["text", "tool"]

[aliases]
house-model = "anthropic-like/text"
house-tool = "anthropic-like/tool"
"""

#: What the upstream of these tests, an Anthropic one, cannot be given; by the block's name.
NOT_FOR_CLAUDE = {"audio", "video"}
#: Documents it reads.
READ = {"pdf", "txt", "md", "html", "csv", None}

#: Operations that are known and not built.
UNBUILT = ["ApplyGuardrail", "GetAsyncInvoke", "InvokeGuardrailChecks", "ListAsyncInvokes", "StartAsyncInvoke"]

#: One body for each family that InvokeModel carries.
BODIES: dict[str, dict[str, Any]] = {
    "anthropic": {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "hi"}],
    },
    "nova": {
        "schemaVersion": "messages-v1",
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "inferenceConfig": {"maxTokens": 64},
    },
    "titan": {"inputText": "hi", "textGenerationConfig": {"maxTokenCount": 64}},
    "llama": {"prompt": "hi", "max_gen_len": 64},
    "mistral": {"prompt": "hi", "max_tokens": 64, "top_k": 50},
    "cohere text": {"prompt": "hi", "max_tokens": 64, "return_likelihoods": "NONE"},
    "cohere chat": {"message": "hi", "max_tokens": 64},
    "openai chat": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 64},
    "openai text": {"prompt": "hi", "max_tokens": 64},
}


@pytest.fixture(scope="module")
def upstream():
    running = Scripted()
    yield running
    running.close()


@pytest.fixture(scope="module")
def swept(make_home, upstream):
    config = CONFIG.format(url=upstream.url, secret=script.SECRET)
    running = Server(make_home("swept", share_models=False), config).start()
    yield running
    running.stop()


@pytest.fixture
def runtime(swept):
    """boto3's client, and the last answer's body as it came."""
    service = Boto3(swept).service()
    raw: dict[str, Any] = {}
    service.meta.events.register("before-parse.bedrock-runtime", lambda response_dict, **_: raw.update(response_dict))
    return service, raw


def call(service, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return service._make_api_call(operation, parameters)


def refusal(service, operation: str, parameters: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        answer = call(service, operation, parameters)
        pytest.fail(f"answered: {answer}")
    error = caught.value.response["Error"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return error["Code"], error["Message"]


def check(value: Any, shape) -> None:
    report = botocore.validate.ParamValidator().validate(value, shape)
    assert not report.has_errors(), f"{report.generate_report()}\n{value}"


def check_answer(operation: str, answer: dict[str, Any], raw: dict[str, Any]) -> None:
    """The parsed answer, and its body as it came."""
    shape = model().operation_model(operation).output_shape
    stream = model().operation_model(operation).get_event_stream_output()
    metadata = answer.pop("ResponseMetadata")
    assert metadata["HTTPStatusCode"] == 200
    assert metadata["RequestId"]
    if stream is not None:
        name = next(name for name, member in shape.members.items() if member.serialization.get("eventstream"))
        events = list(answer.pop(name))
        assert events
        for event in events:
            [(kind, payload)] = event.items()
            check(payload, stream.members[kind])
        if operation == "ConverseStream":
            assert [*events[0], *events[-1]] == ["messageStart", "metadata"]
        else:
            last = json.loads(events[-1]["chunk"]["bytes"])
            assert last["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == script.OUTPUT_TOKENS
        return
    if operation == "InvokeModel":
        json.loads(answer["body"].read())
        answer["body"] = b""
    else:
        check(json.loads(raw["body"]), shape)
    check(answer, shape)


def for_claude(value: Any, name: str = "") -> Any:
    """The request without what an Anthropic upstream cannot be given."""
    if isinstance(value, list):
        return [for_claude(item) for item in value if not unreadable(item)]
    if isinstance(value, dict):
        return {key: for_claude(item, key) for key, item in value.items()}
    return value


def unreadable(block: Any) -> bool:
    if not isinstance(block, dict) or len(block) != 1:
        return False
    [(kind, value)] = block.items()
    if kind == "guardContent":
        return unreadable(value)
    if not isinstance(value, dict):
        return False
    elsewhere = "s3Location" in value.get("source", {})
    unread = kind == "document" and value.get("format") not in READ and "bytes" in value["source"]
    return kind in NOT_FOR_CLAUDE or elsewhere or unread


def cases(operation: str, wanted: str) -> list:
    return [
        pytest.param(parameters, id=f"{operation} {name}")
        for name, parameters in requests(operation)
        if name.startswith(wanted)
    ]


CONVERSE = ["Converse", "ConverseStream"]


@pytest.mark.parametrize("operation", CONVERSE)
def test_the_least_request_is_refused_for_its_messages(runtime, operation):
    """The model asks for none, since a stored prompt brings its own; here there is none."""
    service, _ = runtime
    [(_, parameters)] = [case for case in requests(operation) if case[0] == "minimal"]
    code, message = refusal(service, operation, parameters)
    assert (code, message.split(":")[0]) == ("ValidationException", "messages")


@pytest.mark.parametrize("operation", CONVERSE)
def test_the_largest_request_is_answered_but_for_what_is_listed(runtime, operation):
    service, raw = runtime
    for name, parameters in requests(operation):
        if name == "minimal":
            continue
        code, message = refusal(service, operation, parameters)
        assert (code, message.split(":")[0]) == ("ValidationException", "promptVariables"), name
        del parameters["promptVariables"]
        code, message = refusal(service, operation, parameters)
        assert (code, message.split(":")[0]) == ("ValidationException", "guardrailConfig"), name
        del parameters["guardrailConfig"]
        parameters = for_claude(parameters)
        # A conversation begins with the user, who says more than instructions.
        parameters["messages"].insert(0, {"role": "user", "content": [{"text": "hi"}]})
        answer = call(service, operation, parameters)
        asked_tier = "serviceTier" in parameters and operation == "Converse"
        assert not asked_tier or answer["serviceTier"] == {"type": "default"}
        check_answer(operation, answer, raw)


@pytest.mark.parametrize("operation", CONVERSE)
def test_each_block_that_claude_cannot_be_given_is_refused(runtime, operation):
    service, _ = runtime
    refused = 0
    for _, parameters in requests(operation):
        blocks = [block for turn in parameters.get("messages", []) for block in turn["content"]]
        for block in filter(unreadable, blocks):
            content = [{"text": "hi"}, block]
            asked = {"modelId": "house-model", "messages": [{"role": "user", "content": content}]}
            code, message = refusal(service, operation, asked)
            assert code == "ValidationException"
            assert message.startswith("messages.0.content.1"), message
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("operation", CONVERSE)
def test_an_answer_with_a_tool_call_has_its_shape(runtime, operation):
    service, raw = runtime
    tool = {"toolSpec": {"name": "get_weather", "inputSchema": {"json": {"type": "object"}}}}
    parameters = {
        "modelId": "house-tool",
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "toolConfig": {"tools": [tool]},
        "performanceConfig": {"latency": "optimized"},
    }
    check_answer(operation, call(service, operation, parameters), raw)


@pytest.mark.parametrize("operation", ["InvokeModel", "InvokeModelWithResponseStream"])
@pytest.mark.parametrize("family", BODIES)
def test_every_familys_body_is_answered(runtime, operation, family):
    service, raw = runtime
    parameters = {"modelId": "house-model", "body": json.dumps(BODIES[family])}
    check_answer(operation, call(service, operation, parameters), raw)


@pytest.mark.parametrize("operation", ["InvokeModel", "InvokeModelWithResponseStream"])
def test_invoke_model_takes_every_header_but_a_guardrail(runtime, operation):
    service, raw = runtime
    for name, parameters in requests(operation):
        if name == "minimal":
            # The model asks for no body; every family does.
            assert refusal(service, operation, parameters)[0] == "ValidationException"
            continue
        assert refusal(service, operation, parameters)[0] == "ValidationException"
        for header in ["guardrailIdentifier", "guardrailVersion"]:
            parameters.pop(header)
        answer = call(service, operation, parameters)
        assert (answer["serviceTier"], answer["performanceConfigLatency"]) == ("default", "standard")
        check_answer(operation, answer, raw)


def test_the_model_has_no_operation_that_is_not_swept():
    """boto3 leaves the bidirectional stream out, which needs HTTP/2 both ways."""
    known = set(model().operation_names) - {"InvokeModelWithBidirectionalStream"}
    assert known == {*CALLS, *UNBUILT}


@pytest.mark.parametrize("operation", UNBUILT)
def test_what_is_not_built_says_so(runtime, operation):
    service, _ = runtime
    for _, parameters in requests(operation):
        code, message = refusal(service, operation, parameters)
        assert (code, operation in message) == ("ValidationException", True), message
