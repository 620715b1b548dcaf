"""A live `outcrop serve` for tests: started on free ports in a data folder of its own,
watched until ready, stopped with SIGTERM.

The binary is `$OUTCROP_BIN`, or `target/release/outcrop`. Models come from the user's
own data folder (`$OUTCROP_HOME`, or `~/.local/share/outcrop`), which `make test` has
filled: they are linked, never copied.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("OUTCROP_BIN", REPOSITORY / "target/release/outcrop"))

#: A cold start on a loaded machine; the target itself is under two seconds.
START_SECONDS = 60
#: In-flight work ends within the server's own drain timeout; this is above it.
STOP_SECONDS = 60

# What could steer a client away from the server under test.
FOREIGN = re.compile(r"^(AWS_|OPENAI_|ANTHROPIC_|OUTCROP_|(https?|all|no)_proxy$)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Key:
    """One key in its two forms."""

    bearer: str
    access_key_id: str
    secret_access_key: str

    @classmethod
    def from_exports(cls, lines: str) -> Key | None:
        """Reads the `export NAME=value` lines that the first start prints."""
        found = dict(re.findall(r"^\s*export (\w+)=['\"]?([^'\"\s]+)", lines, re.MULTILINE))
        try:
            return cls(found["OUTCROP_API_KEY"], found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"])
        except KeyError:
            return None


def user_home() -> pathlib.Path:
    """The data folder that `make run` and `make test` use."""
    if named := USER_ENVIRONMENT.get("OUTCROP_HOME"):
        return pathlib.Path(named)
    data = USER_ENVIRONMENT.get("XDG_DATA_HOME") or pathlib.Path.home() / ".local/share"
    return pathlib.Path(data) / "outcrop"


USER_ENVIRONMENT = dict(os.environ)


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in USER_ENVIRONMENT.items() if not FOREIGN.match(name)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def poll(condition, seconds: float, what: str):
    """Waits until `condition()` is true and returns it; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if result := condition():
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


class Home:
    """A data folder, and the command line run in it."""

    def __init__(self, folder: pathlib.Path, share_models: bool = True):
        self.folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)
        models = folder / "models"
        if share_models and not models.exists():
            models.symlink_to(user_home() / "models", target_is_directory=True)

    def environment(self) -> dict[str, str]:
        return clean_environment() | {
            "OUTCROP_HOME": str(self.folder),
            # Tests, server and SDKs share few cores: threads that wait must not spin.
            "OMP_WAIT_POLICY": "passive",
        }

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [BINARY, *arguments],
            env=self.environment(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, code: int = 0, seconds: float = 60) -> str:
        """Runs a command to its end and returns its output; any other exit code fails."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert process.returncode == code, (
            f"outcrop {' '.join(arguments)}: exit {process.returncode}\n{out.decode()}{err.decode()}"
        )
        return out.decode()

    def new_key(self, *arguments: str) -> tuple[str, Key]:
        """`outcrop keys create --json`: the key's id, and the key."""
        made = json.loads(self.run("keys", "create", "--json", *arguments))
        return made["id"], key_from_json(made)


def key_from_json(made: dict[str, str]) -> Key:
    return Key(made["bearer"], made["access_key_id"], made["secret_access_key"])


#: Every server launched, so that what a failed test left running ends with the session.
RUNNING: list[Server] = []


class Server:
    """`outcrop serve`, from start to stop."""

    def __init__(
        self,
        home: Home,
        config: str = "",
        ports: tuple[int, int] | None = None,
        arguments: tuple[str, ...] = (),
    ):
        self.home = home
        self._arguments = arguments
        self.port, self.tls_port = ports or (free_port(), free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        self.tls_url = f"https://127.0.0.1:{self.tls_port}"
        self.ca = home.folder / "tls" / "ca.pem"
        self.key: Key | None = None
        self._config = home.folder / "outcrop.toml"
        self._config.write_text(config)
        self.process: subprocess.Popen[bytes] | None = None
        self._out = bytearray()
        self._err = bytearray()
        self._readers: list[threading.Thread] = []

    def start(self, key: Key | None = None) -> Server:
        """Starts it and waits until it is ready. `key` is the key of an earlier start."""
        self.launch()
        self.wait_ready()
        self.key = key or poll(lambda: Key.from_exports(self.out), START_SECONDS, "root key on stdout")
        return self

    def launch(self, heard: bool = True) -> None:
        """Starts the process and waits for nothing. What it prints is kept if `heard`."""
        RUNNING.append(self)
        self._out.clear()
        self._err.clear()
        addresses = ("--listen", f"127.0.0.1:{self.port}", "--tls-listen", f"127.0.0.1:{self.tls_port}")
        self.process = self.home.start("serve", "--config", str(self._config), *addresses, *self._arguments)
        self._readers = [
            threading.Thread(target=self._drain, args=(stream, sink), daemon=True)
            for stream, sink in ((self.process.stdout, self._out), (self.process.stderr, self._err))
        ]
        for reader in self._readers if heard else ():
            reader.start()

    def wait_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, f"outcrop serve ended: {self.process.returncode}\n{self.log}"
            return self.health("/readyz") == 200

        poll(ready, START_SECONDS, f"/readyz of {self.url}")

    def health(self, path: str) -> int | None:
        """The status of a health path, or None while nobody listens."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as response:
                return response.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    @property
    def out(self) -> str:
        return self._out.decode(errors="replace")

    @property
    def log(self) -> str:
        return self._err.decode(errors="replace")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Waits for the end and returns the exit code."""
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"outcrop did not stop within {STOP_SECONDS} s of SIGTERM\n{self.log}") from None
        for reader in self._readers:
            reader.join()
        return code

    def stop(self) -> None:
        """SIGTERM, and a clean end: exit code 0 and no panic in the log."""
        if self.process.poll() is None:
            self.terminate()
        code = self.wait()
        assert code == 0, f"exit code {code} after SIGTERM\n{self.log}"
        assert "panicked" not in self.log, self.log

    def crash(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()

    @staticmethod
    def _drain(stream, sink: bytearray) -> None:
        for line in stream:
            sink += line
