"""The engine over real sockets: what goes out, what comes back, and what becomes of the connection."""

from __future__ import annotations

import asyncio
import gc
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import httpx
import pytest
from aiohttp.http import HttpProcessingError
from certificates import client_context, server_context
from scripted_upstream import ScriptedUpstream, Wire, chunk_of, chunked, cut, head_of, raw, reset, stall, whole

from aigateway_core import engine
from aigateway_core.engine import DirectTransport, Transports, body
from aigateway_core.engine.proxied import AiohttpTransport

pytestmark = pytest.mark.anyio

TIMEOUT = {"connect": 2.0, "read": 2.0}


@pytest.fixture(scope="module", params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Both event loops that the gateway runs on: they differ in how they close, and in TLS."""
    return "asyncio", {"use_uvloop": request.param}


Transport: TypeAlias = httpx.AsyncBaseTransport
Engine: TypeAlias = type[AiohttpTransport] | type[DirectTransport]


@pytest.fixture(params=[AiohttpTransport, DirectTransport], ids=["aiohttp", "direct"])
def kind(request: pytest.FixtureRequest) -> Engine:
    engine_kind: Engine = request.param
    return engine_kind


@pytest.fixture
async def transport(kind: Engine) -> AsyncIterator[Transport]:
    made = kind(trusted=True)
    yield made
    await made.aclose()


def request_to(
    url: str, method: str = "POST", content: bytes | None = b"{}", timeout: Any = None, **headers: str
) -> httpx.Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Request(method, url, content=content, headers=named, extensions={"timeout": timeout or TIMEOUT})


async def body_of(response: httpx.Response) -> bytes:
    try:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return b"".join([chunk async for chunk in response.stream])
    finally:
        await response.aclose()


async def test_the_request_goes_out_exactly_as_it_was_made(
    transport: Transport, scripted_upstream: ScriptedUpstream
) -> None:
    request = request_to(
        f"{scripted_upstream.url}/v1/x?a=1&b=%20%2F", content=b'{"a": "\xc3\xa9"}', x_api_key="k", accept="*/*"
    )
    response = await transport.handle_async_request(request)
    assert await body_of(response) == b"{}"
    [seen] = scripted_upstream.requests
    assert seen.head.split(b"\r\n")[:-2] == [
        b"POST /v1/x?a=1&b=%20%2F HTTP/1.1",
        f"Host: 127.0.0.1:{scripted_upstream.port}".encode(),
        b"x-api-key: k",
        b"accept: */*",
        b"Content-Length: 11",
    ]
    assert seen.body == b'{"a": "\xc3\xa9"}'


@pytest.mark.parametrize(
    "target",
    [
        "/v1/models/a%2Fb:generate",
        "/a%252Fb",
        "/p;x=1/q",
        "/p?x=%7B%22a%22%3A1%7D",
        "/p?q=a+b&r=a%20b",
        "/p?empty=&flag",
        "/p?next=http%3A%2F%2Fx%2F%3Fy%3D1%23z",
        "/%C3%A9t%C3%A9",
        "/a'b(c)*~!$",
        "/p?x=[1]",
        "/~a//b",
    ],
)
async def test_the_path_is_sent_as_httpx_holds_it(
    transport: Transport, scripted_upstream: ScriptedUpstream, target: str
) -> None:
    request = request_to(scripted_upstream.url + target)
    await body_of(await transport.handle_async_request(request))
    assert scripted_upstream.requests[0].target == request.url.raw_path.decode()


async def test_a_request_without_a_body_says_so(transport: Transport, scripted_upstream: ScriptedUpstream) -> None:
    await body_of(await transport.handle_async_request(request_to(f"{scripted_upstream.url}/", "GET", None)))
    await body_of(await transport.handle_async_request(request_to(f"{scripted_upstream.url}/", "POST", None)))
    get, post = scripted_upstream.requests
    assert "content-length" not in get.headers
    assert "transfer-encoding" not in get.headers
    assert post.headers["content-length"] == "0"


async def test_a_large_body_arrives_whole(transport: Transport, scripted_upstream: ScriptedUpstream) -> None:
    content = b'{"pad": "' + b"x" * (5 << 20) + b'"}'
    await body_of(await transport.handle_async_request(request_to(f"{scripted_upstream.url}/", content=content)))
    [seen] = scripted_upstream.requests
    assert seen.body == content
    assert seen.headers["content-length"] == str(len(content))


async def test_a_body_made_of_pieces_is_framed_once(transport: Transport, scripted_upstream: ScriptedUpstream) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    request = httpx.Request("POST", f"{scripted_upstream.url}/", content=pieces(), extensions={"timeout": TIMEOUT})
    await body_of(await transport.handle_async_request(request))
    [seen] = scripted_upstream.requests
    assert (seen.body, seen.headers["content-length"], seen.headers.get("transfer-encoding")) == (b"one two", "7", None)


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\0b"])
async def test_a_header_that_would_break_the_request_is_refused_unsent(
    transport: Transport, scripted_upstream: ScriptedUpstream, value: str
) -> None:
    with pytest.raises(httpx.LocalProtocolError) as caught:
        await transport.handle_async_request(request_to(f"{scripted_upstream.url}/", x_key=value))
    assert "evil" not in str(caught.value)
    assert scripted_upstream.requests == []


async def test_the_answer_has_lower_case_header_names(
    transport: Transport, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(
        raw(b"HTTP/1.1 429 Slow\r\nContent-Length: 2\r\nRetry-After: 3\r\nX-A: 1\r\nX-A: 2\r\n\r\nno")
    )
    response = await transport.handle_async_request(request_to(scripted_upstream.url))
    assert await body_of(response) == b"no"
    assert response.status_code == 429
    assert response.headers.raw == [(b"content-length", b"2"), (b"retry-after", b"3"), (b"x-a", b"1"), (b"x-a", b"2")]


async def test_chunks_are_passed_on_as_they_come(transport: Transport, scripted_upstream: ScriptedUpstream) -> None:
    release = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head(transfer_encoding="chunked")
        await wire.chunk(b"first")
        await asyncio.wait_for(release.wait(), 5)
        await wire.chunk(b"second")
        await wire.chunk(b"")

    scripted_upstream.play(script)
    response = await transport.handle_async_request(request_to(scripted_upstream.url))
    assert isinstance(response.stream, httpx.AsyncByteStream)
    chunks = aiter(response.stream)
    assert await anext(chunks) == b"first"
    release.set()
    assert [chunk async for chunk in chunks] == [b"second"]
    await response.aclose()


async def test_nothing_is_decompressed(transport: Transport, scripted_upstream: ScriptedUpstream) -> None:
    packed = gzip.compress(b"x" * 1_000_000)
    scripted_upstream.play(whole(packed, content_encoding="gzip"))
    assert await body_of(await transport.handle_async_request(request_to(scripted_upstream.url))) == packed


async def test_s_18_redirects_are_not_followed(transport: Transport, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.play(whole(b"", 302, location=f"{scripted_upstream.url}/elsewhere"), whole())
    response = await transport.handle_async_request(request_to(scripted_upstream.url))
    await response.aclose()
    assert response.status_code == 302
    assert len(scripted_upstream.requests) == 1


async def test_a_cookie_is_never_sent_back(transport: Transport, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.play(whole(set_cookie="account=a; Path=/"))
    for _ in range(2):
        await body_of(await transport.handle_async_request(request_to(scripted_upstream.url)))
    assert [seen.headers.get("cookie") for seen in scripted_upstream.requests] == [None, None]


async def test_the_environment_chooses_no_proxy(
    transport: Transport, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await body_of(await transport.handle_async_request(request_to(scripted_upstream.url))) == b"{}"


async def test_a_connection_is_used_again_after_a_complete_answer(
    transport: Transport, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(whole(), chunked(b"a", b"b"), whole())
    for _ in range(6):
        await body_of(await transport.handle_async_request(request_to(scripted_upstream.url)))
    assert scripted_upstream.opened == 1


async def test_an_abandoned_body_closes_its_connection(
    transport: Transport, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(chunked(b"a", then=stall))
    response = await transport.handle_async_request(request_to(scripted_upstream.url))
    assert isinstance(response.stream, httpx.AsyncByteStream)
    assert await anext(aiter(response.stream)) == b"a"
    await response.aclose()
    await scripted_upstream.quiet()
    scripted_upstream.play(whole(b"fresh"))
    assert await body_of(await transport.handle_async_request(request_to(scripted_upstream.url))) == b"fresh"
    assert scripted_upstream.opened == 2


async def test_bytes_that_came_unasked_are_not_taken_for_the_next_answer(
    transport: Transport, scripted_upstream: ScriptedUpstream
) -> None:
    async def talkative(wire: Wire) -> None:
        await whole(b"mine")(wire)
        await asyncio.sleep(0.05)
        await whole(b"somebody else's")(wire)

    scripted_upstream.play(talkative)
    for _ in range(3):
        assert await body_of(await transport.handle_async_request(request_to(scripted_upstream.url))) == b"mine"
        await asyncio.sleep(0.1)


async def test_a_second_answer_in_the_same_packet_is_thrown_away(
    transport: Transport, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(raw(head_of(content_length="2") + b"ok" + head_of(content_length="4") + b"evil"))
    for _ in range(3):
        assert await body_of(await transport.handle_async_request(request_to(scripted_upstream.url))) == b"ok"


async def test_an_idle_connection_that_is_reset_makes_no_noise(
    transport: Transport, scripted_upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    async def reset_later(wire: Wire) -> None:
        await chunked(b"a", b"b", every=0.01)(wire)
        await reset(wire)

    scripted_upstream.play(reset_later)
    for _ in range(2):
        assert await body_of(await transport.handle_async_request(request_to(scripted_upstream.url))) == b"ab"
        await scripted_upstream.quiet()
        await asyncio.sleep(0.02)
    gc.collect()
    await asyncio.sleep(0)
    assert caplog.records == []


async def test_what_came_before_a_cut_is_still_passed_on(
    transport: Transport, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(chunked(b"event: error\n\n", then=cut))
    response = await transport.handle_async_request(request_to(scripted_upstream.url))
    await scripted_upstream.quiet()
    await asyncio.sleep(0.05)  # a consumer that is slower than the cut
    assert isinstance(response.stream, httpx.AsyncByteStream)
    chunks = aiter(response.stream)
    assert await anext(chunks) == b"event: error\n\n"
    with pytest.raises(httpx.RemoteProtocolError):
        await anext(chunks)
    await response.aclose()


BROKEN: dict[str, tuple[Callable[[Wire], Awaitable[None]], type[Exception]]] = {
    "closed before any answer": (cut, httpx.RemoteProtocolError),
    "reset before any answer": (reset, httpx.ReadError),
    "not HTTP": (raw(b"SSH-2.0-OpenSSH_9.2\r\n", then=cut), httpx.RemoteProtocolError),
    "half a status line": (raw(b"HTTP/1.1 20", then=cut), httpx.RemoteProtocolError),
    "half a head": (raw(b"HTTP/1.1 200 OK\r\nContent-Le", then=cut), httpx.RemoteProtocolError),
    "a header line without end": (
        raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", then=stall),
        httpx.RemoteProtocolError,
    ),
    "too many headers": (
        raw(b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 300 + b"\r\n", then=stall),
        httpx.RemoteProtocolError,
    ),
    "body shorter than its length": (raw(head_of(content_length="10") + b"half", then=cut), httpx.RemoteProtocolError),
    "reset within a body": (raw(head_of(content_length="10") + b"half", then=reset), httpx.RemoteProtocolError),
    "chunked without an end": (chunked(b"half", then=cut), httpx.RemoteProtocolError),
    "cut within a chunk": (
        raw(head_of(transfer_encoding="chunked") + b"a\r\nhalf", then=cut),
        httpx.RemoteProtocolError,
    ),
    "chunk size that is no number": (
        raw(head_of(transfer_encoding="chunked") + b"zz\r\nhalf\r\n", then=stall),
        httpx.RemoteProtocolError,
    ),
    "bad chunk end": (
        raw(head_of(transfer_encoding="chunked"), b"4\r\nhalfXX4\r\nmore\r\n", every=0.02, then=stall),
        httpx.RemoteProtocolError,
    ),
    "length and chunks": (
        raw(head_of(content_length="4", transfer_encoding="chunked") + chunk_of(b"half"), then=cut),
        httpx.RemoteProtocolError,
    ),
    "reset where only closing ends the body": (raw(head_of(), b"half", every=0.02, then=reset), httpx.ReadError),
    "silent before the head": (stall, httpx.ReadTimeout),
    "silent within the head": (raw(b"HTTP/1.1 200 OK\r\n", then=stall), httpx.ReadTimeout),
    "silent after the head": (raw(head_of(content_length="4"), then=stall), httpx.ReadTimeout),
    "silent within the body": (chunked(b"half", then=stall), httpx.ReadTimeout),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_answer_is_an_error_of_httpx(
    name: str, transport: Transport, scripted_upstream: ScriptedUpstream
) -> None:
    script, expected = BROKEN[name]
    scripted_upstream.play(script)
    request = request_to(scripted_upstream.url, timeout={"connect": 2.0, "read": 0.3})
    with pytest.raises(expected) as caught:
        await body_of(await transport.handle_async_request(request))
    assert type(caught.value) is expected
    await scripted_upstream.quiet()
    assert len(scripted_upstream.requests) == 1


async def test_a_body_that_ends_with_the_connection_is_whole(
    transport: Transport, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(raw(b"HTTP/1.0 200 OK\r\n\r\nall of it", then=cut))
    assert await body_of(await transport.handle_async_request(request_to(scripted_upstream.url))) == b"all of it"


async def test_informational_answers_are_passed_over(transport: Transport, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.play(raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + head_of(content_length="2") + b"ok"))
    response = await transport.handle_async_request(request_to(scripted_upstream.url))
    assert (response.status_code, await body_of(response)) == (200, b"ok")


async def test_silence_before_the_head_and_within_the_body_have_limits_of_their_own(
    transport: Transport, scripted_upstream: ScriptedUpstream
) -> None:
    slow_head = {"connect": 2.0, "first_byte": 2.0, "read": 0.2}
    scripted_upstream.play(whole(b"late", delay=0.5), chunked(b"a", then=stall))
    assert (
        await body_of(await transport.handle_async_request(request_to(scripted_upstream.url, timeout=slow_head)))
        == b"late"
    )
    response = await transport.handle_async_request(request_to(scripted_upstream.url, timeout=slow_head))
    began = asyncio.get_running_loop().time()
    with pytest.raises(httpx.ReadTimeout):
        await body_of(response)
    assert asyncio.get_running_loop().time() - began < 1.5


async def test_a_slow_reader_is_no_silent_upstream(transport: Transport, scripted_upstream: ScriptedUpstream) -> None:
    # In one piece, so that the engine has stopped reading by the time it hands over the head.
    scripted_upstream.play(raw(head_of(content_length=str(4 << 20)) + b"x" * (4 << 20)))
    timeout = {"connect": 2.0, "first_byte": 2.0, "read": 0.2}
    response = await transport.handle_async_request(request_to(scripted_upstream.url, timeout=timeout))
    await asyncio.sleep(0.6)
    assert len(await body_of(response)) == 4 << 20


async def test_a_refused_connection_is_a_connect_error(transport: Transport) -> None:
    async with ScriptedUpstream() as gone:
        url = gone.url
    with pytest.raises(httpx.ConnectError, match="failed"):
        await transport.handle_async_request(request_to(url))


async def test_an_unknown_name_is_a_connect_error(transport: Transport) -> None:
    with pytest.raises(httpx.ConnectError):
        await transport.handle_async_request(request_to("http://no-such-host.invalid/"))


async def test_a_machine_out_of_descriptors_blames_nobody(
    transport: Transport, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*args: object, **kwargs: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("aiohappyeyeballs.impl.socket.socket", exhausted)
    with pytest.raises(httpx.PoolTimeout):
        await transport.handle_async_request(request_to(scripted_upstream.url))


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "unix:///run/x", "/relative", "file:///etc/passwd"])
async def test_other_schemes_are_refused(transport: Transport, url: str) -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        await transport.handle_async_request(request_to(url))


async def test_credentials_in_a_url_are_refused(transport: Transport, scripted_upstream: ScriptedUpstream) -> None:
    with pytest.raises(httpx.LocalProtocolError) as caught:
        await transport.handle_async_request(request_to(scripted_upstream.url.replace("://", "://user:hunter22@")))
    assert "hunter22" not in str(caught.value)


async def test_a_closed_transport_connects_no_more(kind: Engine, scripted_upstream: ScriptedUpstream) -> None:
    transport = kind(trusted=True)
    await body_of(await transport.handle_async_request(request_to(scripted_upstream.url)))
    await transport.aclose()
    await scripted_upstream.quiet()
    with pytest.raises(httpx.PoolTimeout):
        await transport.handle_async_request(request_to(scripted_upstream.url))


async def test_closing_ends_the_calls_in_flight(kind: Engine, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.play(stall)
    transport = kind(trusted=True)
    call = asyncio.create_task(transport.handle_async_request(request_to(scripted_upstream.url)))
    await scripted_upstream.until(lambda: len(scripted_upstream.requests) == 1)
    await transport.aclose()
    with pytest.raises(httpx.TransportError):
        await call
    await scripted_upstream.quiet()


async def test_fifteen_hundred_cancelled_calls_leave_the_engine_as_good_as_new(
    transport: Transport, scripted_upstream: ScriptedUpstream
) -> None:
    async def call(path: str) -> bytes:
        return await body_of(await transport.handle_async_request(request_to(f"{scripted_upstream.url}/{path}")))

    scripted_upstream.play(chunked(b"a", b"b", b"c", every=0.01, then=stall))
    for batch in range(30):
        calls = [asyncio.create_task(call("cancelled")) for _ in range(50)]
        # Some before they are connected, some before the head, some within the body.
        await asyncio.sleep(batch % 6 * 0.004)
        for task in calls:
            task.cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended)
    await scripted_upstream.quiet(5)
    scripted_upstream.play(whole(b"good"))
    async with asyncio.timeout(5):
        assert await asyncio.gather(*(call("good") for _ in range(50))) == [b"good"] * 50


async def test_s_24_a_name_is_verified_and_an_unknown_authority_refused(kind: Engine, tmp_path: Path) -> None:
    async with ScriptedUpstream(server_context(tmp_path)) as upstream:
        stranger = kind(trusted=True)
        friend = kind(trusted=True, ssl_context=client_context(tmp_path))
        with pytest.raises(httpx.ConnectError):
            await stranger.handle_async_request(request_to(upstream.url))
        assert await body_of(await friend.handle_async_request(request_to(upstream.url))) == b"{}"
        with pytest.raises(httpx.ConnectError):
            await friend.handle_async_request(request_to(upstream.url.replace("127.0.0.1", "localhost")))
        assert len(upstream.requests) == 1
        await stranger.aclose()
        await friend.aclose()


async def test_s_24_an_expired_certificate_is_refused(kind: Engine, tmp_path: Path) -> None:
    async with ScriptedUpstream(server_context(tmp_path, expired=True)) as upstream:
        transport = kind(trusted=True, ssl_context=client_context(tmp_path))
        with pytest.raises(httpx.ConnectError):
            await transport.handle_async_request(request_to(upstream.url))
        await transport.aclose()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_s_24_a_server_with_an_old_tls_alone_is_refused(
    kind: Engine, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    context = server_context(tmp_path)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    ours, old = engine.default_ssl_context(), client_context(tmp_path)
    ours.load_verify_locations(tmp_path / "cert.pem")
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = version
    async with ScriptedUpstream(context) as upstream:
        transport, lenient = kind(trusted=True, ssl_context=ours), kind(trusted=True, ssl_context=old)
        with pytest.raises(httpx.ConnectError):
            await transport.handle_async_request(request_to(upstream.url))
        assert upstream.requests == []
        # It is the version that is refused: whoever takes it is served.
        assert await body_of(await lenient.handle_async_request(request_to(upstream.url))) == b"{}"
        await transport.aclose()
        await lenient.aclose()


async def test_a_cancelled_tls_call_is_closed_at_once(kind: Engine, tmp_path: Path) -> None:
    async with ScriptedUpstream(server_context(tmp_path)) as upstream:
        transport = kind(trusted=True, ssl_context=client_context(tmp_path))
        upstream.play(stall)
        call = asyncio.create_task(transport.handle_async_request(request_to(upstream.url)))
        await upstream.until(lambda: len(upstream.requests) == 1)
        call.cancel()
        await upstream.quiet(1)
        await asyncio.gather(call, return_exceptions=True)
        await transport.aclose()


async def test_an_abandoned_tls_stream_waits_for_no_farewell(kind: Engine, tmp_path: Path) -> None:
    hung_up = asyncio.Event()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", upstream.port)

        async def back() -> None:
            with suppress(OSError):
                while data := await inner_reader.read(65536):
                    if not frozen.is_set():
                        writer.write(data)

        task = asyncio.create_task(back())
        with suppress(OSError):
            while data := await reader.read(65536):
                if not frozen.is_set():
                    inner_writer.write(data)
        hung_up.set()
        inner_writer.close()
        await task
        writer.close()

    frozen = asyncio.Event()
    async with ScriptedUpstream(server_context(tmp_path)) as upstream:
        upstream.play(chunked(b"a", then=stall))
        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        transport = kind(trusted=True, ssl_context=client_context(tmp_path))
        response = await transport.handle_async_request(request_to(url))
        frozen.set()
        await response.aclose()
        await asyncio.wait_for(hung_up.wait(), 2)
        await transport.aclose()
        server.close()


def test_s_24_the_default_context_verifies() -> None:
    context = engine.default_ssl_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.cert_store_stats()["x509_ca"] > 0


def _kinds(root: type[Exception]) -> set[type[Exception]]:
    return {root}.union(*(_kinds(kind) for kind in root.__subclasses__()))


def test_every_exception_of_aiohttp_has_a_meaning() -> None:
    for kind in _kinds(aiohttp.ClientError) | _kinds(HttpProcessingError):
        error = kind.__new__(kind)
        assert issubclass(kind, body.FAILURES)
        assert any(isinstance(error, known) for known in body.MEANINGS)


async def test_transports_are_made_once_for_each_way_out() -> None:
    transports = Transports()
    assert transports.direct() is transports.direct()
    assert transports.direct() is not transports.direct(trusted=True)
    one, two = "http://a:b@proxy.test:1", "http://a:c@proxy.test:1"
    assert transports.through(one) is transports.through(one)
    assert transports.through(one) is not transports.through(two)
    assert "b@" not in repr(transports.through(one))
    await transports.aclose()
