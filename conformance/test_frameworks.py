"""What only the frameworks have: structured output, each by its own way."""

from __future__ import annotations

from typing import Literal

import pydantic
import pytest
from langchain_core.exceptions import ContextOverflowError

from asks import ask
from clients import FRAMEWORKS
from clients.ai_sdk import AiSdk
from clients.langchain import LangChainConverse, turns
from test_errors import TOO_LONG

AI = [name for name, client in FRAMEWORKS.items() if issubclass(client, AiSdk)]
LANGCHAIN = [name for name, client in FRAMEWORKS.items() if issubclass(client, LangChainConverse)]

QUESTION = ask("How is the weather in Paris?", max_tokens=96)


class Weather(pydantic.BaseModel):
    """The weather of a city."""

    city: Literal["Oslo", "Paris"]
    unit: Literal["celsius", "fahrenheit"]


SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Oslo", "Paris"]},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
    },
    "required": ["city", "unit"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("name", AI)
def test_ai_sdk_object(server, name):
    """`Output.object`: by a forced tool, or by a response format, as the provider does it."""
    Weather.model_validate(FRAMEWORKS[name](server).object(QUESTION, SCHEMA), strict=True)


@pytest.mark.parametrize("name", LANGCHAIN)
def test_langchain_structured_output(server, name):
    """`with_structured_output` of a class."""
    chat = FRAMEWORKS[name](server).chat(QUESTION).with_structured_output(Weather)
    assert isinstance(chat.invoke(turns(QUESTION)), Weather)


@pytest.mark.parametrize("way", ["invoke", "stream"])
@pytest.mark.parametrize("name", ["langchain-converse"])
def test_langchain_sees_that_the_context_is_full(server, name, way):
    """By words in the message: it then shortens the history and asks again."""
    chat = FRAMEWORKS[name](server).chat(TOO_LONG)
    with pytest.raises(ContextOverflowError):
        list(getattr(chat, way)(turns(TOO_LONG)))
