"""What is found out about accounts that do not come back by themselves, written down while requests go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from core.resources.conftest import ADMIN_KEY, Guarded
from scripted_upstream import ScriptedUpstream, whole
from services.private_servers import Redis

from aigateway_core.bootstrap import COMMAND_LINE, House, administration, assemble, first_look
from aigateway_core.errors import ErrorKind, UnavailableError
from aigateway_core.records import Account
from aigateway_core.secret import Secret
from aigateway_core.settings import (
    DatabaseSettings,
    KeySettings,
    PluginsSettings,
    ProviderSettings,
    RedisSettings,
    SecuritySettings,
    Settings,
)
from aigateway_core.standings import Standings
from aigateway_core.state import Cooldown
from aigateway_core.storage import AccountRest

pytestmark = pytest.mark.anyio
THEN, LATER = datetime(2026, 5, 4, tzinfo=UTC), datetime(2026, 5, 5, tzinfo=UTC)
BANNED = Cooldown.for_good("banned", ErrorKind.BANNED)
UNVERIFIED = Cooldown.for_good("disabled", ErrorKind.CREDENTIAL, "https://verify.test/")
SECOND = timedelta(seconds=1)
CHAT = {"model": "m-1", "messages": [{"role": "user", "content": "hi"}]}


class Rows:
    """Accounts that are marked and rests that are kept, or not while they are ``away``."""

    def __init__(self) -> None:
        self.marked: list[tuple[Any, ...]] = []
        self.kept: list[tuple[AccountRest, ...]] = []
        self.sweeps = 0
        self.learned: list[tuple[str, Mapping[str, Any]]] = []
        self.tries = 0
        self.away = False

    async def put_out_of_use(self, *said: Any) -> bool:
        self.tries += 1
        await asyncio.sleep(0)
        if self.away:
            raise UnavailableError("the database is away")
        self.marked.append(said)
        return True

    async def keep(self, rests: Sequence[AccountRest]) -> None:
        self.tries += 1
        await asyncio.sleep(0)
        if self.away:
            raise UnavailableError("the database is away")
        self.kept.append(tuple(rests))

    async def learn(self, account_id: str, metadata: Mapping[str, Any]) -> bool:
        self.tries += 1
        await asyncio.sleep(0)
        if self.away:
            raise UnavailableError("the database is away")
        self.learned.append((account_id, metadata))
        return account_id != "known already"

    async def forget_ended(self) -> None:
        self.sweeps += 1


def account(name: str, proxy_id: int | None = None) -> Account:
    return Account(id=name, provider_id="acme", credential=None, proxy_id=proxy_id)


def opened(rows: Rows, changed: Callable[[], Awaitable[None]] | None = None) -> Standings:
    async def unheard() -> None:
        return

    standings = Standings()
    standings.open(rows, rows, changed or unheard)
    return standings


def limit(seconds: float, reason: str = "rate_limit") -> Cooldown:
    return Cooldown(time.time() + seconds, reason)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


async def test_each_finding_is_written_once_and_told(caplog: pytest.LogCaptureFixture) -> None:
    rows, told = Rows(), []

    async def changed() -> None:
        told.append(len(rows.marked))

    standings = opened(rows, changed)
    for _ in range(50):
        standings.note(account("a"), THEN, "*", BANNED)
    standings.note(account("b"), THEN, "*", UNVERIFIED)
    await until(lambda: len(told) == 2)
    standings.note(account("a"), THEN, "*", BANNED)
    await standings.aclose()
    assert rows.marked == [
        ("a", THEN, "banned", "banned", None),
        ("b", THEN, "disabled", "credential", "https://verify.test/"),
    ]
    assert "the account b is disabled (credential) until it is mended: https://verify.test/" in caplog.text


async def test_an_account_that_was_mended_may_be_shut_out_again() -> None:
    rows = Rows()
    standings = opened(rows)
    standings.note(account("a"), THEN, "*", BANNED)
    await until(lambda: rows.marked)
    standings.note(account("a"), LATER, "*", BANNED)
    await until(lambda: len(rows.marked) == 2)
    await standings.aclose()


async def test_a_rest_of_a_minute_is_kept_and_a_shorter_one_is_not() -> None:
    rows = Rows()
    standings = opened(rows)
    standings.note(account("a"), THEN, "*", limit(30))
    standings.note(account("a"), THEN, "claude", limit(60, "quota"))
    standings.note(account("b", proxy_id=7), None, "*", limit(3600))
    await standings.aclose()
    [kept] = rows.kept
    assert [(rest.account_id, rest.reach, rest.reason, rest.revision, rest.proxy_id) for rest in kept] == [
        ("a", "claude", "quota", THEN, None),
        ("b", "*", "rate_limit", None, 7),
    ]
    assert [round(rest.until.timestamp() - time.time(), -1) for rest in kept] == [60, 3600]
    assert rows.marked == []


async def test_a_model_that_an_account_does_not_have_is_no_rest_of_its_own() -> None:
    rows = Rows()
    standings = opened(rows)
    standings.note(account("a"), THEN, "a-word-of-the-caller", limit(3600, ErrorKind.MODEL_NOT_FOUND))
    await standings.aclose()
    assert rows.tries == 0


async def test_a_rest_that_is_prolonged_by_seconds_is_not_written_again() -> None:
    rows = Rows()
    standings = opened(rows)
    standings.note(account("a"), THEN, "*", limit(600))
    await until(lambda: rows.kept)
    for more in range(9):
        standings.note(account("a"), THEN, "*", limit(600 + more))
    standings.note(account("a"), THEN, "*", limit(300))
    await standings.aclose()
    assert len(rows.kept) == 1
    standings.note(account("a"), THEN, "*", limit(700))
    await until(lambda: len(rows.kept) == 2)


async def test_an_account_that_was_changed_or_bound_anew_rests_anew() -> None:
    rows = Rows()
    standings = opened(rows)
    for number, (name, revision, proxy) in enumerate([("a", THEN, None), ("a", LATER, None), ("a", LATER, 1)]):
        standings.note(account(name, proxy), revision, "*", limit(600 - 100 * number))
        await until(lambda: len(rows.kept) == number + 1)  # noqa: B023 - it is waited for at once
    assert [(rest.revision, rest.proxy_id) for batch in rows.kept for rest in batch] == [
        (THEN, None),
        (LATER, None),
        (LATER, 1),
    ]


async def test_while_the_database_is_away_rests_wait_and_a_ban_is_not_lost_among_them() -> None:
    rows = Rows()
    standings = opened(rows)
    rows.away = True
    standings.note(account("a"), THEN, "*", limit(600))
    await until(lambda: rows.tries)
    standings.note(account("a"), THEN, "*", limit(700))
    standings.note(account("b"), THEN, "*", limit(600))
    standings.note(account("c"), THEN, "*", BANNED)
    rows.away = False
    await until(lambda: rows.kept and rows.marked)
    await standings.aclose()
    assert [said[0] for said in rows.marked] == ["c"]
    [kept] = rows.kept
    assert [(rest.account_id, round(rest.until.timestamp() - time.time(), -1)) for rest in kept] == [
        ("a", 700),
        ("b", 600),
    ]


async def test_what_a_provider_finds_out_is_written_and_told_of_if_it_is_new() -> None:
    rows, told = Rows(), []

    async def changed() -> None:
        told.append(rows.learned[-1][0])

    standings = opened(rows, changed)
    rows.away = True
    standings.learn("a", {"project": "p", "tier": "one"})
    await until(lambda: rows.tries)
    standings.learn("a", {"tier": "two"})
    standings.learn("known already", {"project": "p"})
    rows.away = False
    await until(lambda: len(rows.learned) == 2)
    await standings.aclose()
    assert rows.learned == [("a", {"project": "p", "tier": "two"}), ("known already", {"project": "p"})]
    assert told == ["a"]


async def test_rests_that_the_database_does_not_take_are_told_of_and_keep_nobody_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Rows):
        async def keep(self, rests: Sequence[AccountRest]) -> None:
            raise ZeroDivisionError("a bug")

    rows = Broken()
    standings = opened(rows)
    standings.note(account("a"), THEN, "*", limit(600))
    await until(lambda: "the rests of 1 accounts could not be written" in caplog.text)
    standings.note(account("b"), THEN, "*", BANNED)
    await until(lambda: rows.marked)
    await standings.aclose()


async def test_the_names_that_callers_make_up_have_a_bound() -> None:
    rows = Rows()
    standings = opened(rows)
    for number in range(5000):
        standings.note(account("a"), THEN, f"made-up-{number}", limit(600))
    await standings.aclose()
    assert len({rest.reach for batch in rows.kept for rest in batch}) == 4096
    assert rows.sweeps == 1


async def test_while_the_database_is_away_the_newest_finding_waits() -> None:
    rows = Rows()
    standings = opened(rows)
    rows.away = True
    standings.note(account("a"), THEN, "*", BANNED)
    await until(lambda: rows.tries)
    standings.note(account("a"), LATER, "*", UNVERIFIED)
    rows.away = False
    await until(lambda: rows.marked)
    await standings.aclose()
    assert rows.marked == [("a", LATER, "disabled", "credential", "https://verify.test/")]


# -- in a whole gateway


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A process of its own, as far as the database is concerned."""
    house = House(assemble(settings))
    await house.start()
    transport = httpx.ASGITransport(Guarded(house.app))
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
            yield client
    finally:
        await house.stop()


