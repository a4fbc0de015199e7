"""A fast vendor that counts by key what it is asked, and clients that ask a gateway for it, many at a time."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import aiohttp
import attrs
from aiohttp import web

MODEL = "quick-1"
PROVIDER = "quick"

_ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
).encode()


def _chunk(delta: Mapping[str, str], finish: str | None = None) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": choices}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


class QuickVendor:
    """Speaks Chat Completions, takes every key in ``keys`` and nothing else, and answers after ``delay`` seconds.

    Who wants a stream gets one of so many ``events``, a tenth of a second apart. A key in ``limited`` gets a 429 with
    that ``Retry-After``. What it should not have been sent is in ``violations``, and how many it was asked at a time in
    ``most_at_once``.
    """

    def __init__(self, *keys: str) -> None:
        self.keys = set(keys)
        self.limited: dict[str, int] = {}
        self.delay = 0.0
        self.events = 1
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.most_at_once = 0
        self._at_once = 0
        self.url = ""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._ready = threading.Event()
        self._stop: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Listen on a free loopback port."""
        self._thread.start()
        assert self._ready.wait(10), "the vendor did not start"

    def stop(self) -> None:
        """End it."""
        self._stop()
        self._thread.join(10)

    def config(self, **section: Any) -> dict[str, Any]:
        """The section of the configuration that leads here."""
        quick = {"kind": "openai-compatible", "base_url": f"{self.url}/v1", "models": [MODEL], **section}
        return {PROVIDER: quick}

    async def _serve(self) -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(over.set)
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await over.wait()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        body = await request.json()
        if key not in self.keys:
            self.violations.append(f"key {key!r}")
            return web.json_response({"error": {"message": "no such key"}}, status=401)
        if body.get("model") != MODEL or not body.get("messages"):
            self.violations.append(f"body {body!r}")
            return web.json_response({"error": {"message": "bad"}}, status=400)
        if key in self.limited:
            limit = {"retry-after": str(self.limited[key])}
            return web.json_response({"error": {"message": "slow down"}}, status=429, headers=limit)
        self.counts[key] += 1
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        if self.delay:
            await asyncio.sleep(self.delay)
        self._at_once -= 1
        if body.get("stream"):
            return await self._stream(request)
        return web.Response(body=_ANSWER, content_type="application/json")

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await stream.prepare(request)
        with suppress(ConnectionError):
            for _ in range(self.events):
                await stream.write(_chunk({"content": "yes"}))
                await asyncio.sleep(0.1)
            await stream.write(_chunk({}, "stop") + b"data: [DONE]\n\n")
        return stream


@attrs.define
class Outcome:
    """What came of a load: how many requests got which status (or which error), and what a failed one was told."""

    statuses: Counter[str] = attrs.field(factory=Counter)
    told: list[str] = attrs.field(factory=list)

    @property
    def failed(self) -> int:
        """Requests that did not get their answer."""
        return self.statuses.total() - self.statuses["200"]


class Load:
    """Asks the gateway at ``url`` with ``clients`` at a time, each question of a conversation of its own.

    ``async with`` runs it in the background until the block ends; :meth:`ask` asks a number of questions.
    """

    def __init__(self, url: str, headers: Mapping[str, str], *, clients: int = 16) -> None:
        self.outcome = Outcome()
        self._url = url
        self._headers = headers
        self._clients = clients
        self._number = 0
        self._goal = 0
        self._at_goal = asyncio.Event()
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def ask(self, count: int) -> Outcome:
        """Ask so many questions, and wait for the last answer."""
        self._tasks = [asyncio.create_task(self._client(count)) for _ in range(self._clients)]
        await asyncio.gather(*self._tasks)
        return self.outcome

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._client(None)) for _ in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await asyncio.gather(*self._tasks)

    async def answered(self, more: int) -> None:
        """Wait until so many more questions have been answered."""
        self._goal = self.outcome.statuses.total() + more
        self._at_goal.clear()
        async with asyncio.timeout(60):
            await self._at_goal.wait()

    async def succeeded(self, within: float) -> None:
        """Wait until a question has got its answer."""
        async with asyncio.timeout(within):
            while not self.outcome.statuses["200"]:
                await self.answered(1)

    async def _client(self, count: int | None) -> None:
        # A connection is used again and again, as clients do: what happens to it between two requests is part of it.
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
            while not self._over.is_set() and (count is None or self._number < count):
                self._number += 1
                await self._ask(session, self._number)

    async def _ask(self, session: aiohttp.ClientSession, number: int) -> None:
        question = {"model": MODEL, "messages": [{"role": "user", "content": f"question {number} of {id(self)}"}]}
        try:
            async with session.post(f"{self._url}/v1/chat/completions", json=question, headers=self._headers) as answer:
                text = await answer.text()
                status = str(answer.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            status, text = type(error).__name__, str(error)
        self.outcome.statuses[status] += 1
        if self.outcome.statuses.total() >= self._goal:
            self._at_goal.set()
        if status != "200":
            self.outcome.told.append(f"{status}: {text[:300]}")
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await self._over.wait()
