"""The one port itself: health, unknown paths, every operation AWS has, hostile bodies."""

from __future__ import annotations

import gzip
import http.client
import json
import pathlib
import re
import select
import socket
import ssl
import time

import botocore
import pytest

from asks import MODEL, ask
from clients import Anthropic, Boto3, OpenAI
from conftest import BODY_MAX_BYTES
from outcrop import Key, Server

HELLO = ask("Hello", max_tokens=1)


def request(server: Server, method: str, path: str, body: bytes | None = None, **headers: str):
    """One plain HTTP/1.1 request with the root key: status, headers (lower case), body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        own = {"authorization": f"Bearer {server.key.bearer}"}
        connection.request(method, path, body, own | {name.replace("_", "-"): v for name, v in headers.items()})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health_needs_no_key(server, path):
    assert server.health(path) == 200


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "path", ["/nothing", "/v1/nothing", "/openai/v1/x", "/anthropic/v1/x", "/bedrock/x", "/v1//models", "/%"]
)
def test_unknown_paths_answer_json(server, method, path):
    status, headers, body = request(server, method, path)
    assert status in (400, 404, 405)
    assert headers["content-type"].startswith("application/json")
    assert json.loads(body)


def test_wrong_method(server):
    status, headers, body = request(server, "GET", "/v1/messages")
    assert status in (404, 405) and json.loads(body)


def test_root_is_no_html(server):
    status, headers, body = request(server, "GET", "/")
    assert status == 200 and "html" not in headers["content-type"] and b"<" not in body


def operations():
    """All operations of the two Bedrock services, from the SDK's own models."""
    data = pathlib.Path(botocore.__file__).parent / "data"
    for service in ("bedrock", "bedrock-runtime"):
        (file,) = data.glob(f"{service}/*/service-2.json.gz")
        model = json.loads(gzip.decompress(file.read_bytes()))
        for name, operation in model["operations"].items():
            yield name, operation["http"]["method"], operation["http"]["requestUri"]


BUILT = {
    "ListFoundationModels", "GetFoundationModel", "ListInferenceProfiles", "GetInferenceProfile",
    "Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream", "CountTokens",
}  # fmt: skip


def test_every_bedrock_operation_answers(server):
    """What is not built says so at once, as a modelled error; nothing hangs, nothing is HTML."""
    seen = 0
    for name, method, uri in operations():
        path = re.sub(r"\{[^}]+\}", "x", uri)
        status, headers, body = request(server, method, path, b"{}" if method != "GET" else None)
        answer = json.loads(body)
        assert headers["x-amzn-requestid"], name
        if name in BUILT:
            # There is no model `x`, or the body lacks what is required.
            assert status in (200, 400, 404), (name, status)
        else:
            assert status in (400, 404, 501), (name, status)
            assert headers["x-amzn-errortype"] in ("ValidationException", "UnknownOperationException"), (name, headers)
            assert name in answer["message"], (name, answer)
        seen += 1
    assert seen == 119


def test_endless_chunked_body_is_refused(server):
    """Chunked, with no length to judge by: refused once the limit is passed."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\n"
            b"transfer-encoding: chunked\r\n\r\n" % server.key.bearer.encode()
        )
        chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
        for _ in range(100):
            connection.sendall(chunk)
            if select.select([connection], [], [], 0)[0]:
                break
        else:
            pytest.fail("100 MiB were taken without a word")
        assert b" 413 " in connection.recv(64)


def test_stranger_is_turned_away_before_the_body(server):
    """A stranger's announced body is not waited for."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: ock_nobody\r\ncontent-length: 1000000\r\n\r\n"
        )
        assert b" 401 " in connection.recv(64)


def test_announced_body_over_the_limit(server):
    """Content-Length alone is enough to refuse."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\ncontent-length: %d\r\n\r\n"
            % (server.key.bearer.encode(), BODY_MAX_BYTES + 1)
        )
        assert b" 413 " in connection.recv(64)


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_tls_negotiates(server, protocol):
    context = ssl.create_default_context(cafile=str(server.ca))
    context.set_alpn_protocols([protocol])
    with socket.create_connection(("127.0.0.1", server.tls_port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            assert secure.selected_alpn_protocol() == protocol


def test_trust_names_the_authority(server):
    told = json.loads(server.home.run("trust", "--json"))
    assert str(server.ca) in json.dumps(told)
    assert str(server.ca) in server.home.run("trust")


def test_dev_accepts_any_credential(make_home):
    """On loopback, and only when asked for."""
    server = Server(make_home("dev"), f'models = ["{MODEL}"]\n', arguments=("--dev",))
    server.start(key=Key("anything", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
    for client in (OpenAI, Anthropic, Boto3):
        assert client(server).ask(HELLO).output_tokens == 1
    assert "dev" in (server.out + server.log).lower()
    server.stop()


def test_warm_start_is_quick(make_home):
    """A second start is ready in under two seconds: the model is mapped, not copied."""
    server = Server(make_home("warm"), f'models = ["{MODEL}"]\n').start()
    key = server.key
    server.stop()
    begun = time.monotonic()
    server.start(key=key)
    assert time.monotonic() - begun < 2
    assert Key.from_exports(server.out) is None, "the root key is shown once"
    server.stop()


def test_secrets_are_never_logged(server):
    """After everything before it, no key is in the log."""
    OpenAI(server).ask(HELLO)
    assert server.key.bearer not in server.log and server.key.secret_access_key not in server.log
