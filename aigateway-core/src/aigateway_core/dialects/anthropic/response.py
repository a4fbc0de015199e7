"""Whole answers, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from aigateway_core.dialects.anthropic.content_writer import MOST_ID
from aigateway_core.dialects.anthropic.usage import CUT_REASONS, read_finish, read_usage, write_stop, write_usage
from aigateway_core.dialects.arguments import parse_arguments
from aigateway_core.dialects.checks import Path, from_upstream, mapping, optional_string, sequence, string
from aigateway_core.dialects.estimate import usage_of
from aigateway_core.dialects.identifiers import digest, legal_tool_id, restoring_names, synthetic_tool_id
from aigateway_core.dialects.signatures import client_redacted, client_signature
from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.events import (
    RedactedThinking,
    SignatureDelta,
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageUpdate,
    fold,
)
from aigateway_core.jsontext import dumps
from aigateway_core.model import (
    ChatRequest,
    ChatResponse,
    ImagePart,
    JsonObject,
    Part,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)

# -- out of an upstream


def read_response(body: JsonObject, request: ChatRequest, origin: str) -> ChatResponse:
    """The answer that ``body`` spells. Raises :class:`UpstreamError` when it is none."""
    return from_upstream(lambda: fold(_events(message(body), request, origin)))


def message(body: JsonObject) -> JsonObject:
    """``body``, which must be a message (U-11, U-13)."""
    if body.get("type") != "message":
        raise UpstreamError(ErrorKind.PROTOCOL, "the upstream's answer is not a message")
    string(body.get("id"), "id")
    string(body.get("model"), "model")
    sequence(body.get("content"), "content")
    return body


def _events(body: JsonObject, request: ChatRequest, origin: str) -> Iterator[StreamEvent]:
    """The answer as the events of a stream: folding them gives the same parts as the stream itself would."""
    yield StreamStart(body["id"], body["model"])
    names, seed, calls = restoring_names(request.tools), calls_seed(body["id"], request), 0
    for position, item in enumerate(body["content"]):
        path = ("content", position)
        block = mapping(item, *path)
        kind = string(block.get("type"), *path, "type")
        yield from block_events(kind, block, path, calls, names, origin, seed)
        calls += kind == "tool_use"
    if (usage := read_usage(body.get("usage"), "usage")) is not None:
        yield UsageUpdate(usage)
    reason = optional_string(body.get("stop_reason"), "stop_reason")
    yield StreamFinish(
        read_finish(reason, called=calls > 0), optional_string(body.get("stop_sequence"), "stop_sequence")
    )


def calls_seed(message_id: str, request: ChatRequest) -> str:
    """What ids that a compatible server forgot are made from: the same for the same turn, another for the next."""
    return digest(message_id, request.model, len(request.messages))


def block_events(
    kind: str,
    block: JsonObject,
    path: Path,
    call: int,
    names: Mapping[str, str],
    origin: str,
    seed: str,
) -> Iterator[StreamEvent]:
    """The events of one content block as far as it is filled; blocks of server tools bring none.

    ``call`` is the number of the tool call, if it is one, whose id is made from ``seed`` where it has none; ``names``
    restores names that were shortened for this vendor.
    """
    match kind:
        case "text":
            if text := optional_string(block.get("text"), *path, "text"):
                yield TextDelta(text)
        case "thinking":
            if text := optional_string(block.get("thinking"), *path, "thinking"):
                yield ThinkingDelta(text, origin)
            if signature := optional_string(block.get("signature"), *path, "signature"):
                yield SignatureDelta(signature, origin)
        case "redacted_thinking":
            yield RedactedThinking(string(block.get("data"), *path, "data"), origin)
        case "tool_use":
            name = string(block.get("name"), *path, "name")
            call_id = string(block.get("id"), *path, "id") or synthetic_tool_id(seed, call, "toolu_")
            yield ToolCallStart(call, call_id, names.get(name, name))
            if arguments := mapping(block.get("input", {}), *path, "input"):
                yield ToolCallDelta(call, dumps(arguments).decode())


# -- to a client


def write_response(response: ChatResponse, request: ChatRequest, origin: str) -> JsonObject:
    """The message for a client. Raises :class:`UpstreamError` when a tool call in it is broken."""
    content = list(_blocks(response, origin, hidden=hides_thinking(request)))
    called = any(block["type"] == "tool_use" for block in content)
    return {
        "id": message_id(response.id, request),
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": content,
        "stop_reason": write_stop(response.finish_reason, called=called),
        "stop_sequence": response.stop_sequence,
        "usage": write_usage(response.usage or usage_of(request, response)),
    }


def hides_thinking(request: ChatRequest) -> bool:
    """Whether the client asked to have thinking blocks with their signature alone (``display: omitted``)."""
    return request.reasoning is not None and not request.reasoning.summary


def message_id(upstream_id: str, request: ChatRequest) -> str:
    """The upstream's id in this API's form; the same for the same answer, so that it can be found again."""
    if not upstream_id:
        return f"msg_{digest(request.model, len(request.messages))}"
    legal = legal_tool_id(upstream_id, MOST_ID)
    return legal if legal.startswith("msg_") else f"msg_{legal}"


def call_id(upstream_id: str, response_id: str, index: int) -> str:
    """The id of a tool call: the upstream's own while it is legal, made up when there is none (cases 57 and 58)."""
    return legal_tool_id(upstream_id, MOST_ID) if upstream_id else synthetic_tool_id(response_id, index, "toolu_")


