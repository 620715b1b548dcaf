"""Images to a model served here, by the vendors' own SDKs: what it says depends on the image
and not on the dialect; the image's rows count as prompt tokens; what cannot be seen is
refused in the dialect's own error."""

from __future__ import annotations

import base64

import anthropic
import boto3
import botocore.exceptions
import openai
import pytest
from botocore.config import Config

from asks import MODEL
from outcrop import Server
from projector import ROWS, png, write_projector

WHAT = "What do you see?"
#: Small enough that a bomb's head is refused at once, and a second answer says so.
BOMB = png(1, 1, 1)[:16] + b"\0\0\x1f\x40\0\0\x1f\x40" + png(1, 1, 1)[24:]


@pytest.fixture(scope="module")
def seeing(make_home, tmp_path_factory):
    """A server whose model sees."""
    projector = write_projector(tmp_path_factory.mktemp("vision") / "mmproj.gguf")
    text = f'models = [{{ model = "{MODEL}", projector = "{projector}" }}]\n[engine]\nthreads = 1\n'
    server = Server(make_home("vision"), text).start()
    yield server
    server.stop()


class OpenAi:
    def __init__(self, server: Server):
        self.sdk = openai.OpenAI(api_key=server.key.bearer, base_url=f"{server.url}/v1", max_retries=0)
        self.error = openai.BadRequestError

    def see(self, image: bytes) -> tuple[str, int]:
        return self.look(f"data:image/png;base64,{base64.b64encode(image).decode()}")

    def look(self, url: str) -> tuple[str, int]:
        parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": WHAT}]
        answer = self.sdk.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": parts}], max_tokens=12, temperature=0
        )
        return answer.choices[0].message.content, answer.usage.prompt_tokens


class Responses(OpenAi):
    def look(self, url: str) -> tuple[str, int]:
        parts = [{"type": "input_image", "image_url": url}, {"type": "input_text", "text": WHAT}]
        answer = self.sdk.responses.create(
            model=MODEL, input=[{"role": "user", "content": parts}], max_output_tokens=12, temperature=0
        )
        return answer.output_text, answer.usage.input_tokens


class Anthropic:
    def __init__(self, server: Server):
        self.sdk = anthropic.Anthropic(api_key=server.key.bearer, base_url=server.url, max_retries=0)
        self.error = anthropic.BadRequestError

    def see(self, image: bytes) -> tuple[str, int]:
        data = base64.b64encode(image).decode()
        return self.look({"type": "base64", "media_type": "image/png", "data": data})

    def look(self, source: dict) -> tuple[str, int]:
        parts = [{"type": "image", "source": source}, {"type": "text", "text": WHAT}]
        answer = self.sdk.messages.create(
            model=MODEL, messages=[{"role": "user", "content": parts}], max_tokens=12, extra_body={"temperature": 0}
        )
        usage = answer.usage
        return answer.content[0].text, usage.input_tokens + (usage.cache_read_input_tokens or 0)


class Converse:
    def __init__(self, server: Server):
        self.sdk = boto3.client(
            "bedrock-runtime",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id=server.key.access_key_id,
            aws_secret_access_key=server.key.secret_access_key,
            config=Config(retries={"total_max_attempts": 1}),
        )
        self.error = botocore.exceptions.ClientError

    def see(self, image: bytes) -> tuple[str, int]:
        parts = [{"image": {"format": "png", "source": {"bytes": image}}}, {"text": WHAT}]
        answer = self.sdk.converse(
            modelId=MODEL,
            messages=[{"role": "user", "content": parts}],
            inferenceConfig={"maxTokens": 12, "temperature": 0},
        )
        usage = answer["usage"]
        text = answer["output"]["message"]["content"][0]["text"]
        return text, usage["inputTokens"] + usage.get("cacheReadInputTokens", 0)


SDKS = [OpenAi, Responses, Anthropic, Converse]


def test_every_dialect_shows_the_same_image(seeing):
    answers = {sdk.__name__: sdk(seeing).see(png(5)) for sdk in SDKS}
    assert len(set(answers.values())) == 1, answers
    (text, tokens), *_ = answers.values()
    assert text and tokens > ROWS


@pytest.mark.parametrize("sdk", SDKS)
def test_another_image_is_another_prompt(seeing, sdk):
    client = sdk(seeing)
    said = {client.see(png(seed)) for seed in (3, 50, 111, 200)}
    assert len({text for text, _ in said}) > 1, said
    assert len({tokens for _, tokens in said}) == 1, "every image has as many rows"


@pytest.mark.parametrize("sdk", SDKS)
def test_what_is_no_image_is_refused(seeing, sdk):
    client = sdk(seeing)
    for image, why in [(b"hello", "PNG, JPEG, WebP or GIF"), (png(1)[:60], "damaged"), (BOMB, "")]:
        with pytest.raises(client.error) as refused:
            client.see(image)
        assert why in str(refused.value)
    assert client.see(png(5))[0], "and the next is answered"


def test_a_url_is_not_fetched(seeing):
    with pytest.raises(openai.BadRequestError, match="base64"):
        OpenAi(seeing).look("https://example.com/cat.png")
    with pytest.raises(anthropic.BadRequestError, match="base64"):
        Anthropic(seeing).look({"type": "url", "url": "https://example.com/cat.png"})


def test_a_model_of_text_says_so(server):
    with pytest.raises(openai.BadRequestError, match="text only"):
        OpenAi(server).see(png(1))
