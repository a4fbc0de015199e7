"""A guard against getting slower that no other work on the machine can disturb: it counts function calls.

A whole gateway (guard, falcon, key, affinity, turns, record, SQLite) is asked in-process over a transport that has its
answers ready; every call of a Python function on the way is counted. How long a call takes it does not see: that is
what ``tox -e bench`` is for.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import httpx
import pytest
from core.gateway_house import USAGE_CHUNK, WHOLE, chunk

from aigateway_core.bootstrap import House, assemble, first_look
from aigateway_core.engine import Transports
from aigateway_core.server.guard import Guard
from aigateway_core.settings import (
    DatabaseSettings,
    PluginsSettings,
    ProviderSettings,
    RecordingSettings,
    ServerSettings,
    Settings,
)
from aigateway_core.storage import SYSTEM

pytestmark = pytest.mark.anyio

REQUESTS = 40
FEW, MANY = 20, 120
"""Chunks of two streams: what the one has more than the other is what chunks cost."""

CEILINGS = {
    "whole, native": 120,
    "whole, translated": 270,
    "a chunk, native": 7,
    "a chunk, translated": 39,
}
"""Calls for each request, and for each chunk that comes by itself, with little room. Later Pythons make fewer.

After a change that makes do with less, write down the lower figure, so that it stays.
"""


_WHOLE = json.dumps(WHOLE).encode()


class Answer:
    """An answer that is there, each chunk of its body by itself."""

    def __init__(self, kind: bytes, *chunks: bytes) -> None:
        self.status = 200
        self.headers = [(b"content-type", kind)]
        self._chunks = iter(chunks)

    async def received(self, until: float) -> bytes:
        return next(self._chunks, b"")

    async def aclose(self) -> None:
        pass


class Ready(httpx.AsyncBaseTransport):
    """A vendor that has its answers ready, and sends each chunk of a stream by itself."""

    def __init__(self) -> None:
        self.chunks = 0

    async def ask(self, *_: object, **__: object) -> Answer:
        if not self.chunks:
            return Answer(b"application/json", _WHOLE)
        texts = [chunk({"content": "hello"})] * self.chunks
        return Answer(b"text/event-stream", *texts, chunk({}, "stop"), USAGE_CHUNK, b"data: [DONE]\n\n")


class Asked:
    """A running gateway, and the calls that it makes."""

    def __init__(self, house: House, key: str, vendor: Ready) -> None:
        self._app = Guard(house.app)
        self._key = key.encode()
        self._vendor = vendor

    async def calls(self, path: str, body: dict[str, Any], *, chunks: int = 0) -> Counter[str]:
        """The functions that are called for one request, and how often each: the mean over some."""
        self._vendor.chunks = chunks
        content = json.dumps({**body, "stream": bool(chunks)}).encode()
        for _ in range(3):  # what is made when it is first asked for
            await self._ask(path, content)
        seen: Counter[str] = Counter()
        with _counting(seen):
            for _ in range(REQUESTS):
                await self._ask(path, content)
        return Counter({name: round(count / REQUESTS, 1) for name, count in seen.items()})  # type: ignore[misc]

    async def garbage(self, path: str, body: dict[str, Any], *, chunks: int = 0) -> Counter[str]:
        """What some requests leave behind that refers to itself, and that only the collector can free."""
        self._vendor.chunks = chunks
        content = json.dumps({**body, "stream": bool(chunks)}).encode()
        await self._ask(path, content)
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(REQUESTS):
                await self._ask(path, content)
            gc.collect()
            return Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.garbage)
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()

    async def _ask(self, path: str, content: bytes) -> None:
        headers = [
            (b"host", b"127.0.0.1"),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(content)),
            (b"authorization", b"Bearer " + self._key),
            (b"x-session-id", b"one-conversation"),
        ]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8088),
            "state": {},
        }
        said: list[dict[str, Any]] = []
        asked = iter([{"type": "http.request", "body": content, "more_body": False}])

        async def receive() -> dict[str, Any]:
            for message in asked:
                return message
            await asyncio.Event().wait()  # the client stays
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            said.append(message)

        await self._app(scope, receive, send)
        assert said[0]["status"] == 200, said
        assert b"hello" in b"".join(message.get("body", b"") for message in said)


@contextmanager
def _counting(seen: Counter[str]) -> Iterator[None]:
    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            codes[frame.f_code] += 1

    codes: Counter[CodeType] = Counter()

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)
    for code, count in codes.items():
        file = Path(code.co_filename)
        if file.name not in _OF_THE_LOOP:
            seen[f"{file.parent.name}/{file.name}:{code.co_qualname}"] += count


_OF_THE_LOOP = {
    "base_events.py",
    "events.py",
    "selector_events.py",
    "selectors.py",
    "_weakrefset.py",
    Path(__file__).name,
}
"""Not counted: asyncio's own loop, in whose place uvloop stands where the gateway serves, and what is here."""