IMAGE_NOTE = "[image omitted: answers of this API hold no pictures]"


def _told(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts with a note for each picture; neighbouring texts are one, as they are in a stream."""
    text = ""
    for part in parts:
        if isinstance(part, TextPart | ImagePart):
            text += IMAGE_NOTE if isinstance(part, ImagePart) else part.text
            continue
        if text:
            yield TextPart(text)
        text = ""
        yield part
    if text:
        yield TextPart(text)


def _blocks(response: ChatResponse, origin: str, *, hidden: bool) -> Iterator[JsonObject]:
    calls = 0
    for part in without_last_mark(tuple(_told(response.parts)), origin):
        match part:
            case ToolCallPart():
                arguments = _input(part, response)
                if arguments is not None:
                    yield tool_block(call_id(part.id, response.id, calls), part.name, arguments)
                calls += 1
            case TextPart() | ThinkingPart():
                yield from _shown(part, origin, hidden=hidden)
            case _:
                pass


def without_last_mark(parts: Sequence[Part], origin: str) -> Sequence[Part]:
    """The parts without another maker's signature of a text that nothing follows (case 141).

    It would be a thinking block at the end, which no answer of Anthropic's has: what reads the last block for the
    answer, Claude Code with ``-p`` for one, would read nothing. Google asks for the signature of a text without
    insisting on it (ai.google.dev, "thought signatures"); those of tool calls stand before the call, and are kept.
    """
    match parts:
        case [*_, TextPart(said), ThinkingPart(text="", redacted=None) as mark] if said and mark.origin != origin:
            return parts[:-1]
    return parts


def tool_block(identifier: str, name: str, arguments: JsonObject) -> JsonObject:
    """A ``tool_use`` block."""
    return {"type": "tool_use", "id": identifier, "name": name, "input": arguments}


def _shown(part: Part, origin: str, *, hidden: bool) -> Iterator[JsonObject]:
    match part:
        case TextPart(text) if text:
            yield {"type": "text", "text": text}
        case ThinkingPart(redacted=str()):
            yield {"type": "redacted_thinking", "data": client_redacted(part, origin)}
        case ThinkingPart(text) if text or part.signature:
            shown = "" if hidden else text
            yield {"type": "thinking", "thinking": shown, "signature": client_signature(part, origin)}
        case _:
            pass


def _input(part: ToolCallPart, response: ChatResponse) -> JsonObject | None:
    """The arguments; None for a call that the end of the answer cut off, which must never be run (U-19)."""
    arguments = parse_arguments(part.arguments)
    if arguments is None and response.finish_reason not in CUT_REASONS:
        raise UpstreamError(ErrorKind.PROTOCOL, f"the upstream broke off the arguments of its call of {part.name!r}")
    return arguments
