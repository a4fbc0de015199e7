"""What is asked, and how: the requests of every mode."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any, Literal

import attrs

MODEL = "gpt-4o-mini"
EVENTS = 100
"""Events of a stream: the first and the last have no content."""
PACE_MS = 10

Shape = Literal["whole", "stream", "paced"]
Wording = Literal["native", "translated"]
Size = Literal["small", "agent"]

_PATHS: Mapping[Wording, str] = {"native": "/v1/chat/completions", "translated": "/v1/messages"}
_SENTENCE = "The quick brown fox jumps over the lazy dog while a gateway looks on. "
_AGENT_BYTES = 200_000
_AGENT_TOOLS = 30


@attrs.frozen
class Mode:
    """One way to put load on a gateway: ``shape`` of the answer, wording and size of the request, how many at once.

    ``stream`` comes as fast as it can, ``paced`` one event every :data:`PACE_MS`. ``translated`` is a client of
    Anthropic's dialect before an upstream that speaks OpenAI's. ``agent`` is what a coding agent sends: a long
    conversation with many tools.
    """

    shape: Shape
    wording: Wording
    size: Size
    connections: int

    @property
    def name(self) -> str:
        """As the command line says it."""
        return f"{self.shape}-{self.wording}-{self.size}-c{self.connections}"

    @property
    def streamed(self) -> bool:
        """Whether the answer is a stream."""
        return self.shape != "whole"

    @property
    def chunks(self) -> int:
        """Events with content in an answer."""
        return EVENTS - 2 if self.streamed else 0

    @property
    def interval_ms(self) -> int:
        """Time between two events of the upstream."""
        return PACE_MS if self.shape == "paced" else 0

    @property
    def path(self) -> str:
        """Where the client asks."""
        return _PATHS[self.wording]

    @property
    def body(self) -> bytes:
        """What the client asks."""
        make = _chat if self.wording == "native" else _messages
        stream = {"stream": True} if self.streamed else {}
        return json.dumps({"model": MODEL, **make(self.size), **stream}, separators=(",", ":")).encode()

    def requests(self, port: int, headers: Mapping[str, str]) -> list[bytes]:
        """The bytes that a connection sends in turn: every other request names its conversation.

        One that does is bound to an account, one that does not takes the next in the round. ``########`` stands for
        the number of the connection.
        """
        body = self.body
        common = {
            "host": f"127.0.0.1:{port}",
            "content-type": "application/json",
            "content-length": str(len(body)),
            **({"anthropic-version": "2023-06-01"} if self.wording == "translated" else {}),
            **headers,
        }
        return [_head(self.path, each) + body for each in ({**common, "x-session-id": "conversation-########"}, common)]


def _head(path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def _chat(size: Size) -> dict[str, Any]:
    system = {"role": "system", "content": "You are a helpful assistant."}
    if size == "small":
        return {"messages": [system, {"role": "user", "content": _SENTENCE * 11}], "max_tokens": 500}
    tools = [{"type": "function", "function": {**tool, "parameters": _schema()}} for tool in _tools()]
    turns = [_chat_turn(turn, number) for number, turn in enumerate(_turns(tools))]
    return {"messages": [system, *itertools.chain(*turns)], "tools": tools, "max_tokens": 500}


def _chat_turn(text: str, number: int) -> list[dict[str, Any]]:
    name = f"tool_{number % _AGENT_TOOLS}"
    call = {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": '{"path":"a.py"}'}}
    return [
        {"role": "user", "content": f"Step {number}"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"call_{number}", "content": text},
    ]


def _messages(size: Size) -> dict[str, Any]:
    more = {"max_tokens": 500, "system": "You are a helpful assistant."}
    if size == "small":
        return {"messages": [{"role": "user", "content": _SENTENCE * 11}], **more}
    tools = [{**tool, "input_schema": _schema()} for tool in _tools()]
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Begin"}]
    for number, text in enumerate(_turns(tools)):
        use = {"type": "tool_use", "id": f"call_{number}", "name": f"tool_{number % _AGENT_TOOLS}"}
        result = {"type": "tool_result", "tool_use_id": f"call_{number}", "content": text}
        messages.append({"role": "assistant", "content": [{**use, "input": {"path": "a.py"}}]})
        messages.append({"role": "user", "content": [result]})
    return {"messages": messages, "tools": tools, **more}


def _tools() -> Iterator[dict[str, str]]:
    for number in range(_AGENT_TOOLS):
        yield {"name": f"tool_{number}", "description": _SENTENCE * 4}


def _schema() -> dict[str, Any]:
    field = {"type": "string", "description": _SENTENCE}
    names = ("path", "pattern", "content", "mode", "reason")
    return {"type": "object", "properties": dict.fromkeys(names, field), "required": ["path"]}


def _turns(tools: Sequence[object]) -> Iterator[str]:
    """What the tools said, until the request is as long as it shall be."""
    text = _SENTENCE * 50
    missing = _AGENT_BYTES - len(json.dumps(tools))
    yield from itertools.repeat(text, max(1, missing // (len(text) + 250)))


WHOLE = [
    Mode("whole", wording, size, connections)
    for size in ("small", "agent")
    for wording in ("native", "translated")
    for connections in (1, 16, 64)
]
STREAMS = [
    Mode("stream", wording, size, connections)
    for size in ("small", "agent")
    for wording in ("native", "translated")
    for connections in (1, 16, 64)
]
PACED = [
    Mode("paced", wording, "small", connections) for wording in ("native", "translated") for connections in (64, 500)
]
EVERY = [*WHOLE, *STREAMS, *PACED]
QUICK = (
    "whole-native-small-c1",
    "whole-native-small-c16",
    "whole-native-small-c64",
    "whole-translated-small-c16",
    "whole-native-agent-c16",
    "stream-native-small-c16",
    "paced-native-small-c64",
)


def chosen(patterns: Sequence[str]) -> list[Mode]:
    """The modes whose names fit one of the patterns. Raises :class:`SystemExit` for a pattern that fits none."""
    for pattern in patterns:
        if not any(fnmatch(mode.name, pattern) for mode in EVERY):
            raise SystemExit(f"bench: no mode is called {pattern}; there are {' '.join(mode.name for mode in EVERY)}")
    return [mode for mode in EVERY if any(fnmatch(mode.name, pattern) for pattern in patterns)]
