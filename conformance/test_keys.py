"""Keys on the command line, effective in the running server within seconds."""

from __future__ import annotations

import json
import time

import pytest

from asks import ask
from clients import MAIN, Boto3, OpenAI
from outcrop import poll

HELLO = ask("Hello", max_tokens=1)


def accepted(client) -> bool:
    try:
        return client.ask(HELLO).output_tokens == 1
    except Exception as error:
        problem = client.describe(error)
        if problem is None or problem.status not in (401, 403):
            raise
        return False


def test_a_new_key_works_everywhere_until_revoked(server):
    id, key = server.home.new_key("--name", "ci", "--expires", "30d")
    assert id.startswith("key_") and key.bearer.startswith("ock_")
    clients = [client(server, key) for client in MAIN.values()]
    for client in clients:
        poll(lambda: accepted(client), 5, f"{client.name} accepted with a new key")

    listed = {item["id"]: item for item in json.loads(server.home.run("keys", "list", "--json"))}
    assert listed[id]["name"] == "ci"
    everything = json.dumps(listed)
    assert key.bearer not in everything and key.secret_access_key not in everything

    server.home.run("keys", "revoke", id)
    for client in clients:
        poll(lambda: not accepted(client), 5, f"{client.name} refused with a revoked key")
    assert OpenAI(server).ask(HELLO).output_tokens == 1


def test_a_key_expires(server):
    """Refused once its time is over, by signature and by bearer."""
    _, key = server.home.new_key("--expires", "2s")
    made = time.monotonic()
    clients = [OpenAI(server, key), Boto3(server, key)]
    assert poll(lambda: accepted(clients[0]) or time.monotonic() - made > 2, 5, "accepted before it expires")
    for client in clients:
        poll(lambda: not accepted(client), 10, f"{client.name} refused after it expired")
    # Times are kept in whole seconds.
    assert time.monotonic() - made > 1


@pytest.mark.parametrize("arguments, code", [(("revoke", "key_none"), 3), (("create", "--expires", "soon"), 2)])
def test_exit_codes(server, arguments, code):
    server.home.run("keys", *arguments, code=code)
