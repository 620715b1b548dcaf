"""The official clients, each behind the same few methods (see `base.Client`).

`EVERY` is the whole table; `MAIN` holds one client for each wire format and SDK, and
goes through every scenario; `FRAMEWORKS` are what applications are written with, over
those SDKs or instead of them; the rest differ only in transport or credential.
"""

from .ai_sdk import AiSdk
from .anthropic_sdk import Anthropic, AnthropicBedrock
from .base import Client
from .boto import Boto3, Boto3Invoke
from .javascript import JavaScript
from .langchain import LangChainConverse, LangChainInvoke, LangChainResponses
from .openai_responses import OpenAIResponses
from .openai_sdk import OpenAI
from .rust import Rust

FRAMEWORKS: dict[str, type[Client]] = {
    client.name: client
    for client in (
        AiSdk,
        AiSdk.variant("ai-bedrock", provider="bedrock", family="ai-sdk-bedrock", names_alone=True),
        AiSdk.variant("ai-openai-chat", provider="openai-chat"),
        AiSdk.variant("ai-openai-responses", provider="openai-responses", stops=False),
        LangChainConverse,
        LangChainInvoke,
        LangChainResponses,
    )
}

EVERY: dict[str, type[Client]] = FRAMEWORKS | {
    client.name: client
    for client in (
        Boto3,
        Boto3.variant("boto3-bearer-https", credential="bearer", tls=True),
        Boto3.variant("boto3-short-term-key-https", credential="short-term", tls=True),
        Boto3.variant("boto3-prefix", root="/bedrock"),
        Boto3Invoke,
        JavaScript,
        JavaScript.variant("js-h2-https", tls=True),
        JavaScript.variant("js-http1", handler="http1"),
        JavaScript.variant("js-bearer-https", credential="bearer", tls=True),
        Rust,
        Rust.variant("aws-rust-bearer", credential="bearer"),
        Anthropic,
        Anthropic.variant("anthropic-bearer-https", credential="bearer", tls=True),
        Anthropic.variant("anthropic-prefix", root="/anthropic"),
        AnthropicBedrock,
        AnthropicBedrock.variant("anthropic-bedrock-bearer", credential="bearer"),
        OpenAI,
        OpenAIResponses,
        OpenAI.variant("openai-https", tls=True),
        OpenAI.variant("openai-prefix", root="/openai"),
    )
}

MAIN = {
    client.name: client
    for client in (Boto3, Boto3Invoke, JavaScript, Rust, Anthropic, AnthropicBedrock, OpenAI, OpenAIResponses)
}
