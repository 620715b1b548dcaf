"""A model server whose model acts: it reads the conversation it was sent and answers with
the next step of its task, in its vendor's dialect (`vendors.py`).

The task, whatever the agent: read `rock.txt` and `motto.txt` (two calls in one answer),
then put the rock's name into the motto. What the model writes is made of what the tools
said, so nothing can be right by luck; and every request is held to its vendor's rules
(`rules.py`), so a wrong translation ends the run.
"""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Callable
from typing import Any

import rules
from asks import ToolUse
from vendors import Step, Talk, vendor_of

#: In `motto.txt`, to be replaced by the name in `rock.txt`.
PLACEHOLDER = "GRANITE"
#: How the rock's name looks, so that the model finds it in whatever the tool adds to it.
ROCK = re.compile(r"rock-[0-9a-f]{8}")


def rock(talk: Talk) -> str:
    """The name, out of what the tool said."""
    found = ROCK.search(talk.results["call_rock"])
    rules.rule(found, "the tool's result did not arrive:", talk.results)
    return found[0]


def claude_code(talk: Talk) -> Step:
    """The steps by Claude Code's tools."""
    if "Read" not in talk.tools:
        return ["A rock in a motto"]
    file = lambda name: re.search(rf"(/\S+/{name})", talk.text)[1]
    if "call_edit" in talk.results:
        return [f"The motto now says {rock(talk)}."]
    if talk.results:
        rules.rule(PLACEHOLDER in talk.results["call_motto"], "the second result did not arrive:", talk.results)
        change = {"file_path": file("motto.txt"), "old_string": PLACEHOLDER, "new_string": rock(talk)}
        return [ToolUse("call_edit", "Edit", change)]
    return [
        "I shall read both.",
        ToolUse("call_rock", "Read", {"file_path": file("rock.txt")}),
        ToolUse("call_motto", "Read", {"file_path": file("motto.txt")}),
    ]


def codex(talk: Talk) -> Step:
    """The steps by Codex' tools, which differ by the model that it thinks it talks to: one
    for commands and, of free text, one for patches; or, of free text, one for programs
    that call the others; or the one for commands alone."""
    if "call_edit" in talk.results:
        return [f"The motto now says {rock(talk)}."]
    programs = next((name for name in talk.tools if name.endswith("__exec")), None)
    if not talk.results and programs:
        read = "for (const name of ['rock.txt', 'motto.txt']) text(await tools.exec_command({cmd: `cat ${name}`}));"
        return ["I shall read both.", ToolUse("call_rock", programs, {"input": read})]
    if not talk.results:
        return [
            "I shall read both.",
            ToolUse("call_rock", "exec_command", {"cmd": "cat rock.txt"}),
            ToolUse("call_motto", "exec_command", {"cmd": "cat motto.txt"}),
        ]
    rules.rule(PLACEHOLDER in "".join(talk.results.values()), "the second result did not arrive:", talk.results)
    lines = ["*** Begin Patch", "*** Update File: motto.txt", "@@"]
    lines += [f"-As solid as {PLACEHOLDER}.", f"+As solid as {rock(talk)}.", "*** End Patch", ""]
    patch = "\n".join(lines)
    if programs:
        return [ToolUse("call_edit", programs, {"input": f"text(await tools.apply_patch({json.dumps(patch)}));"})]
    if "apply_patch" in talk.tools:
        return [ToolUse("call_edit", "apply_patch", {"input": patch})]
    return [ToolUse("call_edit", "exec_command", {"cmd": f"apply_patch <<'END'\n{patch}END"})]


class Acting:
    """The server, on a port of its own. `model` makes a step of a conversation."""

    def __init__(self, model: Callable[[Talk], Step]) -> None:
        self.model = model
        #: Bodies of the requests, and what was wrong with them.
        self.seen: list[dict[str, Any]] = []
        self.faults: list[str] = []
        outer = self

        class Handler(_Handler):
            acting = outer

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def step(self, vendor: Any, body: dict[str, Any], beta: bool) -> Step:
        """The model's answer; a fault of the request is kept for the test and raised."""
        self.seen.append(body)
        try:
            vendor.check(body, beta)
            return self.model(vendor.read(body))
        except Exception as fault:
            self.faults.append(f"{type(fault).__name__}: {fault}")
            raise

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    acting: Acting

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        vendor = vendor_of(self.path)
        try:
            step = self.acting.step(vendor, body, beta="anthropic-beta" in self.headers)
        except Exception as fault:
            return self._send(400, "application/json", vendor.refusal(str(fault)))
        if not body.get("stream") and "stream" not in self.path:
            return self._send(200, "application/json", json.dumps(vendor.whole(body, step)).encode())
        self._send(200, getattr(vendor, "media_type", "text/event-stream"), b"".join(vendor.stream(body, step)))

    def _send(self, status: int, type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