async def ask(client: httpx.AsyncClient) -> tuple[int, str]:
    answer = await client.post("/v1/chat/completions", json=CHAT)
    return answer.status_code, answer.text


async def shown(client: httpx.AsyncClient, account: str) -> tuple[str, str | None]:
    told = (await client.get(f"/api/v1/accounts/{account}")).json()
    return told["status"], told["status_reason"]


def settings_for(vendor: ScriptedUpstream, tmp_path: Path, **provider: Any) -> Settings:
    return Settings(
        database=DatabaseSettings(path=tmp_path / "gateway.db"),
        keys=KeySettings(admin=Secret(ADMIN_KEY)),
        plugins=PluginsSettings(allowed=frozenset()),
        security=SecuritySettings(allow_private_hosts=frozenset({"127.0.0.1"})),
        providers={
            "acme": ProviderSettings(
                kind="openai-compatible", options={"base_url": f"{vendor.url}/v1", "models": ["m-1"]}, **provider
            )
        },
    )


def refusal(seconds: int) -> Any:
    body = b'{"error": {"message": "slow down", "type": "rate_limit_error"}}'
    return whole(body, status=429, content_type="application/json", retry_after=str(seconds))


async def as_an_operator_sees_it(settings: Settings, name: str) -> dict[str, Any]:
    """In a process that is no gateway."""
    async with administration(assemble(settings)) as office:
        return await office.accounts.get(name)


