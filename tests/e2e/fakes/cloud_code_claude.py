"""What Cloud Code does with a Claude model: it writes the contents as Anthropic's messages, which Anthropic judges."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import attrs
from e2e.fakes import anthropic_turns
from e2e.fakes.vendor import JsonObject, Problem

ANTHROPIC = "anthropic"
"""The code of a problem that Anthropic has with a request: it is told in Anthropic's words inside Google's."""


class ClaudeSignatures:
    """The signatures of thinking that this server gave out, with the text of each.

    Anthropic's own begin with E, as the byte 0x12 of a frame does in base64; on this wire they are in base64 once more,
    with an R.
    """

    def __init__(self) -> None:
        self.issued: dict[str, str] = {}

    def issue(self, text: str) -> str:
        """A new signature as it stands on the wire."""
        digest = hashlib.sha256(f"{len(self.issued)} {text}".encode()).digest()
        inner = b"\x08\x04\x18\x02" + digest
        framed = bytes([0x0A, len(inner)]) + inner
        native = base64.b64encode(bytes([0x12, len(framed)]) + framed).decode()
        self.issued[native] = text
        return base64.b64encode(native.encode()).decode()


def refused(message: str) -> Problem:
    """A problem that Anthropic has."""
    return Problem(message, code=ANTHROPIC)


def problems(body: JsonObject, model: str, signatures: ClaudeSignatures) -> Iterator[Problem]:
    """What Anthropic would refuse; the parts are well shaped by themselves."""
    yield from _lost(body["contents"])
    thinking = _thinking(body)
    messages = list(_messages(body["contents"]))
    told = {"model": model, "messages": messages, **({"thinking": thinking} if thinking else {})}
    for one in anthropic_turns.problems(told, signatures.issued):
        yield attrs.evolve(one, code=ANTHROPIC)
    yield from _limits(body.get("generationConfig", {}), thinking)


def inner_error(problem: Problem, number: int) -> str:
    """What stands in the message of Google's error."""
    kind = "invalid_request_error"
    told = {"type": kind, "message": problem.message}
    return json.dumps({"type": "error", "error": told, "request_id": f"req_vrtx_{number:024d}"})


def _thinking(body: JsonObject) -> JsonObject:
    """Anthropic's words for the thinking that is asked for: without a budget there is none."""
    budget = body.get("generationConfig", {}).get("thinkingConfig", {}).get("thinkingBudget")
    return {} if budget is None else {"type": "enabled", "budget_tokens": budget}


def _limits(config: JsonObject, thinking: JsonObject) -> Iterator[Problem]:
    asked = config.get("thinkingConfig", {})
    most = config.get("maxOutputTokens", 64_000)
    if most > 64_000:
        yield refused(f"max_tokens: {most} > 64000, which is the maximum allowed number of output tokens")
    if "thinkingLevel" in asked or (asked.get("includeThoughts") and not thinking):
        yield refused("thinking: a budget is what this model is told")
    if not thinking:
        return
    budget = thinking["budget_tokens"]
    if budget < 1024:
        yield refused("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    if budget >= most:
        yield refused("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if config.get("temperature", 1) != 1 or "topK" in config or config.get("topP", 1) < 0.95:
        yield refused("`temperature` may only be set to 1 when thinking is enabled.")


def _lost(contents: list[JsonObject]) -> Iterator[Problem]:
    """What has no place in Anthropic's messages."""
    for number, content in enumerate(contents):
        for position, part in enumerate(content["parts"]):
            where = f"messages.{number}.content.{position}"
            for kind, field in (("functionCall", "tool_use.id"), ("functionResponse", "tool_result.tool_use_id")):
                if kind in part and not part[kind].get("id"):
                    yield refused(f"{where}.{field}: Field required")
            if "thoughtSignature" in part and not part.get("thought"):
                yield refused(f"{where}: Invalid `signature` in `thinking` block")
            if part.get("thought") and not part.get("text"):
                yield refused(f"{where}.thinking: each thinking block must contain thinking")


def _messages(contents: list[JsonObject]) -> Iterator[JsonObject]:
    for content in contents:
        role = "assistant" if content.get("role") == "model" else "user"
        yield {"role": role, "content": [_block(part) for part in content["parts"]]}


def _block(part: JsonObject) -> JsonObject:
    if part.get("thought"):
        signature = _native(part.get("thoughtSignature", ""))
        return {"type": "thinking", "thinking": part.get("text", ""), "signature": signature}
    if "functionCall" in part:
        call = part["functionCall"]
        return {"type": "tool_use", "id": call.get("id") or "missing", "name": call["name"], "input": call.get("args")}
    if "functionResponse" in part:
        response = part["functionResponse"]
        pictures = [_block(inner) for inner in response.get("parts", ())]
        text = {"type": "text", "text": json.dumps(response.get("response"))}
        return {"type": "tool_result", "tool_use_id": response.get("id") or "missing", "content": [text, *pictures]}
    if "inlineData" in part:
        inline = part["inlineData"]
        kind = "image" if inline["mimeType"].startswith("image/") else "document"
        source = {"type": "base64", "media_type": inline["mimeType"], "data": inline["data"]}
        return {"type": kind, "source": source}
    if "fileData" in part:
        return {"type": "image", "source": {"type": "url", "url": part["fileData"]["fileUri"]}}
    return {"type": "text", "text": part.get("text", "")}


def _native(signature: Any) -> str:
    """Anthropic's own signature inside that of the wire; empty when there is none inside."""
    try:
        native = base64.b64decode(signature, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return native if signature.startswith("R") and native.startswith("E") else ""
