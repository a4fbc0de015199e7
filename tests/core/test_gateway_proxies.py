"""What a request and the renewal of its token say of the outbound proxy that both go out by, each for itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest
from core.gateway_house import CHAT, WHOLE, Events, House, Script
from core.token_house import PROVIDER, TokenHouse
from outbound_proxies import Socks5Proxy
from scripted_upstream import ScriptedUpstream, Wire, whole

from aigateway_core.checkup import Checkup
from aigateway_core.egress.health import Standing
from aigateway_core.errors import UpstreamError
from aigateway_core.jsontext import dumps
from aigateway_core.plugin import OpenAICompatibleConfig, OpenAICompatibleProvider, Provider
from aigateway_core.records import Account
from aigateway_core.snapshot import OutboundProxy, Snapshot
from aigateway_core.storage import SYSTEM, NewAccount, SQLiteFile
from aigateway_core.testing import FakeIdentityProvider

pytestmark = pytest.mark.anyio
CLOSED = 5
"""What a SOCKS5 proxy says when it cannot get where it shall."""


class Notes:
    """An audit log that nobody reads."""

    async def note(self, *_: object) -> None:
        pass


class Scene:
    """An account that logs in, and the outbound proxy by which it asks the vendor and the identity provider alike."""

    def __init__(self, tokens: TokenHouse, door: Socks5Proxy, provider: Provider) -> None:
        self.tokens = tokens
        self.door = door
        self.house = House(Script(), provider, "", strategy=tokens.strategy, egress=tokens.egress)
        self.house.gateway._credentials = tokens.credentials
        self.proxy = OutboundProxy(id=1, url=door.url)

    async def open(self, auth_data: dict[str, Any]) -> Account:
        created = await self.tokens.storage.accounts.create(
            NewAccount(provider_id=PROVIDER, auth_data=auth_data), SYSTEM
        )
        account = attrs.evolve(self.tokens.know(created), proxy_id=1)
        snapshot = Snapshot(version=1, accounts={PROVIDER: (account,)}, proxies={1: self.proxy})
        self.house.snapshot.value = self.tokens.snapshot.value = snapshot
        return account

    async def refused(self) -> UpstreamError:
        with pytest.raises(UpstreamError) as caught:
            await self.house.ask(CHAT)
        return caught.value

    @property
    def standing(self) -> Standing:
        return self.tokens.health.standing(self.proxy)

    def take_down(self) -> None:
        """As if it had failed so often, and its time for a trial had come."""
        while self.standing.status != "down":
            self.tokens.health.failed(self.proxy)
        self.tokens.health._entry(self.proxy).trial_at = 0.0


@pytest.fixture
def idp(fake_identity_provider: FakeIdentityProvider) -> FakeIdentityProvider:
    return fake_identity_provider


@pytest.fixture
async def scene(tmp_path: Path, idp: FakeIdentityProvider, scripted_upstream: ScriptedUpstream) -> AsyncIterator[Scene]:
    scripted_upstream.play(whole(dumps(WHOLE)))
    provider = OpenAICompatibleProvider(OpenAICompatibleConfig(base_url=f"{scripted_upstream.url}/v1", models=("m",)))
    async with AsyncExitStack() as exits:
        door = Socks5Proxy()
        await exits.enter_async_context(door)
        tokens = await exits.enter_async_context(TokenHouse(SQLiteFile(tmp_path / "gateway.db"), idp.auth_options))
        yield Scene(tokens, door, provider)


def ended(idp: FakeIdentityProvider) -> dict[str, Any]:
    """Tokens whose access has ended."""
    return {**idp.tokens(), "expires_at": 1_700_000_000}


# -- judged by what was sent, once


async def test_a_renewal_that_failed_is_held_against_its_proxy_once_however_many_are_told(
    scene: Scene, idp: FakeIdentityProvider
) -> None:
    await scene.open(ended(idp))
    scene.door.refuse_with = CLOSED
    await asyncio.gather(*(scene.refused() for _ in range(5)))
    assert (scene.standing.status, scene.standing.failures, len(scene.door.asked)) == ("degraded", 1, 1)
    scene.door.refuse_with = 0
    for _ in range(3):
        assert (await scene.refused()).scope == "outbound_proxy"
    assert (scene.standing.status, scene.standing.failures, len(scene.door.asked)) == ("degraded", 1, 1)


async def test_a_renewal_that_comes_through_is_its_proxys_merit(scene: Scene, idp: FakeIdentityProvider) -> None:
    account = await scene.open(idp.tokens())
    scene.take_down()
    await scene.tokens.renewals.renew(scene.tokens.entry, account, None)
    assert scene.standing.status == "degraded"


async def test_that_the_identity_provider_refuses_is_its_proxys_merit_too(
    scene: Scene, idp: FakeIdentityProvider
) -> None:
    await scene.open(ended(idp))
    idp.revoke()
    scene.tokens.health.failed(scene.proxy)
    await scene.refused()
    assert (scene.standing.status, scene.standing.failures) == ("healthy", 0)


async def test_a_refused_token_that_cannot_be_renewed_by_the_proxy_costs_that_one_failure_alone(
    scene: Scene, idp: FakeIdentityProvider, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse_and_close_the_door(wire: Wire) -> None:
        scene.door.refuse_with = CLOSED
        await wire.head(401, content_length="0")

    monkeypatch.setattr("aigateway_core.credentials._YOUNG", -1.0)
    await scene.open(idp.tokens())
    scripted_upstream.play(refuse_and_close_the_door)
    assert (await scene.refused()).scope == "account"
    assert (scene.standing.status, scene.standing.failures) == ("degraded", 1)


async def test_an_answer_for_which_nobody_was_asked_says_nothing_of_the_proxy(
    scene: Scene, idp: FakeIdentityProvider
) -> None:
    quiet = Scene(scene.tokens, scene.door, Events())
    await quiet.open(idp.tokens())
    quiet.take_down()
    await quiet.house.whole(CHAT)
    assert quiet.standing.status == "down"


# -- one that was down, and is well again


async def test_a_proxy_comes_back_with_one_request_that_needs_another_token_first(
    scene: Scene, idp: FakeIdentityProvider
) -> None:
    await scene.open(ended(idp))
    scene.take_down()
    await scene.house.ask(CHAT)
    assert (scene.standing.status, len(scene.door.asked)) == ("healthy", 2)


async def test_a_trial_whose_token_could_not_be_renewed_is_the_only_one_for_a_while(
    scene: Scene, idp: FakeIdentityProvider
) -> None:
    await scene.open(ended(idp))
    scene.take_down()
    scene.door.refuse_with = CLOSED
    before = scene.standing.failures
    assert "did not let us through" in (await scene.refused()).message
    assert "is down" in (await scene.refused()).message
    assert (scene.standing.failures, len(scene.door.asked)) == (before + 1, 1)


async def test_however_long_a_proxy_was_away_a_token_is_renewed_soon_after_it_is_back(
    scene: Scene, idp: FakeIdentityProvider
) -> None:
    account = await scene.open(ended(idp))
    scene.door.refuse_with = CLOSED
    await scene.refused()
    living = scene.tokens.credentials._living[account.id]
    living._failures = 20
    with pytest.raises(UpstreamError):
        await living.renew()
    assert living._again_at - time.monotonic() <= 8


async def test_what_an_operator_wants_to_see_is_tried_by_a_proxy_that_is_down_too(
    scene: Scene, idp: FakeIdentityProvider
) -> None:
    account = await scene.open(idp.tokens())
    scene.take_down()
    scene.tokens.egress._health.wait(scene.proxy)
    entry = scene.house.entry
    checkup = Checkup(
        scene.tokens.storage.accounts, [entry], [account], scene.tokens.renewals, scene.tokens.egress, Notes()
    )
    told = await checkup.test(account.id, SYSTEM)
    assert (told["ok"], len(scene.door.asked)) == (True, 1)
