"""Requests that two readers could read differently are refused, and what follows them is never run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import falcon.asgi
import pytest

from aigateway_core.addresses import trouble_with_host
from aigateway_core.server.inspection import Inspector, Refusal

pytestmark = pytest.mark.anyio

Serving = Callable[..., Awaitable[Any]]


class Canary:
    def __init__(self) -> None:
        self.sung = 0

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        self.sung += 1
        resp.text = "tweet"

    on_post = on_get


class Echo:
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.text = (await req.stream.read()).decode()

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, **params: str) -> None:
        resp.text = req.path
        resp.set_header("x-query", req.query_string)


@pytest.fixture
def canary() -> Canary:
    return Canary()


@pytest.fixture
def app(canary: Canary) -> Any:
    made = falcon.asgi.App()
    made.add_route("/", Echo())
    made.add_route("/v1/models/{name:path}", Echo())
    made.add_route("/admin", canary)
    made.add_route("/smuggled", canary)
    return made


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

REFUSED: dict[str, tuple[bytes, int | None]] = {
    # Length and framing.
    "length and chunks": (
        b"POST / HTTP/1.1\r\nHOST\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "chunks and length": (
        b"POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two lengths": (b"POST / HTTP/1.1\r\nHOST\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", 400),
    "two equal lengths": (b"POST / HTTP/1.1\r\nHOST\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", 400),
    "a list of lengths": (b"POST / HTTP/1.1\r\nHOST\r\nContent-Length: 2, 2\r\n\r\nab", 400),
    "a negative length": (b"POST / HTTP/1.1\r\nHOST\r\nContent-Length: -1\r\n\r\n", 400),
    "a signed length": (b"POST / HTTP/1.1\r\nHOST\r\nContent-Length: +2\r\n\r\nab", 400),
    "a hexadecimal length": (b"POST / HTTP/1.1\r\nHOST\r\nContent-Length: 0x2\r\n\r\nab", 400),
    "an empty length": (b"POST / HTTP/1.1\r\nHOST\r\nContent-Length:\r\n\r\n", 400),
    "a length beyond all measure": (b"POST / HTTP/1.1\r\nHOST\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
    "an unknown coding": (b"POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
    "a coding before chunks": (b"POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunks twice": (
        b"POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "chunks in a list": (b"POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    "a misspelt coding": (b"POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "chunks in HTTP/1.0": (b"POST / HTTP/1.0\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "space before a colon": (b"POST / HTTP/1.1\r\nHOST\r\nContent-Length : 2\r\n\r\nab", 400),
    "a folded header": (b"GET / HTTP/1.1\r\nHOST\r\nX: 1\r\n 2\r\n\r\n", 400),
    "a NUL in a header": (b"GET / HTTP/1.1\r\nHOST\r\nX: a\0b\r\n\r\n", 400),
    "a header without a colon": (b"GET / HTTP/1.1\r\nHOST\r\nX\r\n\r\n", 400),
    "a header without a name": (b"GET / HTTP/1.1\r\nHOST\r\n: 1\r\n\r\n", 400),
    "line feeds alone": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    # Names.
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "no host in HTTP/1.0": (b"GET / HTTP/1.0\r\n\r\n", 400),
    "an empty host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nHOST\r\nHost: b\r\n\r\n", 400),
    "two equal hosts": (b"GET / HTTP/1.1\r\nHOST\r\nHOST\r\n\r\n", 400),
    "a host with a path": (b"GET / HTTP/1.1\r\nHost: a.test/health?x=\r\n\r\n", 400),
    "a host with credentials": (b"GET / HTTP/1.1\r\nHost: me@a.test\r\n\r\n", 400),
    "a host with a space": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "a host with a word for a port": (b"GET / HTTP/1.1\r\nHost: a:http\r\n\r\n", 400),
    "a host with two ports": (b"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400),
    # Headers of which there must be one.
    "two content types": (
        b"POST / HTTP/1.1\r\nHOST\r\nContent-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 0\r\n\r\n",
        400,
    ),
    "two authorizations": (
        b"GET / HTTP/1.1\r\nHOST\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
        400,
    ),
    "two api keys": (b"GET / HTTP/1.1\r\nHOST\r\nX-Api-Key: a\r\nx-api-key: b\r\n\r\n", 400),
    "two Google keys": (b"GET / HTTP/1.1\r\nHOST\r\nx-goog-api-key: a\r\nx-goog-api-key: b\r\n\r\n", 400),
    # Size.
    "101 headers": (b"GET / HTTP/1.1\r\nHOST\r\n" + b"X: 1\r\n" * 100 + b"\r\n", 431),
    "33 KB of headers": (b"GET / HTTP/1.1\r\nHOST\r\nX: " + b"x" * 33_000 + b"\r\n\r\n", 431),
    "a target of 9 KB": (b"GET /?" + b"x" * 9_000 + b" HTTP/1.1\r\nHOST\r\n\r\n", 414),
    "a path of 9 KB": (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHOST\r\n\r\n", 414),
    # By the guard or by the protocol, as they happen to arrive.
    "100 KB of headers": (b"GET / HTTP/1.1\r\nHOST\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", None),
    "10,000 headers": (b"GET / HTTP/1.1\r\nHOST\r\n" + b"X: 1\r\n" * 10_000 + b"\r\n", None),
    # Versions, methods, and what is not HTTP at all.
    "HTTP/9.9": (b"GET / HTTP/9.9\r\nHOST\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "an unknown method": (b"FOO / HTTP/1.1\r\nHOST\r\n\r\n", 400),
    "a method in lower case": (b"get / HTTP/1.1\r\nHOST\r\n\r\n", 400),
    "a TLS hello": (bytes.fromhex("16030100c8010000c40303") + b"\x01" * 190, 400),
    "noise": (bytes(range(128, 256)), 400),
}


UPGRADE = b"HOST\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
"""In the place of the first host: what would have the parser read no further."""


@pytest.mark.parametrize("host", [b"HOST\r\n", UPGRADE], ids=["", "upgrade"])
@pytest.mark.parametrize("name", REFUSED)
async def test_i_03_i_20_i_21_it_is_refused_and_nothing_after_it_is_run(
    name: str, host: bytes, serving: Serving, app: Any, canary: Canary
) -> None:
    request, status = REFUSED[name]
    request = request.replace(b"HOST\r\n", host, 1)
    served = await serving(app)
    client = await served.connect()
    await client.send(request.replace(b"HOST", served.host[:-2]) + SMUGGLED)
    said = await client.closed(5)
    assert said.startswith(b"HTTP/1.1 %d " % status if status else (b"HTTP/1.1 431 ", b"HTTP/1.1 400 ")), said[:80]
    assert said.count(b"HTTP/1.1 ") == 1
    assert canary.sung == 0
    head, _, body = said.partition(b"\r\n\r\n")
    told = json.loads(body)
    assert (told["type"], told["request_id"]) == ("error", told["error"]["request_id"])
    assert b"\r\nx-request-id: %b" % told["request_id"].encode() in head
    assert b"\r\nconnection: close" in head


BROKEN_CHUNKS = {
    "a size that is no number": b"zz\r\nab\r\n0\r\n\r\n",
    "a hexadecimal prefix": b"0x2\r\nab\r\n0\r\n\r\n",
    "a sign": b"+2\r\nab\r\n0\r\n\r\n",
    "a bad end": b"2\r\nabXX0\r\n\r\n",
    "a bare line feed": b"2\nab\n0\n\n",
    "a size beyond all measure": b"fffffffffffffffff\r\nab\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("host", [b"HOST\r\n", UPGRADE], ids=["", "upgrade"])
@pytest.mark.parametrize("name", BROKEN_CHUNKS)
async def test_broken_chunks_end_the_connection(
    name: str, host: bytes, serving: Serving, app: Any, canary: Canary
) -> None:
    served = await serving(app)
    client = await served.connect()
    head = b"POST / HTTP/1.1\r\n%bContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" % host
    await client.send(head.replace(b"HOST", served.host[:-2]) + BROKEN_CHUNKS[name] + SMUGGLED)
    said = await client.closed(5)
    assert b"HTTP/1.1 200" not in said
    assert canary.sung == 0
    await served.idle()


@pytest.mark.parametrize(
    "path",
    [
        "//admin",
        "/v1//admin",
        "///",
        "/admin//",
        "/%2Fadmin",
        "/x/../admin",
        "/x/%2e%2e/admin",
        "/./admin",
        "/%2e/admin",
        "/admin/..",
        "/admin/.",
        "/\\admin",
        "/x\\..\\admin",
        "/%5cadmin",
        "/admin%00",
        "/%00",
        "/v1/models/../admin",
        "/v1/models/%2e%2e/x",
        "/v1/models/a/./b",
        "/v1/models/a/..",
        "/v1/models/a%5Cb",
        "/v1/models/a%00b",
        "/v1/models//a",
    ],
)
async def test_a_path_that_could_mean_two_things_leads_nowhere(
    path: str, serving: Serving, app: Any, canary: Canary
) -> None:
    served = await serving(app)
    answer = await served.ask(b"GET %b HTTP/1.1\r\nHOST\r\n\r\n" % path.encode())
    assert answer.status in {400, 404}
    assert canary.sung == 0


@pytest.mark.parametrize("path", ["/admin/", "/ADMIN", "/admin;x", "/..;/admin", "/admin%20", "/admin/x"])
async def test_a_path_that_is_merely_similar_is_another(path: str, serving: Serving, app: Any, canary: Canary) -> None:
    served = await serving(app)
    assert (await served.ask(b"GET %b HTTP/1.1\r\nHOST\r\n\r\n" % path.encode())).status == 404
    assert canary.sung == 0


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/v1/models/openai/gpt-4o", "/v1/models/openai/gpt-4o"),
        ("/v1/models/a%2Fb", "/v1/models/a/b"),
        ("/v1/models/glm-4.6", "/v1/models/glm-4.6"),
        ("/v1/models/...", "/v1/models/..."),
        ("/v1/models/..a", "/v1/models/..a"),
        ("/v1/models/x:generate?a=//../b", "/v1/models/x:generate"),
    ],
)
async def test_an_ordinary_path_passes(target: str, path: str, serving: Serving, app: Any) -> None:
    served = await serving(app)
    answer = await served.ask(b"GET %b HTTP/1.1\r\nHOST\r\n\r\n" % target.encode())
    assert (answer.status, answer.body.decode()) == (200, path)


@pytest.mark.parametrize(
    "host", [b"localhost", b"a.test:8088", b"127.0.0.1", b"[::1]", b"[::1]:8088", b"my_gateway", b"A.TEST"]
)
async def test_an_ordinary_host_passes(host: bytes, serving: Serving, app: Any) -> None:
    served = await serving(app)
    assert (await served.ask(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)).status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"gateway.test", 200),
        (b"Gateway.Test:8088", 200),
        (b"[::1]:8088", 200),
        (b"evil.test", 400),
        (b"127.0.0.1", 400),
        (b"gateway.test.evil.test", 400),
    ],
)
async def test_only_allowed_hosts_are_served_when_some_are_named(
    host: bytes, status: int, serving: Serving, app: Any
) -> None:
    served = await serving(app, allowed_hosts=("gateway.test", "[::1]"))
    assert (await served.ask(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)).status == status


@pytest.mark.parametrize(
    "host", ["gateway.test", "Gateway.Test:8443", "10.0.0.7", "[::1]", "[2001:DB8::1]:8088", "my_host"]
)
def test_every_name_that_the_settings_take_is_one_that_can_be_asked_for(host: str) -> None:
    assert trouble_with_host(host) is None
    scope = {"http_version": "1.1", "raw_path": b"/", "path": "/", "query_string": b""}
    found = Inspector([host]).inspect({**scope, "headers": [(b"host", host.encode())]})
    assert not isinstance(found, Refusal)


@pytest.mark.parametrize("path", [b"/health", b"/ready"])
async def test_probes_may_ask_by_any_name_and_nobody_after_them(
    path: bytes, serving: Serving, app: Any, canary: Canary
) -> None:
    app.add_route(path.decode(), Echo())
    served = await serving(app, allowed_hosts=("gateway.test",))
    for host in (b"127.0.0.1:8088", b"10.1.2.3:8088", b"gateway.test"):  # as Docker, Kubernetes and people ask
        assert (await served.ask(b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (path, host))).status == 200
        for other in (b"/admin", path + b"/admin", b"/admin?" + path):
            answer = await served.ask(b"GET %b HTTP/1.1\r\nHost: 127.0.0.1:8088\r\n\r\n" % other)
            assert answer.status == 400
            assert b"server.allowed_hosts" in answer.body
    assert (await served.ask(b"GET %b HTTP/1.1\r\nHost: a/b\r\n\r\n" % path)).status == 400
    assert canary.sung == 0


async def test_hundred_headers_and_eight_kilobytes_pass(serving: Serving, app: Any) -> None:
    served = await serving(app)
    assert (await served.ask(b"GET / HTTP/1.1\r\nHOST\r\n" + b"X: 1\r\n" * 99 + b"\r\n")).status == 200
    assert (await served.ask(b"GET /?" + b"x" * 8_000 + b" HTTP/1.1\r\nHOST\r\n\r\n")).status == 200
    assert (await served.ask(b"GET / HTTP/1.1\r\nHOST\r\nX: " + b"x" * 30_000 + b"\r\n\r\n")).status == 200


async def test_an_address_of_ten_megabytes_is_not_kept(serving: Serving, app: Any) -> None:
    served = await serving(app)
    client = await served.connect()

    async def pour() -> None:
        await client.send(b"GET /", *[b"x" * 65_536] * 160)

    pouring = asyncio.create_task(pour())
    assert (await client.closed(5)).startswith((b"HTTP/1.1 400 ", b""))
    pouring.cancel()
    await asyncio.gather(pouring, return_exceptions=True)


async def test_trailers_are_no_headers(serving: Serving) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": message["type"] + ".complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        while (await receive()).get("more_body"):
            pass
        seen.extend(name for name, _ in scope["headers"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    served = await serving(app)
    head = b"POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n"
    head += b"Trailer: Authorization\r\n\r\n"
    answer = await served.ask(head + b"2\r\nab\r\n0\r\nAuthorization: Bearer x\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")
    assert answer.status == 200
    assert sorted(seen) == [b"content-type", b"host", b"trailer", b"transfer-encoding"]


async def test_i_23_pipelined_requests_get_one_answer_and_the_end(serving: Serving, app: Any, canary: Canary) -> None:
    served = await serving(app)
    client = await served.connect()
    await client.send(served.request("/", b"first") + SMUGGLED * 100)
    said = await client.closed(5)
    assert said.count(b"HTTP/1.1 200") == 1
    assert said.endswith(b"first")
    assert canary.sung == 0


async def test_a_pipelined_body_does_not_run_into_the_one_before(serving: Serving) -> None:
    class Late:
        async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
            await asyncio.sleep(0.1)
            resp.text = (await req.stream.read()).decode()

    app = falcon.asgi.App()
    app.add_route("/", Late())
    served = await serving(app)
    client = await served.connect()
    head = (
        b"POST / HTTP/1.1\r\n" + served.host + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    await client.send(head + b"5\r\nfirst\r\n0\r\n\r\n" + served.request("/", b"second"))
    assert (await client.closed(5)).endswith(b"\r\n\r\nfirst")


async def test_requests_one_after_the_other_share_a_connection(serving: Serving, app: Any) -> None:
    served = await serving(app)
    client = await served.connect()
    began = asyncio.get_running_loop().time()
    for number in range(50):
        await client.send(served.request("/", b"%d" % number))
        answer = await client.answer()
        assert (answer.status, answer.body, answer.headers.get("connection")) == (200, b"%d" % number, None)
    # Each would take 40 ms if the second segment of an answer had to wait for the ACK of the first.
    assert asyncio.get_running_loop().time() - began < 1.5


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
async def test_i_26_an_upgrade_is_not_made(
    protocol: bytes, serving: Serving, app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    served = await serving(app)
    answer = await served.ask(
        b"GET / HTTP/1.1\r\nHOST\r\nConnection: Upgrade\r\nUpgrade: %b\r\nSec-WebSocket-Key: x\r\n\r\n" % protocol
    )
    assert answer.status == 200
    assert caplog.records == []


@pytest.mark.parametrize("name", ["length and chunks", "two hosts", "HTTP/9.9", "noise"])
async def test_a_refusal_is_at_most_one_line_in_the_log(
    name: str, serving: Serving, app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    served = await serving(app)
    client = await served.connect()
    await client.send(REFUSED[name][0].replace(b"HOST", served.host[:-2]))
    await client.closed(5)
    assert len(caplog.records) <= 1
    assert all(len(record.getMessage()) < 300 and record.exc_info is None for record in caplog.records)


@pytest.mark.parametrize("length", [b"", b"x", b"+1", b"-1", b"1, 1", b" 1"])
def test_a_length_that_is_none_is_refused_even_if_the_parser_let_it_through(length: bytes) -> None:
    headers = [(b"host", b"a"), (b"content-length", length)]
    scope = {"http_version": "1.1", "raw_path": b"/", "path": "/", "query_string": b"", "headers": headers}
    found = Inspector().inspect(scope)
    assert isinstance(found, Refusal)
    assert found.status == 400


@pytest.mark.parametrize(
    "framing",
    [
        [(b"transfer-encoding", b"chunked"), (b"content-length", b"2")],
        [(b"transfer-encoding", b"gzip")],
        [(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")],
    ],
)
def test_a_length_that_is_given_twice_is_refused_even_if_the_parser_let_it_through(
    framing: list[tuple[bytes, bytes]],
) -> None:
    headers = [(b"host", b"a"), (b"content-type", b"application/json"), *framing]
    scope = {"http_version": "1.1", "raw_path": b"/", "path": "/", "query_string": b"", "headers": headers}
    found = Inspector().inspect(scope)
    assert isinstance(found, Refusal)
    assert found.status == 400


@pytest.mark.parametrize(
    ("request_line", "status", "code"),
    [("GET /a/../b HTTP/1.1", 404, "not_found"), ("GET /?" + "x" * 9_000 + " HTTP/1.1", 414, "invalid_request")],
)
async def test_a_refusal_is_one_that_clients_of_every_api_here_can_read(
    request_line: str, status: int, code: str, serving: Serving, app: Any
) -> None:
    served = await serving(app)
    answer = await served.ask(request_line.encode() + b"\r\nHOST\r\nX-Request-Id: r-1\r\n\r\n")
    assert answer.status == status
    told = answer.json
    assert (told["type"], told["error"]["type"], told["request_id"]) == ("error", "invalid_request_error", "r-1")
    assert (told["error"]["code"], told["error"]["param"], told["error"]["request_id"]) == (code, None, "r-1")


async def test_each_request_on_a_connection_is_for_its_own_target(serving: Serving, app: Any) -> None:
    served = await serving(app)
    client = await served.connect()
    for path, query in [("a", ""), ("a", ""), ("a", "x=1"), ("a", "x=2"), ("b", "x=2"), ("a", "")]:
        await client.send(f"GET /v1/models/{path}?{query} HTTP/1.1\r\n".encode() + served.host + b"\r\n")
        answer = await client.answer()
        assert (answer.body.decode(), answer.headers["x-query"]) == (f"/v1/models/{path}", query)
    for target in ("/v1/models/a//b", "/v1/models/a//b"):
        answer = await served.ask(f"GET {target} HTTP/1.1\r\nHOST\r\n\r\n".encode())
        assert answer.status == 404
