"""A door in front of the gateway that writes down what comes in."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import aiohttp
import attrs
from aiohttp import web

_HOP_BY_HOP = {"host", "connection", "keep-alive", "transfer-encoding", "content-length"}


@attrs.frozen(kw_only=True)
class Request:
    """One request as it came, and the status that it was answered with; ``path`` has the query too."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    status: int


@attrs.define
class Recorder:
    """Hands everything on to ``upstream``, a base URL; its own is ``url``."""

    upstream: str
    url: str = ""
    requests: list[Request] = attrs.field(factory=list)

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        """Until ``stop`` is set."""
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{tail:.*}", self._hand_on)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    async def _hand_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(request.method, f"{self.upstream}{request.path_qs}", data=body, headers=headers) as answer,
        ):
            self.requests.append(
                Request(
                    method=request.method,
                    path=request.path_qs,
                    headers=headers,
                    body=json.loads(body) if body else None,
                    status=answer.status,
                )
            )
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response


@contextmanager
def recording(upstream: str) -> Iterator[Recorder]:
    """A recorder that runs in a thread of its own."""
    recorder, ready, ends = Recorder(upstream), threading.Event(), []

    async def serve() -> None:
        stop = asyncio.Event()
        ends.append((asyncio.get_running_loop(), stop))
        await recorder.serve(ready, stop)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(10), "the recorder did not start"
    yield recorder
    loop, stop = ends[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
