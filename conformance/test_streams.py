"""Many streams at once on the default model: all complete, interleaved, none corrupt;
and clients that go away leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json

import anthropic
import openai
import pytest

from asks import MODEL
from outcrop import Server

STREAMS = 32
TOKENS = 12
TOPICS = ["granite", "basalt", "marble", "slate", "chalk", "flint", "gneiss", "schist"]
PROMPTS = [f"Tell me {n + 1} facts about {TOPICS[n % len(TOPICS)]}." for n in range(STREAMS)]


@dataclasses.dataclass
class Streamed:
    """One stream as its client heard it."""

    text: str = ""
    finish: str | None = None
    output_tokens: int = 0


class Sdks:
    """Half the streams go through `anthropic`, half through `openai`."""

    def __init__(self, server: Server):
        own = {"max_retries": 0, "timeout": 240, "api_key": server.key.bearer}
        self.anthropic = anthropic.AsyncAnthropic(base_url=server.url, **own)
        self.openai = openai.AsyncOpenAI(base_url=f"{server.url}/v1", **own)

    async def stream(self, n: int, max_tokens: int = TOKENS, order: list[int] | None = None, first=None) -> Streamed:
        """Runs stream `n` to its end; `order` notes every arrival, `first` the first."""
        heard = Streamed()
        async for text in self.pieces(n, max_tokens, heard):
            heard.text += text
            if order is not None:
                order.append(n)
            if first is not None:
                first.set()
        return heard

    async def pieces(self, n: int, max_tokens: int, heard: Streamed):
        messages = [{"role": "user", "content": PROMPTS[n % STREAMS]}]
        if n % 2:
            events = await self.anthropic.messages.create(
                model=MODEL, max_tokens=max_tokens, messages=messages, stream=True, extra_body={"temperature": 0}
            )
            async with events:
                async for event in events:
                    if event.type == "content_block_delta":
                        yield event.delta.text
                    elif event.type == "message_delta":
                        heard.finish, heard.output_tokens = event.delta.stop_reason, event.usage.output_tokens
                    ended = event.type == "message_stop"
                assert ended
        else:
            chunks = await self.openai.chat.completions.create(
                model=MODEL,
                max_completion_tokens=max_tokens,
                messages=messages,
                temperature=0,
                stream=True,
                stream_options={"include_usage": True},
            )
            async with chunks:
                async for chunk in chunks:
                    if chunk.usage:
                        heard.output_tokens = chunk.usage.completion_tokens
                    for choice in chunk.choices:
                        heard.finish = choice.finish_reason or heard.finish
                        if choice.delta.content:
                            yield choice.delta.content

    async def close(self) -> None:
        await asyncio.gather(self.anthropic.close(), self.openai.close())


def run(server: Server, story) -> None:
    async def whole() -> None:
        sdks = Sdks(server)
        try:
            await asyncio.wait_for(story(sdks), 240)
        finally:
            await sdks.close()

    asyncio.run(whole())


def test_many_streams(server):
    """32 at once say what each says alone, and take turns doing so."""

    async def story(sdks: Sdks) -> None:
        order: list[int] = []
        together = await asyncio.gather(*(sdks.stream(n, order=order) for n in range(STREAMS)))
        for heard in together:
            assert heard.finish and heard.text, heard
            assert 0 < heard.output_tokens <= TOKENS
        # One after the other would switch 31 times.
        switches = sum(a != b for a, b in zip(order, order[1:]))
        assert switches > 3 * STREAMS, order
        for n, heard in enumerate(together):
            await check_alone(sdks, n, heard)

    run(server, story)


#: Sums in a batch run in another order than alone: two tokens whose log-probabilities
#: are closer than this may change places. Another stream's text would miss it by far.
TIE_NATS = 0.35


async def check_alone(sdks: Sdks, n: int, heard: Streamed) -> None:
    """Stream `n` alone says the same, up to where a tie fell the other way."""
    completion = await sdks.openai.chat.completions.create(
        model=MODEL,
        max_completion_tokens=TOKENS,
        messages=[{"role": "user", "content": PROMPTS[n]}],
        temperature=0,
        logprobs=True,
        top_logprobs=5,
    )
    choice = completion.choices[0]
    if choice.message.content == heard.text:
        assert completion.usage.completion_tokens == heard.output_tokens
        return
    said, ties = "", []
    for token in choice.logprobs.content:
        # A token may begin another (" " and " Carrara"), so a tie is looked for up to
        # where the texts part.
        ties += [said + top.token for top in token.top_logprobs[1:] if token.logprob - top.logprob < TIE_NATS]
        said += token.token
        if not heard.text.startswith(said):
            break
    assert any(heard.text.startswith(tie) for tie in ties), (n, heard.text, choice.message.content, ties)


def test_half_the_clients_vanish(server):
    """When half hang up in mid-stream, their slots serve others at once, and the rest
    finish untouched."""
    # Long enough that a slow machine begins sixteen new calls before they end.
    long = 160

    async def story(sdks: Sdks) -> None:
        begun = [asyncio.Event() for _ in range(STREAMS)]
        tasks = [asyncio.create_task(sdks.stream(n, long, first=begun[n])) for n in range(STREAMS)]
        await asyncio.gather(*(event.wait() for event in begun))
        leaving, staying = tasks[0::4] + tasks[1::4], tasks[2::4] + tasks[3::4]
        for task in leaving:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*leaving)
        # With every slot taken, these run only in freed ones: all must begin before
        # the last of the others ends.
        begun_again = [asyncio.Event() for _ in leaving]
        late = [asyncio.create_task(sdks.stream(n, 2, first=event)) for n, event in enumerate(begun_again)]
        await asyncio.gather(*(event.wait() for event in begun_again))
        assert not all(task.done() for task in staying), "new calls waited for the others to end"
        finished = await asyncio.gather(*staying)
        assert all(heard.finish and heard.output_tokens > 0 for heard in finished)
        assert [heard.output_tokens for heard in await asyncio.gather(*late)] == [2] * len(late)

    run(server, story)


@pytest.mark.parametrize("slots, queue", [(2, 2)])
def test_a_full_queue_says_so(make_home, slots, queue):
    """Beyond slots and queue a call is refused at once, with each SDK's own overload
    error, and those admitted are answered."""
    config = f'models = ["{MODEL}"]\n[engine]\nslots = {slots}\nqueue = {queue}\n'
    server = Server(make_home("small"), config).start()

    async def story(sdks: Sdks) -> None:
        calls = [sdks.stream(n, 24) for n in range(16)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        answered = [result for result in results if isinstance(result, Streamed)]
        refused = [result for result in results if not isinstance(result, Streamed)]
        assert len(answered) >= slots + queue and refused
        assert all(heard.output_tokens > 0 for heard in answered)
        for error in refused:
            assert isinstance(error, (anthropic.OverloadedError, openai.InternalServerError, openai.RateLimitError)), (
                repr(error)
            )
        assert json.dumps([str(error) for error in refused])

    run(server, story)
    server.stop()
