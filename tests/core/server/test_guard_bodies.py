"""Bodies that are too large, too slow, encoded, or not wanted."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable
from typing import Any

import falcon.asgi
import pytest

from aigateway_core.errors import GatewayError

pytestmark = pytest.mark.anyio

Serving = Callable[..., Awaitable[Any]]

CAP = 100_000


class Resource:
    """Judges the headers first, then reads the body, and answers its own errors, as the gateway does."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.errors: list[GatewayError] = []

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        if req.get_header("authorization") == "no":
            resp.status = 401
            resp.text = "who are you?"
            return
        body = await req.stream.read()
        self.bodies.append(body)
        resp.text = str(len(body))


@pytest.fixture
def target() -> Resource:
    return Resource()


@pytest.fixture
def app(target: Resource) -> Any:
    async def known(req: Any, resp: Any, error: GatewayError, params: Any) -> None:
        target.errors.append(error)
        resp.status = {"too_large": 413, "request_timeout": 408}[error.kind]
        resp.text = f"in my dialect: {error.message}"

    made = falcon.asgi.App()
    made.add_route("/", target)
    made.add_error_handler(GatewayError, known)
    return made


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def chunked_head(served: Any) -> bytes:
    return (
        b"POST / HTTP/1.1\r\n" + served.host + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )


@pytest.mark.parametrize("size", [0, 1, 65_536, CAP])
async def test_i_08_a_body_up_to_the_cap_is_taken(serving: Serving, app: Any, target: Resource, size: int) -> None:
    served = await serving(app, max_body_bytes=CAP)
    answer = await served.post("/", b"x" * size)
    assert (answer.status, answer.body) == (200, str(size).encode())
    answer = await served.ask(chunked_head(served) + chunks(*[b"y" * (size or 1)] * bool(size)) + b"0\r\n\r\n")
    assert (answer.status, answer.body) == (200, str(size).encode())
    assert target.bodies == [b"x" * size, b"y" * size]


async def test_i_05_a_declared_length_over_the_cap_is_refused_unread(
    serving: Serving, app: Any, target: Resource
) -> None:
    served = await serving(app, max_body_bytes=CAP)
    client = await served.connect()
    await client.send(
        b"POST / HTTP/1.1\r\n" + served.host + b"Content-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n"
    )
    answer = await client.answer(0.5)
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert answer.body == b"in my dialect: the body has 1073741824 bytes; at most 100000 are taken"
    assert target.bodies == []
    assert await client.closed(4) == b""


