"""What Anthropic refuses in a conversation: in its content, in the pairing of calls and results, in the thinking."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from e2e.fakes.chat_rules import is_base64
from e2e.fakes.vendor import JsonObject, Problem

_BLOCKS = {
    "user": {"text", "image", "document", "search_result", "tool_result", "container_upload"},
    "assistant": {"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "web_search_tool_result"},
    "system": {"text"},
}
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_PREFILLED = re.compile(r"claude-3|claude-\w+-4-(?:[015]|20)")
"""The models that go on with a last turn of their own; the newer ones refuse it."""


def merged(messages: list[JsonObject]) -> list[tuple[str, list[JsonObject]]]:
    """Role and blocks of each turn; neighbours of one role are one turn."""
    turns: list[tuple[str, list[JsonObject]]] = []
    for message in messages:
        if turns and turns[-1][0] == message["role"]:
            turns[-1][1].extend(blocks(message["content"]))
        else:
            turns.append((message["role"], list(blocks(message["content"]))))
    return turns


def blocks(content: str | list[JsonObject]) -> list[JsonObject]:
    """Content as blocks, whatever form it has."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def problems(body: JsonObject, issued: Mapping[str, str]) -> Iterator[Problem]:
    """Everything that is wrong with the turns of ``body``."""
    messages = body["messages"]
    if not messages:
        yield Problem("messages: at least one message is required")
    for number, message in enumerate(messages):
        yield from _content(message, number, last=number == len(messages) - 1)
    turns = merged(messages)
    if messages and messages[-1]["role"] == "assistant" and not _PREFILLED.match(body["model"]):
        yield Problem(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    yield from _roles(turns)
    yield from _pairing([turn for turn in turns if turn[0] != "system"])
    yield from _signatures(messages, issued)
    if body.get("thinking", {}).get("type") == "enabled":
        yield from _thinking_first(turns)


def _content(message: JsonObject, number: int, *, last: bool) -> Iterator[Problem]:
    role, where = message["role"], f"messages.{number}"
    content = blocks(message["content"])
    if not content or content == [{"type": "text", "text": ""}]:
        if not (last and role == "assistant"):
            yield Problem(
                f"{where}: all messages must have non-empty content except for the optional final assistant message"
            )
        return
    for position, block in enumerate(content):
        at = f"{where}.content.{position}"
        if block["type"] not in _BLOCKS[role]:
            yield Problem(f"{at}: {block['type']} blocks are not allowed in {role} messages")
        yield from _block(block, at)
    if last and role == "assistant" and content[-1].get("text", "").endswith((" ", "\n")):
        yield Problem("messages: final assistant content cannot end with trailing whitespace")


def _block(block: JsonObject, where: str) -> Iterator[Problem]:
    match block["type"]:
        case "text" if not block["text"].strip():
            yield Problem(f"{where}.text: text content blocks must contain non-whitespace text")
        case "image" if block["source"]["type"] == "base64" and not is_base64(block["source"]["data"]):
            yield Problem(f"{where}.image.source.base64: invalid base64 data")
        case "image" if block["source"]["type"] == "url" and not block["source"]["url"].startswith("https://"):
            yield Problem(f"{where}.image.source.url: Only HTTPS URLs are supported.")
        case "tool_use" if not _ID.fullmatch(block["id"]):
            yield Problem(f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
        case "tool_result":
            for position, inner in enumerate(blocks(block.get("content") or [])):
                if inner["type"] != "text" or isinstance(block["content"], list):
                    yield from _block(inner, f"{where}.tool_result.content.{position}")


def _roles(turns: list[tuple[str, list[JsonObject]]]) -> Iterator[Problem]:
    before = ""
    for number, (role, _) in enumerate(turns):
        if role == "system" and before != "user":
            yield Problem(f"messages.{number}: a system message must follow a user message")
        before = role


def _pairing(turns: list[tuple[str, list[JsonObject]]]) -> Iterator[Problem]:
    waiting: list[str] = []
    seen: set[str] = set()
    for number, (role, content) in enumerate(turns):
        results = [block["tool_use_id"] for block in content if block["type"] == "tool_result"]
        yield from _results(waiting, results, number)
        if results and any(block["type"] != "tool_result" for block in content[: len(results)]):
            yield Problem(f"messages.{number}: tool_result blocks must come before other content")
        waiting = [block["id"] for block in content if block["type"] == "tool_use"] if role == "assistant" else []
        if len({*seen, *waiting}) < len(seen) + len(waiting):
            yield Problem("messages: `tool_use` ids must be unique")
        seen.update(waiting)
    yield from _results(waiting, [], len(turns))


def _results(calls: list[str], results: list[str], number: int) -> Iterator[Problem]:
    for missing in [call for call in calls if call not in results]:
        yield Problem(
            f"messages.{number - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{missing}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
        )
    for orphan in [result for result in results if result not in calls]:
        yield Problem(f"messages.{number}.content: unexpected `tool_use_id` found in `tool_result` blocks: {orphan}.")
    if len(set(results)) < len(results):
        yield Problem(
            f"messages.{number}.content: each tool_use must have a single result. Found multiple `tool_result` blocks."
        )


def _signatures(messages: list[JsonObject], issued: Mapping[str, str]) -> Iterator[Problem]:
    for number, message in enumerate(messages):
        for position, block in enumerate(blocks(message["content"])):
            if block["type"] == "thinking" and issued.get(block["signature"]) != block["thinking"]:
                yield Problem(f"messages.{number}.content.{position}: Invalid `signature` in `thinking` block")


def _thinking_first(turns: list[tuple[str, list[JsonObject]]]) -> Iterator[Problem]:
    """A turn whose tool results are still to be answered has to open with the thinking that led to its calls."""
    if len(turns) < 2 or not any(block["type"] == "tool_result" for block in turns[-1][1]):
        return
    first = turns[-2][1][0]["type"] if turns[-2][1] else "nothing"
    if first not in ("thinking", "redacted_thinking"):
        yield Problem(
            f"messages.{len(turns) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, "
            f"but found `{first}`. When `thinking` is enabled, a final `assistant` message must start with thinking."
        )
