"""The words of ASGI: https://asgi.readthedocs.io/en/latest/specs/www.html."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[..., Awaitable[None]]

LINE = "aigateway.line"
"""An ASGI extension: the :class:`Line` of a request."""


class Line(Protocol):
    """What ASGI has no words for, between a request and its connection."""

    on_leave: Callable[[], None] | None
    """Called when the connection is gone before the answer is complete."""

    @property
    def has_news(self) -> bool:
        """Whether ``receive`` has something to tell now."""

    def abort(self) -> None:
        """Close the connection, without an end of the body."""
