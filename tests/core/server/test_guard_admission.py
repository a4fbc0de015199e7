"""Who gets in, under which name, and what is said when the app itself fails."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import falcon.asgi
import pytest

from aigateway_core.resources.resource import exits

pytestmark = pytest.mark.anyio

Serving = Callable[..., Awaitable[Any]]


class Resource:
    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.ids: list[str] = []

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        self.ids.append(req.scope["state"]["request_id"])
        await req.stream.read()
        await self.open.wait()
        resp.text = "done"

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.text = "healthy"


@pytest.fixture
def target() -> Resource:
    return Resource()


@pytest.fixture
def app(target: Resource) -> Any:
    made = falcon.asgi.App()
    made.add_route("/", target)
    made.add_route("/health", target)
    return made


async def test_i_36_beyond_the_limit_requests_are_turned_away_at_once(
    serving: Serving, app: Any, target: Resource
) -> None:
    served = await serving(app, max_concurrency=5)
    waiting = [asyncio.create_task(served.post("/")) for _ in range(5)]
    await served.until(lambda: served.guard.live == 5)
    turned_away = await asyncio.gather(*(served.post("/", within=1) for _ in range(20)))
    for answer in turned_away:
        assert (answer.status, answer.headers["retry-after"], answer.headers["connection"]) == (503, "1", "close")
        assert answer.json["error"]["type"] == "overloaded_error"
    assert (await served.ask(b"GET /health HTTP/1.1\r\nHOST\r\n\r\n")).body == b"healthy"
    target.open.set()
    assert [(await task).body for task in waiting] == [b"done"] * 5
    assert (await served.post("/")).status == 200
    assert served.guard.live == 0


async def test_who_is_answered_before_the_body_has_come_takes_nobodys_place(
    serving: Serving, app: Any, target: Resource
) -> None:
    class Stranger:
        async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
            resp.status = 401

    app.add_route("/strange", Stranger())
    served = await serving(app, max_concurrency=2)
    strangers = [await served.connect() for _ in range(5)]
    for stranger in strangers:
        await stranger.send(served.request("/strange", b"not yet")[:-7])
        assert (await stranger.answer(1)).status == 401
    assert served.guard.live == 5  # what they still may send is taken for a while
    waiting = [asyncio.create_task(served.post("/")) for _ in range(2)]
    await served.until(lambda: served.guard.live == 7)
    assert (await served.post("/", within=1)).status == 503
    target.open.set()
    assert [(await task).status for task in waiting] == [200, 200]
    for stranger in strangers:
        await stranger.send(b"not yet")
    await served.idle(1)
    waiting = [asyncio.create_task(served.post("/")) for _ in range(2)]
    assert [(await task).status for task in waiting] == [200, 200]


async def test_idle_waits_for_the_last_request(serving: Serving, app: Any, target: Resource) -> None:
    served = await serving(app)
    await served.guard.idle()
    waiting = [asyncio.create_task(served.post("/")) for _ in range(3)]
    await served.until(lambda: served.guard.live == 3)
    idle = asyncio.create_task(served.guard.idle())
    await asyncio.sleep(0.05)
    assert not idle.done()
    target.open.set()
    await asyncio.wait_for(idle, 2)
    await asyncio.gather(*waiting)


async def test_the_app_is_told_to_stop_when_its_requests_have_let_go(serving: Serving) -> None:
    events: list[str] = []

    class Slow:
        async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
            await asyncio.sleep(0.3)
            events.append("request done")

    class Lifespan:
        async def process_shutdown(self, scope: Any, event: Any) -> None:
            events.append("stopped")

    app = falcon.asgi.App(middleware=[Lifespan()])
    app.add_route("/", Slow())
    served = await serving(app)
    asking = asyncio.create_task(served.post("/"))
    await served.until(lambda: served.guard.live == 1)
    await served.server.lifespan.shutdown()
    assert events == ["request done", "stopped"]
    await asking


async def test_while_draining_no_request_is_taken(serving: Serving, app: Any, target: Resource) -> None:
    served = await serving(app)
    client = await served.connect()
    target.open.set()
    await client.send(served.request("/"))
    assert (await client.answer()).status == 200
    served.guard.drain(30)
    await client.send(served.request("/"))
    answer = await client.answer()
    assert (answer.status, answer.json["error"]["message"]) == (503, "the gateway is shutting down")
    # Whether it serves is told until the end: this app has nothing there, which only the app can know.
    assert (await served.post("/ready")).status == 404


@pytest.mark.parametrize("given", [b"abc", b"a" * 128, b"req_1.2-3", b"0"])
async def test_a_clients_own_request_id_is_kept(serving: Serving, app: Any, target: Resource, given: bytes) -> None:
    target.open.set()
    served = await serving(app)
    answer = await served.post("/", b"", b"X-Request-Id: " + given)
    assert answer.headers["x-request-id"] == given.decode()
    assert target.ids == [given.decode()]


@pytest.mark.parametrize("given", [None, b"", b"a" * 129, b"a b", "é".encode(), b'{"a":1}'])
async def test_an_unfit_request_id_is_replaced(
    serving: Serving, app: Any, target: Resource, given: bytes | None
) -> None:
    target.open.set()
    served = await serving(app)
    answer = await served.post("/", b"", *([] if given is None else [b"X-Request-Id: " + given]))
    assert re.fullmatch(r"req_[0-9a-f]{24}", answer.headers["x-request-id"])
    assert target.ids == [answer.headers["x-request-id"]]


async def test_every_answer_has_a_request_id_and_only_one(serving: Serving) -> None:
    class Signing:
        async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
            resp.set_header("x-request-id", "the app's")
            resp.text = "x"

    app = falcon.asgi.App()
    app.add_route("/", Signing())
    served = await serving(app)
    ids = set()
    for request in (
        b"GET / HTTP/1.1\r\nHOST\r\n\r\n",
        b"GET /no HTTP/1.1\r\nHOST\r\n\r\n",
        b"GET //no HTTP/1.1\r\nHOST\r\n\r\n",
    ):
        answer = await served.ask(request)
        ids.add(answer.headers["x-request-id"])
        if b"//" in request:
            assert answer.json["request_id"] == answer.headers["x-request-id"]
    assert len(ids) == 3
    assert all(re.fullmatch(r"req_[0-9a-f]{24}", number) for number in ids)


async def lifespan(receive: Any, send: Any) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": message["type"] + ".complete"})
    await send({"type": "lifespan.shutdown.complete"})


@pytest.mark.parametrize("how", ["raises", "returns", "fails while letting go"])
async def test_an_app_that_fails_is_answered_for_without_a_word_of_its_own(
    serving: Serving, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        elif how == "raises":
            raise ZeroDivisionError("hunter22")
        elif how == "fails while letting go":
            scope["state"]["exits"] = AsyncExitStack()
            scope["state"]["exits"].callback(lambda: 1 / 0)

    served = await serving(app)
    answer = await served.post("/", b"")
    assert (answer.status, answer.json["error"]["type"]) == (500, "api_error")
    assert answer.json["error"]["message"] == "internal error"
    assert answer.headers["x-request-id"] == answer.json["request_id"]
    assert b"hunter22" not in answer.body
    assert len(caplog.records) == 1
    assert answer.headers["x-request-id"] in caplog.records[0].getMessage()


async def test_an_answer_that_is_out_is_not_spoilt_by_what_fails_after_it(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    class Careless:
        async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
            exits(req).callback(lambda: 1 / 0)
            resp.text = "fine"

    app = falcon.asgi.App()
    app.add_route("/", Careless())
    served = await serving(app)
    client = await served.connect()
    for number in range(1, 3):
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.answer()).body == b"fine"
        await served.idle()
        assert len(caplog.records) == number


async def test_the_exit_stack_is_closed_after_the_answer_in_reverse_order(serving: Serving) -> None:
    closed: list[str] = []

    class Holding:
        async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
            stack = exits(req)
            stack.callback(closed.append, "first")
            stack.callback(closed.append, "second")
            resp.text = "x"

    app = falcon.asgi.App()
    app.add_route("/", Holding())
    served = await serving(app)
    await served.ask(b"GET / HTTP/1.1\r\nHOST\r\n\r\n")
    await served.idle()
    assert closed == ["second", "first"]


async def test_an_answer_to_head_has_no_body(serving: Serving) -> None:
    class Plain:
        async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
            resp.text = "x"

        on_head = on_get

    app = falcon.asgi.App()
    app.add_route("/", Plain())
    served = await serving(app)
    client = await served.connect()
    for method, path, body in ((b"HEAD", b"/", b""), (b"HEAD", b"//", b""), (b"GET", b"/", b"x")):
        client = await served.connect()
        await client.send(b"%b %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % (method, path))
        assert (await client.closed()).partition(b"\r\n\r\n")[2] == body
