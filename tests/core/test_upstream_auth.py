"""Auth flows that :class:`Upstream` drives: the refresh after a 401, first of all."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from typing import Any

import httpx
import pytest
from scripted_upstream import Script, ScriptedUpstream, Wire, chunked, cut, sse, stall, whole
from typing_extensions import override

from aigateway_core.engine.proxied import AiohttpTransport
from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.upstream import Limits, Upstream

pytestmark = pytest.mark.anyio

LIMITS = Limits(connect=1.0, first_byte=0.4, idle=0.4, total=3.0, max_response_bytes=100_000)


class Refreshing(httpx.Auth):
    """Signs with a token, and gets itself another one when that is refused; many requests may use it at a time."""

    def __init__(self, token_url: str) -> None:
        self.token = "old"
        self.refreshes = 0
        self._token_url = token_url
        self._lock = asyncio.Lock()

    @override
    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        used = self.token
        request.headers["authorization"] = f"Bearer {used}"
        response = yield request
        if response.status_code != 401:
            return
        async with self._lock:
            if self.token == used:
                answer = yield httpx.Request("POST", self._token_url, data={"grant_type": "refresh_token"})
                if answer.status_code != 200:
                    raise UpstreamError(ErrorKind.CREDENTIAL, "the login has expired", scope="account")
                self.token = answer.json()["access_token"]
                self.refreshes += 1
        request.headers["authorization"] = f"Bearer {self.token}"
        yield request


class Vendor:
    """Answers at ``/v1`` to whom has the right token, and gives one out at ``/token``."""

    def __init__(self, server: ScriptedUpstream) -> None:
        self.server = server
        self.right = "new"
        self.token_endpoint: Script = whole(b'{"access_token": "new"}')
        self.answer: Script = whole(b'{"ok": true}')
        server.play(self._script)

    async def _script(self, wire: Wire) -> None:
        if wire.request.target == "/token":
            await self.token_endpoint(wire)
        elif wire.request.headers.get("authorization") == f"Bearer {self.right}":
            await self.answer(wire)
        else:
            await whole(b'{"error": "bad token"}', 401)(wire)

    @property
    def asked(self) -> list[tuple[str, str | None]]:
        return [(seen.target, seen.headers.get("authorization")) for seen in self.server.requests]


@pytest.fixture
def vendor(scripted_upstream: ScriptedUpstream) -> Vendor:
    return Vendor(scripted_upstream)


@pytest.fixture
def auth(scripted_upstream: ScriptedUpstream) -> Refreshing:
    return Refreshing(f"{scripted_upstream.url}/token")


@pytest.fixture
async def signed(scripted_upstream: ScriptedUpstream, auth: Refreshing) -> AsyncIterator[Callable[..., Upstream]]:
    transport = AiohttpTransport(trusted=True)

    def make(flow: httpx.Auth = auth, **options: Any) -> Upstream:
        return Upstream(transport, flow, **{"limits": LIMITS} | options)

    yield make
    await transport.aclose()


async def test_a_right_token_needs_one_request(
    vendor: Vendor, signed: Callable[..., Upstream], auth: Refreshing
) -> None:
    vendor.right = "old"
    assert (await signed().post(f"{vendor.server.url}/v1", json={})).json() == {"ok": True}
    assert vendor.asked == [("/v1", "Bearer old")]


async def test_a_refused_token_is_refreshed_and_the_call_repeated(
    vendor: Vendor, signed: Callable[..., Upstream], auth: Refreshing
) -> None:
    assert (await signed().post(f"{vendor.server.url}/v1", json={"a": 1})).json() == {"ok": True}
    assert vendor.asked == [("/v1", "Bearer old"), ("/token", None), ("/v1", "Bearer new")]
    first, token, again = vendor.server.requests
    assert first.body == again.body == b'{"a":1}'
    assert (token.body, token.headers["content-type"]) == (
        b"grant_type=refresh_token",
        "application/x-www-form-urlencoded",
    )


async def test_a_stream_is_repeated_as_well(vendor: Vendor, signed: Callable[..., Upstream]) -> None:
    vendor.answer = sse(b"data: 1\n\n", b"data: 2\n\n", every=0.02)
    async with signed().stream(f"{vendor.server.url}/v1", json={}) as reply:
        assert [event.data async for event in reply.events()] == [b"1", b"2"]


async def test_a_second_refusal_is_the_accounts(vendor: Vendor, signed: Callable[..., Upstream]) -> None:
    vendor.right = "neither"
    with pytest.raises(UpstreamError) as caught:
        await signed().post(f"{vendor.server.url}/v1", json={})
    assert (caught.value.kind, caught.value.scope, caught.value.status) == (ErrorKind.CREDENTIAL, "account", 401)
    assert len(vendor.asked) == 3


async def test_an_error_of_the_flow_itself_is_passed_on(vendor: Vendor, signed: Callable[..., Upstream]) -> None:
    vendor.token_endpoint = whole(b'{"error": "invalid_grant"}', 400)
    with pytest.raises(UpstreamError, match="the login has expired") as caught:
        await signed().post(f"{vendor.server.url}/v1", json={})
    assert caught.value.scope == "account"


async def test_fifty_calls_share_one_refresh(vendor: Vendor, signed: Callable[..., Upstream], auth: Refreshing) -> None:
    upstream = signed()
    answers = await asyncio.gather(*(upstream.post(f"{vendor.server.url}/v1", json={}) for _ in range(50)))
    assert [answer.json() for answer in answers] == [{"ok": True}] * 50
    assert auth.refreshes == 1
    assert [target for target, _ in vendor.asked].count("/token") == 1


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [
        (cut, ErrorKind.PROTOCOL),
        (stall, ErrorKind.TIMEOUT),
        (chunked(b"{", then=stall), ErrorKind.TIMEOUT),
        (chunked(b"{", then=cut), ErrorKind.PROTOCOL),
        (whole(b" " * 100_001), ErrorKind.PROTOCOL),
        (whole(gzip.compress(b"{}"), content_encoding="gzip"), ErrorKind.PROTOCOL),
    ],
)
async def test_a_token_endpoint_that_misbehaves_fails_the_call_in_time(
    endpoint: Script, kind: ErrorKind, vendor: Vendor, signed: Callable[..., Upstream], auth: Refreshing
) -> None:
    vendor.token_endpoint = endpoint
    with pytest.raises(UpstreamError) as caught:
        await signed().post(f"{vendor.server.url}/v1", json={})
    assert (caught.value.kind, caught.value.scope) == (kind, "request")
    assert not auth._lock.locked()


async def test_the_total_covers_the_refresh(vendor: Vendor, signed: Callable[..., Upstream]) -> None:
    vendor.token_endpoint = whole(b'{"access_token": "new"}', delay=0.6)
    limits = Limits(connect=1.0, first_byte=1.0, idle=1.0, total=0.4)
    began = asyncio.get_running_loop().time()
    with pytest.raises(UpstreamError, match="longer than the time limit"):
        await signed(limits=limits).post(f"{vendor.server.url}/v1", json={})
    assert asyncio.get_running_loop().time() - began < 1.5


async def test_a_slow_refresh_does_not_count_as_a_slow_answer(vendor: Vendor, signed: Callable[..., Upstream]) -> None:
    vendor.token_endpoint = whole(b'{"access_token": "new"}', delay=0.3)
    vendor.answer = whole(b'{"ok": true}', delay=0.3)
    assert (await signed().post(f"{vendor.server.url}/v1", json={})).json() == {"ok": True}


async def test_a_call_cancelled_within_the_refresh_lets_go_of_everything(
    vendor: Vendor, signed: Callable[..., Upstream], auth: Refreshing
) -> None:
    vendor.token_endpoint = stall
    call = asyncio.create_task(signed().post(f"{vendor.server.url}/v1", json={}))
    await vendor.server.until(lambda: len(vendor.asked) == 2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not auth._lock.locked()
    await vendor.server.until(lambda: vendor.server.open <= 1, 1)


class ReadsTheBody(httpx.Auth):
    """Wants to see the body of every answer, as a signing scheme may."""

    requires_response_body = True

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        response = yield request
        self.seen.append(response.content)


class ReadsItByItself(httpx.Auth):
    """Reads an answer without having said so."""

    @override
    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        response = yield request
        await response.aread()


@pytest.mark.parametrize("flow", [ReadsTheBody(), ReadsItByItself()])
async def test_a_flow_may_read_the_answer_and_it_is_still_there(
    flow: httpx.Auth, signed: Callable[..., Upstream], scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(chunked(b'{"a":', b" 1}", content_type="application/json"))
    assert (await signed(flow).post(scripted_upstream.url, json={})).json() == {"a": 1}
    async with signed(flow).stream(scripted_upstream.url, json={}) as reply:
        assert await reply.read() == b'{"a": 1}'
    scripted_upstream.play(whole(b"no", 429))
    with pytest.raises(UpstreamError) as caught:
        await signed(flow).post(scripted_upstream.url, json={})
    assert caught.value.status == 429


async def test_a_flow_that_reads_is_given_no_bomb(
    signed: Callable[..., Upstream], scripted_upstream: ScriptedUpstream
) -> None:
    flow = ReadsTheBody()
    scripted_upstream.play(whole(gzip.compress(b"\0" * 10_000_000), content_encoding="gzip"))
    with pytest.raises(UpstreamError, match="compressed"):
        await signed(flow).post(scripted_upstream.url, json={})
    assert flow.seen == []


class Unfit(httpx.Auth):
    """Holds a key that fits in no header."""

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = "Bearer hunter22\nx-evil: 1"
        yield request


async def test_a_key_that_fits_in_no_header_does_not_show(
    signed: Callable[..., Upstream], scripted_upstream: ScriptedUpstream
) -> None:
    with pytest.raises(UpstreamError) as caught:
        await signed(Unfit()).post(scripted_upstream.url, json={})
    assert (caught.value.kind, caught.value.dispatched) == (ErrorKind.INTERNAL, False)
    assert "hunter22" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert scripted_upstream.requests == []


async def test_basic_auth_of_httpx_works(signed: Callable[..., Upstream], scripted_upstream: ScriptedUpstream) -> None:
    await signed(httpx.BasicAuth("me", "pass")).post(scripted_upstream.url, json={})
    assert scripted_upstream.requests[0].headers["authorization"] == "Basic bWU6cGFzcw=="
