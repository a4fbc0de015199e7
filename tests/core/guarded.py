"""The app as the server runs it, without the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from typing import Any

Scope = MutableMapping[str, Any]


class Guarded:
    """What the guard does for the app in each request, and nothing of what it defends against."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        async with AsyncExitStack() as exits:
            scope["state"] = {"request_id": "req-test", "exits": exits}
            await self._app(scope, receive, send)
