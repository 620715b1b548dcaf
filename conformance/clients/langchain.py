"""LangChain's models: `ChatBedrockConverse`, `ChatBedrock` (InvokeModel), and `ChatOpenAI`
over the Responses API."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import botocore.config
import langchain_aws
import langchain_openai
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from asks import Answer, Ask, Image, Problem, Recorder, ToolResult, ToolUse

from . import converse, messages
from .base import Client
from .boto import REGION, Boto3
from .openai_responses import OpenAIResponses


class LangChainConverse(Client):
    """`ChatBedrockConverse`, told what it cannot know of a model it has no name for."""

    name = "langchain-converse"
    family = "bedrock"
    finish = converse.FINISH
    counts = False
    lists = False
    signs = True
    #: Where the SDK keeps the reason why an answer ended.
    reasons: ClassVar[tuple[str, ...]] = ("stopReason", "stop_reason")

    def chat(self, ask: Ask) -> Any:
        return langchain_aws.ChatBedrockConverse(
            model=ask.model,
            provider="anthropic",
            disable_streaming=False,
            supports_tool_choice_values=("auto", "any", "tool"),
            max_tokens=ask.max_tokens,
            temperature=0,
            **self.connection(),
        )

    def connection(self) -> dict[str, Any]:
        return {
            "endpoint_url": self.url,
            "region_name": REGION,
            "aws_access_key_id": self.key.access_key_id,
            "aws_secret_access_key": self.key.secret_access_key,
            "config": botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=120),
        }

    def bound(self, ask: Ask) -> Any:
        """The model with the ask's tools."""
        chat = self.chat(ask)
        if not ask.tools:
            return chat
        tools = [{"name": t.name, "description": t.description, "input_schema": t.schema} for t in ask.tools]
        return chat.bind_tools(tools, tool_choice=ask.tool_choice)

    def stopped(self, ask: Ask) -> dict[str, Any]:
        return {"stop": list(ask.stop)} if ask.stop and self.stops else {}

    def ask(self, ask: Ask) -> Answer:
        return self.answer(self.bound(ask).invoke(turns(ask), **self.stopped(ask)))

    def stream(self, ask: Ask, on_piece: Callable[[str], None] | None = None) -> Answer:
        recorder = Recorder(on_piece)
        whole = None
        for chunk in self.bound(ask).stream(turns(ask), **self.stopped(ask)):
            if text := chunk.text:
                recorder.add(text)
            elif chunk.tool_call_chunks:
                recorder.add("")
            whole = chunk if whole is None else whole + chunk
        answer = self.answer(whole)
        answer.pieces = recorder.pieces
        return answer

    def answer(self, message: AIMessage) -> Answer:
        about = message.response_metadata
        return Answer(
            text=message.text,
            tools=[ToolUse(call["id"], call["name"], call["args"]) for call in message.tool_calls],
            finish=next((about[name] for name in self.reasons if name in about), None),
            input_tokens=message.usage_metadata["input_tokens"],
            output_tokens=message.usage_metadata["output_tokens"],
            # A streamed message keeps none.
            request_id=about.get("ResponseMetadata", {}).get("RequestId") or message.id,
            raw=message,
        )

    def models(self) -> list[str]:
        raise NotImplementedError("LangChain has no model list")

    def send_raw(self, body: bytes, model: str) -> Any:
        raise NotImplementedError("LangChain sends no foreign bodies")

    def without_credential(self) -> Client:
        raise NotImplementedError("LangChain cannot send nothing")

    def unbuilt(self) -> Any:
        raise NotImplementedError("nothing of LangChain's is unbuilt")

    def describe(self, error: Exception) -> Problem | None:
        return Boto3(self.server, self.key).describe(error)


#: Whose bodies and tools it writes, for a model (or a profile) that it has no name for.
FAMILY = "anthropic.claude-3-5-sonnet-20240620-v1:0"


class LangChainInvoke(LangChainConverse):
    """`ChatBedrock`, with Anthropic-family bodies."""

    name = "langchain-invoke"
    finish = messages.FINISH

    def chat(self, ask: Ask) -> Any:
        return langchain_aws.ChatBedrock(
            model=ask.model,
            base_model=FAMILY,
            provider="anthropic",
            max_tokens=ask.max_tokens,
            temperature=0,
            **self.connection(),
        )


class LangChainResponses(LangChainConverse):
    """`ChatOpenAI(use_responses_api=True)`."""

    name = "langchain-responses"
    family = "openai"
    finish = OpenAIResponses.finish
    reasons = ("status",)
    signs = False
    stops = False

    def chat(self, ask: Ask) -> Any:
        return langchain_openai.ChatOpenAI(
            model=ask.model,
            base_url=f"{self.url}/v1",
            api_key=self.key.bearer,
            use_responses_api=True,
            max_tokens=ask.max_tokens,
            temperature=0,
            max_retries=0,
            timeout=120,
        )

    def answer(self, message: AIMessage) -> Answer:
        answer = super().answer(message)
        if details := message.response_metadata.get("incomplete_details"):
            answer.finish = details["reason"]
        return answer

    def describe(self, error: Exception) -> Problem | None:
        problem = OpenAIResponses(self.server, self.key).describe(error)
        if problem is None:
            return None
        # LangChain's own classes are also the SDK's, which its users may catch.
        theirs = next(cls for cls in type(error).__mro__ if cls.__module__.startswith("openai"))
        return dataclasses.replace(problem, cls=theirs.__name__)


def turns(ask: Ask) -> list[BaseMessage]:
    found: list[BaseMessage] = [] if ask.system is None else [SystemMessage(ask.system)]
    for turn in ask.turns:
        texts = [block(part) for part in turn.blocks() if isinstance(part, (str, Image))]
        if turn.role == "assistant":
            calls = [part for part in turn.blocks() if isinstance(part, ToolUse)]
            calls = [{"id": call.id, "name": call.name, "args": call.input} for call in calls]
            found.append(AIMessage(texts, tool_calls=calls))
            continue
        found += [
            ToolMessage(part.text, tool_call_id=part.id) for part in turn.blocks() if isinstance(part, ToolResult)
        ]
        if texts:
            found.append(HumanMessage(texts))
    return found


def block(part: str | Image) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "image", "base64": base64.b64encode(part.png).decode(), "mime_type": "image/png"}
