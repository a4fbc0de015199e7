"""Which way an account goes out, and that it never goes out bare by mistake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import attrs
import pytest

from aigateway_core.egress import Egress
from aigateway_core.egress.health import ProxyHealthBook
from aigateway_core.engine import Transports
from aigateway_core.errors import ErrorKind, UnavailableError, UpstreamError
from aigateway_core.records import Account
from aigateway_core.snapshot import CurrentSnapshot, OutboundProxy, Snapshot

pytestmark = pytest.mark.anyio

ACCOUNT = Account(id="a", provider_id="acme")
FIRST = OutboundProxy(id=1, url="http://first.test:3128")
SECOND = OutboundProxy(id=2, url="socks5://second.test:1080")


class Book:
    """Binds whoever asks to ``gives``, and counts."""

    def __init__(self, current: CurrentSnapshot, gives: int | None = 1) -> None:
        self.current = current
        self.gives = gives
        self.asked: list[str] = []
        self.fails = False

    async def claim(self, account_id: str) -> int | None:
        self.asked.append(account_id)
        await asyncio.sleep(0.01)
        if self.fails:
            raise UnavailableError("the database does not answer")
        return self.gives


class Scene:
    def __init__(self, *proxies: OutboundProxy) -> None:
        self.current = CurrentSnapshot()
        self.show(*proxies)
        self.transports = Transports()
        self.book = Book(self.current)
        self.health = ProxyHealthBook(max_failures=2)
        self.egress = Egress(self.transports, self.current, self.book, self.health)

    def show(self, *proxies: OutboundProxy) -> None:
        version = self.current.value.version + 1
        self.current.value = Snapshot(version=version, proxies={proxy.id: proxy for proxy in proxies})

    async def refused(self, account: Account) -> UpstreamError:
        with pytest.raises(UpstreamError) as caught:
            await self.egress.way_out(account)
        assert (caught.value.kind, caught.value.scope) == (ErrorKind.UNAVAILABLE, "outbound_proxy")
        assert not caught.value.dispatched
        assert caught.value.retryable
        return caught.value


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene(FIRST, SECOND)
    yield made
    await made.transports.aclose()


async def test_with_no_proxy_at_all_an_account_goes_direct(scene: Scene) -> None:
    scene.show()
    way_out = await scene.egress.way_out(ACCOUNT)
    assert (way_out.proxied, way_out.proxy_id) == (False, None)
    assert scene.book.asked == []


async def test_a_bound_account_goes_by_its_proxy_and_asks_nobody(scene: Scene) -> None:
    way_out = await scene.egress.way_out(attrs.evolve(ACCOUNT, proxy_id=2))
    assert (way_out.proxied, way_out.proxy_id) == (True, 2)
    assert way_out.transport is scene.transports.through(SECOND.url, trusted=True)
    assert scene.book.asked == []


async def test_an_accounts_own_proxy_beats_the_pool(scene: Scene) -> None:
    own = attrs.evolve(ACCOUNT, proxy_url="http://own.test:1", proxy_id=2)
    way_out = await scene.egress.way_out(own)
    assert (way_out.proxied, way_out.proxy_id) == (True, None)
    assert way_out.transport is scene.transports.through("http://own.test:1", trusted=True)


async def test_one_that_is_marked_so_goes_past_the_pool(scene: Scene) -> None:
    way_out = await scene.egress.way_out(attrs.evolve(ACCOUNT, egress="direct"))
    assert (way_out.proxied, way_out.proxy_id) == (False, None)


async def test_a_new_account_is_bound_by_the_first_of_many_requests(scene: Scene) -> None:
    ways = await asyncio.gather(*(scene.egress.way_out(ACCOUNT) for _ in range(20)))
    assert {way.proxy_id for way in ways} == {1}
    assert scene.book.asked == ["a"]


async def test_that_the_first_of_many_leaves_takes_nothing_from_the_others(scene: Scene) -> None:
    first = asyncio.create_task(scene.egress.way_out(ACCOUNT))
    second = asyncio.create_task(scene.egress.way_out(ACCOUNT))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).proxy_id == 1
    assert scene.book.asked == ["a"]


async def test_where_none_has_room_nothing_goes_out_and_nobody_is_asked_again_before_a_change(scene: Scene) -> None:
    scene.book.gives = None
    for _ in range(3):
        assert "no outbound proxy has room" in (await scene.refused(ACCOUNT)).message
    assert scene.book.asked == ["a"]
    scene.book.gives = 2
    scene.show(FIRST, SECOND)
    assert (await scene.egress.way_out(ACCOUNT)).proxy_id == 2


async def test_where_none_has_room_it_is_asked_again_after_some_seconds_since_reservations_end_silently(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aigateway_core.egress._PATIENCE", 0.05)
    scene.book.gives = None
    await scene.refused(ACCOUNT)
    scene.book.gives = 2
    await scene.refused(ACCOUNT)
    await asyncio.sleep(0.1)
    assert (await scene.egress.way_out(ACCOUNT)).proxy_id == 2


async def test_that_nobody_can_be_asked_is_no_reason_to_go_out_bare(scene: Scene) -> None:
    scene.book.fails = True
    assert "the database does not answer" in (await scene.refused(ACCOUNT)).message
    scene.book.fails = False
    assert (await scene.egress.way_out(ACCOUNT)).proxy_id == 1


@pytest.mark.parametrize("pool", [(), (FIRST,), (attrs.evolve(SECOND, is_active=False),)])
async def test_a_proxy_that_is_gone_or_switched_off_keeps_its_account_inside(
    scene: Scene, pool: tuple[OutboundProxy, ...]
) -> None:
    scene.show(*pool)
    error = await scene.refused(attrs.evolve(ACCOUNT, proxy_id=2))
    assert "switched off or gone" in error.message
    assert error.retry_after


async def test_a_proxy_that_is_down_keeps_its_account_inside_and_says_until_when(scene: Scene) -> None:
    scene.show(attrs.evolve(FIRST, health_status="down"))
    error = await scene.refused(attrs.evolve(ACCOUNT, proxy_id=1))
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 60


async def test_who_has_leave_already_goes_by_a_proxy_that_is_down_and_takes_nobodys_trial(scene: Scene) -> None:
    down = attrs.evolve(FIRST, health_status="down")
    scene.show(down)
    account = attrs.evolve(ACCOUNT, proxy_id=1)
    scene.health.standing(down)
    scene.health._entry(down).trial_at = 0.0
    assert (await scene.egress.way_out(account, even_down=True)).proxy_id == 1
    assert (await scene.egress.way_out(account)).proxy_id == 1
    assert "is down" in (await scene.refused(account)).message
    assert (await scene.egress.way_out(account, even_down=True)).proxy_id == 1


async def test_a_url_that_is_none_keeps_its_account_inside(scene: Scene) -> None:
    scene.show(attrs.evolve(FIRST, url="ftp://user:s3cret@first.test"))
    assert "s3cret" not in str(await scene.refused(attrs.evolve(ACCOUNT, proxy_id=1)))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UpstreamError(ErrorKind.UNAVAILABLE, "no", scope="outbound_proxy", dispatched=False), "down"),
        (UpstreamError(ErrorKind.UNAVAILABLE, "407", scope="outbound_proxy", status=407), "down"),
        (UpstreamError(ErrorKind.SERVER, "500", status=500), "healthy"),
        (UpstreamError(ErrorKind.RATE_LIMIT, "429", scope="model", status=429), "healthy"),
        (UpstreamError(ErrorKind.TIMEOUT, "silent"), "healthy"),
        (None, "healthy"),
    ],
)
async def test_only_a_connection_that_it_does_not_make_is_held_against_the_proxy(
    scene: Scene, error: UpstreamError | None, status: str
) -> None:
    way_out = await scene.egress.way_out(attrs.evolve(ACCOUNT, proxy_id=1))
    for _ in range(2):
        scene.egress.judge(way_out, error)
    assert scene.health.standing(FIRST).status == status


async def test_an_answer_through_it_brings_a_proxy_back(scene: Scene) -> None:
    down = attrs.evolve(FIRST, health_status="down")
    scene.show(down)
    way_out = attrs.evolve(await scene.egress.way_out(attrs.evolve(ACCOUNT, egress="direct")), proxy_id=1)
    scene.egress.judge(way_out, UpstreamError(ErrorKind.SERVER, "500", status=500))
    assert scene.health.standing(down).status == "degraded"
