"""Names of functions as this API takes them.

At most 64 characters, a letter or an underscore first (ai.google.dev, API reference, FunctionDeclaration). Its dots
and colons are not used, since other models behind the same wire refuse them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from aigateway_core.dialects.identifiers import MAX_NAME, digest, legal_tool_name
from aigateway_core.model import HostedTool, Tool

_BEGINNING = re.compile(r"[A-Za-z_]")


def wire_name(name: str) -> str:
    """``name``, or what stands for it: the same on every turn."""
    legal = legal_tool_name(name)
    return legal if _BEGINNING.match(legal) else f"_{legal[: MAX_NAME - 10]}_{digest(name)}"


def restoring(tools: Iterable[Tool | HostedTool]) -> dict[str, str]:
    """From what :func:`wire_name` made of the request's tools back to their own names; only those it changed."""
    changed = ((wire_name(tool.name), tool.name) for tool in tools)
    return {short: name for short, name in changed if short != name}
