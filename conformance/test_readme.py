"""README's snippets, run as printed.

A fence is run when the line before it is `<!-- snippet: NAME -->`. The environment is
what README says the reader has: the three exports of the first start. Only the ports
are changed, and only if something else listens on the default ones.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess

import pytest

from outcrop import REPOSITORY, Server, free_port

README = (REPOSITORY / "README.md").read_text()
SNIPPETS = {
    name: (language, code)
    for name, language, code in re.findall(
        r"^<!-- snippet: (\S+) -->\n```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL
    )
}
DEFAULT_PORTS = (8080, 8443)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture(scope="module")
def readme_server(make_home):
    ports = tuple(port if is_free(port) else free_port() for port in DEFAULT_PORTS)
    server = Server(make_home("readme"), ports=ports).start()
    yield server
    server.stop()


def test_the_four_clients_are_shown():
    assert {"curl", "boto3", "anthropic", "openai"} <= SNIPPETS.keys()


@pytest.mark.parametrize("name", SNIPPETS)
def test_snippet(readme_server, name):
    language, code = SNIPPETS[name]
    for default, used in zip(DEFAULT_PORTS, (readme_server.port, readme_server.tls_port)):
        code = re.sub(rf"\b{default}\b", str(used), code)
    interpreter = {"python": [REPOSITORY / ".venv/bin/python", "-"], "sh": ["sh", "-eu"]}[language]
    key = readme_server.key
    ran = subprocess.run(
        interpreter,
        input=code.encode(),
        capture_output=True,
        timeout=120,
        env=os.environ
        | {
            "OUTCROP_API_KEY": key.bearer,
            "AWS_ACCESS_KEY_ID": key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        },
    )
    output = ran.stdout.decode()
    assert ran.returncode == 0, ran.stderr.decode()
    assert "error" not in output.lower()[:40], output
    # A sentence, or JSON around one.
    assert len(re.findall(r"[A-Za-z]{2,}", output)) >= 5, output
