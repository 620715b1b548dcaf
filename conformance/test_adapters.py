"""Fine-tuned variants of a local model: LoRA adapters, each called by a name of its own."""

from __future__ import annotations

import concurrent.futures

import pytest

import lora
from asks import MODEL, ask
from clients import Anthropic, Boto3, OpenAI
from outcrop import Server

NAMES = [MODEL, "legal", "medical"]
CONFIG = """
models = ["{model}"]

[engine]
context_tokens = 4096

[adapters.legal]
model = "{model}"
path = "{legal}"

[adapters.medical]
model = "{model}"
path = "{medical}"
scale = 0.5

[aliases]
counsel = "legal"
"""


@pytest.fixture(scope="module")
def served(make_home, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapters")
    files = {name: lora.write(folder / f"{name}.gguf", seed) for seed, name in enumerate(NAMES[1:])}
    running = Server(make_home("adapters"), CONFIG.format(model=MODEL, **files)).start()
    yield running
    running.stop()


@pytest.mark.parametrize("client", [OpenAI, Anthropic, Boto3])
def test_each_variant_speaks_for_itself_alone_and_in_company(served, client):
    def said(name: str) -> str:
        question = ask("Name a colour, and say why you like it.", max_tokens=12, model=name)
        return client(served).ask(question).text

    alone = [said(name) for name in NAMES]
    assert len(set(alone)) == 3, alone
    assert said("counsel") == alone[1]
    with concurrent.futures.ThreadPoolExecutor(9) as callers:
        company = list(callers.map(said, NAMES * 3))
    # What adapters add is rounded otherwise in company; the model itself is not.
    assert company[::3] == alone[:1] * 3
    assert all(text != alone[0] for at, text in enumerate(company) if at % 3)


def test_variants_are_listed_like_models(served):
    assert set(NAMES) | {"counsel"} <= set(OpenAI(served).models())


def test_an_answer_is_of_the_model_that_was_asked(served):
    completion = OpenAI(served).sdk().chat.completions.create(
        model="legal", messages=[{"role": "user", "content": "Hello"}], max_tokens=2
    )
    assert completion.model == "legal"


@pytest.mark.parametrize(
    ("file", "told"),
    [("missing.gguf", "there is no file"), ("text.gguf", "the adapter legal cannot be loaded")],
)
def test_a_server_says_which_adapter_is_wrong(make_home, tmp_path, file, told):
    (tmp_path / "text.gguf").write_text("not an adapter")
    config = CONFIG.format(model=MODEL, legal=tmp_path / file, medical=tmp_path / file)
    server = Server(make_home("wrong"), config)
    server.launch()
    assert server.wait() != 0
    assert told in server.log
