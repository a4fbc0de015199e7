"""The outermost layer: what a web framework leaves open.

Falcon never tells a responder that the client has left, uvicorn has no deadline for a body and none for a client that
does not read. Here every request has both, a cap on its body, an id (``scope["state"]["request_id"]``), and an end:
when the client leaves, the app's task is cancelled, wherever it is, and has run all its ``finally`` blocks before the
guard returns.

An app that acquires something for a request may leave an ``AsyncExitStack`` that owns it in
``scope["state"]["exits"]``: the guard closes it when the request is over, whatever its end.

An app that begins a stream may leave a :class:`LiveStream` in ``scope["state"]["stream"]``: the guard then keeps it
alive while nothing comes, and ends it in its own dialect when the gateway shuts down.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aigateway_core.server.asgi import App, Message, Receive, Scope, Send
from aigateway_core.server.inspection import Inspected, Inspector, Refusal, fitting_id
from aigateway_core.server.refusal import refuse
from aigateway_core.server.request import GuardLimits, LiveRequest, LiveStream

__all__ = ["Guard", "GuardLimits", "LiveStream"]

_BUSY = Refusal(503, "the gateway is busy; try again in a moment")
_CLOSING = Refusal(503, "the gateway is shutting down")
_LAST_SECONDS = 5.0
"""How long the lifespan waits for requests that were cancelled to let go of what they hold."""


class Guard:
    """Stands around an ASGI app."""

    def __init__(self, app: App, limits: GuardLimits | None = None) -> None:
        self._app = app
        self._limits = limits or GuardLimits()
        self._inspector = Inspector(self._limits.allowed_hosts, self._limits.always_admitted)
        self._requests: set[LiveRequest] = set()
        self._answered: set[LiveRequest] = set()
        """Those of them that take nobody's place any more: whoever has no key would hold one for nothing."""
        self._all_done: asyncio.Event | None = None
        self._draining = False

    @property
    def live(self) -> int:
        """How many requests are under way."""
        return len(self._requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; or let the app start and stop."""
        if scope["type"] != "http":
            await self._app(scope, self._after_the_last(receive), send)
            return
        found = self._inspector.inspect(scope)
        if self._draining or 0 < self._limits.max_concurrency <= len(self._requests) - len(self._answered):
            found = self._admit(scope, found)
        if isinstance(found, Refusal):
            await refuse(send, found, fitting_id(dict(scope["headers"]).get(b"x-request-id")))
            return
        request = LiveRequest(scope, receive, send, found, self._limits, self._answered)
        self._requests.add(request)
        try:
            await request.run(self._app)
        finally:
            self._requests.discard(request)
            if self._all_done is not None and not self._requests:
                self._all_done.set()
                self._all_done = None

    async def idle(self) -> None:
        """Wait until no request is under way."""
        while self._requests:
            self._all_done = self._all_done or asyncio.Event()
            await self._all_done.wait()

    def drain(self, grace: float) -> None:
        """Take no more requests, and end those that are still under way in ``grace`` seconds: see :meth:`end`."""
        self._draining = True
        asyncio.get_running_loop().call_later(grace, self.end)

    def end(self) -> None:
        """End every request now: streams in their own dialect, the others with a 503."""
        self._draining = True
        for request in tuple(self._requests):
            request.finish()

    def _admit(self, scope: Scope, found: Inspected | Refusal) -> Inspected | Refusal:
        """What becomes of a request that there is no room for."""
        if isinstance(found, Refusal) or scope["path"] in self._limits.always_admitted:
            return found
        return _CLOSING if self._draining else _BUSY

    def _after_the_last(self, receive: Receive) -> Receive:
        """Tell the app to stop only when its requests have let go: uvicorn would not wait for those it cancels."""

        async def patient() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_SECONDS):
                        await self.idle()
            return message

        return patient
