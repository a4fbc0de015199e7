"""Searches of the web: requests that ask for nothing else, which a model of their own answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aigateway_antigravity.envelope import Kind
from aigateway_antigravity.models import Model
from aigateway_core.plugin import ChatRequest, HostedTool, JsonObject

_GOOGLES = "googleSearch"
_TYPES = ("web_search", _GOOGLES)
"""Anthropic's are ``web_search_`` and a date, OpenAI's ``web_search`` and perhaps a date; the last is Google's own."""

_MOST_IMAGES = 5
_TASK = (
    "Search the web for what the user asks, and report what the results say: the facts, their dates, and the address "
    "of each page that you rely on. Say so when the results do not answer the question."
)


def kind_of(request: ChatRequest, model: Model, search_model: str | None) -> Kind:
    """What this request is for; ``search_model`` answers searches, if there is one."""
    if model.makes_images:
        return "image_gen"
    tool = search_tool(request) if search_model else None
    # Gemini's models search within a conversation too, if the client asks for it in Google's own words.
    return "agent" if tool is None or (tool.type == _GOOGLES and model.family == "gemini") else "web_search"


def search_tool(request: ChatRequest) -> HostedTool | None:
    """The tool of a request that only searches; None for any other."""
    if len(request.tools) != 1 or (request.tool_choice is not None and request.tool_choice.mode == "none"):
        return None
    tool = request.tools[0]
    return tool if isinstance(tool, HostedTool) and tool.type.startswith(_TYPES) else None


def search_body(contents: list[JsonObject], system: tuple[str, ...], tool: HostedTool) -> JsonObject:
    """The inner ``request`` of a search."""
    said = [text for text in (_TASK, *system) if text]
    images: JsonObject = {"maxResultCount": _most(tool)}
    search: JsonObject = {"enhancedContent": {"imageSearch": images}}
    if domains := [domain for domain in _domains(tool) if isinstance(domain, str)]:
        search["includedDomains"] = domains
    return {
        "contents": contents,
        "systemInstruction": {"role": "user", "parts": [{"text": text} for text in said]},
        "tools": [{"googleSearch": search}],
        "generationConfig": {"candidateCount": 1},
    }


def unsearched(tool: HostedTool) -> Iterator[str]:
    """What the client said of its search that this one cannot be told, by the names that losses have."""
    known = {"max_uses", "allowed_domains", "type", "name", "filters", "search_context_size", "cache_control"}
    for name, value in tool.definition.items():
        if name not in known and value:
            yield f"tools.{tool.type}.{name}"


def _most(tool: HostedTool) -> int:
    given = tool.definition.get("max_uses")
    return given if type(given) is int and 0 < given <= 100 else _MOST_IMAGES


def _domains(tool: HostedTool) -> list[Any]:
    """Anthropic has the list on the tool itself, OpenAI among its filters."""
    filters = tool.definition.get("filters")
    own = tool.definition.get("allowed_domains")
    listed = filters.get("allowed_domains") if own is None and isinstance(filters, dict) else own
    return listed if isinstance(listed, list) else []