async def test_an_unpaid_bill_outlives_a_restart_and_is_known_to_other_processes_until_it_is_mended(
    tmp_path: Path,
) -> None:
    async with ScriptedUpstream() as vendor:
        refusal = b'{"error": {"message": "pay first", "type": "billing"}}'
        vendor.play(whole(refusal, status=402, content_type="application/json"))
        settings = settings_for(vendor, tmp_path)
        await first_look(assemble(settings))
        async with gateway(settings) as one, gateway(settings) as other:
            body = {"provider_id": "acme", "auth_data": {"api_key": "k" * 20}}
            account = (await one.post("/api/v1/accounts", json=body)).json()["id"]
            assert (await ask(one))[0] == 429
            await until_shown(other, account, ("disabled", "quota"))
            assert "1 disabled (quota)" in (await ask(other))[1]
        async with gateway(settings) as again:
            assert await shown(again, account) == ("disabled", "quota")
            assert "1 disabled (quota)" in (await ask(again))[1]
            assert len(vendor.requests) == 1
            await again.put(f"/api/v1/accounts/{account}", json={"is_active": True})
            assert await shown(again, account) == ("active", None)
            assert (await ask(again))[0] == 429
            assert len(vendor.requests) == 2


async def test_a_limit_outlives_a_restart_and_is_known_to_other_processes_until_it_is_over_or_the_account_enabled(
    tmp_path: Path,
) -> None:
    async with ScriptedUpstream() as vendor:
        vendor.play(refusal(3600))
        settings = settings_for(vendor, tmp_path)
        await first_look(assemble(settings))
        async with gateway(settings) as one:
            body = {"provider_id": "acme", "auth_data": {"api_key": "k" * 20}}
            account = (await one.post("/api/v1/accounts", json=body)).json()["id"]
            assert (await ask(one))[0] == 429
            [rest] = (await one.get(f"/api/v1/accounts/{account}")).json()["resting"]
            assert (rest["name"], rest["reason"]) == ("m-1", "rate_limit")
        [stored] = (await as_an_operator_sees_it(settings, account))["resting"]
        assert abs(datetime.fromisoformat(stored["until"]) - datetime.fromisoformat(rest["until"])) < SECOND
        async with gateway(settings) as again, gateway(settings) as other:
            assert (await ask(again))[0] == (await ask(other))[0] == 429
            assert len(vendor.requests) == 1
            assert (await again.get(f"/api/v1/accounts/{account}")).json()["resting"] == [stored]
            await again.put(f"/api/v1/accounts/{account}", json={"is_active": True})
            assert (await again.get(f"/api/v1/accounts/{account}")).json()["resting"] == []
            assert (await as_an_operator_sees_it(settings, account))["resting"] == []
            assert (await ask(again))[0] == 429
            assert len(vendor.requests) == 2


