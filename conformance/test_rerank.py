"""Every SDK that reranks, against a cross-encoder served here: converted from safetensors by
`outcrop models convert`, and the same ranking by every door.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable

import boto3
import botocore.exceptions
import cohere
import pytest
from cohere.errors import BadRequestError, UnprocessableEntityError

import crossencoder
from asks import MODEL
from outcrop import Server, user_home

#: What the folder is called, and so the model.
RERANKER = "cross-encoder"
#: What a client of Bedrock asks for.
AMAZON = "amazon.rerank-v1:0"
ARN = f"arn:aws:bedrock:us-west-2::foundation-model/{AMAZON}"
QUERY = "Where does the kitten sleep?"
DOCUMENTS = ["A kitten sleeps on the sofa.", "The bond market fell today.", "Cats and dogs.", "word " * 600]

#: Places and scores, best first.
Ranking = list[tuple[int, float]]


@pytest.fixture(scope="module")
def ranker(make_home, tmp_path_factory):
    home = make_home("ranker", share_models=False)
    models = home.folder / "models"
    models.mkdir()
    # What is made here stays out of the user's own folder.
    for file in (user_home() / "models").iterdir():
        (models / file.name).symlink_to(file)
    folder = tmp_path_factory.mktemp("published") / RERANKER
    crossencoder.write(models / "all-minilm-l6-v2.gguf", folder)
    home.run("models", "convert", str(folder))
    assert json.loads(home.run("models", "show", RERANKER, "--json"))["capabilities"] == ["rerank"]
    config = f'models = ["{RERANKER}", "{MODEL}"]\n[aliases]\n"{AMAZON}" = "{RERANKER}"\n[engine]\nthreads = 1\n'
    running = Server(home, config).start()
    yield running
    running.stop()


def bedrock(server: Server, service: str):
    return boto3.client(
        service,
        region_name="us-west-2",
        endpoint_url=server.url,
        aws_access_key_id=server.key.access_key_id,
        aws_secret_access_key=server.key.secret_access_key,
    )


def by_cohere(server: Server, **more) -> Ranking:
    sdk = cohere.ClientV2(api_key=server.key.bearer, base_url=server.url)
    made = sdk.rerank(model=RERANKER, query=QUERY, documents=DOCUMENTS, **more)
    return [(result.index, result.relevance_score) for result in made.results]


def by_cohere_1(server: Server) -> Ranking:
    sdk = cohere.Client(api_key=server.key.bearer, base_url=server.url)
    documents = [{"text": text} for text in DOCUMENTS]
    made = sdk.rerank(model=RERANKER, query=QUERY, documents=documents, return_documents=True)
    assert [result.document.text for result in made.results] == [DOCUMENTS[result.index] for result in made.results]
    return [(result.index, result.relevance_score) for result in made.results]


def by_bedrock(server: Server, **more) -> Ranking:
    """The agent runtime's own operation."""
    sources = [
        {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": text}}}
        for text in DOCUMENTS
    ]
    configuration = {"modelConfiguration": {"modelArn": ARN}} | more
    made = bedrock(server, "bedrock-agent-runtime").rerank(
        queries=[{"type": "TEXT", "textQuery": {"text": QUERY}}],
        sources=sources,
        rerankingConfiguration={
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": configuration,
        },
    )
    return [(result["index"], result["relevanceScore"]) for result in made["results"]]


def by_invoke(server: Server) -> Ranking:
    body = json.dumps({"query": QUERY, "documents": DOCUMENTS})
    made = bedrock(server, "bedrock-runtime").invoke_model(modelId=AMAZON, body=body)
    results = json.loads(made["body"].read())["results"]
    return [(result["index"], result["relevance_score"]) for result in results]


def plain(server: Server, body: dict) -> dict:
    """As Jina's clients, vLLM's and llama.cpp's ask."""
    headers = {"authorization": f"Bearer {server.key.bearer}", "content-type": "application/json"}
    request = urllib.request.Request(f"{server.url}/v1/rerank", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def by_plain(server: Server) -> Ranking:
    made = plain(server, {"model": RERANKER, "query": QUERY, "documents": DOCUMENTS})
    assert made["usage"]["total_tokens"] > 512
    return [(result["index"], result["relevance_score"]) for result in made["results"]]


DOORS = [by_cohere, by_cohere_1, by_bedrock, by_invoke, by_plain]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_the_ranking_is_the_same_by_every_door(ranker, door: Callable[[Server], Ranking]):
    ranking = door(ranker)
    scores = [score for _, score in ranking]
    assert sorted(place for place, _ in ranking) == [0, 1, 2, 3]
    assert scores == sorted(scores, reverse=True) and all(0 < score < 1 for score in scores)
    for (place, score), (other, its) in zip(ranking, by_cohere(ranker), strict=True):
        # Bedrock's score is a float of 32 bits.
        assert place == other and score == pytest.approx(its, abs=1e-4)


@pytest.mark.parametrize("best", [1, 3, 99])
def test_the_best_few(ranker, best):
    whole = by_cohere(ranker)
    for few in (by_cohere(ranker, top_n=best), by_bedrock(ranker, numberOfResults=best)):
        assert [place for place, _ in few] == [place for place, _ in whole[:best]]


def test_a_model_does_one_thing(ranker):
    sdk = cohere.ClientV2(api_key=ranker.key.bearer, base_url=ranker.url)
    with pytest.raises(UnprocessableEntityError, match="ask a rerank model"):
        sdk.rerank(model=MODEL, query="x", documents=["y"])
    with pytest.raises(UnprocessableEntityError, match="scores documents"):
        sdk.chat(model=RERANKER, messages=[{"role": "user", "content": "x"}])
    with pytest.raises(UnprocessableEntityError, match="scores documents"):
        sdk.embed(model=RERANKER, texts=["x"], input_type="search_query", embedding_types=["float"])


def test_hostile_requests_are_refused_in_the_callers_words(ranker):
    sdk = cohere.ClientV2(api_key=ranker.key.bearer, base_url=ranker.url)
    for asked, what in [
        ({"query": "", "documents": ["a"]}, "query"),
        ({"query": "a", "documents": ["a"] * 10_000}, "1000"),
        ({"query": "word " * 600, "documents": ["a"]}, "more than half"),
    ]:
        with pytest.raises(BadRequestError, match=what):
            sdk.rerank(model=RERANKER, **asked)
    source = {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": "a"}}}
    with pytest.raises(botocore.exceptions.ClientError, match="more than half"):
        bedrock(ranker, "bedrock-agent-runtime").rerank(
            queries=[{"type": "TEXT", "textQuery": {"text": "word " * 600}}],
            sources=[source],
            rerankingConfiguration={
                "type": "BEDROCK_RERANKING_MODEL",
                "bedrockRerankingConfiguration": {"modelConfiguration": {"modelArn": ARN}},
            },
        )
