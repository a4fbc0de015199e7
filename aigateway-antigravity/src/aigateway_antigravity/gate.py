"""The version gate: Google answers a client that is too old with status 200 and a text in the model's name.

Such a text counts no token, and says in its first words that a version or a model is no longer supported. It is a
mistake in the configuration and nothing that an account or a model did.
"""

from __future__ import annotations

import re

from aigateway_antigravity.pieces import parts_of, says_something, wrote_tokens
from aigateway_core.plugin import ErrorKind, JsonObject, UpstreamError

MOST_CHARACTERS = 400
"""A text that grows longer than this is an answer."""

_SAYS_SO = re.compile(r"no longer (?:supported|available)|not available on this version|out of date", re.IGNORECASE)
_SUBJECTS = ("this version", "this model", "your version", "your antigravity", "antigravity", "gemini", "claude", "gpt")


class VersionGate:
    """Watches the beginning of one answer. What may become such a text is held until it is clear what it is.

    As soon as a token is counted, or anything but text has come, it is an answer.
    """

    def __init__(self) -> None:
        self._text = ""
        self._clear = False

    def holds(self, body: JsonObject) -> bool:
        """Whether what has come so far, and now ``body``, is not to be passed on yet."""
        if self._clear:
            return False
        parts = [part for part in parts_of(body) if says_something(part)]
        self._text += "".join(text for part in parts if isinstance(text := part.get("text"), str))
        others = any("text" not in part or part.get("thought") is True for part in parts)
        self._clear = others or wrote_tokens(body) or not _may_be_refusal(self._text)
        return bool(self._text) and not self._clear

    def refusal(self) -> UpstreamError | None:
        """The error that the answer is, now that it has ended; None for a real answer."""
        return None if self._clear or not _SAYS_SO.search(self._text) else outdated(self._text)


def outdated(text: str) -> UpstreamError:
    """What the text means: for the operator, in words that say what to set."""
    return UpstreamError(
        ErrorKind.UNSUPPORTED,
        f"Google does not serve this model to the client version that the gateway names: {text.strip()!r}; "
        "set providers.antigravity.user_agent to one that it accepts",
        status=200,
        code="CLIENT_VERSION",
    )


def _may_be_refusal(text: str) -> bool:
    beginning = text.lstrip().lower()
    if len(beginning) > MOST_CHARACTERS:
        return False
    begun = any(beginning.startswith(subject) or subject.startswith(beginning) for subject in _SUBJECTS)
    return begun or _SAYS_SO.search(beginning) is not None
