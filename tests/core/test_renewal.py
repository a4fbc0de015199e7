"""Tokens are renewed once and never lost: several processes, kills at every step, either kind of database."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from core.token_house import PROVIDER, TokenHouse
from services.private_servers import MariaDB

from aigateway_core import credentials, renewal
from aigateway_core.builtin.oauth.answers import read_tokens
from aigateway_core.builtin.oauth.credential import OAuthCredential
from aigateway_core.errors import ErrorKind, LoginNeededError, UnavailableError, UpstreamError
from aigateway_core.renewal import Renewed
from aigateway_core.secret import Secret
from aigateway_core.state.memory import MemoryState
from aigateway_core.storage import SYSTEM, AccountPatch, DatabaseLocation, MySQLServer, NewAccount, SQLiteFile, tokens
from aigateway_core.testing import FakeIdentityProvider, TokenAnswer

pytestmark = pytest.mark.anyio
Opener = Callable[..., Awaitable[TokenHouse]]


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somewhat more than what lies between two tries to store a token."""
    monkeypatch.setattr(tokens, "_GRACE_SECONDS", 0.8)


@pytest.fixture
def idp(fake_identity_provider: FakeIdentityProvider) -> FakeIdentityProvider:
    return fake_identity_provider


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.services)])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseLocation]:
    if request.param == "sqlite":
        yield SQLiteFile(tmp_path / "gateway.db")
        return
    server: MariaDB = request.getfixturevalue("mariadb")
    with server.database() as name:
        yield MySQLServer(
            host=server.host, port=server.port, user=server.user, password=Secret(server.password), database=name
        )


@pytest.fixture
async def process(location: DatabaseLocation, idp: FakeIdentityProvider, tmp_path: Path) -> AsyncIterator[Opener]:
    """Makes what one process has: each its own storage, connections and memory, and the disk of one machine."""
    async with AsyncExitStack() as exits:

        async def make(**more: Any) -> TokenHouse:
            house = TokenHouse(location, idp.auth_options, **{"spool": tmp_path / "tokens", **more})
            return await exits.enter_async_context(house)

        yield make


async def stored(house: TokenHouse, auth_data: dict[str, Any], *others: TokenHouse, **more: Any) -> str:
    """The id of a new account that these processes know."""
    row = await house.storage.accounts.create(NewAccount(provider_id=PROVIDER, auth_data=auth_data, **more), SYSTEM)
    for each in (house, *others):
        each.know(row)
    return row.id


def ended(idp: FakeIdentityProvider) -> dict[str, Any]:
    """Tokens whose access has ended."""
    lifetime, idp.lifetime = idp.lifetime, 0.0
    tokens = idp.tokens()
    idp.lifetime = lifetime
    return tokens


def ending(idp: FakeIdentityProvider, seconds: float) -> dict[str, Any]:
    """Tokens that are still good, and to be renewed."""
    return {**idp.tokens(), "expires_at": datetime.now(UTC).timestamp() + seconds}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


# -- once


async def test_c_10_two_hundred_requests_of_two_processes_share_one_renewal(
    process: Opener, idp: FakeIdentityProvider
) -> None:
    one, two = await process(), await process()
    account = await stored(one, ended(idp), two)
    idp.delay = 0.3
    tokens = await asyncio.gather(*(house.token(account) for house in (one, two) for _ in range(100)))
    assert idp.refreshes == 1
    assert len(set(tokens)) == 1
    assert idp.accepts(tokens[0])


async def test_a_good_token_asks_neither_network_nor_database(process: Opener, idp: FakeIdentityProvider) -> None:
    house = await process()
    account = await stored(house, idp.tokens())
    await house.storage.aclose()
    flow = house.get(account)
    with pytest.raises(StopIteration):
        flow.send(None)
    assert idp.token_requests == []


async def test_it_is_renewed_ahead_of_its_end_while_the_old_one_serves(
    process: Opener, idp: FakeIdentityProvider
) -> None:
    house = await process()
    before = ending(idp, 1.0)
    account = await stored(house, before)
    idp.gate = threading.Event()
    await house.token(account)
    await asyncio.sleep(0.65)
    assert {await house.token(account) for _ in range(20)} == {before["access_token"]}
    await until(lambda: idp.refreshes == 1)
    idp.gate.set()
    await house.credentials.aclose()
    assert await house.token(account) != before["access_token"]
    assert idp.refreshes == 1


