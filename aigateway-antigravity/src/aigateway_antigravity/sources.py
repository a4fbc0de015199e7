"""The pages that an answer rests on, where the model searched the web: told at its end, as a list in Markdown.

Google names them beside the answer (``groundingMetadata``), where no client of another API would see them.
"""

from __future__ import annotations

from typing import Any

from aigateway_core.plugin import JsonObject

_MOST = 50
_BRACKETS = str.maketrans("[]\n", "() ")
_PARENTHESES = str.maketrans({"(": "%28", ")": "%29", " ": "%20", "\n": ""})


class Sources:
    """Collects the pages of one answer, each once, in the order in which they are named."""

    def __init__(self) -> None:
        self._titles: dict[str, str] = {}

    def see(self, body: JsonObject) -> None:
        """Look at one piece of the answer."""
        for candidate in _objects(body.get("candidates")):
            grounding = candidate.get("groundingMetadata")
            for chunk in _objects(grounding.get("groundingChunks")) if isinstance(grounding, dict) else ():
                page = chunk.get("web")
                if isinstance(page, dict):
                    self._add(page.get("uri"), page.get("title"))

    @property
    def text(self) -> str:
        """What is put behind the answer; nothing where no page was named."""
        if not self._titles:
            return ""
        listed = (f"- [{title}]({address.translate(_PARENTHESES)})" for address, title in self._titles.items())
        return "\n\nSources:\n" + "\n".join(listed)

    def _add(self, address: Any, title: Any) -> None:
        if isinstance(address, str) and address.startswith(("https://", "http://")) and len(self._titles) < _MOST:
            named = title.translate(_BRACKETS).strip() if isinstance(title, str) else ""
            self._titles.setdefault(address, named or address)


def _objects(value: Any) -> list[JsonObject]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
