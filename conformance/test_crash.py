"""`kill -9` at any time: restart serves, keys remain, no half-downloaded model is ever
loaded or called ready."""

from __future__ import annotations

import hashlib
import http.server
import json
import pathlib
import threading
import time

import pytest

from asks import MODEL, ask
from clients import MAIN, OpenAI
from outcrop import Key, Server, user_home

CONFIG = f'models = ["{MODEL}"]\n'
HELLO = ask("Hello", max_tokens=1)
#: Moments of the first start to kill at, in seconds after the process began: from
#: before `main` to after it is ready.
MOMENTS = [0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.35, 0.6]


def test_killed_at_any_moment_of_the_first_start(make_home):
    """Whatever was written by then, the next start serves, and a key once shown works."""
    for moment in MOMENTS:
        server = Server(make_home("start"), CONFIG)
        server.launch()
        time.sleep(moment)
        server.crash()
        shown = Key.from_exports(server.out)
        server.launch()
        server.wait_ready()
        key = shown or Key.from_exports(server.out) or server.home.new_key()[1]
        server.key = key
        assert OpenAI(server).ask(HELLO).output_tokens == 1, f"killed after {moment} s"
        server.stop()


def test_killed_while_keys_are_made(make_home):
    """Every key whose creation was announced exists; the store is never torn."""
    server = Server(make_home("keys"), CONFIG).start()
    home, known = server.home, []
    for moment in [0.0, 0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03]:
        process = home.start("keys", "create", "--json")
        time.sleep(moment)
        process.kill()
        out, _ = process.communicate()
        if out.endswith(b"}\n"):
            known.append(json.loads(out)["id"])
    _, last = home.new_key()
    listed = [key["id"] for key in json.loads(home.run("keys", "list", "--json"))]
    assert set(known) <= set(listed)
    server.crash()
    server.start(key=last)
    assert OpenAI(server).ask(HELLO).output_tokens == 1
    server.stop()


def test_killed_while_streaming(make_home):
    """Every SDK notices, and the same data folder serves again with the same keys."""
    server = Server(make_home("streaming"), CONFIG).start()
    long = ask("Count from one to one hundred in words.", max_tokens=500)
    key = server.key
    for name in ("boto3", "anthropic", "openai"):
        killed: list[str] = []

        def kill(text: str) -> None:
            if not killed:
                killed.append(text)
                server.process.kill()

        with pytest.raises(Exception) as error:
            MAIN[name](server).stream(long, kill)
        assert not isinstance(error.value, AssertionError), f"{name} took a cut stream for whole"
        server.crash()
        server.start(key=key)
        assert MAIN[name](server).ask(HELLO).output_tokens == 1
    server.stop()


# --- downloads -----------------------------------------------------------------------


class FileServer:
    """Serves one file with ranges, and stops after `gate` bytes until released."""

    def __init__(self, content: bytes):
        self.content = content
        self.gate: int | None = None
        self.reached = threading.Event()
        self.released = threading.Event()
        self.ranges: list[str | None] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self._head()

            def do_GET(self) -> None:
                start = self._head()
                end = len(outer.content) if outer.gate is None else max(outer.gate, start)
                try:
                    self.wfile.write(memoryview(outer.content)[start:end])
                    outer.reached.set()
                    if end < len(outer.content):
                        outer.released.wait(60)
                        self.close_connection = True
                except OSError:
                    self.close_connection = True

            def _head(self) -> int:
                asked = self.headers.get("range")
                if self.command == "GET":
                    outer.ranges.append(asked)
                start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
                total = len(outer.content)
                self.send_response(206 if asked else 200)
                if asked:
                    self.send_header("content-range", f"bytes {start}-{total - 1}/{total}")
                self.send_header("content-length", str(total - start))
                self.send_header("accept-ranges", "bytes")
                self.send_header("etag", f'"{hashlib.sha256(outer.content).hexdigest()}"')
                self.end_headers()
                return start

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/stone.gguf"

    def stop_after(self, gate: int | None) -> None:
        self.gate = gate
        self.reached.clear()
        self.released.clear()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def gguf() -> bytes:
    """The default model's file, as another place would serve it."""
    files = sorted((user_home() / "models").rglob("*.gguf"), key=lambda file: file.stat().st_size)
    (file,) = [file for file in files if "smollm2-135m" in str(file).lower()][:1]
    return file.read_bytes()


@pytest.fixture
def slow(gguf):
    server = FileServer(gguf)
    yield server
    server.close()


def statuses(home) -> set[str]:
    """What `outcrop models` says of each model."""
    return {model["state"]["status"] for model in json.loads(home.run("models", "--json"))}


def local_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """What was pulled. What a pull derives of it has a folder of its own."""
    return [file for file in folder.rglob("*.gguf") if file.is_file() and file.parent.name != "derived"]


def test_killed_while_pulling(make_home, slow, gguf):
    """Half a file is never a model: not listed as ready, not served. The next pull
    goes on where the last one stopped, and what it makes is whole and answers."""
    home = make_home("pull", share_models=False)
    models = home.folder / "models"
    for gate in (0, 1 << 20, len(gguf) // 2, len(gguf) - 1):
        slow.stop_after(gate)
        process = home.start("pull", slow.url)
        assert slow.reached.wait(30), process.communicate(timeout=5)
        # Killed with the bytes on their way to the disk, or there.
        process.kill()
        process.communicate()
        slow.released.set()
        assert local_files(models) == [], f"a file was left under its final name after {gate} bytes"
        assert statuses(home) <= {"absent", "partial"}

    slow.stop_after(None)
    home.run("pull", slow.url, seconds=120)
    assert "ready" in statuses(home)
    assert slow.ranges[-1] not in (None, "bytes=0-"), "the pull began anew"
    (file,) = local_files(models)
    assert hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(gguf).digest()

    server = Server(home, f'models = ["{file}"]\n').start()
    (name,) = [id for id in OpenAI(server).models()][:1]
    assert OpenAI(server).ask(HELLO.but(model=name)).output_tokens == 1
    server.stop()
    file.unlink()


def test_two_pulls_at_once(make_home, slow, gguf):
    """They do not tread on each other, and both succeed."""
    home = make_home("pull", share_models=False)
    both = [home.start("pull", slow.url) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, (out, err)
    (file,) = local_files(home.folder / "models")
    assert file.stat().st_size == len(gguf)
    file.unlink()


def test_truncated_download_is_refused(make_home, slow):
    """The source ends early: an error, exit code 4, and nothing that looks like a model."""
    home = make_home("pull", share_models=False)
    slow.stop_after(1 << 20)
    process = home.start("pull", slow.url)
    assert slow.reached.wait(30)
    slow.close()
    process.communicate(timeout=120)
    assert process.returncode == 4
    assert local_files(home.folder / "models") == []
