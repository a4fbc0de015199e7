"""Requests on their way: signed by one header in plain words, or as httpx has it, which must come to the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from core.test_renewal import stored
from core.token_house import TokenHouse
from scripted_upstream import Script, ScriptedUpstream, Wire, sse, stall, whole
from typing_extensions import override

from aigateway_core import credentials
from aigateway_core.engine import DirectTransport
from aigateway_core.engine.proxied import AiohttpTransport
from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.secret import Secret
from aigateway_core.signing import HeaderAuth, PlainAuth
from aigateway_core.storage import SQLiteFile
from aigateway_core.testing import FakeIdentityProvider
from aigateway_core.upstream import Limits, Upstream

pytestmark = pytest.mark.anyio

LIMITS = Limits(connect=1.0, first_byte=0.4, idle=0.4, total=1.0)
Signed = Callable[..., Upstream]


@pytest.fixture(params=[AiohttpTransport, DirectTransport], ids=["as httpx has it", "in plain words"])
async def signed(request: pytest.FixtureRequest) -> AsyncIterator[Signed]:
    transport = request.param(trusted=True)

    def make(auth: httpx.Auth | None, **options: Any) -> Upstream:
        return Upstream(transport, auth, **{"limits": LIMITS} | options)

    yield make
    await transport.aclose()


class Rotating(PlainAuth):
    """Signs with the first of its tokens, and gives another one out for each that is refused."""

    def __init__(self, *tokens: str) -> None:
        self._flows = [HeaderAuth("authorization", "Bearer ", Secret(token)) for token in tokens]
        self.asked = 0
        self.script: Callable[[], Any] = lambda: asyncio.sleep(0)

    @override
    def plain(self) -> HeaderAuth:
        return self._flows[0]

    @override
    async def replacement(self, refused: HeaderAuth) -> HeaderAuth | None:
        self.asked += 1
        await self.script()
        if refused is self._flows[0]:
            del self._flows[0]
        return self._flows[0] if self._flows else None


def takes(token: str, answer: Script) -> Script:
    async def script(wire: Wire) -> None:
        right = wire.request.headers.get("authorization") == f"Bearer {token}"
        await (answer if right else whole(b'{"error": "bad token"}', 401))(wire)

    return script


class Noting(DirectTransport):
    """Notes the headers that it may remember."""

    remembered: Mapping[str, str] = {}

    @override
    async def ask(self, method: str, url: str, headers: Mapping[str, str], *others: Any, **deadlines: Any) -> Any:
        self.remembered = headers
        return await super().ask(method, url, headers, *others, **deadlines)


@pytest.mark.parametrize("auth", [None, httpx.Auth(), HeaderAuth("x-api-key", "", Secret("hunter22"))])
async def test_the_engine_may_remember_no_credential_whoever_wrote_it(
    scripted_upstream: ScriptedUpstream, auth: httpx.Auth | None
) -> None:
    transport = Noting(trusted=True)
    basic = {"Authorization": "Basic aHVudGVyMjI=", "accept": "application/json"}
    await Upstream(transport, auth, limits=LIMITS).post(scripted_upstream.url, content=b"a=b", headers=basic)
    await transport.aclose()
    assert scripted_upstream.requests[0].headers["authorization"] == basic["Authorization"]
    assert scripted_upstream.requests[0].headers.get("x-api-key") == (
        "hunter22" if isinstance(auth, HeaderAuth) else None
    )
    assert transport.remembered["accept"] == basic["accept"]
    assert not {"authorization", "x-api-key"} & transport.remembered.keys()


async def test_a_header_signs_whichever_way_is_taken(signed: Signed, scripted_upstream: ScriptedUpstream) -> None:
    upstream = signed(HeaderAuth("X-Api-Key", "", Secret("hunter22")))
    await upstream.post(f"{scripted_upstream.url}/v1/chat?alt=sse", json={"a": 1}, headers={"X-Api-Key": "less"})
    await upstream.get(f"{scripted_upstream.url}/v1/models")
    await upstream.post(f"{scripted_upstream.url}/empty")
    chat, models, empty = scripted_upstream.requests
    host = scripted_upstream.url.removeprefix("http://")
    common = {"host": host, "accept": "*/*", "accept-encoding": "identity", "user-agent": "aigateway"}
    common["x-api-key"] = "hunter22"
    assert (chat.method, chat.target, chat.body) == ("POST", "/v1/chat?alt=sse", b'{"a":1}')
    assert chat.headers == {**common, "content-type": "application/json", "content-length": "7"}
    assert (models.method, models.headers) == ("GET", common)
    assert (empty.method, empty.headers, empty.body) == ("POST", {**common, "content-length": "0"}, b"")


@pytest.mark.parametrize("auth", [None, httpx.Auth()])
async def test_who_signs_nothing_sends_nothing(
    auth: httpx.Auth | None, signed: Signed, scripted_upstream: ScriptedUpstream
) -> None:
    assert (await signed(auth).post(scripted_upstream.url, json={})).json() == {}
    assert "authorization" not in scripted_upstream.requests[0].headers


@pytest.mark.parametrize("value", ["hunter22\r\nx-evil: 1", "hunter22\n", "hunter22\0"])
async def test_a_credential_that_no_header_can_carry_is_not_sent_and_does_not_show(
    value: str, signed: Signed, scripted_upstream: ScriptedUpstream
) -> None:
    with pytest.raises(UpstreamError) as caught:
        await signed(HeaderAuth("authorization", "", Secret(value))).post(scripted_upstream.url, json={})
    assert (caught.value.kind, caught.value.dispatched) == (ErrorKind.INTERNAL, False)
    assert "hunter22" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert scripted_upstream.requests == []


async def test_the_answer_is_a_response_of_httpx_in_all_that_it_can_do(
    signed: Signed, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(whole('{"é": 1}'.encode(), 201, content_type="application/json", x_two="b"))
    response = await signed(None).post(f"{scripted_upstream.url}/x", content=b"asked")
    assert isinstance(response, httpx.Response)
    assert (response.status_code, response.is_success, response.content) == (201, True, '{"é": 1}'.encode())
    assert (response.text, response.json(), response.headers["X-Two"]) == ('{"é": 1}', {"é": 1}, "b")
    assert response.raise_for_status() is response
    assert (str(response.request.url), response.request.content) == (f"{scripted_upstream.url}/x", b"asked")
    assert await response.aread() == response.read() == response.content
    assert [part async for part in response.aiter_bytes()] == [response.content]
    assert (response.is_closed, repr(response)) == (True, "<Response [201 Created]>")
    with pytest.raises(AttributeError):
        _ = response.no_such_thing  # type: ignore[attr-defined]


# -- what is refused with a 401


async def test_a_refused_token_is_replaced_and_the_call_made_once_more(scripted_upstream: ScriptedUpstream) -> None:
    transport, auth = DirectTransport(trusted=True), Rotating("old", "new")
    scripted_upstream.play(takes("new", whole(b'{"ok": true}')))
    assert (await Upstream(transport, auth).post(scripted_upstream.url, json={"a": 1})).json() == {"ok": True}
    assert [seen.body for seen in scripted_upstream.requests] == [b'{"a":1}'] * 2
    scripted_upstream.play(takes("newer", sse(b"data: 1\n\n")))
    async with Upstream(transport, Rotating("new", "newer")).stream(scripted_upstream.url, json={}) as reply:
        assert [event.data async for event in reply.events()] == [b"1"]
    await transport.aclose()


@pytest.mark.parametrize("tokens", [["old"], ["old", "older", "oldest"]])
async def test_a_second_refusal_is_the_accounts(tokens: list[str], scripted_upstream: ScriptedUpstream) -> None:
    transport, auth = DirectTransport(trusted=True), Rotating(*tokens)
    scripted_upstream.play(takes("new", whole()))
    with pytest.raises(UpstreamError) as caught:
        await Upstream(transport, auth).post(scripted_upstream.url, json={})
    assert (caught.value.status, caught.value.scope, auth.asked) == (401, "account", 1)
    assert len(scripted_upstream.requests) == min(len(tokens), 2)
    await transport.aclose()


async def test_a_replacement_that_fails_fails_the_call_and_lets_go_of_its_connection(
    scripted_upstream: ScriptedUpstream,
) -> None:
    transport, auth = DirectTransport(trusted=True), Rotating("old", "new")

    async def fails() -> None:
        raise UpstreamError(ErrorKind.CREDENTIAL, "the login has expired", scope="account")

    auth.script = fails
    scripted_upstream.play(takes("new", whole()))
    with pytest.raises(UpstreamError, match="the login has expired"):
        await Upstream(transport, auth).post(scripted_upstream.url, json={})
    await scripted_upstream.quiet()
    await transport.aclose()


async def test_the_total_covers_the_replacement(scripted_upstream: ScriptedUpstream) -> None:
    transport, auth = DirectTransport(trusted=True), Rotating("old", "new")
    auth.script = lambda: asyncio.sleep(60)
    scripted_upstream.play(takes("new", whole()))
    limits = Limits(first_byte=5.0, idle=5.0, total=0.3)
    with pytest.raises(UpstreamError, match="longer than the time limit"):
        await Upstream(transport, auth, limits=limits).post(scripted_upstream.url, json={})
    await scripted_upstream.quiet()
    await transport.aclose()


@pytest.mark.parametrize("total", [0.2, 5.0])
async def test_a_head_that_is_late_is_told_from_a_call_that_is(
    total: float, signed: Signed, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(stall)
    limits = Limits(connect=1.0, first_byte=0.4, idle=9.0, total=total)
    with pytest.raises(UpstreamError) as caught:
        await signed(None, limits=limits).post(scripted_upstream.url, json={})
    late = "the upstream did not begin to answer within the time limit"
    assert caught.value.message == ("the call took longer than the time limit" if total < 0.4 else late)


# -- a token of the strategy ``oauth``


@pytest.fixture
async def process(tmp_path: Path, fake_identity_provider: FakeIdentityProvider) -> AsyncIterator[TokenHouse]:
    async with TokenHouse(SQLiteFile(tmp_path / "gateway.db"), fake_identity_provider.auth_options) as house:
        yield house


async def test_fifty_calls_with_a_refused_token_share_one_renewal(
    process: TokenHouse,
    signed: Signed,
    scripted_upstream: ScriptedUpstream,
    fake_identity_provider: FakeIdentityProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    idp = fake_identity_provider
    account = await stored(process, idp.tokens())
    right = Secret("none")

    async def vendor(wire: Wire) -> None:
        await takes(right.reveal(), whole(b'{"ok": true}'))(wire)

    async def call() -> None:
        credential = await process.get(account)
        upstream = signed(credential.auth, limits=Limits(), secrets=credential.secrets)
        assert (await upstream.post(scripted_upstream.url, json={})).json() == {"ok": True}

    original = credentials._Living._take

    def take(living: Any, renewed: Any) -> None:
        nonlocal right
        original(living, renewed)
        right = renewed.account.credential.access_token

    monkeypatch.setattr(credentials._Living, "_take", take)
    scripted_upstream.play(vendor)
    await asyncio.gather(*(call() for _ in range(50)))
    assert idp.refreshes == 1
    assert len(scripted_upstream.requests) <= 100
    await call()
    assert idp.refreshes == 1
