"""Renewing the tokens of an account: once, however many requests and processes wait for it, and so that none is lost.

A refresh token may be good for one use. Whoever uses one and dies before the next one is stored has lost the account;
so do two who use the same one. Hence the order: read the row again, since somebody may have been faster; claim it,
which also shows that the database can be written; ask; put the answer on disk and store it over exactly what was spent;
only then use it. A process may be killed anywhere in between: before the question nothing has happened; after the
answer is on disk nothing is lost; between the two the identity provider's grace decides, and if it has none, the
account says that it needs a login.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

import attrs

from aigateway_core.egress import WayOut
from aigateway_core.errors import (
    ErrorKind,
    GatewayError,
    LoginNeededError,
    NotFoundError,
    UpstreamError,
)
from aigateway_core.plugin import ClassifiesErrors, Grant, RenewsTokens
from aigateway_core.records import Account
from aigateway_core.secret import Secret
from aigateway_core.snapshot import ProviderEntry
from aigateway_core.storage.rows import StoredAccount
from aigateway_core.structuring import StructuringError, structure
from aigateway_core.token_keeping import KeepsTokens, TokenKeeper
from aigateway_core.token_spool import RenewedTokens, TokenSpool
from aigateway_core.upstream import Limits, Upstream

log = logging.getLogger(__name__)

LIMITS = Limits(connect=5.0, first_byte=10.0, idle=10.0, total=15.0, max_response_bytes=1 << 20)
"""Deadlines of one request to an identity provider."""

_CLAIM_SECONDS = 20.0
"""How long nobody else may spend the token: longer than a request can take."""

_PATIENCE = 10.0
"""Seconds that another process's renewal is waited for."""


class AccountRows(Protocol):
    """Where accounts are read."""

    async def get(self, account_id: str) -> StoredAccount:
        """One of them. Raises :class:`NotFoundError` and :class:`UnavailableError`."""


class TokenStore(KeepsTokens, Protocol):
    """Where claims and tokens are written; each method may raise :class:`UnavailableError`."""

    async def claim(self, account_id: str, generation: int, attempt: str, seconds: float) -> bool:
        """Whether this attempt may spend the tokens of this generation now."""

    async def release(self, account_id: str, attempt: str) -> None:
        """Take a claim back."""

    async def need_login(self, account_id: str, generation: int, reason: str) -> bool:
        """Mark the account; false when its tokens are others by now."""


class TokenCache(Protocol):
    """Where processes see each other's tokens without asking the database. What it holds may be lost at any time."""

    async def get(self, provider_id: str, account_id: str) -> tuple[int, Mapping[str, Any]] | None:
        """Generation and ``auth_data``."""

    async def put(
        self, provider_id: str, account_id: str, generation: int, auth_data: Mapping[str, Any], seconds: float
    ) -> None:
        """Keep them for so long."""


class WaysOut(Protocol):
    """The ways out of accounts: token traffic takes the same as everything else."""

    async def way_out(self, account: Account, *, even_down: bool = False) -> WayOut:
        """That of this account, by a proxy that is down too if that is wanted. Raises :class:`UpstreamError`."""

    def judge(self, way_out: WayOut, error: GatewayError | None) -> None:
        """Learn from something that was sent by it."""


async def token_upstream(ways_out: WaysOut, entry: ProviderEntry, account: Account) -> Upstream:
    """What a strategy asks its identity provider with: the account's own way out, unsigned.

    Who asks waits for it: a request that was let out itself, or somebody who looks after the account.
    """
    return _upstream(await ways_out.way_out(account, even_down=True), entry, account)


def _upstream(way: WayOut, entry: ProviderEntry, account: Account) -> Upstream:
    judge: object = entry.strategy
    return Upstream(
        way.transport,
        limits=LIMITS,
        classify=judge.classify_error if isinstance(judge, ClassifiesErrors) else None,
        secrets=secrets_of(account.credential),
        proxied=way.proxied,
        metadata=account.metadata,
    )


def secrets_of(credential: object) -> tuple[Secret, ...]:
    """The secret fields of a credential."""
    kind = type(credential)
    values = (getattr(credential, field.name) for field in attrs.fields(kind)) if attrs.has(kind) else ()
    return tuple(value for value in values if isinstance(value, Secret))