@pytest.mark.parametrize(
    "kind",
    [
        b"",
        b"Content-Type: text/plain\r\n",
        b"Content-Type: application/x-www-form-urlencoded\r\n",
        b"Content-Type: multipart/form-data; boundary=x\r\n",
        b"Content-Type: application/json; charset=utf-7\r\n",
        b"Content-Type: application/json, text/plain\r\n",
        b"Content-Type: application/jsonp\r\n",
    ],
)
async def test_i_02_a_body_of_another_type_than_json_is_refused_unread(
    serving: Serving, app: Any, target: Resource, kind: bytes
) -> None:
    served = await serving(app)
    for framing in (b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n"):
        answer = await served.ask(b"POST / HTTP/1.1\r\n" + served.host + kind + framing + b"\r\n")
        assert answer.status == 415
        assert b"content-type: application/json" in answer.body
    assert target.bodies == []


@pytest.mark.parametrize(
    "kind", [b"application/json", b"Application/JSON; charset=UTF-8", b'application/json;charset="utf-8"']
)
async def test_json_may_say_its_charset(serving: Serving, app: Any, target: Resource, kind: bytes) -> None:
    served = await serving(app)
    head = b"POST / HTTP/1.1\r\n" + served.host + b"Content-Type: " + kind + b"\r\nContent-Length: 2\r\n\r\n"
    assert (await served.ask(head + b"{}")).status == 200
    assert target.bodies == [b"{}"]


async def test_what_has_no_body_needs_no_type(serving: Serving, app: Any) -> None:
    served = await serving(app)
    assert (await served.ask(b"POST / HTTP/1.1\r\n" + served.host + b"Content-Length: 0\r\n\r\n")).status == 200


async def test_i_10_no_hundred_continue_is_sent_for_what_will_be_refused(serving: Serving, app: Any) -> None:
    served = await serving(app, max_body_bytes=CAP)
    for head, status in ((b"Content-Length: 100001\r\n", 413), (b"Content-Length: 5\r\nAuthorization: no\r\n", 401)):
        client = await served.connect()
        await client.send(
            b"POST / HTTP/1.1\r\nContent-Type: application/json\r\n"
            + served.host
            + head
            + b"Expect: 100-continue\r\n\r\n"
        )
        assert (await client.answer()).status == status
    client = await served.connect()
    await client.send(
        b"POST / HTTP/1.1\r\n"
        + served.host
        + b"Content-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    )
    assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send(b"ok")
    assert (await client.answer()).status == 200


async def test_i_10_nor_where_the_body_has_begun_to_come_uninvited(serving: Serving, app: Any) -> None:
    served = await serving(app, max_body_bytes=CAP)
    said = served.host + b"Content-Type: application/json\r\nContent-Length: 5\r\nExpect: 100-continue\r\n"
    client = await served.connect()
    await client.send(b"POST / HTTP/1.1\r\n" + said + b"Authorization: no\r\n\r\nhel")
    assert (await client.answer()).status == 401
    client = await served.connect()
    await client.send(b"POST / HTTP/1.1\r\n" + said + b"\r\nhel")
    assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send(b"lo")
    assert (await client.answer()).status == 200
    client = await served.connect()
    await client.send(b"POST / HTTP/1.1\r\n" + said + b"\r\nhello")
    assert (await client.answer()).status == 200


async def test_a_client_of_http_1_0_is_told_of_no_hundred_continue_that_it_does_not_know(
    serving: Serving, app: Any
) -> None:
    served = await serving(app, max_body_bytes=CAP)
    client = await served.connect()
    said = b"Content-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    await client.send(b"POST / HTTP/1.0\r\n" + served.host + said)
    await asyncio.sleep(0.1)
    await client.send(b"ok")
    assert (await client.answer()).status == 200


async def test_i_06_a_chunked_body_is_refused_where_it_passes_the_cap(
    serving: Serving, app: Any, target: Resource
) -> None:
    served = await serving(app, max_body_bytes=CAP)
    client = await served.connect()
    await client.send(chunked_head(served), *[chunks(b"x" * 10_000)] * 11)
    answer = await client.answer(1)
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert target.bodies == []


async def test_i_07_fifty_endless_bodies_do_not_fill_the_memory(serving: Serving, app: Any) -> None:
    served = await serving(app, max_body_bytes=CAP)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async def flood() -> int:
        client = await served.connect()
        await client.send(chunked_head(served))

        async def pour() -> None:
            for _ in range(200):
                await client.send(chunks(b"x" * 65_536))

        pouring = asyncio.create_task(pour())
        try:
            return (await client.answer(10)).status
        finally:
            pouring.cancel()
            await asyncio.gather(pouring, return_exceptions=True)
            client.leave()

    assert await asyncio.gather(*(flood() for _ in range(50))) == [413] * 50
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


async def test_a_client_that_sends_on_still_gets_its_answer(serving: Serving, app: Any) -> None:
    served = await serving(app, max_body_bytes=CAP)
    client = await served.connect()
    await client.send(served.request("/", b"x" * (8 << 20)))  # all of it, before it reads
    answer = await client.answer()
    assert (answer.status, answer.complete) == (413, True)
    assert await client.closed() == b""


async def test_an_answer_before_the_body_closes_the_connection(serving: Serving, app: Any, target: Resource) -> None:
    served = await serving(app, max_body_bytes=CAP)
    client = await served.connect()
    smuggled = served.request("/", b"smuggled")
    whole = served.request("/", smuggled, b"Authorization: no")
    await client.send(whole[: -len(smuggled)])
    answer = await client.answer()
    assert (answer.status, answer.body, answer.headers["connection"]) == (401, b"who are you?", "close")
    await client.send(smuggled)
    assert await client.closed() == b""
    assert target.bodies == []


async def test_a_body_that_came_with_its_head_is_over_whether_or_not_it_is_read(
    serving: Serving, app: Any, target: Resource
) -> None:
    served = await serving(app, max_body_bytes=CAP)
    client = await served.connect()
    await client.send(served.request("/", served.request("/", b"smuggled"), b"Authorization: no"))
    answer = await client.answer()
    assert (answer.status, answer.body) == (401, b"who are you?")
    assert "connection" not in answer.headers
    await client.send(served.request("/", b"next"))
    assert (await client.answer()).status == 200
    assert target.bodies == [b"next"]


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_i_34_a_body_that_dribbles_is_refused_in_time(
    serving: Serving, app: Any, target: Resource, framing: str
) -> None:
    served = await serving(app, body_timeout=0.3)
    client = await served.connect()
    if framing == "length":
        await client.send(served.request("/", b"x" * 100)[:-100])
        dribble = client.send(*[b"x"] * 100, every=0.05)
    else:
        await client.send(chunked_head(served))
        dribble = client.send(*[chunks(b"x")] * 100, every=0.05)
    dribbling = asyncio.create_task(dribble)
    answer = await client.answer(1)
    assert (answer.status, answer.headers["connection"]) == (408, "close")
    assert answer.body == b"in my dialect: the body did not arrive within 0.3 s"
    assert target.bodies == []
    dribbling.cancel()
    await asyncio.gather(dribbling, return_exceptions=True)


async def test_the_deadline_of_the_body_ends_with_the_body(serving: Serving) -> None:
    class Slow:
        async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
            await req.stream.read()
            await asyncio.sleep(0.5)
            resp.text = "done"

    app = falcon.asgi.App()
    app.add_route("/", Slow())
    served = await serving(app, body_timeout=0.2)
    assert (await served.post("/")).body == b"done"


async def test_a_body_that_the_app_does_not_read_has_no_deadline(serving: Serving) -> None:
    class Deaf:
        async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
            await asyncio.sleep(0.5)
            resp.text = "done"

    app = falcon.asgi.App()
    app.add_route("/", Deaf())
    served = await serving(app, body_timeout=0.2)
    assert (await served.post("/", b"x" * 100)).body == b"done"


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"identity, gzip", b"x"])
async def test_case_163_i_09_an_encoded_body_is_refused_unread(
    serving: Serving, app: Any, target: Resource, encoding: bytes
) -> None:
    # Decided otherwise than the sheet, which has it decoded: a bomb of one megabyte unpacks to one gigabyte, and no
    # client was seen to encode its requests (reliability I-09).
    served = await serving(app)
    answer = await served.post("/", b"\x1f\x8b", b"Content-Encoding: " + encoding)
    assert (answer.status, answer.headers["connection"]) == (415, "close")
    assert answer.json["error"]["message"] == "the body must come as it is, without content-encoding"
    assert target.bodies == []


async def test_identity_is_no_encoding(serving: Serving, app: Any) -> None:
    served = await serving(app)
    assert (await served.post("/", b"ok", b"Content-Encoding: identity")).status == 200


async def test_a_request_without_a_body_is_read_at_once(serving: Serving) -> None:
    class Reading:
        async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
            resp.text = repr(await req.stream.read())

    app = falcon.asgi.App()
    app.add_route("/", Reading())
    served = await serving(app)
    assert (await served.ask(b"GET / HTTP/1.1\r\nHOST\r\n\r\n", within=1)).body == b"b''"


async def test_an_app_that_knows_no_errors_is_answered_for(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": message["type"] + ".complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        while (await receive()).get("more_body"):
            pass
        raise AssertionError("the whole body was read")

    served = await serving(app, max_body_bytes=10, body_timeout=0.2)
    answer = await served.post("/", b"x" * 11)
    assert (answer.status, answer.json["error"]["type"]) == (413, "invalid_request_error")
    client = await served.connect()
    await client.send(served.request("/", b"x" * 5)[:-1])
    answer = await client.answer()
    assert (answer.status, answer.json["error"]["message"]) == (408, "the body did not arrive within 0.2 s")
    assert caplog.records == []
