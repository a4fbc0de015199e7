"""The words that the fake vendors share: what arrived, what is wrong with it, how an answer goes wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Set
from typing import Any, Literal, Protocol, TypeAlias

import attrs
from e2e.fakes.mind import Answer, Prompt

JsonObject: TypeAlias = dict[str, Any]


@attrs.frozen
class Problem:
    """Something a vendor does not accept: what, where, and the vendor's code for it."""

    message: str
    where: str | None = None
    code: str | None = None
    status: int = 400


@attrs.frozen(kw_only=True)
class Refusal:
    """An answer that is none."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Script:
    """How an answer goes wrong.

    ``refusal`` comes instead of an answer. ``mute``: nothing at all is ever said. Else, after ``after`` frames of a
    stream or half the bytes of a whole answer, the ``end`` comes: ``cut`` drops the connection, ``silence`` keeps it,
    ``error`` sends the vendor's error inside the stream, or with status 200 in place of a whole answer.
    ``pause`` is in seconds, between two writes. ``text`` replaces what the model says.
    """

    refusal: Refusal | None = None
    mute: bool = False
    after: int | None = None
    end: Literal["clean", "cut", "silence", "error"] = "clean"
    pause: float = 0.0
    text: str | None = None


@attrs.define(kw_only=True, eq=False)
class Exchange:
    """One request as it arrived, and what became of it.

    ``said_by_path`` is what a vendor reads elsewhere than in the body: the model and the verb, with Gemini.
    ``begun`` is set when the vendor has taken the request up, ``left`` when the other side closed the connection before
    its answer was complete.
    """

    path: str
    headers: dict[str, str]
    body: bytes
    answer: Answer | None = None
    said_by_path: Mapping[str, str] = attrs.field(factory=dict)
    begun: threading.Event = attrs.field(factory=threading.Event)
    left: threading.Event = attrs.field(factory=threading.Event)

    @property
    def key(self) -> str:
        """The credential that was shown; empty when there was none."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        own = self.headers.get("x-api-key") or self.headers.get("x-goog-api-key", "")
        return token if scheme == "Bearer" else own

    @property
    def owner(self) -> str:
        """Whose request it is: the credential, unless the vendor knows by what name to call who has it."""
        return self.said_by_path.get("owner", self.key)

    @property
    def json(self) -> JsonObject:
        """The body; an empty object when it is no JSON object."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def model(self) -> str:
        """The model that was asked for."""
        return str(self.asked.get("model"))

    @property
    def asked(self) -> JsonObject:
        """The body together with what the path says."""
        return {**self.json, **self.said_by_path}

    @property
    def streams(self) -> bool:
        """Whether the answer is to come as a stream."""
        return bool(self.asked.get("stream")) or self.asked.get("verb") == "streamGenerateContent"


class Wire(Protocol):
    """How one vendor reads requests and writes answers."""

    @property
    def path(self) -> str:
        """Where it takes requests: a path, or aiohttp's pattern for many."""

    def authenticate(self, exchange: Exchange, keys: Set[str]) -> Problem | None:
        """Why this credential is not one of ``keys``."""

    def check(self, exchange: Exchange, scripted: Set[str]) -> Iterator[Problem]:
        """Everything that the vendor would refuse in this request; ``scripted`` are models it has besides its own."""

    def understand(self, body: JsonObject) -> Prompt:
        """What a request that passed its checks asks the model; here and below, ``body`` is with the path's words."""

    def whole(self, body: JsonObject, answer: Answer) -> JsonObject:
        """The answer as one object."""

    def frames(self, body: JsonObject, answer: Answer) -> Iterator[bytes]:
        """The answer as a stream's frames."""

    def error(self, problem: Problem) -> JsonObject:
        """The body of a refusal."""

    def error_frame(self) -> bytes:
        """What the vendor sends when it fails in the middle of a stream."""

    def headers(self) -> dict[str, str]:
        """What the vendor puts on every answer."""
