"""What every client is asked to do, and what has to come of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import attrs
from e2e.house import Target
from e2e.talkers import ToolSpec

Mode: TypeAlias = Literal["whole", "stream", "runner"]

CLOCK = ToolSpec(name="clock", arguments=("tz",))
ARGUMENTS = {"tz": "Europe/Zürich \U0001f551"}
QUESTION = f"use the tool clock with {json.dumps(ARGUMENTS, ensure_ascii=False)}"
ANSWER = "noon"
SYSTEM = "Be kind"


@attrs.frozen(kw_only=True)
class Job:
    """One conversation: a question, a call of the tool, its answer, a last word. ``npm`` is where packages lie."""

    url: str
    key: str
    model: str
    mode: Mode
    npm: Path
    thinking: bool = False


@attrs.frozen(kw_only=True)
class Outcome:
    """The calls that the client saw, what was said last, and what was thought before that."""

    calls: Sequence[Mapping[str, Any]]
    text: str
    thinking: str = ""


class SDK(Protocol):
    """A client library.

    ``modes`` are the ways in which it can hold a conversation; ``probes`` how many requests a mode begins with that the
    gateway has to refuse in words this library understands.
    """

    @property
    def name(self) -> str: ...

    @property
    def api(self) -> str: ...

    @property
    def modes(self) -> Sequence[Mode]: ...

    @property
    def shows_thinking(self) -> bool: ...

    @property
    def probes(self) -> Mapping[Mode, int]: ...

    def run(self, job: Job) -> Outcome:
        """Hold the conversation."""


def thinker(target: Target, sdk: SDK) -> tuple[str, bool]:
    """A model of this target's provider that thinks, and whether this client sees its thoughts.

    OpenAI shows them in Responses alone, which the gateway asks for every client but those of Chat Completions.
    """
    if target.provider == "openai":
        return "gpt-5", sdk.shows_thinking and sdk.api != "chat"
    return target.model, sdk.shows_thinking
