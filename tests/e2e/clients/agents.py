"""Coding agents without a screen: each is pointed at the gateway as its manual says, and kept from everything else."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from e2e.clients.node_sdks import version


@attrs.frozen(kw_only=True)
class Desk:
    """Where an agent works: ``home`` is its own, ``folder`` has the files; ``proxy`` is all that leads elsewhere."""

    url: str
    key: str
    model: str
    home: Path
    folder: Path
    npm: Path
    proxy: str


@attrs.frozen(kw_only=True)
class Agent:
    """``write`` and ``read`` are calls of its tools; ``spoken`` finds its last words in its output."""

    package: str
    title: str
    script: str
    arguments: Sequence[str]
    prepare: Callable[[Desk], Mapping[str, str]]
    write: Callable[[Path, str], tuple[str, Mapping[str, Any]]]
    read: Callable[[Path], tuple[str, Mapping[str, Any]]]
    spoken: Callable[[str], str]

    @property
    def name(self) -> str:
        return f"{self.title} {version(self.package)}"

    def work(self, task: str, desk: Desk) -> str:
        """Do the task; the last words."""
        script = desk.npm / "node_modules" / self.package / self.script
        arguments = [argument.format(task=task, model=desk.model) for argument in self.arguments]
        environment = {**_alone(desk), **self.prepare(desk)}
        ran = subprocess.run(
            ["node", str(script), *arguments],
            cwd=desk.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
        return self.spoken(ran.stdout)


def _alone(desk: Desk) -> dict[str, str]:
    """An environment with nothing of this machine's but the path, from which no request leads to the network."""
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), desk.proxy)
    spared = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return {"PATH": os.environ["PATH"], "HOME": str(desk.home), "TERM": "xterm-256color", **proxies, **spared}


def _claude_code(desk: Desk) -> Mapping[str, str]:
    return {
        "ANTHROPIC_BASE_URL": desk.url,
        "ANTHROPIC_AUTH_TOKEN": desk.key,
        "ANTHROPIC_MODEL": desk.model,
        "ANTHROPIC_SMALL_FAST_MODEL": desk.model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_TELEMETRY": "1",
    }


_CODEX = """\
model = "{model}"
model_provider = "gateway"
check_for_update_on_startup = false

[model_providers.gateway]
name = "gateway"
base_url = "{url}/v1"
env_key = "GATEWAY_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0

[analytics]
enabled = false

[features]
plugins = false
"""


def _codex(desk: Desk) -> Mapping[str, str]:
    folder = desk.home / ".codex"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(_CODEX.format(model=desk.model, url=desk.url), encoding="utf-8")
    return {"CODEX_HOME": str(folder), "GATEWAY_KEY": desk.key}


def _gemini_cli(desk: Desk) -> Mapping[str, str]:
    folder = desk.home / ".gemini"
    folder.mkdir(parents=True)
    settings = {
        "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
        "privacy": {"usageStatisticsEnabled": False},
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "telemetry": {"enabled": False},
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    return {"GEMINI_API_KEY": desk.key, "GOOGLE_GEMINI_BASE_URL": desk.url}


def _messages(events: str) -> str:
    """The last message among the events that Codex prints."""
    items = [json.loads(line).get("item", {}) for line in events.splitlines() if line.startswith("{")]
    return str([item["text"] for item in items if item.get("type") == "agent_message"][-1])


AGENTS = (
    Agent(
        package="@anthropic-ai/claude-code",
        title="Claude Code",
        script="cli-wrapper.cjs",
        arguments=["-p", "{task}", "--output-format", "json", "--allowedTools", "Read", "Write"],
        prepare=_claude_code,
        write=lambda file, text: ("Write", {"file_path": str(file), "content": text}),
        read=lambda file: ("Read", {"file_path": str(file)}),
        spoken=lambda output: str(json.loads(output)["result"]),
    ),
    Agent(
        package="@openai/codex",
        title="Codex CLI",
        script="bin/codex.js",
        # Its sandbox needs more of the kernel than a container gives.
        arguments=["exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "{task}"],
        prepare=_codex,
        write=lambda file, text: ("exec_command", {"cmd": f"printf %s {text} > {file.name}"}),
        read=lambda file: ("exec_command", {"cmd": f"cat {file.name}"}),
        spoken=_messages,
    ),
    Agent(
        package="@google/gemini-cli",
        title="gemini-cli",
        script="bundle/gemini.js",
        arguments=["-m", "{model}", "-p", "{task}", "--output-format", "json", "--yolo", "--skip-trust"],
        prepare=_gemini_cli,
        write=lambda file, text: ("write_file", {"file_path": file.name, "content": text}),
        read=lambda file: ("read_file", {"file_path": file.name}),
        spoken=lambda output: str(json.loads(output)["response"]),
    ),
)
