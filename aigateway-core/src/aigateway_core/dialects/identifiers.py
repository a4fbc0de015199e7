"""Tool ids and tool names that every wire format accepts, made from ones that some refuse.

OpenAI's Chat Completions limits ids to 40 characters and names to 64 of ``[A-Za-z0-9_-]``; Anthropic asks for that
alphabet in ids as well. What is legal stays as it is. What is not becomes a cleaned beginning and eight hexadecimal
digits of a hash: the same input gives the same output on every turn and in every worker, so that calls and results keep
matching and a vendor's prompt cache keeps hitting. A random id would break both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b

from aigateway_core.model import HostedTool, Tool

MAX_ID = 40
"""The longest tool call id that Chat Completions takes (400 ``string_above_max_length`` beyond it)."""

MAX_NAME = 64
"""The longest tool name that OpenAI and GLM take."""

_LEGAL = re.compile(r"[A-Za-z0-9_-]+")
_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]+")


def digest(*parts: str | int) -> str:
    """Eight hexadecimal digits that depend on every part and on where one part ends and the next begins."""
    text = "\0".join(map(str, parts))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


def legal_tool_id(call_id: str, limit: int = MAX_ID) -> str:
    """``call_id``, or what stands for it when it is longer than ``limit`` or leaves ``[A-Za-z0-9_-]``."""
    return _legal(call_id, limit, "call")


def legal_tool_name(name: str, limit: int = MAX_NAME) -> str:
    """``name``, or what stands for it when it is longer than ``limit`` or leaves ``[A-Za-z0-9_-]``."""
    return _legal(name, limit, "tool")


def restoring_names(tools: Iterable[Tool | HostedTool], limit: int = MAX_NAME) -> dict[str, str]:
    """From what :func:`legal_tool_name` made of the request's tools back to their own names; only those it changed."""
    legal = ((legal_tool_name(tool.name, limit), tool.name) for tool in tools)
    return {short: name for short, name in legal if short != name}


def synthetic_tool_id(response_id: str, index: int, prefix: str = "call_") -> str:
    """An id for a call that its upstream gave none: the same for the same answer and position."""
    return prefix + digest(response_id, index)


def _legal(value: str, limit: int, fallback: str) -> str:
    if len(value) <= limit and _LEGAL.fullmatch(value):
        return value
    beginning = _ILLEGAL.sub("_", value).strip("_")[: limit - 9] or fallback
    return f"{beginning}_{digest(value)}"
