"""A request that would change to another protocol is the plain request that it also is (RFC 9110 §7.8)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import falcon.asgi
import pytest
from core.server.test_cycle import Connected

from aigateway_core.errors import GatewayError

pytestmark = pytest.mark.anyio

Serving = Callable[..., Awaitable[Any]]

H2C = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
"""As Java's own client sends it to every http:// address."""
WEBSOCKET = (b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: x")
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


class Echo:
    def __init__(self) -> None:
        self.smuggled = 0

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.set_header("x-upgrade", str(req.get_header("upgrade")))
        resp.data = await req.stream.read()

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        self.smuggled += 1


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def app(echo: Echo) -> Any:
    async def late(req: Any, resp: Any, error: GatewayError, params: Any) -> None:
        resp.status = {"request_timeout": 408}[error.kind]

    made = falcon.asgi.App()
    made.add_error_handler(GatewayError, late)
    made.add_route("/", echo)
    made.add_route("/smuggled", echo)
    return made


def chunked(host: bytes, headers: tuple[bytes, ...], *chunks: bytes) -> bytes:
    lines = (b"POST / HTTP/1.1", host, b"Content-Type: application/json", b"Transfer-Encoding: chunked", *headers)
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return b"\r\n".join((*lines, b"", body))


@pytest.mark.parametrize("headers", [H2C, WEBSOCKET])
async def test_its_body_is_its_own_whatever_it_holds(
    headers: tuple[bytes, ...], serving: Serving, app: Any, echo: Echo
) -> None:
    served = await serving(app)
    client = await served.connect()
    for request in (
        served.request("/", SMUGGLED, *headers),
        chunked(served.host[:-2], headers, SMUGGLED[:9], SMUGGLED[9:]),
        served.request("/", SMUGGLED),
        served.request("/", b"", *headers),
    ):
        head, end, body = request.partition(b"\r\n\r\n")
        for pieces in ((request,), (head + end, body), (head[:-3], head[-3:] + end + body[:5], body[5:])):
            await client.send(*filter(None, pieces), every=0.02)
            answer = await client.answer()
            expected = SMUGGLED if body else b""
            assert (answer.status, answer.headers["x-upgrade"], answer.body) == (200, "None", expected)
            assert "connection" not in answer.headers
    assert echo.smuggled == 0


@pytest.mark.parametrize("headers", [H2C, WEBSOCKET])
async def test_what_follows_it_before_its_answer_is_not_run(
    headers: tuple[bytes, ...], serving: Serving, app: Any, echo: Echo
) -> None:
    served = await serving(app)
    for request in (served.request("/", b"own", *headers), chunked(served.host[:-2], headers, b"o", b"wn")):
        for following in (SMUGGLED * 3, served.request("/smuggled", b"other", *headers)):
            client = await served.connect()
            await client.send(request + following)
            said = await client.closed(5)
            assert said.count(b"HTTP/1.1 ") == 1
            assert said.endswith(b"own")
    assert echo.smuggled == 0


async def test_it_is_cut_off_where_half_of_its_body_does_not_come(serving: Serving, app: Any) -> None:
    served = await serving(app, body_timeout=0.2)
    request = served.request("/", b"a whole body", *H2C)
    answer = await served.ask(request[:-3])
    assert (answer.status, answer.headers["connection"]) == (408, "close")


async def test_it_is_asked_for_the_body_that_it_waits_with(serving: Serving, app: Any) -> None:
    served = await serving(app)
    client = await served.connect()
    head, end, body = served.request("/", b"waits", b"Expect: 100-continue", *H2C).partition(b"\r\n\r\n")
    await client.send(head + end)
    assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send(body)
    assert (await client.answer()).body == b"waits"


async def test_a_large_body_arrives_whole(serving: Serving, app: Any) -> None:
    served = await serving(app)
    body = b"0123456789abcdef" * 50_000
    assert (await served.post("/", body, *H2C)).body == body


async def test_a_client_that_asks_for_the_end_gets_it(serving: Serving, app: Any) -> None:
    served = await serving(app)
    client = await served.connect()
    await client.send(served.request("/", b"last", b"Connection: close", *H2C))
    said = await client.closed(5)
    assert said.endswith(b"last")
    assert b"\r\nconnection: close\r\n" in said


@pytest.mark.parametrize("target", [b"/", b"a:443"])
async def test_no_tunnel_is_made_and_nothing_in_it_is_run(
    target: bytes, serving: Serving, app: Any, echo: Echo
) -> None:
    served = await serving(app)
    client = await served.connect()
    await client.send(b"CONNECT %b HTTP/1.1\r\n%b\r\n" % (target, served.host), SMUGGLED, every=0.05)
    said = await client.closed(5)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1 ") == 1
    assert echo.smuggled == 0


@pytest.mark.parametrize("request_", [chunked(b"Host: a", H2C, b"first", b"second"), chunked(b"Host: a", H2C)])
async def test_it_is_the_same_wherever_it_is_cut(request_: bytes) -> None:
    seen: list[tuple[bytes, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        seen.append((body, scope["headers"]))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    for cut in range(1, len(request_)):
        connected = Connected(app)
        connected.connection.data_received(request_[:cut])
        await asyncio.sleep(0)
        assert await connected.says(request_[cut:]) == [b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]
        assert not connected.wire.closed
    assert len(seen) == len(request_) - 1
    assert all(each == seen[0] for each in seen)
    assert [name for name, _ in seen[0][1]] == [
        b"host",
        b"content-type",
        b"transfer-encoding",
        b"connection",
        b"http2-settings",
    ]
