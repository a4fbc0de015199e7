"""A little server process for the tests of starting and stopping: ``gateway_process.py PORT DRAIN_TIMEOUT [HOW]``.

It prints what happens, one word a line, so that the order can be seen.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any

import attrs
import falcon.asgi

from aigateway_core.errors import ConfigurationError, GatewayError
from aigateway_core.resources.resource import exits
from aigateway_core.server.run import serve
from aigateway_core.settings import ServerSettings


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


@attrs.frozen
class Handle:
    keepalive: bytes = b": ping\n\n"

    @staticmethod
    def ending(error: GatewayError) -> bytes:
        return b"event: error\ndata: %b\n\n" % error.message.encode()


class Lifespan:
    def __init__(self, how: str) -> None:
        self._how = how

    async def process_startup(self, scope: Any, event: Any) -> None:
        if self._how == "fails":
            raise RuntimeError("no database")
        say("started")

    async def process_shutdown(self, scope: Any, event: Any) -> None:
        say("stopped")


class Stream:
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        source = self._events(req.get_param_as_int("events", default=1_000_000))
        exits(req).push_async_callback(source.aclose)
        req.scope["state"]["stream"] = Handle()
        resp.content_type = "text/event-stream"
        resp.stream = source

    async def _events(self, number: int) -> AsyncGenerator[bytes, None]:
        try:
            for count in range(number):
                yield b"data: %d\n\n" % count
                await asyncio.sleep(0.05)
        finally:
            await asyncio.sleep(0.05)
            say("closed")

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        await req.stream.read()
        try:
            await asyncio.sleep(30)
        finally:
            say("cancelled")


def main() -> None:
    how = sys.argv[3] if len(sys.argv) > 3 else ""
    app = falcon.asgi.App(middleware=[Lifespan(how)])
    app.add_route("/", Stream())
    settings = ServerSettings(port=int(sys.argv[1]), drain_timeout=float(sys.argv[2]))
    try:
        on_stopping = (lambda: say("stopping")) if how == "tells" else None
        serve(app, settings, on_listening=lambda: say("listening"), on_stopping=on_stopping)
    except ConfigurationError as error:
        say(f"refused: {error.message}")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
