"""Whole calls through :class:`Upstream`: what is sent, what comes back, and what each failure is called."""

from __future__ import annotations

import asyncio
import gzip
import os
import resource
import zlib
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import Any

import httpx
import pytest
from scripted_upstream import Script, ScriptedUpstream, Wire, chunked, cut, head_of, raw, reset, stall, whole

from aigateway_core.engine import DirectTransport
from aigateway_core.engine.proxied import AiohttpTransport
from aigateway_core.engine.resolving import look_up
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.secret import Secret
from aigateway_core.upstream import Limits, Upstream

pytestmark = pytest.mark.anyio

LIMITS = Limits(connect=1.0, first_byte=0.4, idle=0.4, total=3.0, max_response_bytes=100_000)


@pytest.fixture(params=[AiohttpTransport, DirectTransport], ids=["aiohttp", "direct"])
async def calling(
    request: pytest.FixtureRequest, scripted_upstream: ScriptedUpstream
) -> AsyncIterator[Callable[..., Upstream]]:
    """Makes an upstream on a real engine: ``calling(limits=..., secrets=...)``."""
    transport = request.param(trusted=True)

    def make(auth: httpx.Auth | None = None, **options: Any) -> Upstream:
        return Upstream(transport, auth, **{"limits": LIMITS} | options)

    yield make
    await transport.aclose()


async def failure_of(upstream: Upstream, server: ScriptedUpstream, script: Script) -> UpstreamError:
    server.play(script)
    with pytest.raises(UpstreamError) as caught:
        await upstream.post(f"{server.url}/v1/chat", json={})
    return caught.value


