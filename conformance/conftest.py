"""Official SDKs against a live `outcrop`: fixtures.

    make conformance                                   everything
    .venv/bin/python -m pytest conformance -k boto3    one client
    OUTCROP_BIN=/path/to/outcrop …                     another binary

Nothing here is skipped for want of a model or a binary: what is missing fails, with the
command that brings it.
"""

from __future__ import annotations

import os

import pytest

from asks import MODEL
from clients.driver import DRIVERS
from outcrop import BINARY, RUNNING, Home, Server, clean_environment, user_home

#: Small, so that refusing a larger body is quick to test.
BODY_MAX_BYTES = 4 << 20

CONFIG = f"""
models = ["{MODEL}"]

[server]
body_max_bytes = {BODY_MAX_BYTES}

[aliases]
house-model = "{MODEL}"
"""


@pytest.fixture(scope="session", autouse=True)
def surroundings():
    """No credential, endpoint or proxy of the user's reaches an SDK under test."""
    kept = clean_environment()
    os.environ.clear()
    os.environ.update(kept | {"AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1,localhost"})
    if not BINARY.is_file():
        pytest.exit(f"{BINARY} is missing; run: make build", 1)
    if not (user_home() / "models").is_dir():
        pytest.exit(f"{user_home()}/models is missing; run: make model", 1)
    yield
    for left in RUNNING:
        if left.process.poll() is None:
            left.crash()


@pytest.fixture(scope="session")
def make_home(tmp_path_factory):
    """A new data folder."""
    return lambda name, **options: Home(tmp_path_factory.mktemp(name) / "home", **options)


@pytest.fixture(scope="session")
def server(make_home):
    """The server that most tests share: the default model, and an alias to it."""
    running = Server(make_home("shared"), CONFIG).start()
    yield running
    DRIVERS.close()
    running.stop()
