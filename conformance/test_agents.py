"""Real coding agents, run as their users run them, through Outcrop to a model of another
vendor: they read two files and mend one of them.

The upstream's model acts (`acting.py`) and holds every request to its vendor's rules.
Each agent has a home of its own and no network but loopback.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import uuid
from typing import Any

import pytest

import acting
import scripted
from acting import PLACEHOLDER, Acting
from outcrop import REPOSITORY, Server

BIN = REPOSITORY / "conformance/agents/node_modules/.bin"
#: A step takes well under a second; a machine under load, and four steps.
AGENT_SECONDS = 120

#: Names that the agents know, so that they send what they send to these models: Claude
#: with a thinking budget, and with adaptive thinking and system turns; a GPT that patches
#: by a tool of free text, and one that writes programs. And a name that they do not know.
BUDGET = "claude-sonnet-4-5"
ADAPTIVE = "claude-opus-4-8"
BEDROCK = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PATCHES = "gpt-5.5"
PROGRAMS = "gpt-6-sol"
UNKNOWN = "house-model"

CONFIG = """
models = []

[providers.anthropic-like]
dialect = "anthropic"
base_url = "{url}"
auth = {{ scheme = "x-api-key", value = "{secret}" }}
models = ["agent"]

[providers.openai-like]
dialect = "openai-chat"
base_url = "{url}/v1"
auth = {{ value = "{secret}" }}
models = ["agent"]

[providers.openai-responses-like]
dialect = "openai-responses"
base_url = "{url}/v1"
auth = {{ value = "{secret}" }}
models = ["agent"]

[providers.gemini-like]
dialect = "gemini"
base_url = "{url}/v1beta"
auth = {{ scheme = "x-goog-api-key", value = "{secret}" }}
models = ["agent"]

[providers.bedrock-like]
dialect = "bedrock"
base_url = "{url}"
auth = {{ scheme = "bearer", value = "{secret}" }}
models = ["agent"]

