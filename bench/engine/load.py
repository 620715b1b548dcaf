"""Streams of answers, timed token by token. Plain sockets: the load must cost little."""

import asyncio
import json
import time


class Answer:
    """One streamed answer."""

    def __init__(self):
        self.asked = time.monotonic()
        self.times = []
        self.text = ""
        self.usage = {}
        self.status = 0

    @property
    def first(self):
        """Seconds to the first token."""
        return self.times[0] - self.asked

    @property
    def gaps(self):
        return [later - earlier for earlier, later in zip(self.times, self.times[1:])]

    @property
    def tokens(self):
        return self.usage.get("completion_tokens", len(self.times))

    @property
    def cached(self):
        return (self.usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)


async def ask(server, prompt, max_tokens, key="light", stop=None, **more):
    """Asks once; ends early when the event `stop` is set."""
    body = json.dumps(
        {
            "model": server.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            **more,
        }
    ).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {server.keys[key]}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    answer = Answer()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 20)
    writer.write(head.encode() + body)
    try:
        answer.status = int((await reader.readline()).split()[1])
        while line := await reader.readline():
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            if chunk.get("usage"):
                answer.usage = chunk["usage"]
            for choice in chunk.get("choices", []):
                piece = choice["delta"].get("content")
                if piece:
                    answer.times.append(time.monotonic())
                    answer.text += piece
            if stop is not None and stop.is_set():
                break
    finally:
        writer.close()
    return answer


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
