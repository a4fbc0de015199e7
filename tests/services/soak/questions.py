"""What is asked in a soak: a number tells all of a question, so that vendor and client agree without a word."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import attrs

Fate = Literal[
    "good", "refused", "broken", "flaky", "cut", "reset", "leaves_waiting", "leaves_midway", "leaves_at_once"
]
"""What becomes of a question.

``good`` is answered. The vendor refuses it (``refused``), fails (``broken``), fails once and answers then (``flaky``),
breaks off in the middle (``cut``) or before the first byte (``reset``). Or its client leaves: once the vendor has it
(``leaves_waiting``), in the middle of the stream (``leaves_midway``), or as soon as it is sent (``leaves_at_once``).
"""

FAULTS: tuple[Fate, ...] = ("refused", "broken", "flaky", "cut", "reset")
"""What goes wrong at the vendor."""

_SHARES: Mapping[Fate, int] = {
    "good": 850,
    "refused": 10,
    "broken": 10,
    "flaky": 10,
    "cut": 10,
    "reset": 10,
    "leaves_waiting": 40,
    "leaves_midway": 40,
    "leaves_at_once": 20,
}
"""In a thousand: a tenth of the clients leave, a twentieth meets a fault."""

_STREAMED = 0.69
"""Of those whose fate leaves it open, so that it is seven tenths of all."""

_CONVERSATIONS = 2000
"""As many are under way at a time; each has turn after turn, as with real clients."""

_PADDING = "All work and no play makes a gateway dull. " * 20


@attrs.frozen(kw_only=True)
class Client:
    """A dialect: where it asks, how its question looks, and what ends a stream of it."""

    path: str
    end: bytes
    streams_by_path: bool = False

    def ask(self, model: str, *, streamed: bool) -> str:
        """The path of a question."""
        verb = "streamGenerateContent?alt=sse" if streamed else "generateContent"
        return f"/v1beta/models/{model}:{verb}" if self.streams_by_path else self.path


CLIENTS: Mapping[str, Client] = {
    "openai-chat": Client(path="/v1/chat/completions", end=b"data: [DONE]"),
    "anthropic": Client(path="/v1/messages", end=b"event: message_stop"),
    "openai-responses": Client(path="/v1/responses", end=b"event: response.completed"),
    "gemini": Client(path="", end=b'"finishReason"', streams_by_path=True),
}
MODELS = {"chat": "chat-1", "messages": "claude-1", "contents": "gemini-1"}
"""The vendors by the wire that they speak, and the one model of each."""


@attrs.frozen(kw_only=True)
class Question:
    """One request: ``number`` says all the rest of it."""

    number: int
    fate: Fate
    streamed: bool
    dialect: str
    model: str

    @classmethod
    def of(cls, number: int) -> Question:
        """The question with this number, always the same."""
        chance = random.Random(number)
        (fate,) = chance.choices(list(_SHARES), list(_SHARES.values()))
        return cls(
            number=number,
            fate=fate,
            streamed=fate == "leaves_midway" or chance.random() < _STREAMED,
            dialect=chance.choice(list(CLIENTS)),
            model=chance.choice(list(MODELS.values())),
        )

    @property
    def path(self) -> str:
        """Where it is asked."""
        return CLIENTS[self.dialect].ask(self.model, streamed=self.streamed)

    @property
    def headers(self) -> dict[str, str]:
        """What it is known by: itself, and its conversation."""
        return {"x-request-id": f"soak-{self.number}", "x-session-id": f"talk-{self.number % _CONVERSATIONS}"}

    @property
    def body(self) -> bytes:
        """The question as its dialect has it."""
        return json.dumps({**self._said(), **self._how()}).encode()

    @property
    def answer(self) -> str:
        """What has to be in its answer, and in no other one."""
        return f"number-{self.number}-."

    def _said(self) -> dict[str, Any]:
        text = f"soak {self.number} {self.fate} {_PADDING}"
        messages = [{"role": "user", "content": text}]
        match self.dialect:
            case "openai-responses":
                return {"input": text}
            case "gemini":
                return {"contents": [{"role": "user", "parts": [{"text": text}]}]}
            case "anthropic":
                return {"messages": messages, "max_tokens": 100}
            case _:
                return {"messages": messages}

    def _how(self) -> dict[str, Any]:
        return {} if self.dialect == "gemini" else {"model": self.model, "stream": self.streamed}


def questions(count: int) -> Iterator[Question]:
    """The first so many."""
    return map(Question.of, range(count))
