"""Connections that say nothing, or say it too slowly."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import falcon.asgi
import pytest

pytestmark = pytest.mark.anyio

Serving = Callable[..., Awaitable[Any]]


class Plain:
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.text = "x"

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        await req.stream.read()
        await asyncio.sleep(0.6)
        resp.text = "slow"


@pytest.fixture
def app() -> Any:
    made = falcon.asgi.App()
    made.add_route("/", Plain())
    return made


@pytest.mark.parametrize("said", [(), (b"G",), (b"GET / HTTP/1.1\r\nHost: a\r\n",), tuple([b"x"] * 100)])
async def test_i_32_a_head_that_does_not_come_in_time_closes_the_connection(
    said: tuple[bytes, ...], serving: Serving, app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    served = await serving(app, header_timeout=0.3)
    clients = [await served.connect() for _ in range(20)]
    began = asyncio.get_running_loop().time()
    pieces = (b"GET /", *said) if len(said) == 100 else said
    talking = [asyncio.create_task(client.send(*pieces, every=0.05)) for client in clients]
    assert [await client.closed(2) for client in clients] == [b""] * 20
    assert asyncio.get_running_loop().time() - began < 1.5
    for task in talking:
        task.cancel()
    await asyncio.gather(*talking, return_exceptions=True)
    assert (await served.ask(b"GET / HTTP/1.1\r\nHOST\r\n\r\n")).status == 200
    assert served.guard.live == 0
    assert caplog.records == []


async def test_the_deadline_is_over_once_the_head_is_there(serving: Serving, app: Any) -> None:
    served = await serving(app, header_timeout=0.2)
    client = await served.connect()
    await client.send(served.request("/"))
    assert (await client.answer()).body == b"slow"
    await asyncio.sleep(0.4)  # an idle connection is kept
    await client.send(served.request("/"))
    assert (await client.answer()).body == b"slow"


async def test_the_next_head_on_a_connection_has_a_deadline_too(serving: Serving, app: Any) -> None:
    served = await serving(app, header_timeout=0.2)
    client = await served.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await client.answer()).body == b"x"
    await client.send(b"GET / HT")
    assert await client.closed(1.5) == b""


async def test_a_head_in_pieces_that_is_in_time_is_served(serving: Serving, app: Any) -> None:
    served = await serving(app, header_timeout=5)
    client = await served.connect()
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    await client.send(*[request[number : number + 1] for number in range(len(request))], every=0.001)
    assert (await client.answer()).body == b"x"


async def test_large_heads_one_after_the_other_are_not_added_up(serving: Serving, app: Any) -> None:
    served = await serving(app)
    client = await served.connect()
    request = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 30_000 + b"\r\n\r\n"
    for _ in range(6):
        await client.send(request[:29_000], request[29_000:], every=0.02)
        assert (await client.answer()).status == 200


async def test_a_head_that_grows_without_end_is_refused(serving: Serving, app: Any) -> None:
    served = await serving(app, header_timeout=5)
    client = await served.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
    pouring = asyncio.create_task(client.send(*[b"X: %b\r\n" % (b"x" * 8_000)] * 1000))
    said = await client.closed(3)
    assert said == b"" or said.startswith(b"HTTP/1.1 400 ")
    pouring.cancel()
    await asyncio.gather(pouring, return_exceptions=True)
