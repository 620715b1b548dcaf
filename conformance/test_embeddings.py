"""Every SDK that embeds, against the embedding model served here: the same vectors by every
door, and vectors that mean something.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Callable

import boto3
import botocore.exceptions
import cohere
import google.genai
import numpy
import ollama
import openai
import pytest
from google.genai import types

from asks import MODEL
from outcrop import Server

EMBEDDER = "all-minilm-l6-v2"
DIMENSIONS = 384
#: What a client of Titan asks for: by name, its body could also be one of Titan's chat models.
TITAN = "amazon.titan-embed-text-v2:0"
TEXTS = ["A kitten sleeps on the sofa.", "A young cat naps on the couch.", "The bond market fell today."]

Vectors = list[list[float]]


@pytest.fixture(scope="module")
def embedder(make_home):
    config = f'models = ["{EMBEDDER}", "{MODEL}"]\n[aliases]\n"{TITAN}" = "{EMBEDDER}"\n'
    running = Server(make_home("embedder"), config).start()
    yield running
    running.stop()


def bedrock(server: Server):
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id=server.key.access_key_id,
        aws_secret_access_key=server.key.secret_access_key,
    )


def invoke(server: Server, model: str, body: dict) -> dict:
    return json.loads(bedrock(server).invoke_model(modelId=model, body=json.dumps(body))["body"].read())


def by_openai(server: Server) -> Vectors:
    """Asks for base64, as this SDK does when its user names no format."""
    sdk = openai.OpenAI(api_key=server.key.bearer, base_url=f"{server.url}/v1")
    made = sdk.embeddings.create(model=EMBEDDER, input=TEXTS)
    assert [item.index for item in made.data] == [0, 1, 2]
    assert made.usage.prompt_tokens == made.usage.total_tokens > len(TEXTS)
    return [item.embedding for item in made.data]


def by_openai_floats(server: Server) -> Vectors:
    sdk = openai.OpenAI(api_key=server.key.bearer, base_url=f"{server.url}/v1")
    made = sdk.embeddings.create(model=EMBEDDER, input=TEXTS, encoding_format="float")
    return [item.embedding for item in made.data]


def by_titan(server: Server) -> Vectors:
    """One text a call, as this family has it."""
    answers = [invoke(server, TITAN, {"inputText": text}) for text in TEXTS]
    assert all(answer["inputTextTokenCount"] > 0 for answer in answers)
    return [answer["embedding"] for answer in answers]


def by_cohere_on_bedrock(server: Server) -> Vectors:
    return invoke(server, EMBEDDER, {"texts": TEXTS, "input_type": "search_document"})["embeddings"]


def by_cohere(server: Server) -> Vectors:
    sdk = cohere.ClientV2(api_key=server.key.bearer, base_url=server.url)
    made = sdk.embed(model=EMBEDDER, texts=TEXTS, input_type="search_document", embedding_types=["float"])
    return made.embeddings.float_


def by_gemini(server: Server) -> Vectors:
    sdk = google.genai.Client(api_key=server.key.bearer, http_options=types.HttpOptions(base_url=server.url))
    return [item.values for item in sdk.models.embed_content(model=EMBEDDER, contents=TEXTS).embeddings]


def by_ollama(server: Server) -> Vectors:
    sdk = ollama.Client(host=server.url, headers={"Authorization": f"Bearer {server.key.bearer}"})
    return [list(vector) for vector in sdk.embed(model=EMBEDDER, input=TEXTS).embeddings]


DOORS: list[Callable[[Server], Vectors]] = [
    by_openai, by_openai_floats, by_titan, by_cohere_on_bedrock, by_cohere, by_gemini, by_ollama,
]  # fmt: skip


def alike(a: list[float], b: list[float]) -> float:
    return float(numpy.dot(a, b) / (numpy.linalg.norm(a) * numpy.linalg.norm(b)))


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__.removeprefix("by_"))
def test_vectors_mean_something_and_are_the_same_by_every_door(embedder, door):
    vectors = door(embedder)
    assert [len(vector) for vector in vectors] == [DIMENSIONS] * len(TEXTS)
    cat, kitten, bonds = vectors
    assert alike(cat, kitten) > 0.5 > 0.3 > alike(cat, bonds)
    for vector, other in zip(vectors, by_openai_floats(embedder), strict=True):
        assert alike(vector, other) > 0.9999
        assert math.isclose(float(numpy.linalg.norm(vector)), 1, abs_tol=1e-3)


def test_dimensions_are_those_the_model_was_taught(embedder):
    """A shorter vector of a model that was not trained for it would mean little."""
    sdk = openai.OpenAI(api_key=embedder.key.bearer, base_url=f"{embedder.url}/v1")
    (whole,) = sdk.embeddings.create(model=EMBEDDER, input=TEXTS[0], dimensions=DIMENSIONS).data
    assert len(whole.embedding) == DIMENSIONS
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        sdk.embeddings.create(model=EMBEDDER, input=TEXTS[0], dimensions=64)


def test_base64_is_little_endian_floats(embedder):
    sdk = openai.OpenAI(api_key=embedder.key.bearer, base_url=f"{embedder.url}/v1")
    raw = sdk.embeddings.with_raw_response.create(model=EMBEDDER, input=TEXTS[0], encoding_format="base64")
    packed = base64.b64decode(raw.http_response.json()["data"][0]["embedding"])
    assert alike(list(struct.unpack(f"<{DIMENSIONS}f", packed)), by_openai_floats(embedder)[0]) > 0.9999


def test_a_model_that_chats_does_not_embed_nor_the_other_way_round(embedder):
    sdk = openai.OpenAI(api_key=embedder.key.bearer, base_url=f"{embedder.url}/v1")
    with pytest.raises(openai.BadRequestError, match="embedding model"):
        sdk.embeddings.create(model=MODEL, input="x")
    with pytest.raises(openai.BadRequestError, match="chat model"):
        sdk.chat.completions.create(model=EMBEDDER, messages=[{"role": "user", "content": "x"}])
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        bedrock(embedder).converse(
            modelId=EMBEDDER, messages=[{"role": "user", "content": [{"text": "x"}]}]
        )
    assert refused.value.response["Error"]["Code"] == "ValidationException"