@pytest.fixture
async def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Asked]:
    vendor = Ready()
    monkeypatch.setattr(Transports, "direct", lambda self, *, trusted=False: vendor)
    options = {"base_url": "http://127.0.0.1:9/v1", "models": ["m"]}
    settings = Settings(
        server=ServerSettings(client_auth="required"),
        database=DatabaseSettings(path=tmp_path / "gateway.db"),
        plugins=PluginsSettings(allowed=frozenset()),
        # What is written later, in batches, is not on the path.
        recording=RecordingSettings(flush_interval=3600.0),
        providers={"acme": ProviderSettings(kind="openai-compatible", options=options)},
    )
    assembly = assemble(settings)
    await first_look(assembly)
    house = House(assembly)
    await house.start()
    administration = house.administration()
    for number in range(3):
        account = {
            "provider_id": "acme",
            "label": f"{number}",
            "auth_data": {"api_key": f"sk-number-{number}-of-three"},
        }
        await administration.accounts.create(account, SYSTEM)
    key = await administration.keys.create({"name": "guard"}, SYSTEM)
    yield Asked(house, key["key"], vendor)
    await house.stop()


BODIES = {
    "native": ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "hello"}]}),
    "translated": (
        "/v1/messages",
        {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]},
    ),
}


@pytest.mark.parametrize("wording", BODIES)
async def test_a_whole_answer_takes_no_more_calls_than_were_written_down(gateway: Asked, wording: str) -> None:
    _hold(f"whole, {wording}", await gateway.calls(*BODIES[wording]))


@pytest.mark.parametrize("wording", BODIES)
async def test_a_chunk_takes_no_more_calls_than_were_written_down(gateway: Asked, wording: str) -> None:
    few, many = [await gateway.calls(*BODIES[wording], chunks=count) for count in (FEW, MANY)]
    each = {name: (count - few[name]) / (MANY - FEW) for name, count in many.items()}
    _hold(f"a chunk, {wording}", Counter(each))  # type: ignore[arg-type]


@pytest.mark.parametrize("chunks", [0, FEW])
@pytest.mark.parametrize("wording", BODIES)
async def test_a_request_leaves_nothing_to_the_collector(gateway: Asked, wording: str, chunks: int) -> None:
    # What refers to itself stays until the collector comes, which stops everything; and new requests take new memory.
    assert sum((await gateway.garbage(*BODIES[wording], chunks=chunks)).values()) < REQUESTS


def _hold(what: str, calls: Counter[str]) -> None:
    # Rounded, since what the gateway does beside its requests is counted too: a look for changes, once a second.
    ceiling, count = CEILINGS[what], round(sum(calls.values()))
    most = "\n".join(f"{number:8.1f}  {name}" for name, number in calls.most_common(25))
    assert count <= ceiling, (
        f"{what}: {count} function calls, and {ceiling} were written down in CEILINGS. Find what the change calls "
        "that it could do without; if it cannot, show by `tox -e bench` what that costs, write down the higher figure "
        f"with the reason. What is called most:\n{most}"
    )
