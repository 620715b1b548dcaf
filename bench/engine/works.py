"""The works: what is asked of a server, and which figures come of it."""

import asyncio
import random
import time

from load import ask, percentile

WORDS = (
    "river stone light garden window paper market winter bridge silver engine letter "
    "morning forest table music doctor island summer yellow planet circle pocket hammer"
).split()


def prose(seed, words):
    """Text of about as many tokens as words, the same for the same seed."""
    choose = random.Random(seed)
    return " ".join(choose.choice(WORDS) for _ in range(words))


async def warm_up(server):
    await ask(server, "Say hello.", 4)


async def decode(server, streams, max_tokens=96):
    """Tokens per CPU second, prompts (short ones) included."""
    before = server.cpu_seconds()
    story = "Tell a very long story about item number"
    calls = [ask(server, f"{story} {number}: a", max_tokens, ignore_eos=True) for number in range(streams)]
    answers = await asyncio.gather(*calls)
    spent = server.cpu_seconds() - before
    tokens = sum(answer.tokens for answer in answers)
    return {f"tokens per CPU second at {streams}": tokens / spent, f"tokens at {streams}": tokens}


async def decoding(server):
    figures = {}
    for streams in (1, 8, 32):
        figures |= await decode(server, streams)
    return figures


async def shared(server):
    """A beginning of about 1,000 tokens, eight clients at once; then again, and alone."""
    beginning = prose(1, 960)
    figures = {}
    for state in ("cold", "warm"):
        before = server.cpu_seconds()
        calls = [ask(server, f"{beginning}\nQuestion {state} {n}: why?", 8) for n in range(8)]
        answers = await asyncio.gather(*calls)
        first = [answer.first for answer in answers]
        prompt = sum(answer.usage["prompt_tokens"] for answer in answers)
        cached = sum(answer.cached for answer in answers)
        figures |= {
            f"{state}: p50 first token, s": percentile(first, 0.5),
            f"{state}: p95 first token, s": percentile(first, 0.95),
            f"{state}: CPU seconds": server.cpu_seconds() - before,
            f"{state}: prompt tokens": prompt,
            f"{state}: of these cached": cached,
        }
    one = [(await ask(server, f"{beginning}\nQuestion alone {n}: why?", 4)).first for n in range(5)]
    short = [(await ask(server, f"{n}\nQuestion alone {n}: why?", 4)).first for n in range(5)]
    figures["one warm call: first token, s"] = percentile(one, 0.5)
    figures["its suffix alone: first token, s"] = percentile(short, 0.5)
    return figures


async def stall(server, tokens=700):
    """The gaps of eight running streams while a prompt of 4,000 tokens comes, and the gaps at
    the same places of the same streams without it: longer answers take longer to go on."""

    async def streams(prompt):
        story = "Tell a very long story about item number"
        calls = [ask(server, f"{story} {n}: a", tokens, ignore_eos=True) for n in range(8)]
        running = [asyncio.create_task(call) for call in calls]
        await asyncio.sleep(5)
        began, long = time.monotonic(), None
        if prompt:
            long = asyncio.create_task(ask(server, prose(2, 3950), 2))
        answers = await asyncio.gather(*running)
        ended = time.monotonic()
        # The prompt is not waited for: it goes on without the streams.
        if long and long.done():
            ended = began + long.result().first
        if long:
            long.cancel()
            await asyncio.gather(long, return_exceptions=True)
        pairs = [list(zip(answer.times, answer.times[1:])) for answer in answers]
        inside = [[n for n, (a, b) in enumerate(gaps) if began <= a and b <= ended] for gaps in pairs]
        return pairs, inside, ended - began

    quiet, _, _ = await streams(prompt=False)
    loud, inside, lasted = await streams(prompt=True)

    def gaps(pairs):
        return [b - a for one, places in zip(pairs, inside) for a, b in (one[n] for n in places if n < len(one))]

    without, beside = gaps(quiet), gaps(loud)
    return {
        "p50 gap without, s": percentile(without, 0.5),
        "p50 gap with, s": percentile(beside, 0.5),
        "p95 gap without, s": percentile(without, 0.95),
        "p95 gap with, s": percentile(beside, 0.95),
        "longest gap with, s": max(beside),
        "p95 with / without": percentile(beside, 0.95) / percentile(without, 0.95),
        "gaps compared": len(beside),
        "the prompt was there for, s": lasted,
    }


async def fair(server):
    """One who asks once a second, alone and beside one who sends 200 calls at once."""

    async def light(calls):
        answers = []
        for number in range(calls):
            began = time.monotonic()
            answers.append(await ask(server, f"{prose(100 + number, 40)}: why?", 4, key="light"))
            await asyncio.sleep(max(0.0, 1 - (time.monotonic() - began)))
        return [answer.first for answer in answers]

    alone = await light(15)
    flood = [
        asyncio.create_task(ask(server, f"{prose(1000 + n, 60)}: why?", 64, key="heavy")) for n in range(200)
    ]
    await asyncio.sleep(3)
    beside = await light(15)
    for call in flood:
        call.cancel()
    await asyncio.gather(*flood, return_exceptions=True)
    return {
        "p95 first token alone, s": percentile(alone, 0.95),
        "p95 first token beside a flood, s": percentile(beside, 0.95),
        "beside / alone": percentile(beside, 0.95) / percentile(alone, 0.95),
    }


ALL = {"decode": decoding, "shared": shared, "stall": stall, "fair": fair}