async def test_a_caller_who_leaves_does_not_stop_the_renewal(process: Opener, idp: FakeIdentityProvider) -> None:
    house = await process()
    account = await stored(house, ended(idp))
    idp.gate = threading.Event()
    first, second = (asyncio.create_task(house.token(account)) for _ in range(2))
    await until(lambda: idp.refreshes == 1)
    first.cancel()
    await asyncio.sleep(0.05)
    idp.gate.set()
    assert idp.accepts(await second)
    assert idp.refreshes == 1


async def test_an_admin_who_leaves_does_not_stop_the_renewal_that_was_asked_for(
    process: Opener, idp: FakeIdentityProvider
) -> None:
    house = await process()
    account = await stored(house, idp.tokens())
    idp.gate = threading.Event()
    asked = asyncio.create_task(house.renewals.renew(house.entry, house._held[account], None))
    await until(lambda: idp.refreshes == 1)
    asked.cancel()
    ending_house = asyncio.create_task(house.renewals.aclose())
    await asyncio.sleep(0.05)
    assert not ending_house.done()
    idp.gate.set()
    await ending_house
    assert (await house.storage.accounts.get(account)).auth_generation == 1


async def test_the_end_waits_for_the_renewal_of_an_account_that_was_switched_off_meanwhile(
    process: Opener, idp: FakeIdentityProvider
) -> None:
    house = await process()
    account = await stored(house, ended(idp))
    idp.gate = threading.Event()
    asked = asyncio.create_task(house.token(account))
    await until(lambda: idp.refreshes == 1)
    asked.cancel()
    house.credentials.forget({account})
    ending_house = asyncio.create_task(house.credentials.aclose())
    await asyncio.sleep(0.05)
    idp.gate.set()
    await ending_house
    assert (await house.storage.accounts.get(account)).auth_generation == 1


