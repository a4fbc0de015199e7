"""The vendors' SDKs for Python, each through the talker that the other tests use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from importlib import metadata
from typing import Any, Protocol

import anthropic
import attrs
import openai
from e2e.anthropic_talker import AnthropicTalker
from e2e.clients.jobs import ANSWER, CLOCK, QUESTION, SYSTEM, Job, Mode, Outcome
from e2e.gemini_talker import GeminiTalker
from e2e.openai_talker import OpenAITalker
from e2e.responses_talker import ResponsesTalker
from e2e.talkers import Mode as TalkerMode
from e2e.talkers import Talker
from google import genai
from google.genai import types

_MODES: Mapping[Mode, TalkerMode] = {"whole": "whole", "stream": "helper"}


class Closeable(Protocol):
    """A client with connections of its own."""

    def close(self) -> None: ...


@attrs.frozen(kw_only=True)
class PythonSDK:
    """One API of one SDK; ``talker`` makes a talker for a job."""

    package: str
    api: str
    talker: Callable[[Job, TalkerMode], tuple[Closeable, Talker]]
    shows_thinking: bool = True
    modes: Sequence[Mode] = ("whole", "stream")
    probes: Mapping[Mode, int] = attrs.field(factory=dict)

    @property
    def name(self) -> str:
        return f"python {self.package} {metadata.version(self.package)}, {self.api}"

    def run(self, job: Job) -> Outcome:
        client, talker = self.talker(job, _MODES[job.mode])
        with closing(client):
            asked = talker.say(QUESTION)
            told = talker.answer({call.id: ANSWER for call in asked.calls})
        calls = [{"name": call.name, "arguments": call.arguments} for call in asked.calls]
        return Outcome(calls=calls, text=told.text, thinking=told.thinking)


def _options(job: Job, **thinking: Any) -> dict[str, Any]:
    return {"system": SYSTEM, "tools": [CLOCK], **(thinking if job.thinking else {})}


def _openai(job: Job) -> openai.OpenAI:
    return openai.OpenAI(api_key=job.key, base_url=f"{job.url}/v1", max_retries=0, timeout=30)


def _chat(job: Job, mode: TalkerMode) -> tuple[Closeable, Talker]:
    client = _openai(job)
    return client, OpenAITalker(client, job.model, mode, **_options(job, reasoning_effort="medium"))


def _responses(job: Job, mode: TalkerMode) -> tuple[Closeable, Talker]:
    thinking = {"reasoning": {"effort": "medium", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    client = _openai(job)
    return client, ResponsesTalker(client, job.model, mode, **_options(job, **thinking))


def _messages(job: Job, mode: TalkerMode) -> tuple[Closeable, Talker]:
    client = anthropic.Anthropic(api_key=job.key, base_url=job.url, max_retries=0, timeout=30)
    thinking = {"type": "enabled", "budget_tokens": 2048}
    return client, AnthropicTalker(client, job.model, mode, **_options(job, thinking=thinking))


def _gemini(job: Job, mode: TalkerMode) -> tuple[Closeable, Talker]:
    client = genai.Client(api_key=job.key, http_options=types.HttpOptions(base_url=job.url, timeout=30_000))
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)
    return client, GeminiTalker(client, job.model, mode, **_options(job, thinking_config=thinking))


PYTHON_SDKS = (
    PythonSDK(package="openai", api="chat", talker=_chat),
    PythonSDK(package="openai", api="responses", talker=_responses),
    PythonSDK(package="anthropic", api="messages", talker=_messages),
    PythonSDK(package="google-genai", api="gemini", talker=_gemini),
)
