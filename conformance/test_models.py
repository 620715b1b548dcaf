"""Model lists and details, in each vendor's own shape."""

from __future__ import annotations

import pytest

from asks import MODEL, ask
from clients import EVERY, Anthropic, AnthropicBedrock, Boto3, JavaScript, OpenAI

LISTING = [name for name, client in EVERY.items() if client.lists]


@pytest.mark.parametrize("name", LISTING)
def test_list(server, name):
    ids = EVERY[name](server).models()
    assert MODEL in ids
    assert len(set(ids)) == len(ids)


def test_openai_model(server):
    model = OpenAI(server).sdk().models.retrieve(MODEL)
    assert (model.id, model.object) == (MODEL, "model")


def test_anthropic_model(server):
    model = Anthropic(server).sdk().models.retrieve(MODEL)
    assert (model.id, model.type) == (MODEL, "model")


def test_anthropic_pages(server):
    """One at a time, forwards and backwards, it is the same list."""
    sdk = Anthropic(server).sdk()
    whole = [model.id for model in sdk.models.list(limit=1000)]
    assert [model.id for model in sdk.models.list(limit=1)] == whole
    assert len(whole) >= 2
    page = sdk.models.list(limit=1)
    assert page.first_id == page.last_id == whole[0] and page.has_more
    before = sdk.models.list(limit=1, before_id=whole[1])
    assert [model.id for model in before.data] == [whole[0]]


def test_foundation_model(server):
    control = Boto3(server).service("bedrock")
    by_id = control.get_foundation_model(modelIdentifier=MODEL)["modelDetails"]
    assert by_id["modelId"] == MODEL
    assert by_id["responseStreamingSupported"] is True
    assert by_id["inputModalities"] == by_id["outputModalities"] == ["TEXT"]
    by_arn = control.get_foundation_model(modelIdentifier=by_id["modelArn"])["modelDetails"]
    assert by_arn == by_id


def test_foundation_model_filters(server):
    control = Boto3(server).service("bedrock")
    assert control.list_foundation_models(byOutputModality="EMBEDDING")["modelSummaries"] == []
    on_demand = control.list_foundation_models(byInferenceType="ON_DEMAND")["modelSummaries"]
    assert MODEL in [model["modelId"] for model in on_demand]
    provider = on_demand[0]["providerName"]
    assert control.list_foundation_models(byProvider=provider)["modelSummaries"]
    assert control.list_foundation_models(byProvider="no such provider")["modelSummaries"] == []


def test_inference_profiles_are_aliases(server):
    control = Boto3(server).service("bedrock")
    pages = control.get_paginator("list_inference_profiles").paginate(PaginationConfig={"PageSize": 1})
    profiles = [profile for page in pages for profile in page["inferenceProfileSummaries"]]
    (profile,) = [profile for profile in profiles if profile["inferenceProfileId"] == "house-model"]
    assert profile["status"] == "ACTIVE"
    assert profile["models"][0]["modelArn"].endswith(f"foundation-model/{MODEL}")
    for name in ("house-model", profile["inferenceProfileArn"]):
        found = control.get_inference_profile(inferenceProfileIdentifier=name)
        assert found["inferenceProfileId"] == "house-model"


def test_model_by_arn(server):
    """What the control plane names can be asked, ARN and profile ARN included."""
    client = Boto3(server)
    control = client.service("bedrock")
    question = ask("Hello", max_tokens=2)
    expected = client.ask(question).said()
    arn = control.get_foundation_model(modelIdentifier=MODEL)["modelDetails"]["modelArn"]
    profile = control.get_inference_profile(inferenceProfileIdentifier="house-model")["inferenceProfileArn"]
    for name in (arn, profile, f"us.{MODEL}", f"{MODEL}-v1:0"):
        for sdk in (Boto3, JavaScript, AnthropicBedrock):
            assert sdk(server).ask(question.but(model=name)).said() == expected, (sdk.name, name)
