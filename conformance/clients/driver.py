"""SDKs of other languages: each runs in a process of its own, driven by lines of JSON.

One line per call goes in on stdin; one or more lines come back on stdout, each with the
call's id: `{event, at}` while a stream runs, then `{output}` or `{error}`. Calls run side
by side. Bytes are written `{"$bytes": base64}`.
"""

from __future__ import annotations

import base64
import itertools
import json
import pathlib
import queue
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

from outcrop import REPOSITORY, clean_environment

ANSWER_SECONDS = 120


class Thrown(Exception):
    """What an SDK threw, as its driver described it."""

    def __init__(self, thrown: dict[str, Any]):
        super().__init__(thrown["message"])
        self.thrown = thrown


class Driver:
    """One process."""

    def __init__(self, command: tuple[str, ...], environment: tuple[tuple[str, str], ...]):
        self._process = subprocess.Popen(
            command, env=clean_environment() | dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._answers: dict[int, queue.SimpleQueue] = {}
        self._ids = itertools.count()
        self._lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def call(self, command: str, input: dict[str, Any], **options: Any) -> Iterator[dict]:
        """Yields `{event, at}` for each event of a stream, then `{output}`."""
        id = next(self._ids)
        answers = self._answers[id] = queue.SimpleQueue()
        line = json.dumps({"id": id, "command": command, "input": pack(input), **options})
        with self._lock:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        try:
            while True:
                answer = answers.get(timeout=ANSWER_SECONDS)
                if "error" in answer:
                    raise Thrown(answer["error"])
                yield unpack(answer)
                if "output" in answer:
                    return
        finally:
            del self._answers[id]

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)

    def _read(self) -> None:
        for line in self._process.stdout:
            answer = json.loads(line)
            if answers := self._answers.get(answer["id"]):
                answers.put(answer)
        # The process has ended: nobody waits for it.
        for answers in list(self._answers.values()):
            answers.put({"error": {"message": f"{self._process.args[-1]} ended", "class": ""}})


class Drivers:
    """A driver for each command and environment, started when first needed."""

    def __init__(self) -> None:
        self._drivers: dict[tuple, Driver] = {}

    def of(self, command: tuple[str, ...], environment: tuple[tuple[str, str], ...] = ()) -> Driver:
        if (command, environment) not in self._drivers:
            self._drivers[command, environment] = Driver(command, environment)
        return self._drivers[command, environment]

    def close(self) -> None:
        for driver in self._drivers.values():
            driver.close()
        self._drivers.clear()


DRIVERS = Drivers()


def node(script: str, authority: pathlib.Path) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Runs a script of `js/`. The authority to trust is read once, at the process's start."""
    command = (str(REPOSITORY / ".venv/bin/node"), str(REPOSITORY / "conformance/js" / script))
    return command, (("NODE_EXTRA_CA_CERTS", str(authority)),)


def pack(value: Any) -> Any:
    """Bytes as `{"$bytes": base64}`, all through a JSON value."""
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: pack(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [pack(item) for item in value]
    return value


def unpack(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"$bytes"}:
            return base64.b64decode(value["$bytes"])
        return {key: unpack(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unpack(item) for item in value]
    return value