async def test_a_restart_is_a_new_chance_for_the_account_of_the_configuration(tmp_path: Path) -> None:
    async with ScriptedUpstream() as vendor:
        vendor.play(refusal(3600))
        settings = settings_for(vendor, tmp_path, api_key=Secret("key-in-the-file-0001"))
        await first_look(assemble(settings))
        for number in (1, 2):
            async with gateway(settings) as client:
                assert (await as_an_operator_sees_it(settings, "config:acme"))["resting"] == []
                assert (await ask(client))[0] == 429
                assert len(vendor.requests) == number
                async with asyncio.timeout(10):
                    while not (found := (await as_an_operator_sees_it(settings, "config:acme"))["resting"]):  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                assert [each["name"] for each in found] == ["m-1"]


@pytest.mark.services
async def test_with_redis_another_key_in_the_configuration_and_a_restart_are_a_new_chance(
    own_redis: Redis, tmp_path: Path
) -> None:
    bill = whole(b'{"error": {"message": "pay first", "type": "billing"}}', status=402, content_type="application/json")
    shared = RedisSettings(enabled=True, host=own_redis.host, port=own_redis.port)
    async with ScriptedUpstream() as vendor:
        asked = 0
        for answer, key in ((bill, "1"), (bill, "1"), (bill, "2"), (refusal(3600), "2"), (refusal(3600), "3")):
            vendor.play(answer)
            settings = settings_for(vendor, tmp_path, api_key=Secret(f"key-in-the-file-000{key}"))
            settings = attrs.evolve(settings, redis=shared)
            await first_look(assemble(settings))
            asked += 1
            async with gateway(settings) as client:
                for _ in range(2):
                    assert (await ask(client))[0] == 429
                assert len(vendor.requests) == asked, (answer, key)
        async with gateway(settings) as again:
            assert (await ask(again))[0] == 429
            assert len(vendor.requests) == asked, "a limit outlives a restart where nothing has changed"


@pytest.mark.services
async def test_with_redis_an_account_that_was_changed_while_the_gateway_was_stopped_does_not_rest(
    own_redis: Redis, tmp_path: Path
) -> None:
    async with ScriptedUpstream() as vendor:
        vendor.play(refusal(3600))
        shared = RedisSettings(enabled=True, host=own_redis.host, port=own_redis.port)
        settings = attrs.evolve(settings_for(vendor, tmp_path), redis=shared)
        await first_look(assemble(settings))
        async with gateway(settings) as client:
            body = {"provider_id": "acme", "auth_data": {"api_key": "k" * 20}}
            account = (await client.post("/api/v1/accounts", json=body)).json()["id"]
            assert (await ask(client))[0] == 429
        assert len((await as_an_operator_sees_it(settings, account))["resting"]) == 1
        async with administration(assemble(settings)) as office:
            await office.accounts.update(account, {"is_active": True}, COMMAND_LINE)
        assert (await as_an_operator_sees_it(settings, account))["resting"] == []
        async with gateway(settings) as client:
            assert (await ask(client))[0] == 429
            assert len(vendor.requests) == 2


async def until_shown(client: httpx.AsyncClient, account: str, expected: tuple[str, str]) -> None:
    async with asyncio.timeout(10):
        while await shown(client, account) != expected:  # noqa: ASYNC110 - it polls the database
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.5)  # the snapshot's poll