@attrs.frozen(kw_only=True)
class Renewed:
    """An account with a credential that is good until ``expires_at`` (None: nobody knows)."""

    account: Account
    expires_at: datetime | None
    generation: int


class Renewals:
    """The protocol, for any account of a strategy that renews.

    Each renewal comes to its end, whoever stops waiting for it and for whatever reason: a token may be spent already.
    """

    def __init__(
        self,
        accounts: AccountRows,
        tokens: TokenStore,
        ways_out: WaysOut,
        cache: TokenCache,
        spool: TokenSpool | None = None,
    ) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._ways_out = ways_out
        self._cache = cache
        self._keeper = TokenKeeper(tokens, spool)
        self._running: set[asyncio.Task[Renewed]] = set()

    async def renew(self, entry: ProviderEntry, spent: Account, generation: int | None) -> Renewed:
        """Another credential than the one that ``spent`` has, of this generation if that is known.

        Raises :class:`UpstreamError` (a :class:`LoginNeededError` when only a login helps), and
        :class:`UnavailableError` when there is no database: without it nothing is spent.
        """
        task = asyncio.create_task(self._run(entry, spent, generation), name=f"renew the token of {spent.id}")
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def start(self) -> None:
        """Store what an earlier process could not."""
        await self._keeper.start()

    async def aclose(self) -> None:
        """Wait for the renewals under way, and then a little for tokens that could not be stored yet."""
        if self._running:
            log.warning("waiting for renewals of tokens (%d): without an end they cost logins", len(self._running))
        while self._running:
            await asyncio.wait(self._running)
        await self._keeper.aclose()

    def _ended(self, task: asyncio.Task[Renewed]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, since whoever had asked may have left

    async def _run(self, entry: ProviderEntry, spent: Account, generation: int | None) -> Renewed:
        try:
            return await self._renew(entry, spent, generation)
        except SystemExit as error:
            # Out of a task it would end the process, whoever waits for it.
            raise RuntimeError(f"the auth strategy {entry.strategy_name!r} asked Python to exit") from error

    async def _renew(self, entry: ProviderEntry, spent: Account, generation: int | None) -> Renewed:
        attempt, deadline, pause = uuid4().hex, time.monotonic() + _PATIENCE, 0.02
        while True:
            if (found := await self._cached(entry, spent, generation)) is not None:
                return found
            row = await self._up_to_date(entry, spent)
            if (found := self._adopted(entry, spent, row)) is not None:
                return found
            if await self._tokens.claim(row.id, row.auth_generation, attempt, _CLAIM_SECONDS):
                return await self._spend(entry, self._account(entry, spent, row), row.auth_generation, attempt)
            if time.monotonic() > deadline:
                message = "another process has been renewing the account's token for too long"
                raise UpstreamError(
                    ErrorKind.UNAVAILABLE,
                    message,
                    scope="account",
                    retry_after=_CLAIM_SECONDS - _PATIENCE,
                    dispatched=False,
                )
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.25)

    # -- somebody was faster

    async def _cached(self, entry: ProviderEntry, spent: Account, generation: int | None) -> Renewed | None:
        if generation is None or (found := await self._cache.get(entry.id, spent.id)) is None:
            return None
        number, auth_data = found
        with suppress(StructuringError):
            renewed = self._renewed(entry, spent, auth_data, number)
            return renewed if number > generation and not _has_ended(renewed) else None
        return None

    async def _up_to_date(self, entry: ProviderEntry, spent: Account) -> StoredAccount:
        """The row, once it holds what came of the token in it, if that has been spent already.

        It is behind when the database was away at that moment. Whoever spent the token has put the next one on this
        machine's disk, or into what processes share; spending the old one again could end the login.
        """
        row = await self._row(spent)
        late = await self._keeper.waiting(row.id, row.auth_generation) or await self._shared(entry, spent, row)
        if late is None:
            return row
        await self._keeper.store(late)
        return await self._row(spent)

    async def _shared(self, entry: ProviderEntry, spent: Account, row: StoredAccount) -> RenewedTokens | None:
        number, auth_data = await self._cache.get(entry.id, row.id) or (0, {})
        if number != row.auth_generation + 1:
            return None
        try:
            renewed = self._renewed(entry, spent, auth_data, number)
        except StructuringError:
            return None
        return RenewedTokens(
            account_id=row.id, spent=row.auth_generation, auth_data=auth_data, expires_at=renewed.expires_at
        )

    async def _row(self, spent: Account) -> StoredAccount:
        try:
            row = await self._accounts.get(spent.id)
        except NotFoundError:
            raise LoginNeededError("the account has been removed") from None
        if row.status != "active":
            raise LoginNeededError(row.status_reason or f"the account is marked: {row.status}")
        if row.auth_data is None:
            raise LoginNeededError("the account's tokens cannot be read with this master key")
        return row

    def _adopted(self, entry: ProviderEntry, spent: Account, row: StoredAccount) -> Renewed | None:
        """What is stored, if that is another credential and still good."""
        renewed = self._renewed(entry, spent, row.auth_data or {}, row.auth_generation)
        return None if renewed.account.credential == spent.credential or _has_ended(renewed) else renewed

    def _account(self, entry: ProviderEntry, spent: Account, row: StoredAccount) -> Account:
        return self._renewed(entry, spent, row.auth_data or {}, row.auth_generation).account

    @staticmethod
    def _renewed(entry: ProviderEntry, spent: Account, auth_data: Mapping[str, Any], generation: int) -> Renewed:
        credential = structure(dict(auth_data), entry.strategy.credential, "auth_data")
        return Renewed(
            account=attrs.evolve(spent, credential=credential),
            expires_at=_strategy(entry).expires_at(credential),
            generation=generation,
        )

    # -- it is ours to do

    async def _spend(self, entry: ProviderEntry, account: Account, generation: int, attempt: str) -> Renewed:
        try:
            grant = await self._grant(entry, account)
        except LoginNeededError as error:
            return await self._refused(entry, account, generation, error)
        except (Exception, SystemExit):
            with suppress(GatewayError):
                await self._tokens.release(account.id, attempt)
            raise
        return await self._kept(entry, account, generation, grant)

    async def _grant(self, entry: ProviderEntry, account: Account) -> Grant:
        """The way out is judged here, where something is sent: of what came of it many are told, and later."""
        way = await self._ways_out.way_out(account, even_down=True)
        upstream = _upstream(way, entry, account)
        try:
            grant = await _strategy(entry).renew(account, upstream)
        except GatewayError as error:
            if upstream.dispatched:
                self._ways_out.judge(way, error)
            raise
        if upstream.dispatched:
            self._ways_out.judge(way, None)
        return grant

    async def _refused(
        self, entry: ProviderEntry, account: Account, generation: int, error: LoginNeededError
    ) -> Renewed:
        """Dead, unless what died is not what is stored by now: then that is the account's, and this came too late."""
        if await self._tokens.need_login(account.id, generation, error.message):
            log.warning("the account %s needs a login: %s", account.id, error.message)
            raise error
        found = self._adopted(entry, account, await self._row(account))
        if found is None:
            raise error
        return found

    async def _kept(self, entry: ProviderEntry, account: Account, generation: int, grant: Grant) -> Renewed:
        tokens = RenewedTokens(
            account_id=account.id, spent=generation, auth_data=grant.auth_data, expires_at=grant.expires_at
        )
        if not await self._keeper.keep(tokens):
            found = self._adopted(entry, account, await self._row(account))
            if found is None:
                raise UpstreamError(ErrorKind.UNAVAILABLE, "the account was changed meanwhile", scope="account")
            return found
        renewed = self._renewed(entry, account, grant.auth_data, generation + 1)
        await self._cache.put(entry.id, account.id, generation + 1, grant.auth_data, _seconds_left(renewed))
        return renewed


def _strategy(entry: ProviderEntry) -> RenewsTokens:
    if entry.renews is None:
        raise TypeError(f"the auth strategy {entry.strategy_name!r} renews nothing")
    return entry.renews


def _has_ended(renewed: Renewed) -> bool:
    return renewed.expires_at is not None and _seconds_left(renewed) <= 0


def _seconds_left(renewed: Renewed) -> float:
    if renewed.expires_at is None:
        return 0.0
    return (renewed.expires_at - datetime.now(UTC)).total_seconds()
