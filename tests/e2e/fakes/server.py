"""A vendor on a real socket, in a thread of its own, that writes down all it sees.

It refuses what its vendor would refuse, in the vendor's words, and keeps every such refusal in
:attr:`FakeVendor.violations`, so that a test can ask afterwards whether the gateway ever sent what it should not have.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterable, Iterator
from functools import partial

from aiohttp import web
from e2e.fakes.mind import think
from e2e.fakes.vendor import Exchange, Problem, Refusal, Script, Wire

_STREAM_HEADERS = {"content-type": "text/event-stream;charset=UTF-8", "cache-control": "no-cache"}
_MOMENT = 0.05
"""In seconds: so that what was written has left, and is read by itself, before the end comes."""

_FAILED = Problem("The server had an error while processing your request.", status=500)


class FakeVendor:
    """A fake vendor. ``keys`` are the credentials it knows; :attr:`url` is set once it has been started.

    ``wire`` is what it speaks, and ``others`` what it speaks beside that, at paths of their own.
    """

    def __init__(self, wire: Wire, keys: Iterable[str], *others: Wire) -> None:
        self.keys = set(keys)
        self.exchanges: list[Exchange] = []
        self.violations: list[str] = []
        self.url = ""
        self._wire = wire
        self._wires = (wire, *others)
        self._scripts: dict[tuple[str, str], Script] = {}
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def start(self) -> None:
        """Listen on a free loopback port."""
        self._thread.start()
        assert self._ready.wait(10), "the fake vendor did not start"

    def stop(self) -> None:
        """Close every connection and end the thread."""
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def script(self, script: Script, *, model: str = "", key: str = "") -> None:
        """From now on, play ``script`` for requests with this model, or this key, or this key for this model."""
        self._scripts[model, key] = script

    def refuse(self, status: int, message: str, *, code: str | None = None, **headers: str) -> Script:
        """A script that refuses in the vendor's shape; underscores in the names of headers stand for hyphens."""
        body = json.dumps(self._wire.error(Problem(message, code=code, status=status))).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Script(refusal=Refusal(status=status, body=body, headers=named))

    def asked(self, *, model: str | None = None, key: str | None = None) -> list[Exchange]:
        """The requests so far that had this model and this key."""
        return [one for one in self.exchanges if model in (None, one.model) and key in (None, one.owner)]

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        app = web.Application(client_max_size=128 << 20)
        for wire in self._wires:
            app.router.add_post(wire.path, partial(self._handle, wire))
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, wire: Wire, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        said = self.said_beside(request)
        exchange = Exchange(path=request.path_qs, headers=headers, body=body, said_by_path=said)
        self.exchanges.append(exchange)
        try:
            return await self._respond(wire, request, exchange)
        except asyncio.CancelledError:
            exchange.left.set()
            raise
        except ConnectionError:
            exchange.left.set()
            return web.Response()

    def said_beside(self, request: web.Request) -> dict[str, str]:
        """What a request says beside its body: what stands in its path, for most vendors."""
        return dict(request.match_info)

    async def _respond(self, wire: Wire, request: web.Request, exchange: Exchange) -> web.StreamResponse:
        script = self.script_of(wire, "", exchange.owner)
        if script is None:
            problem = wire.authenticate(exchange, self.keys) or self._checked(wire, exchange)
            if problem is not None:
                body = json.dumps(wire.error(problem)).encode()
                return self._refuse(Refusal(status=problem.status, body=body))
            particular = self.script_of(wire, exchange.model, exchange.owner)
            script = particular or self.script_of(wire, exchange.model, "") or Script()
        return await self._play(wire, request, exchange, script)

    def script_of(self, wire: Wire, model: str, key: str) -> Script | None:
        """What is to be played for them at this wire."""
        return self._scripts.get((model, key))

    def _checked(self, wire: Wire, exchange: Exchange) -> Problem | None:
        scripted = {model for model, _ in self._scripts if model}
        try:
            problems = list(wire.check(exchange, scripted))
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            # A rule stumbled over a value of a kind that it did not expect; a vendor would not have taken it either.
            problems = [Problem(f"this cannot be read: {error!r}")]
        self.violations.extend(f"{exchange.model} {one.where or ''}: {one.message}" for one in problems)
        return problems[0] if problems else None

    async def _play(self, wire: Wire, request: web.Request, exchange: Exchange, script: Script) -> web.StreamResponse:
        if script.refusal is not None:
            return self._refuse(script.refusal)
        exchange.begun.set()
        if script.mute:
            await asyncio.Event().wait()
        asked = exchange.asked
        answer = think(wire.understand(asked), instead=script.text)
        exchange.answer = answer
        if exchange.streams:
            return await self._stream(wire, request, script, list(wire.frames(asked, answer)))
        whole = wire.error(_FAILED) if script.end == "error" else wire.whole(asked, answer)
        return await self._deliver(wire, request, script, json.dumps(whole, ensure_ascii=False).encode())

    def _refuse(self, refusal: Refusal) -> web.Response:
        headers = {**self._wire.headers(), **refusal.headers, "content-type": refusal.content_type}
        return web.Response(status=refusal.status, body=refusal.body, headers=headers)

    async def _deliver(self, wire: Wire, request: web.Request, script: Script, payload: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={**wire.headers(), "content-type": "application/json"})
        response.content_length = len(payload)
        await response.prepare(request)
        await asyncio.sleep(script.pause)
        await response.write(payload if script.end in ("clean", "error") else payload[: len(payload) // 2])
        await self._end(request, response, script)
        await response.write_eof()
        return response

    async def _stream(
        self, wire: Wire, request: web.Request, script: Script, frames: list[bytes]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={**wire.headers(), **_STREAM_HEADERS})
        await response.prepare(request)
        for piece in _ragged(frames[: script.after]):
            await response.write(piece)
            await asyncio.sleep(script.pause)
        if script.end == "error":
            await asyncio.sleep(_MOMENT)
            await response.write(wire.error_frame())
        await self._end(request, response, script)
        await response.write_eof()
        return response

    async def _end(self, request: web.Request, response: web.StreamResponse, script: Script) -> None:
        if script.end == "silence":
            await asyncio.Event().wait()
        elif script.end == "cut":
            await asyncio.sleep(_MOMENT)
            assert request.transport is not None
            request.transport.abort()


def _ragged(frames: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes cut as a network cuts them: some frames whole, some in two, some together with the next."""
    held = b""
    for number, frame in enumerate(frames):
        match number % 3:
            case 0:
                yield held + frame
                held = b""
            case 1:
                yield frame[: len(frame) // 2]
                yield frame[len(frame) // 2 :]
            case _:
                held = frame
    if held:
        yield held
