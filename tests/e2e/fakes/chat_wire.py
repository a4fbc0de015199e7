"""What the fakes with an OpenAI-like wire have in common in reading and writing it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

from e2e.fakes import chat_rules
from e2e.fakes.mind import Result, Turn
from e2e.fakes.vendor import JsonObject, Problem


def header_problems(headers: dict[str, str], foreign: tuple[str, ...]) -> Iterator[Problem]:
    """What is wrong with the headers: ``foreign`` ones are another vendor's, and cookies nobody sends to an API."""
    if not headers.get("content-type", "").startswith("application/json"):
        yield Problem(f"Unsupported content type: {headers.get('content-type')!r}", where="content-type")
    if headers.get("accept-encoding", "identity") != "identity":
        yield Problem("The gateway relays bytes and must ask for identity", where="accept-encoding")
    for name in (*foreign, "cookie", "proxy-authorization"):
        if name in headers:
            yield Problem("Header does not belong here", where=name)


def system(messages: list[JsonObject]) -> str:
    """The texts of the system and developer messages, in order."""
    return " | ".join(chat_rules.text(message) for message in messages if message["role"] in ("system", "developer"))


def turns(messages: list[JsonObject]) -> Iterator[Turn]:
    """The turns of a conversation; messages of one role that follow each other are one turn."""
    for role, group in itertools.groupby(messages, key=lambda message: message["role"]):
        said = list(group)
        if role == "tool":
            yield Turn(role="results", results=tuple(Result(text=chat_rules.text(message)) for message in said))
        elif role in ("user", "assistant"):
            parts = [part for message in said for part in chat_rules.parts(message)]
            yield Turn(
                role="user" if role == "user" else "assistant",
                text="\n".join(filter(None, map(chat_rules.text, said))),
                images=sum(part["type"] == "image_url" for part in parts),
            )


def data(value: JsonObject) -> bytes:
    """One frame of a stream without event names."""
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"