async def test_a_post_sends_json_and_asks_for_no_encoding(
    calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(whole(b'{"id": "x"}', 201, x_request_id="r1"))
    response = await calling().post(
        f"{scripted_upstream.url}/v1/chat", json={"a": [1, "é"]}, headers={"X-Api-Key": "k"}
    )
    assert (response.status_code, response.json(), response.headers["x-request-id"]) == (201, {"id": "x"}, "r1")
    [seen] = scripted_upstream.requests
    assert seen.body == '{"a":[1,"é"]}'.encode()
    seen.headers.pop("host")
    assert seen.headers == {
        "accept": "*/*",
        "accept-encoding": "identity",
        "user-agent": "aigateway",
        "content-type": "application/json",
        "x-api-key": "k",
        "content-length": str(len(seen.body)),
    }


async def test_given_headers_win_whatever_their_case(
    calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream
) -> None:
    await calling().post(
        scripted_upstream.url, content=b"raw", headers={"User-Agent": "mine/1", "Content-Type": "text/plain"}
    )
    [seen] = scripted_upstream.requests
    assert (seen.headers["user-agent"], seen.headers["content-type"], seen.body) == ("mine/1", "text/plain", b"raw")


async def test_a_get_has_no_body(calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream) -> None:
    assert (await calling().get(f"{scripted_upstream.url}/v1/models")).json() == {}
    [seen] = scripted_upstream.requests
    assert (seen.method, seen.body, "content-type" in seen.headers) == ("GET", b"", False)


FAILURES: dict[str, tuple[Script, ErrorKind, str]] = {
    "silent": (stall, ErrorKind.TIMEOUT, "the upstream did not begin to answer within the time limit"),
    "dribbling head": (
        raw(b"HTTP/1.1 200 OK\r\n", *[b"x: 1\r\n"] * 40, every=0.1),
        ErrorKind.TIMEOUT,
        "the upstream did not begin to answer within the time limit",
    ),
    "silent after its head": (
        raw(head_of(content_length="4"), then=stall),
        ErrorKind.TIMEOUT,
        "the upstream fell silent",
    ),
    "dribbling body": (chunked(*[b"x"] * 60, every=0.1), ErrorKind.TIMEOUT, "the call took longer than the time limit"),
    "closed": (cut, ErrorKind.PROTOCOL, "the upstream broke off its answer"),
    "reset": (reset, ErrorKind.UNAVAILABLE, "the connection to the upstream broke"),
    "short": (
        raw(head_of(content_length="9") + b"half", then=cut),
        ErrorKind.PROTOCOL,
        "the upstream broke off its answer",
    ),
    "cut": (chunked(b"half", then=cut), ErrorKind.PROTOCOL, "the upstream broke off its answer"),
    "cut by a reset": (chunked(b"half", then=reset), ErrorKind.PROTOCOL, "the upstream broke off its answer"),
    "too large": (whole(b"x" * 100_001), ErrorKind.PROTOCOL, "the upstream's answer is larger than 100000 bytes"),
    "endless": (
        chunked(*[b"x" * 10_000] * 50, then=stall),
        ErrorKind.PROTOCOL,
        "the upstream's answer is larger than 100000 bytes",
    ),
    "huge head": (
        raw(b"HTTP/1.1 200 OK\r\nx: " + b"x" * 65_536 + b"\r\n\r\n", then=stall),
        ErrorKind.PROTOCOL,
        "the upstream broke off its answer",
    ),
    "redirect": (
        whole(b"", 307, location="http://evil.test/"),
        ErrorKind.PROTOCOL,
        "the upstream answered with a redirect (307), which is not followed",
    ),
    "not modified": (
        raw(head_of(304)),
        ErrorKind.PROTOCOL,
        "the upstream answered with a redirect (304), which is not followed",
    ),
    "upgrade": (
        raw(head_of(101, upgrade="h2c", connection="upgrade"), then=stall),
        ErrorKind.PROTOCOL,
        "the upstream answered with status 101",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failure_is_named_and_held_against_nobody(
    name: str, calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream
) -> None:
    script, kind, message = FAILURES[name]
    began = asyncio.get_running_loop().time()
    error = await failure_of(calling(), scripted_upstream, script)
    assert (error.kind, error.message, error.scope, error.dispatched) == (kind, message, "request", True)
    assert asyncio.get_running_loop().time() - began < 4
    if name not in {"too large", "redirect", "not modified"}:  # those have been read to their end
        await scripted_upstream.quiet()


async def test_the_total_is_kept_to_the_moment(
    calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream
) -> None:
    began = asyncio.get_running_loop().time()
    limits = Limits(connect=1.0, first_byte=1.0, idle=1.0, total=1.2)
    error = await failure_of(calling(limits=limits), scripted_upstream, chunked(*[b"x"] * 10, every=0.7))
    assert error.kind is ErrorKind.TIMEOUT
    assert 1.1 < asyncio.get_running_loop().time() - began < 1.9
    await scripted_upstream.quiet()


async def test_a_slow_connection_is_not_counted_as_a_slow_answer(
    calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(*args: Any) -> Any:
        await asyncio.sleep(0.3)
        return await look_up(*args)

    monkeypatch.setattr("aigateway_core.engine.resolving.look_up", slow)
    scripted_upstream.play(whole(b"{}", delay=0.3))
    limits = Limits(connect=1.0, first_byte=0.5, idle=0.5, total=3.0)
    assert (
        await calling(limits=limits).post(f"http://localhost:{scripted_upstream.port}/", json={})
    ).status_code == 200


async def test_the_wait_for_the_head_and_for_the_next_chunk_have_limits_of_their_own(
    calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream
) -> None:
    thinking = Limits(connect=1.0, first_byte=1.5, idle=0.2)
    scripted_upstream.play(whole(b"{}", delay=0.5))
    assert (await calling(limits=thinking).post(scripted_upstream.url, json={})).status_code == 200
    began = asyncio.get_running_loop().time()
    await failure_of(calling(limits=Limits(connect=2.0, first_byte=0.2, idle=2.0)), scripted_upstream, stall)
    assert asyncio.get_running_loop().time() - began < 1.2


async def test_an_upstream_that_is_not_there_is_an_endpoint_to_avoid(calling: Callable[..., Upstream]) -> None:
    async with ScriptedUpstream() as gone:
        url = gone.url
    for where in (url, "http://no-such-host.invalid/"):
        with pytest.raises(UpstreamError) as caught:
            await calling().post(where, json={})
        assert (caught.value.kind, caught.value.scope, caught.value.dispatched) == (
            ErrorKind.UNAVAILABLE,
            "endpoint",
            False,
        )


@pytest.mark.parametrize(
    "url", ["ftp://vendor.test/", "nowhere", "http://[::1", "http://vendor.test:port/", "http://a:b@vendor.test/"]
)
async def test_a_wrong_address_is_the_gateways_own_fault(calling: Callable[..., Upstream], url: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        await calling().post(url, json={})
    assert (caught.value.kind, caught.value.scope, caught.value.dispatched) == (ErrorKind.INTERNAL, "request", False)


async def test_a_private_address_is_refused_with_the_setting_that_allows_it(
    scripted_upstream: ScriptedUpstream,
) -> None:
    transport = AiohttpTransport()
    with pytest.raises(UpstreamError, match=r"security\.allow_private_hosts") as caught:
        await Upstream(transport).post(scripted_upstream.url, json={})
    assert (caught.value.kind, caught.value.scope) == (ErrorKind.INTERNAL, "request")
    await transport.aclose()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
async def test_a_refusal_is_judged_by_the_classifier(
    calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream, status: int
) -> None:
    seen: list[UpstreamFailure] = []

    def classify(failure: UpstreamFailure) -> UpstreamError:
        seen.append(failure)
        return UpstreamError(ErrorKind.CONTENT_FILTER, "as the vendor says", scope="model", code="x1")

    error = await failure_of(
        calling(classify=classify), scripted_upstream, whole(b'{"error": 1}', status, Retry_After="3")
    )
    assert (error.message, error.scope, error.code) == ("as the vendor says", "model", "x1")
    [failure] = seen
    assert (failure.status, failure.body, failure.headers["retry-after"]) == (status, b'{"error": 1}', "3")


async def test_without_a_classifier_the_status_speaks(
    calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream
) -> None:
    error = await failure_of(calling(), scripted_upstream, whole(b"{}", 429, Retry_After="3"))
    assert (error.kind, error.scope, error.status, error.retry_after) == (ErrorKind.RATE_LIMIT, "model", 429, 3.0)


@pytest.mark.parametrize(
    ("script", "known"),
    [
        (whole(b"x" * 200_000, 500), b"x" * 65_536),
        (chunked(b"part", then=cut, status=500), b"part"),
        (chunked(b"part", then=reset, status=500), b"part"),
        (chunked(b"part", then=stall, status=500), b"part"),
        (raw(head_of(500, content_length="4"), then=cut), b""),
        (raw(head_of(500), b"until the end", then=cut), b"until the end"),
        (whole(gzip.compress(b"packed"), 500, content_encoding="gzip"), b"packed"),
        (whole(zlib.compress(b"packed"), 500, content_encoding="Deflate"), b"packed"),
        (whole(gzip.compress(b"x" * 200_000), 500, content_encoding="gzip"), b"x" * 65_536),
        (whole(gzip.compress(os.urandom(90_000)), 500, content_encoding="br"), b""),
        (whole(b"no gzip", 500, content_encoding="gzip"), b""),
        (whole(gzip.compress(b"half of it")[:-6], 500, content_encoding="gzip"), b"half of it"),
    ],
)
async def test_as_much_of_a_refusal_is_read_as_comes(
    calling: Callable[..., Upstream],
    scripted_upstream: ScriptedUpstream,
    script: Script,
    known: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aigateway_core.bodies.ERROR_BODY_SECONDS", 0.3)
    bodies: list[bytes] = []

    def classify(failure: UpstreamFailure) -> UpstreamError:
        bodies.append(failure.body)
        return UpstreamError(ErrorKind.SERVER, "no")

    error = await failure_of(calling(classify=classify), scripted_upstream, script)
    assert (error.kind, bodies) == (ErrorKind.SERVER, [known])
    await scripted_upstream.until(lambda: scripted_upstream.open <= 1)


async def test_a_refusal_that_dribbles_is_not_waited_for(
    calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aigateway_core.bodies.ERROR_BODY_SECONDS", 0.3)
    began = asyncio.get_running_loop().time()
    error = await failure_of(calling(), scripted_upstream, chunked(*[b"x"] * 100, every=0.1, status=500))
    assert error.kind is ErrorKind.SERVER
    assert asyncio.get_running_loop().time() - began < 1.5


@cache
def two_bombs_in_one() -> bytes:
    return gzip.compress(gzip.compress(b"\0" * (64 << 20)))


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "br", "zstd", "identity, gzip", "junk", "GZIP"])
async def test_u_07_a_compressed_answer_is_refused_without_being_unpacked(
    calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream, encoding: str
) -> None:
    bomb = two_bombs_in_one()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = await failure_of(calling(), scripted_upstream, whole(bomb, content_encoding=encoding))
    assert (error.kind, error.scope) == (ErrorKind.PROTOCOL, "request")
    assert "compressed" in error.message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
async def test_identity_by_name_is_no_encoding(
    calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream, encoding: str
) -> None:
    scripted_upstream.play(whole(content_encoding=encoding))
    assert (await calling().post(scripted_upstream.url, json={})).json() == {}


@pytest.mark.parametrize("status", [400, 401, 500])
async def test_s_15_a_secret_that_the_upstream_echoes_is_scrubbed(
    calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream, status: int
) -> None:
    secret = "sesame-7f3a91"

    async def echo(wire: Wire) -> None:
        await whole(f"Incorrect API key provided: {wire.request.headers['x-api-key']}".encode(), status)(wire)

    def classify(failure: UpstreamFailure) -> UpstreamError:
        return UpstreamError(ErrorKind.CREDENTIAL, failure.body.decode(), code=failure.body.decode())

    scripted_upstream.play(echo)
    with pytest.raises(UpstreamError) as caught:
        await calling(classify=classify, secrets=[Secret(secret)]).post(
            scripted_upstream.url, json={}, headers={"x-api-key": secret}
        )
    error = caught.value
    assert secret not in f"{error} {error!r} {error.message} {error.args} {error.code}"
    assert "Incorrect API key provided" in error.message


@pytest.mark.parametrize("value", ["key\r\nx-evil: 1", "key\0", "ключ"])
async def test_a_credential_that_fits_in_no_header_does_not_show(
    calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream, value: str
) -> None:
    with pytest.raises(UpstreamError) as caught:
        await calling().post(scripted_upstream.url, json={}, headers={"x-api-key": value})
    error = caught.value
    assert (error.kind, error.scope, error.dispatched) == (ErrorKind.INTERNAL, "request", False)
    assert "key" not in f"{error!r} {error.__cause__!r}"
    assert scripted_upstream.requests == []


def test_an_upstream_shows_nothing_of_itself() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200))
    assert repr(Upstream(transport, httpx.BasicAuth("me", "hunter22"), secrets=[Secret("hunter22")])) == "<Upstream>"
    assert repr(Upstream(transport, proxied=True)) == "<Upstream through an outbound proxy>"


async def test_a_cancelled_call_closes_its_connection_at_once(
    calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream
) -> None:
    for script in (
        stall,
        raw(head_of(content_length="4"), then=stall),
        chunked(b"half", then=stall),
        chunked(b"x", then=stall, status=500),
    ):
        scripted_upstream.play(script)
        number = len(scripted_upstream.requests)
        call = asyncio.create_task(calling().post(scripted_upstream.url, json={}))
        await scripted_upstream.until(lambda number=number: len(scripted_upstream.requests) > number)
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await scripted_upstream.quiet(1)


async def test_a_mock_transport_serves_as_well() -> None:
    upstream = Upstream(httpx.MockTransport(lambda request: httpx.Response(200, json={"path": request.url.path})))
    assert (await upstream.post("https://vendor.test/v1", json={})).json() == {"path": "/v1"}


async def test_another_judge_hears_the_refusals_of_the_same_way_out(
    calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream
) -> None:
    def judge(failure: UpstreamFailure) -> UpstreamError:
        return UpstreamError(ErrorKind.BANNED, f"{failure.body.decode()} by sk-the-key-01", scope="account")

    usual = calling(
        httpx.BasicAuth("me", "sk-the-key-01"), secrets=[Secret("sk-the-key-01")], account_id="a-1", metadata={"k": 1}
    )
    other = usual.judged(judge)
    scripted_upstream.play(whole(b"no", status=403))
    with pytest.raises(UpstreamError) as raised:
        await other.get(scripted_upstream.url)
    assert raised.value.kind is ErrorKind.BANNED
    assert "sk-the-key-01" not in raised.value.message
    assert "authorization" in scripted_upstream.requests[0].headers
    assert (other.account_id, other.metadata) == ("a-1", {"k": 1})
    with pytest.raises(UpstreamError, match="status 403"):
        await usual.get(scripted_upstream.url)


async def left(call: Upstream, url: str, when: Callable[[], bool]) -> None:
    """Ask, and stop asking once that is so."""
    asking = asyncio.create_task(call.post(url, json={}))
    async with asyncio.timeout(5):
        while not when():  # noqa: ASYNC110 - what is waited for happens elsewhere
            await asyncio.sleep(0.005)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_call_that_was_left_before_there_was_a_connection_has_told_the_vendor_nothing(
    calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []

    async def never(host: str, *_: object) -> Any:
        looked_up.append(host)
        await asyncio.Event().wait()

    monkeypatch.setattr("aigateway_core.engine.resolving.look_up", never)
    call = calling()
    assert not call.dispatched
    await left(call.signed(None), "http://slow.test/v1", lambda: bool(looked_up))
    assert not call.dispatched
    scripted_upstream.play(whole())
    await call.signed(None).post(scripted_upstream.url, json={})
    assert call.dispatched
    await left(call, "http://slower.test/v1", lambda: len(looked_up) == 2)
    assert call.dispatched, "an earlier call on it was seen"


async def test_a_call_that_was_left_while_the_vendor_thought_has_been_seen(
    calling: Callable[..., Upstream], scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(stall)
    call = calling()
    await left(call, scripted_upstream.url, lambda: bool(scripted_upstream.requests))
    assert call.dispatched
