"""Calls through outbound proxies, and whose fault it is when they fail."""

from __future__ import annotations

import asyncio
import gc
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from certificates import client_context, server_context
from outbound_proxies import HttpProxy, Socks5Proxy
from scripted_upstream import ScriptedUpstream, chunked, cut, stall, whole

from aigateway_core.addresses import Destinations
from aigateway_core.engine.proxied import AiohttpTransport
from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.upstream import Limits, Upstream

pytestmark = pytest.mark.anyio

LOOPBACK = Destinations.allowing(["127.0.0.1", "localhost"])
LIMITS = Limits(connect=0.5, first_byte=1.0, idle=1.0, total=5.0)


@pytest.fixture(scope="module", params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Both event loops that the gateway runs on: they differ in how they close, and in TLS."""
    return "asyncio", {"use_uvloop": request.param}


class Scene:
    """An upstream on TLS and one without, and transports through a proxy that trust their certificate."""

    def __init__(self, plain: ScriptedUpstream, secure: ScriptedUpstream, folder: Path) -> None:
        self.plain = plain
        self.secure = secure
        self.folder = folder
        self.transports: list[AiohttpTransport] = []

    def transport(self, proxy: str, **options: Any) -> AiohttpTransport:
        options = {"destinations": LOOPBACK, "ssl_context": client_context(self.folder)} | options
        made = AiohttpTransport(proxy=proxy, trusted=True, **options)
        self.transports.append(made)
        return made

    def upstream(self, proxy: str, **options: Any) -> Upstream:
        return Upstream(self.transport(proxy), **{"limits": LIMITS, "proxied": True} | options)

    def url(self, scheme: str) -> str:
        """Under a name that no resolver knows but the proxy's."""
        target = self.secure if scheme == "https" else self.plain
        return f"{scheme}://vendor.test:{target.port}/v1/x?y=1"


@pytest.fixture
async def scene(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> AsyncIterator[Scene]:
    async with ScriptedUpstream(server_context(tmp_path)) as secure:
        made = Scene(scripted_upstream, secure, tmp_path)
        yield made
        for transport in made.transports:
            await transport.aclose()


@pytest.mark.parametrize("credentials", [False, True])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_an_http_proxy_carries_the_call(scene: Scene, scheme: str, credentials: bool) -> None:
    username, password = ("me@home", "pä:ss/word%") if credentials else (None, "")
    async with HttpProxy(username, password) as proxy:
        url = f"http://{'me%40home:p%C3%A4%3Ass%2Fword%25@' if credentials else ''}{proxy.address}"
        upstream = scene.upstream(url)
        for _ in range(2):
            answer = await upstream.post(scene.url(scheme), json={"a": 1}, headers={"authorization": "Bearer k"})
            assert answer.json() == {}
        target = scene.secure if scheme == "https" else scene.plain
        assert set(proxy.asked) == {f"vendor.test:{target.port}"}
        [seen, _] = target.requests
        assert (seen.method, seen.target, seen.body) == ("POST", "/v1/x?y=1", b'{"a":1}')
        assert seen.headers["authorization"] == "Bearer k"
        assert seen.headers["host"] == f"vendor.test:{target.port}"
        if scheme == "https":
            assert "proxy-authorization" not in seen.headers
            assert b"Bearer" not in b"".join(proxy.heads)


@pytest.mark.parametrize("credentials", [False, True])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("socks", ["socks5", "socks5h"])
async def test_a_socks_proxy_carries_the_call_and_resolves_the_name(
    scene: Scene, socks: str, scheme: str, credentials: bool
) -> None:
    username, password = ("me@home", "pa:ss/word%") if credentials else (None, "")
    async with Socks5Proxy(username, password) as proxy:
        url = f"{socks}://{'me%40home:pa%3Ass%2Fword%25@' if credentials else ''}{proxy.address}"
        upstream = scene.upstream(url)
        assert (await upstream.post(scene.url(scheme), json={})).json() == {}
        target = scene.secure if scheme == "https" else scene.plain
        assert proxy.asked == [f"vendor.test:{target.port}"]
        assert target.requests[0].target == "/v1/x?y=1"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_on_tls_carries_the_call(scene: Scene, scheme: str) -> None:
    context = server_context(scene.folder / "proxy")
    trusted = client_context(scene.folder)
    trusted.load_verify_locations(scene.folder / "proxy" / "cert.pem")
    async with HttpProxy("me", "pass", tls=context) as proxy:
        transport = scene.transport(proxy.url.replace("http:", "https:"), ssl_context=trusted)
        upstream = Upstream(transport, limits=LIMITS, proxied=True)
        assert (await upstream.post(scene.url(scheme), json={})).json() == {}
        assert len(proxy.asked) == 1


async def test_a_stream_through_a_proxy_arrives_as_it_comes_and_ends_at_once(scene: Scene) -> None:
    async with Socks5Proxy() as proxy:
        scene.secure.play(chunked(b"a", b"b", every=0.05, then=stall))
        upstream = scene.upstream(proxy.url, limits=attrs.evolve(LIMITS, idle=LIMITS.total))
        async with upstream.stream(scene.url("https"), json={}) as reply:
            chunks = reply.chunks()
            assert await anext(chunks) == b"a"
            gc.collect()  # what the tunnel was opened with must not be collected while it is in use
            assert await anext(chunks) == b"b"
        await scene.secure.quiet(1)
        await scene.secure.until(lambda: proxy.open == 0)


async def caught(upstream: Upstream, url: str) -> UpstreamError:
    began = asyncio.get_running_loop().time()
    with pytest.raises(UpstreamError) as error:
        await upstream.post(url, json={})
    assert asyncio.get_running_loop().time() - began < 2.5
    return error.value


def everything_in(error: BaseException | None) -> str:
    """What a log could show of an exception and of those it came from."""
    said = "".join(traceback.format_exception(error))
    while error is not None:
        said += repr(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return said


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kind", [HttpProxy, Socks5Proxy])
async def test_a_dead_proxy_is_blamed_and_the_call_never_goes_direct(
    scene: Scene, kind: type[HttpProxy | Socks5Proxy], scheme: str
) -> None:
    async with kind() as proxy:
        url = proxy.url
    target = scene.secure if scheme == "https" else scene.plain
    error = await caught(scene.upstream(url), f"{target.url}/")
    assert (error.kind, error.scope, error.dispatched) == (ErrorKind.UNAVAILABLE, "outbound_proxy", False)
    assert target.opened == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("url", ["http://no-such-proxy.invalid:1", "socks5://no-such-proxy.invalid:1"])
async def test_a_proxy_whose_name_is_unknown_is_blamed(scene: Scene, url: str, scheme: str) -> None:
    error = await caught(scene.upstream(url), scene.url(scheme))
    assert (error.scope, error.dispatched) == ("outbound_proxy", False)
    assert scene.plain.opened == scene.secure.opened == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kind", [HttpProxy, Socks5Proxy])
async def test_u_33_a_proxy_that_refuses_our_credentials_is_blamed(
    scene: Scene, kind: type[HttpProxy | Socks5Proxy], scheme: str
) -> None:
    async with kind("me", "right") as proxy:
        url = proxy.url.replace("right", "hunter22")
        error = await caught(scene.upstream(url), scene.url(scheme))
        assert (error.kind, error.scope, error.dispatched) == (ErrorKind.UNAVAILABLE, "outbound_proxy", False)
        said = everything_in(error)
        assert "hunter22" not in said
        assert b64encode(b"me:hunter22").decode() not in said
        assert scene.plain.opened == scene.secure.opened == 0


async def test_a_plain_answer_of_401_with_the_proxys_challenge_is_the_proxys(scene: Scene) -> None:
    async with HttpProxy() as proxy:
        proxy.refuse_with = b"HTTP/1.1 401 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
        error = await caught(scene.upstream(proxy.url), scene.url("http"))
        assert (error.kind, error.scope, error.dispatched) == (ErrorKind.UNAVAILABLE, "outbound_proxy", False)


@pytest.mark.parametrize("status", [b"403 Filtered", b"502 Bad Gateway", b"503 No Exit", b"504 Timeout", b"500 Unable"])
async def test_a_proxy_that_opens_no_tunnel_is_blamed(scene: Scene, status: bytes) -> None:
    async with HttpProxy() as proxy:
        proxy.refuse_with = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"
        error = await caught(scene.upstream(proxy.url), scene.url("https"))
        assert (error.kind, error.scope, error.dispatched) == (ErrorKind.UNAVAILABLE, "outbound_proxy", False)


@pytest.mark.parametrize("status", [b"403 Filtered", b"502 Bad Gateway", b"503 No Exit", b"504 Timeout", b"500 Unable"])
async def test_a_plain_answer_that_may_be_the_upstreams_blames_nobody(scene: Scene, status: bytes) -> None:
    async with HttpProxy() as proxy:
        proxy.refuse_with = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"
        error = await caught(scene.upstream(proxy.url), scene.url("http"))
        assert error.scope == "request"


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 7, 8, 99])
async def test_a_socks_refusal_is_blamed_on_the_proxy(scene: Scene, code: int) -> None:
    async with Socks5Proxy() as proxy:
        proxy.refuse_with = code
        error = await caught(scene.upstream(proxy.url), scene.url("https"))
        assert (error.kind, error.scope, error.dispatched) == (ErrorKind.UNAVAILABLE, "outbound_proxy", False)


async def test_a_proxy_of_another_version_is_blamed(scene: Scene) -> None:
    async with Socks5Proxy() as proxy:
        proxy.version = 4
        error = await caught(scene.upstream(proxy.url), scene.url("https"))
        assert (error.scope, error.dispatched) == ("outbound_proxy", False)


@pytest.mark.parametrize("proxied", ["http", "socks5"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_u_33_a_proxy_that_speaks_nonsense_or_hangs_up_is_blamed(proxied: str, scheme: str) -> None:
    for script in (b"220 smtp.test ESMTP\r\n" * 500, b""):

        async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes = script) -> None:
            await reader.read(1)
            writer.write(said)
            writer.close()

        server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        transport = AiohttpTransport(LOOPBACK, proxy=f"{proxied}://{address}")
        error = await caught(Upstream(transport, limits=LIMITS, proxied=True), f"{scheme}://vendor.test/")
        if (proxied, scheme) == ("http", "http"):
            # What a plain request gets may as well come from the upstream.
            assert (error.kind, error.scope) == (ErrorKind.PROTOCOL, "request")
        else:
            assert (error.scope, error.dispatched) == ("outbound_proxy", False)
        await transport.aclose()
        server.close()


async def test_u_33_garbage_in_a_tunnel_is_blamed_on_the_proxy(scene: Scene) -> None:
    async with HttpProxy() as proxy:
        proxy.garbage = b"<html>Welcome to the hotel</html>"
        error = await caught(scene.upstream(proxy.url), scene.url("https"))
        assert (error.scope, error.dispatched) == ("outbound_proxy", False)
        assert scene.secure.requests == []


@pytest.mark.parametrize("kind", [HttpProxy, Socks5Proxy])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_u_33_a_proxy_that_dies_amid_a_stream_ends_it_at_once_and_never_as_if_it_were_whole(
    scene: Scene, kind: type[HttpProxy | Socks5Proxy], scheme: str
) -> None:
    target = scene.secure if scheme == "https" else scene.plain
    target.play(chunked(b"a", then=stall))
    async with kind() as proxy, scene.upstream(proxy.url).stream(scene.url(scheme), json={}) as reply:
        chunks = reply.chunks()
        assert await anext(chunks) == b"a"
        began = asyncio.get_running_loop().time()
        await proxy.__aexit__()
        with pytest.raises(UpstreamError) as error:
            await anext(chunks)
        assert asyncio.get_running_loop().time() - began < LIMITS.idle
        # Nobody can tell whether it was the proxy or the upstream that hung up, so that neither is blamed.
        assert (error.value.kind, error.value.scope, error.value.dispatched) == (ErrorKind.PROTOCOL, "request", True)
    assert (await caught(scene.upstream(proxy.url), scene.url(scheme))).scope == "outbound_proxy"


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        (HttpProxy, "accept"),
        (HttpProxy, "request"),
        (HttpProxy, "tunnel"),
        (Socks5Proxy, "accept"),
        (Socks5Proxy, "greeting"),
        (Socks5Proxy, "request"),
        (Socks5Proxy, "tunnel"),
    ],
)
async def test_u_34_the_connect_deadline_covers_the_whole_handshake(
    scene: Scene, kind: type[HttpProxy | Socks5Proxy], step: str
) -> None:
    async with kind() as proxy:
        proxy.stall_at = step
        error = await caught(scene.upstream(proxy.url), scene.url("https"))
        assert (error.kind, error.scope, error.dispatched) == (ErrorKind.TIMEOUT, "outbound_proxy", False)
        await scene.secure.until(lambda: proxy.open == 0)


