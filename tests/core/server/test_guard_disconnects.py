"""When a client leaves, its request ends: before the first byte, within a stream, and for a whole answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import falcon.asgi
import pytest

from aigateway_core.resources.resource import exits

pytestmark = pytest.mark.anyio

Serving = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="module", params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Both event loops that the gateway runs on."""
    return "asyncio", {"use_uvloop": request.param}


class Closing:
    """A stream that Falcon can close: it calls ``close()``, never ``aclose()``."""

    def __init__(self, source: AsyncGenerator[bytes, None]) -> None:
        self._source = source

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._source

    async def close(self) -> None:
        await self._source.aclose()


class Diary:
    """Writes down what becomes of a request."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    async def wait(self, what: str, seconds: float = 30.0) -> None:
        try:
            await asyncio.sleep(seconds)
            self.entries.append(f"{what} came to its end")
        except asyncio.CancelledError as cancelled:
            self.entries.append(f"{what} cancelled: {cancelled}")
            raise
        finally:
            await asyncio.sleep(0.01)  # letting go takes a moment, and is waited for
            self.entries.append(f"{what} let go")


class Resource:
    """POST waits in the responder, GET streams; what they acquire is on the exit stack."""

    def __init__(self, diary: Diary) -> None:
        self.diary = diary

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        exits(req).callback(self.diary.entries.append, "exits closed")
        await req.stream.read()
        self.diary.entries.append("body read")
        if req.get_param_as_bool("quick"):
            resp.text = "done"
            return
        await self.diary.wait("responder")

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        exits(req).callback(self.diary.entries.append, "exits closed")
        resp.content_type = "text/event-stream"
        resp.stream = Closing(self._events(req.get_param_as_float("every", default=30.0)))

    async def _events(self, every: float) -> AsyncGenerator[bytes, None]:
        try:
            number = 0
            while True:
                yield b"data: %d\n\n" % number
                number += 1
                await asyncio.sleep(every)
        finally:
            await asyncio.sleep(0.01)
            self.diary.entries.append("stream closed")


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def app(diary: Diary) -> Any:
    made = falcon.asgi.App()
    made.add_route("/", Resource(diary))
    return made


@pytest.mark.parametrize("size", [70_000, 250_000, 2_000_000])
@pytest.mark.parametrize("at_once", [True, False])
async def test_the_leave_of_a_client_is_heard_however_large_its_body_was(
    serving: Serving, app: Any, diary: Diary, size: int, at_once: bool
) -> None:
    served = await serving(app)
    client = await served.connect()
    request = served.request("/", b"x" * size)
    await client.send(*([request] if at_once else [request[:-size], request[-size:]]), every=0.02)
    await served.until(lambda: "body read" in diary.entries)
    client.leave()
    await served.until(lambda: "responder let go" in diary.entries)


async def test_a_client_that_leaves_before_the_first_byte_cancels_the_responder(
    serving: Serving, app: Any, diary: Diary
) -> None:
    served = await serving(app)
    client = await served.connect()
    await client.send(served.request("/"))
    await served.until(lambda: "body read" in diary.entries)
    began = asyncio.get_running_loop().time()
    client.leave()
    await served.idle(1)
    assert asyncio.get_running_loop().time() - began < 0.8
    assert diary.entries == [
        "body read",
        "responder cancelled: the client has left",
        "responder let go",
        "exits closed",
    ]


@pytest.mark.parametrize("pieces", [1, 5])
async def test_a_body_in_pieces_is_watched_as_well(serving: Serving, app: Any, diary: Diary, pieces: int) -> None:
    served = await serving(app)
    client = await served.connect()
    head, body = served.request("/", b"x" * 50).split(b"\r\n\r\n")
    size = 50 // pieces
    await client.send(head + b"\r\n\r\n", *[body[start : start + size] for start in range(0, 50, size)], every=0.01)
    await served.until(lambda: "body read" in diary.entries)
    client.leave()
    await served.idle(1)
    assert diary.entries[-1] == "exits closed"


async def test_a_chunked_body_is_watched_as_well(serving: Serving, app: Any, diary: Diary) -> None:
    served = await serving(app)
    client = await served.connect()
    head = (
        b"POST / HTTP/1.1\r\n" + served.host + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    await client.send(head, b"2\r\nab\r\n", b"0\r\n\r\n", every=0.01)
    await served.until(lambda: "body read" in diary.entries)
    client.leave()
    await served.idle(1)
    assert diary.entries[-1] == "exits closed"


@pytest.mark.parametrize("every", [0.001, 30.0], ids=["chatty", "silent"])
async def test_a_client_that_leaves_a_stream_ends_it(serving: Serving, app: Any, diary: Diary, every: float) -> None:
    served = await serving(app)
    client = await served.begin(b"GET /?every=%g HTTP/1.1\r\n%b\r\n" % (every, served.host))
    assert await client.chunk() == b"data: 0\n\n"
    client.leave()
    await served.idle(1)
    assert diary.entries == ["stream closed", "exits closed"]


async def test_a_reset_is_a_leave(serving: Serving, app: Any, diary: Diary) -> None:
    served = await serving(app)
    client = await served.begin(b"GET / HTTP/1.1\r\n" + served.host + b"\r\n")
    client.writer.transport.abort()
    await served.idle(1)
    assert diary.entries == ["stream closed", "exits closed"]


async def test_a_generator_that_falcon_does_not_close_is_closed_by_the_exit_stack(serving: Serving) -> None:
    closed = []

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"data: x\n\n"  # no await: the cancellation strikes while Falcon sends
        finally:
            closed.append(True)

    class Naked:
        async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
            source = events()
            exits(req).push_async_callback(source.aclose)
            resp.stream = source

    app = falcon.asgi.App()
    app.add_route("/", Naked())
    served = await serving(app)
    client = await served.begin(b"GET / HTTP/1.1\r\n" + served.host + b"\r\n")
    await asyncio.sleep(0.1)
    client.writer.transport.abort()
    await served.idle(1)
    assert closed == [True]


async def test_i_11_a_client_that_leaves_within_its_body_runs_nothing(serving: Serving, app: Any, diary: Diary) -> None:
    served = await serving(app)
    client = await served.connect()
    await client.send(served.request("/", b"x" * 1000)[:-500])
    await served.until(lambda: served.guard.live == 1)
    client.leave()
    await served.idle(1)
    assert diary.entries == ["exits closed"]


async def test_c_04_a_client_that_only_closed_its_side_is_gone(serving: Serving, app: Any, diary: Diary) -> None:
    # Nobody can tell it from one that left altogether, until something is written: as nginx does, it counts as gone.
    served = await serving(app)
    client = await served.connect()
    await client.send(served.request("/"))
    await served.until(lambda: "body read" in diary.entries)
    client.writer.write_eof()
    await served.idle(1)
    assert diary.entries[-1] == "exits closed"


async def test_a_client_that_sent_its_next_request_already_can_still_leave(
    serving: Serving, app: Any, diary: Diary
) -> None:
    served = await serving(app)
    client = await served.connect()
    await client.send(served.request("/") + served.request("/", b"y" * 200_000))
    await served.until(lambda: "body read" in diary.entries)
    await asyncio.sleep(0.1)
    client.leave()
    await served.idle(1)
    assert diary.entries == [
        "body read",
        "responder cancelled: the client has left",
        "responder let go",
        "exits closed",
    ]


async def test_an_answer_that_is_complete_is_not_cancelled(serving: Serving, app: Any, diary: Diary) -> None:
    served = await serving(app)
    client = await served.connect()
    for _ in range(3):
        await client.send(served.request("/?quick=1"))
        assert (await client.answer()).body == b"done"
    client.leave()
    await served.idle(1)
    assert diary.entries == ["body read", "exits closed"] * 3


async def test_a_request_that_ends_in_time_leaves_no_task_behind(serving: Serving, app: Any) -> None:
    served = await serving(app)
    client = await served.connect()
    before = len(asyncio.all_tasks())
    for _ in range(20):
        await client.send(served.request("/?quick=1"))
        await client.answer()
    assert len(asyncio.all_tasks()) == before


async def test_a_request_under_way_costs_one_task(serving: Serving, app: Any, diary: Diary) -> None:
    served = await serving(app)
    before = len(asyncio.all_tasks())
    clients = [await served.begin(b"GET / HTTP/1.1\r\n" + served.host + b"\r\n") for _ in range(10)]
    await asyncio.sleep(0.2)
    assert len(asyncio.all_tasks()) - before == 10
    for client in clients:
        client.leave()
    await served.idle(1)
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) == before


async def test_a_cancellation_that_is_not_ours_goes_on(serving: Serving) -> None:
    class Itself:
        async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
            async with asyncio.timeout(0.05):
                await req.stream.read()
                await asyncio.sleep(30)

    async def timed_out(req: Any, resp: Any, error: Any, params: Any) -> None:
        resp.status = 504

    app = falcon.asgi.App()
    app.add_route("/", Itself())
    app.add_error_handler(TimeoutError, timed_out)
    served = await serving(app)
    assert (await served.post("/")).status == 504


async def test_fifteen_hundred_clients_that_leave_spoil_nothing(
    serving: Serving, app: Any, diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    served = await serving(app)

    async def visit(seconds: float, request: bytes) -> None:
        client = await served.connect()
        await client.send(request)
        await asyncio.sleep(seconds)
        if int(seconds * 1000) % 2:
            client.writer.transport.abort()
        else:
            client.leave()

    stream = b"GET /?every=0.005 HTTP/1.1\r\n" + served.host + b"\r\n"
    for batch in range(15):
        requests = [stream if number % 2 else served.request("/") for number in range(100)]
        await asyncio.gather(*(visit((batch * 7 + number) % 60 / 1000, each) for number, each in enumerate(requests)))
    await served.idle(5)
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(served.post("/?quick=1") for _ in range(50)))
    assert {(answer.status, answer.body) for answer in answers} == {(200, b"done")}
    assert diary.entries.count("responder let go") == diary.entries.count("responder cancelled: the client has left")
    assert caplog.records == []
