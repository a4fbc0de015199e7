"""The SDKs from npm, each through a small script that holds the conversation in a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
from e2e.clients.jobs import ANSWER, CLOCK, QUESTION, Job, Mode, Outcome

HERE = Path(__file__).parent
LOCKED = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))["packages"]


def version(package: str) -> str:
    """The version of an npm package that the lock file holds."""
    return str(LOCKED[f"node_modules/{package}"]["version"])


def copy_scripts(folder: Path) -> None:
    """Put the scripts beside the packages: Node looks for a module from where the script lies."""
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, folder)


@attrs.frozen(kw_only=True)
class NodeSDK:
    """One API of one package; ``script`` is the command line after ``node``."""

    package: str
    api: str
    script: Sequence[str]
    modes: Sequence[Mode] = ("whole", "stream")
    shows_thinking: bool = True
    probes: Mapping[Mode, int] = attrs.field(factory=dict)

    @property
    def name(self) -> str:
        return f"npm {self.package} {version(self.package)}, {self.api}"

    def run(self, job: Job) -> Outcome:
        tool = {"name": CLOCK.name, "description": "Tells the time.", "schema": CLOCK.schema}
        said = {
            "baseUrl": job.url,
            "key": job.key,
            "model": job.model,
            "mode": job.mode,
            "thinking": job.thinking,
            "question": QUESTION,
            "answer": ANSWER,
            "tool": tool,
        }
        ran = subprocess.run(
            ["node", *self.script], cwd=job.npm, input=json.dumps(said), capture_output=True, text=True, timeout=60
        )
        assert ran.returncode == 0, ran.stderr
        return Outcome(**json.loads(ran.stdout))


NODE_SDKS = (
    NodeSDK(package="openai", api="chat", script=["openai_chat.mjs"], modes=("whole", "stream", "runner")),
    NodeSDK(package="openai", api="responses", script=["openai_responses.mjs"]),
    NodeSDK(
        package="@anthropic-ai/sdk",
        api="messages",
        script=["anthropic_messages.mjs"],
        modes=("whole", "stream", "runner"),
        probes={"runner": 1},  # it first asks for a conversation that the server keeps
    ),
    NodeSDK(package="@google/genai", api="gemini", script=["google_genai.mjs"]),
    # This package has no word for the thoughts that compatible servers show in Chat Completions.
    NodeSDK(package="@ai-sdk/openai", api="chat", script=["ai_sdk.mjs", "chat"], shows_thinking=False),
    NodeSDK(package="@ai-sdk/openai", api="responses", script=["ai_sdk.mjs", "responses"]),
    NodeSDK(package="@ai-sdk/anthropic", api="messages", script=["ai_sdk.mjs", "anthropic"]),
    NodeSDK(package="@ai-sdk/google", api="gemini", script=["ai_sdk.mjs", "google"]),
)