[aliases]
"""


@dataclasses.dataclass
class Task:
    """The folder an agent works in."""

    folder: pathlib.Path
    rock: str

    @classmethod
    def new(cls, folder: pathlib.Path) -> Task:
        task = cls(folder / "work", f"rock-{uuid.uuid4().hex[:8]}")
        task.folder.mkdir()
        (task.folder / "rock.txt").write_text(f"{task.rock}\n")
        task.motto.write_text(f"Be kind.\nAs solid as {PLACEHOLDER}.\n")
        return task

    @property
    def motto(self) -> pathlib.Path:
        return self.folder / "motto.txt"

    @property
    def prompt(self) -> str:
        rock = self.folder / "rock.txt"
        return f"Read {rock} and {self.motto} and put the rock's name where the motto says {PLACEHOLDER} ."

    @property
    def mended(self) -> str:
        return f"Be kind.\nAs solid as {self.rock}.\n"


class Stage:
    """Outcrop between an agent and a model of one vendor."""

    def __init__(self, make_home, vendor: str, model) -> None:
        self.upstream = Acting(model)
        # Aliases: Claude Code forgets what was thought if the answer names another model.
        names = [BUDGET, ADAPTIVE, BEDROCK, PATCHES, PROGRAMS, UNKNOWN]
        aliases = "".join(f'"{name}" = "{vendor}-like/agent"\n' for name in names)
        config = CONFIG.format(url=self.upstream.url, secret=scripted.SECRET) + aliases
        self.server = Server(make_home(f"agents-{vendor}", share_models=False), config).start()

    def run(self, task: Task, command: list[Any], environment: dict[str, str]) -> str:
        """Runs an agent to its end, in the task's folder, and returns what it printed."""
        home = task.folder.parent / "home"
        home.mkdir(exist_ok=True)
        self.upstream.seen.clear()
        self.upstream.faults.clear()
        done = subprocess.run(
            command,
            cwd=task.folder,
            env={
                "HOME": str(home),
                "PATH": f"{REPOSITORY / '.venv/bin'}:{os.environ['PATH']}",
                "NO_PROXY": "127.0.0.1,localhost",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=AGENT_SECONDS,
            text=True,
        )
        told = f"{done.stdout}\n{done.stderr}"
        assert self.upstream.faults == [], "\n".join([*self.upstream.faults, told])
        assert done.returncode == 0, told
        return done.stdout

    def close(self) -> None:
        self.server.stop()
        self.upstream.close()


@pytest.fixture(scope="module")
def stages(make_home):
    """A stage for each agent and vendor, built when first asked for."""
    built: dict[tuple[str, Any], Stage] = {}

    def stage(vendor: str, model: Any) -> Stage:
        if (vendor, model) not in built:
            built[vendor, model] = Stage(make_home, vendor, model)
        return built[vendor, model]

    yield stage
    for each in built.values():
        each.close()


# --- Claude Code ---------------------------------------------------------------------


def claude(stage: Stage, task: Task, model: str, environment: dict[str, str]) -> dict[str, Any]:
    """`claude -p` with every tool allowed; its report."""
    command = [BIN / "claude", "--print", task.prompt, "--model", model, "--output-format", "json"]
    quiet = {
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
        # Lets root skip permissions.
        "IS_SANDBOX": "1",
    }
    return json.loads(stage.run(task, [*command, "--dangerously-skip-permissions"], quiet | environment))


def check_claude(task: Task, report: dict[str, Any], stage: Stage) -> None:
    assert report["subtype"] == "success" and not report["is_error"], report
    assert report["result"] == f"The motto now says {task.rock}.", report
    assert task.motto.read_text() == task.mended
    steps = 3
    assert report["num_turns"] >= steps, report
    assert report["usage"]["input_tokens"] == steps * scripted.INPUT_TOKENS, report
    assert report["usage"]["output_tokens"] == steps * scripted.OUTPUT_TOKENS, report
    # On Bedrock it first asks whether it may, with one token.
    assert len([body for body in stage.upstream.seen if body.keys() & {"tools", "toolConfig"}]) == steps


@pytest.mark.parametrize("model", [BUDGET, ADAPTIVE], ids=["budget", "adaptive"])
@pytest.mark.parametrize("vendor", ["openai", "openai-responses", "gemini", "bedrock", "anthropic"])
def test_claude_code(stages, tmp_path, vendor, model):
    """Over the Messages API."""
    stage, task = stages(vendor, acting.claude_code), Task.new(tmp_path)
    environment = {"ANTHROPIC_BASE_URL": stage.server.url, "ANTHROPIC_API_KEY": stage.server.key.bearer}
    check_claude(task, claude(stage, task, model, environment), stage)


@pytest.mark.parametrize("vendor", ["openai", "gemini", "anthropic"])
def test_claude_code_on_bedrock(stages, tmp_path, vendor):
    """Over InvokeModelWithResponseStream, signed."""
    stage, task = stages(vendor, acting.claude_code), Task.new(tmp_path)
    environment = {
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "ANTHROPIC_BEDROCK_BASE_URL": stage.server.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": stage.server.key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": stage.server.key.secret_access_key,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    check_claude(task, claude(stage, task, BEDROCK, environment), stage)


# --- Codex ---------------------------------------------------------------------------

CODEX = """
model = "{model}"
model_provider = "outcrop"
check_for_update_on_startup = false

[model_providers.outcrop]
name = "Outcrop"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "OUTCROP_API_KEY"
request_max_retries = 0
stream_max_retries = 0

[analytics]
enabled = false
"""


def codex(stage: Stage, task: Task, model: str) -> list[dict[str, Any]]:
    """`codex exec` with every command allowed; its events."""
    settings = task.folder.parent / "home/.codex"
    settings.mkdir(parents=True)
    (settings / "config.toml").write_text(CODEX.format(url=stage.server.url, model=model))
    command = [BIN / "codex", "exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    told = stage.run(task, [*command, task.prompt], {"OUTCROP_API_KEY": stage.server.key.bearer})
    return [json.loads(line) for line in told.splitlines()]


@pytest.mark.parametrize("model", [PATCHES, PROGRAMS, UNKNOWN])
@pytest.mark.parametrize("vendor", ["anthropic", "openai", "gemini", "bedrock"])
def test_codex(stages, tmp_path, vendor, model):
    """Over the Responses API, with the tools that it has for each model."""
    stage, task = stages(vendor, acting.codex), Task.new(tmp_path)
    events = codex(stage, task, model)
    items = [event["item"] for event in events if event["type"] == "item.completed"]
    said = [item["text"] for item in items if item["type"] == "agent_message"]
    assert said == ["I shall read both.", f"The motto now says {task.rock}."], events
    assert task.motto.read_text() == task.mended
    steps = 3
    assert len(stage.upstream.seen) == steps
    (usage,) = [event["usage"] for event in events if event["type"] == "turn.completed"]
    assert usage["input_tokens"] == steps * scripted.INPUT_TOKENS, usage
    assert usage["output_tokens"] == steps * scripted.OUTPUT_TOKENS, usage