@pytest.mark.parametrize("step", ["accept", "greeting", "request", "tunnel"])
async def test_a_call_cancelled_within_the_handshake_lets_go_of_the_proxy(scene: Scene, step: str) -> None:
    async with Socks5Proxy() as proxy:
        proxy.stall_at = step
        call = asyncio.create_task(scene.upstream(proxy.url).post(scene.url("https"), json={}))
        await scene.secure.until(lambda: proxy.open == 1)
        await asyncio.sleep(0.05)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await scene.secure.until(lambda: proxy.open == 0, 1)


@pytest.mark.parametrize("kind", [HttpProxy, Socks5Proxy])
async def test_u_32_an_upstream_that_fails_behind_a_proxy_is_blamed_itself(
    scene: Scene, kind: type[HttpProxy | Socks5Proxy]
) -> None:
    async with kind() as proxy:
        upstream = scene.upstream(proxy.url)
        for script, expected in (
            (whole(b"{}", 500), ErrorKind.SERVER),
            (cut, ErrorKind.PROTOCOL),
            (stall, ErrorKind.TIMEOUT),
        ):
            scene.secure.play(script)
            error = await caught(upstream, scene.url("https"))
            assert (error.kind, error.scope, error.dispatched) == (expected, "request", True)


@pytest.mark.parametrize("url", ["foo://proxy.test:1", "socks4://proxy.test:1", "", "proxy.test"])
def test_an_unknown_kind_of_proxy_is_refused_when_the_transport_is_made(url: str) -> None:
    with pytest.raises(ValueError, match="outbound proxy"):
        AiohttpTransport(proxy=url)