async def test_nobody_has_to_hear_that_a_renewal_failed(
    process: Opener, idp: FakeIdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    house = await process()
    account = await stored(house, idp.tokens())
    idp.gate = threading.Event()
    idp.answer(TokenAnswer(status=500))
    asked = asyncio.create_task(house.renewals.renew(house.entry, house._held[account], None))
    await until(lambda: len(idp.token_requests) == 1)
    asked.cancel()
    idp.gate.set()
    await house.renewals.aclose()
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_x_07_a_strategy_that_wants_to_exit_instead_of_renewing_ends_no_process(
    process: Opener, idp: FakeIdentityProvider
) -> None:
    async def leave(*_: object) -> None:
        raise SystemExit(1)

    house = await process()
    account = await stored(house, ended(idp))
    object.__setattr__(house.entry, "renews", SimpleNamespace(renew=leave, expires_at=house.strategy.expires_at))
    with pytest.raises(UpstreamError, match="the token cannot be renewed"):
        await house.token(account)
    with pytest.raises(RuntimeError, match="asked Python to exit"):
        await house.renewals.renew(house.entry, house._held[account], None)


async def test_processes_see_each_others_tokens_in_the_state_without_a_database(
    process: Opener, idp: FakeIdentityProvider
) -> None:
    state = MemoryState()
    one, two = await process(state=state), await process(state=state)
    account = await stored(one, ended(idp), two)
    assert await one.token(account) == await two.token(account)
    await one.renew(account)
    await two.storage.aclose()
    await two.renew(account)
    assert await two.token(account) == await one.token(account)
    assert idp.refreshes == 2
    sealed = await state.token(PROVIDER, account)
    assert sealed is not None
    assert not any(secret.encode() in sealed for secret in idp.secrets)


async def test_d_15_a_cached_token_that_was_tampered_with_is_not_used(
    process: Opener, idp: FakeIdentityProvider
) -> None:
    house = await process()
    account = await stored(house, ended(idp))
    await house.token(account)
    await house.state.put_token(PROVIDER, account, b"v1:00000000:bm90aGluZw==", 60)
    await house.renew(account)
    assert idp.accepts(await house.token(account))
    assert idp.refreshes == 2


# -- never lost


async def test_a_rotated_token_is_stored_before_it_is_used(process: Opener, idp: FakeIdentityProvider) -> None:
    house = await process()
    account = await stored(house, ended(idp))
    token = await house.token(account)
    row = await house.storage.accounts.get(account)
    assert row.auth_data is not None
    assert row.auth_data["access_token"] == token
    assert row.expires_at is not None
    house.know(row)
    await house.renew(account)
    assert idp.accepts(await house.token(account))


BEFORE = [
    "before accounts.get",
    "after accounts.get",
    "before tokens.claim",
    "after tokens.claim",
    "before provider.renew",
]
LOST = ["after provider.renew"]
AFTER = ["before tokens.keep", "after tokens.keep", "before cache.put", "after cache.put"]


def renewing(
    location: DatabaseLocation, idp: FakeIdentityProvider, account: str, step: str, spool: Path, *, away: bool = False
) -> list[str]:
    """The command of a process that renews, once it is told to, and is killed at this step."""
    where = (
        {"path": str(location.path)}
        if isinstance(location, SQLiteFile)
        else {**attrs.asdict(location, recurse=False), "password": location.password.reveal()}
    )
    task = {"location": where, "account": account, "options": idp.auth_options, "die_at": step}
    task |= {"spool": str(spool), "away": away}
    return [sys.executable, str(Path(__file__).with_name("renewing_process.py")), json.dumps(task)]


def die(
    location: DatabaseLocation, idp: FakeIdentityProvider, account: str, step: str, spool: Path, *, away: bool = False
) -> str:
    """A process renews, and is killed at this step; what it has said. ``away``: its database is, after the claim."""
    command = renewing(location, idp, account, step, spool, away=away)
    done = subprocess.run(command, input="\n", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout


@pytest.mark.parametrize("step", [*BEFORE, *LOST, *AFTER])
async def test_p_07_an_account_outlives_a_kill_at_any_step_where_the_provider_has_a_grace(
    step: str, process: Opener, location: DatabaseLocation, idp: FakeIdentityProvider, tmp_path: Path
) -> None:
    idp.grace = 60
    house = await process()
    account = await stored(house, ended(idp))
    await asyncio.to_thread(die, location, idp, account, step, tmp_path / "tokens")
    assert idp.accepts(await house.token(account))
    row = await house.storage.accounts.get(account)
    assert row.status == "active"
    house.know(row)
    await house.renew(account)
    assert idp.accepts(await house.token(account))
    assert idp.reuses == 0


@pytest.mark.parametrize("step", [*BEFORE[-2:], *AFTER[:2]])
async def test_p_08_without_a_grace_only_an_answer_that_nobody_heard_can_cost_the_account(
    step: str, process: Opener, location: DatabaseLocation, idp: FakeIdentityProvider, tmp_path: Path
) -> None:
    house = await process()
    account = await stored(house, ended(idp))
    await asyncio.to_thread(die, location, idp, account, step, tmp_path / "tokens")
    assert idp.accepts(await house.token(account))
    assert idp.refreshes == 1


@pytest.mark.parametrize("step", LOST)
async def test_p_08_an_answer_that_nobody_heard_ends_in_a_status_that_says_so(
    step: str, location: DatabaseLocation, tmp_path: Path
) -> None:
    with FakeIdentityProvider() as strict:
        house = TokenHouse(location, strict.auth_options)
        async with house:
            account = await stored(house, ended(strict))
            await asyncio.to_thread(die, location, strict, account, step, tmp_path / "tokens")
            with pytest.raises(LoginNeededError):
                await house.token(account)
            row = await house.storage.accounts.get(account)
            assert (row.status, row.status_reason) == (
                "needs_login",
                "the identity provider has ended the login (invalid_grant)",
            )


async def test_p_09_a_token_that_the_database_does_not_take_outlives_a_kill(
    process: Opener, location: DatabaseLocation, idp: FakeIdentityProvider, tmp_path: Path
) -> None:
    spool = tmp_path / "tokens"
    house = await process()
    account = await stored(house, ended(idp))
    token = await asyncio.to_thread(die, location, idp, account, "never", spool, away=True)
    assert idp.accepts(token)
    (file,) = spool.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not any(secret in file.read_text() for secret in idp.secrets)
    # Whoever comes first on this machine stores it, before the claim of the dead one has ended.
    assert await house.token(account) == token
    row = await house.storage.accounts.get(account)
    assert (row.auth_generation, row.status, idp.refreshes) == (1, "active", 1)
    assert list(spool.iterdir()) == []


async def test_p_09_a_start_stores_what_an_earlier_process_could_not(
    process: Opener, location: DatabaseLocation, idp: FakeIdentityProvider, tmp_path: Path
) -> None:
    account = await stored(await process(), ended(idp))
    token = await asyncio.to_thread(die, location, idp, account, "never", tmp_path / "tokens", away=True)
    house = await process()
    row = await house.storage.accounts.get(account)
    assert row.auth_data is not None
    assert row.auth_data["access_token"] == token
    assert list((tmp_path / "tokens").iterdir()) == []


async def test_a_token_of_another_machine_that_could_not_be_stored_is_found_in_what_they_share(
    process: Opener, idp: FakeIdentityProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = MemoryState()
    one, two = await process(state=state), await process(state=state, spool=tmp_path / "other machine")
    account = await stored(one, ended(idp), two)
    keep = one.storage.tokens.keep
    monkeypatch.setattr(one.storage.tokens, "keep", _away)
    token = await one.token(account)
    assert await two.token(account) == token
    monkeypatch.setattr(one.storage.tokens, "keep", keep)
    assert (await two.storage.accounts.get(account)).auth_generation == 1
    assert (idp.refreshes, idp.reuses) == (1, 0)


async def test_who_finds_a_claim_of_nobody_leaves_him_time_to_come_back(
    process: Opener, idp: FakeIdentityProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(renewal, "_CLAIM_SECONDS", 0.3)
    one, two = await process(), await process(spool=tmp_path / "other machine")
    account = await stored(one, ended(idp), two)
    keep = one.storage.tokens.keep
    monkeypatch.setattr(one.storage.tokens, "keep", _away)
    token = await one.token(account)
    await asyncio.sleep(0.4)
    asked = asyncio.create_task(two.token(account))
    await asyncio.sleep(0.2)
    monkeypatch.setattr(one.storage.tokens, "keep", keep)
    assert await asked == token
    assert (idp.refreshes, idp.reuses) == (1, 0)


async def _away(*_: object) -> bool:
    raise UnavailableError("the database does not answer")


async def test_a_token_that_comes_late_takes_the_mark_away_that_its_absence_has_brought(
    process: Opener, idp: FakeIdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await process()
    account = await stored(house, ended(idp))
    keep = house.storage.tokens.keep
    monkeypatch.setattr(house.storage.tokens, "keep", _away)
    token = await house.token(account)
    before = await house.storage.version()
    assert await house.storage.tokens.need_login(account, 0, "the identity provider has ended the login")
    monkeypatch.setattr(house.storage.tokens, "keep", keep)
    await house.renewals.aclose()
    row = await house.storage.accounts.get(account)
    assert row.auth_data is not None
    assert (row.status, row.status_reason, row.auth_data["access_token"]) == ("active", None, token)
    assert await house.storage.version() == before + 2


async def test_without_a_disk_to_write_to_the_token_serves_and_is_stored_all_the_same(
    process: Opener, idp: FakeIdentityProvider, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    house = await process(spool=tmp_path / "a file")
    account = await stored(house, ended(idp))
    assert idp.accepts(await house.token(account))
    assert (await house.storage.accounts.get(account)).auth_generation == 1
    assert "cannot be kept in" in caplog.text


async def test_a_token_that_cannot_be_stored_serves_until_it_can(
    process: Opener, idp: FakeIdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await process(spool=None)
    account = await stored(house, ended(idp))
    keep, away = house.storage.tokens.keep, True

    async def failing(*args: Any) -> bool:
        if away:
            raise UnavailableError("the database does not answer")
        return await keep(*args)

    monkeypatch.setattr(house.storage.tokens, "keep", failing)
    token = await house.token(account)
    assert idp.accepts(token)
    away = False
    await house.renewals.aclose()
    row = await house.storage.accounts.get(account)
    assert row.auth_data is not None
    assert row.auth_data["access_token"] == token


async def test_d_24_nothing_is_spent_while_there_is_no_database(process: Opener, idp: FakeIdentityProvider) -> None:
    house = await process()
    good, dead = await stored(house, ending(idp, 4.0)), await stored(house, ended(idp))
    await house.token(good)
    await house.storage.aclose()
    with pytest.raises(UpstreamError, match="the storage is closed") as caught:
        await house.token(dead)
    assert (caught.value.kind, caught.value.scope) == (ErrorKind.UNAVAILABLE, "account")
    assert caught.value.retry_after is not None
    assert idp.token_requests == []


async def test_c_13_a_process_that_was_stopped_past_its_claim_does_not_overwrite_a_newer_token(
    process: Opener,
    location: DatabaseLocation,
    idp: FakeIdentityProvider,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(renewal, "_CLAIM_SECONDS", 0.5)
    idp.grace = 60
    house = await process()
    account = await stored(house, ended(idp))
    idp.gate = gate = threading.Event()
    command = renewing(location, idp, account, "never", tmp_path / "of the late one")
    pipe = asyncio.subprocess.PIPE
    late = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    try:
        told = asyncio.create_task(late.communicate(b"\n"))
        await until(lambda: idp.refreshes == 1)
        late.send_signal(signal.SIGSTOP)
        idp.gate = None
        gate.set()
        await asyncio.sleep(1.0)
        newest = await house.token(account)
        late.send_signal(signal.SIGCONT)
        said, _ = await told
        assert said.decode() == newest
    finally:
        if late.returncode is None:
            late.kill()
    assert idp.refreshes == 2
    row = await house.storage.accounts.get(account)
    assert row.auth_data is not None
    assert (row.auth_data["access_token"], row.auth_generation, row.status) == (newest, 1, "active")


# -- failures


async def test_a_dead_login_is_marked_told_and_not_asked_again(
    process: Opener, idp: FakeIdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    house = await process()
    account = await stored(house, ended(idp))
    idp.revoke()
    for _ in range(3):
        with pytest.raises(LoginNeededError) as caught:
            await house.token(account)
        assert (caught.value.kind, caught.value.scope, caught.value.dispatched) == (
            ErrorKind.CREDENTIAL,
            "account",
            False,
        )
    assert idp.refreshes == 1
    assert (await house.storage.accounts.get(account)).status == "needs_login"
    assert not any(secret in caplog.text for secret in idp.secrets)


async def test_a_refusal_of_what_is_stored_no_more_condemns_nobody(process: Opener, idp: FakeIdentityProvider) -> None:
    house = await process()
    account = await stored(house, ended(idp))
    idp.revoke()
    idp.gate = threading.Event()
    asked = asyncio.create_task(house.token(account))
    await until(lambda: idp.refreshes == 1)
    by_login = idp.tokens()
    await house.storage.accounts.update(account, AccountPatch(auth_data=by_login), SYSTEM)
    idp.gate.set()
    assert await asked == by_login["access_token"]
    assert (await house.storage.accounts.get(account)).status == "active"


@pytest.mark.parametrize(
    "answer", [TokenAnswer(status=503), TokenAnswer(status=429, headers={"retry-after": "7"}), TokenAnswer(body=b"x")]
)
async def test_a_provider_that_cannot_answer_costs_a_pause_and_no_account(
    answer: TokenAnswer, process: Opener, idp: FakeIdentityProvider
) -> None:
    house = await process()
    account = await stored(house, ended(idp))
    idp.answer(answer)
    for _ in range(5):
        with pytest.raises(UpstreamError) as caught:
            await house.token(account)
        assert not isinstance(caught.value, LoginNeededError)
        assert caught.value.scope == "account"
        assert caught.value.retryable
        assert caught.value.retry_after is not None
        assert caught.value.retry_after <= 7.0
    assert idp.refreshes == 1
    assert (await house.storage.accounts.get(account)).status == "active"
    other = await (await _other(process, account)).token(account)
    assert idp.accepts(other)


async def _other(process: Opener, account: str) -> TokenHouse:
    house = await process()
    house.know(await house.storage.accounts.get(account))
    return house


async def test_c_11_a_provider_that_is_away_leaves_a_token_that_still_lives_in_use(
    process: Opener, idp: FakeIdentityProvider
) -> None:
    house = await process()
    before = ending(idp, 4.0)  # it is renewed from two seconds before its end on, or a little later
    account = await stored(house, before)
    idp.answer(TokenAnswer(status=500))
    await house.token(account)
    await asyncio.sleep(2.5)
    more = 10
    while more:  # the renewal is under way beside, and the claim it begins with may take its time
        assert await house.token(account) == before["access_token"]
        await asyncio.sleep(0.01)
        more -= idp.refreshes > 0
    assert idp.refreshes == 1


async def test_token_traffic_takes_the_accounts_own_way_out_or_none(process: Opener, idp: FakeIdentityProvider) -> None:
    house = await process()
    account = await stored(house, ended(idp), proxy_url="http://127.0.0.1:9")
    with pytest.raises(UpstreamError) as caught:
        await house.token(account)
    assert caught.value.scope == "outbound_proxy"
    assert idp.token_requests == []


async def test_nothing_secret_is_logged_or_shown(
    process: Opener, idp: FakeIdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    house = await process()
    caplog.set_level(logging.DEBUG)
    account = await stored(house, ended(idp))
    idp.answer(TokenAnswer(status=400, body={"error": "invalid_request", "error_description": "x"}))
    with pytest.raises(UpstreamError) as caught:
        await house.token(account)
    shown = f"{caplog.text} {caught.value!r} {house.credentials._living} {await house.storage.accounts.get(account)!r}"
    assert not any(secret in shown for secret in idp.secrets)
    assert credentials.Credential(None, [Secret("canary-canary")]).__repr__().count("canary") == 0  # type: ignore[arg-type]


# -- what an identity provider may answer


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(TokenAnswer(status=500, body=b"<h1>Oops</h1>"), id="an error"),
        pytest.param(TokenAnswer(body=b"<!doctype html><title>Log in</title>"), id="a web page"),
        pytest.param(TokenAnswer(body=b'{"access_token": "' + b"x" * 10_000_000), id="ten megabytes"),
        pytest.param(TokenAnswer(delay=2.0), id="too late"),
        pytest.param(None, id="nothing, it is away"),
    ],
)
async def test_d_23_whatever_a_provider_answers_a_token_serves_to_its_end_and_the_account_stays(
    answer: TokenAnswer | None, process: Opener, idp: FakeIdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "LIMITS", attrs.evolve(renewal.LIMITS, first_byte=0.3, idle=0.3, total=1.0))
    house = await process()
    before = ending(idp, 1.5)
    account = await stored(house, before)
    living = await due(house, account)
    if answer is None:
        monkeypatch.setattr(house.strategy, "_options", attrs.evolve(idp_options(house), token_url=NOWHERE))
    else:
        idp.answer(*[answer] * 10)
    for _ in range(5):
        assert await house.token(account) == before["access_token"]
        await living.settled()
    monkeypatch.setattr(living, "_ends", time.monotonic())
    with pytest.raises(UpstreamError) as caught:
        await house.token(account)
    assert not isinstance(caught.value, LoginNeededError)
    assert (caught.value.scope, caught.value.retryable) == ("account", True)
    assert (await house.storage.accounts.get(account)).status == "active"


NOWHERE = "http://127.0.0.1:9/token"


def idp_options(house: TokenHouse) -> Any:
    return house.strategy._options


async def due(house: TokenHouse, account: str) -> Any:
    """What holds the account's token, which is to be renewed from now on."""
    await house.credentials.get(house.entry, house._held[account])
    living = house.credentials._living[account]
    living._due = time.monotonic()
    return living


@pytest.mark.parametrize("told", [None, -5, 0, "0", "soon", [], 1e12, 30], ids=repr)
async def test_d_23_t_05_however_long_a_token_is_said_to_live_nobody_is_asked_all_the_time(
    told: Any, process: Opener, idp: FakeIdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten calls a second for two minutes of a clock that a test moves."""
    now = time.monotonic()
    monkeypatch.setattr(credentials, "time", SimpleNamespace(monotonic=lambda: now))
    house = await process()
    account = await stored(house, ended(idp))
    renewals = 0

    async def renew(*_: object) -> Renewed:
        nonlocal renewals
        renewals += 1
        body = json.dumps({"access_token": f"token-{renewals}", "expires_in": told}).encode()
        ends = read_tokens(body, datetime.now(UTC)).expires_at
        held = attrs.evolve(house._held[account], credential=OAuthCredential(access_token=Secret(f"token-{renewals}")))
        return Renewed(account=held, expires_at=ends, generation=renewals)

    monkeypatch.setattr(house.renewals, "renew", renew)
    for _ in range(1200):
        await house.token(account)
        await house.credentials._living[account].settled()
        now += 0.1
    assert 1 <= renewals <= 120 / 15 + 1


@pytest.mark.services
async def test_d_24_nothing_is_spent_while_the_database_takes_no_change(
    own_mariadb: MariaDB, idp: FakeIdentityProvider
) -> None:
    with own_mariadb.database() as name:
        location = MySQLServer(
            host=own_mariadb.host,
            port=own_mariadb.port,
            user=own_mariadb.user,
            password=Secret(own_mariadb.password),
            database=name,
        )
        async with TokenHouse(location, idp.auth_options) as house:
            before = ending(idp, 60.0)
            account = await stored(house, before)
            living = await due(house, account)
            own_mariadb.execute("SET GLOBAL read_only = 1")
            for _ in range(3):
                assert await house.token(account) == before["access_token"]
                await living.settled()
            assert idp.token_requests == []
            own_mariadb.execute("SET GLOBAL read_only = 0")
            await house.renew(account)
            assert await house.token(account) != before["access_token"]
            assert idp.refreshes == 1
