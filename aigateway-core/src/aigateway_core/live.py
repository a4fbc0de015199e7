"""Keeps the snapshot true: turns what is stored into what the request path reads, whenever something has changed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import attrs

from aigateway_core.credentials import Credentials
from aigateway_core.errors import GatewayError
from aigateway_core.records import Account, Caller
from aigateway_core.snapshot import CurrentSnapshot, KeyEntry, OutboundProxy, OutOfUse, ProviderEntry, Snapshot
from aigateway_core.state import EVERY_MODEL, NO_WAY_OUT, Cooldown, State
from aigateway_core.storage.rows import SnapshotRows, StoredAccount, StoredKey, StoredProxy
from aigateway_core.structuring import StructuringError, structure

log = logging.getLogger(__name__)


class SnapshotStore(Protocol):
    """Where the rows come from; ``version`` grows with every change."""

    async def version(self) -> int:
        """The number of the newest change."""

    async def load_snapshot(self) -> SnapshotRows:
        """All that the request path needs to know, as it stood at one moment."""


class LiveSnapshot:
    """Loads the snapshot, and again when the version has moved: asked every ``interval`` seconds and after a change.

    ``marks`` tell the ``configured`` accounts from what they were with another key.
    """

    def __init__(
        self,
        current: CurrentSnapshot,
        store: SnapshotStore,
        providers: Sequence[ProviderEntry],
        configured: Sequence[Account],
        marks: Mapping[str, str] | None = None,
        *,
        state: State,
        credentials: Credentials,
        interval: float = 1.0,
    ) -> None:
        self._current = current
        self._store = store
        self._providers = {entry.id: entry for entry in providers}
        self._configured = configured
        self._marks = marks or {}
        self._state = state
        self._credentials = credentials
        self._interval = interval
        self._task: asyncio.Task[None] | None = None
        self._loading = asyncio.Lock()
        self._failing = False
        self._hinted = asyncio.Event()
        self._confirmed = time.monotonic()
        state.on_announcement(self._hear)

    async def start(self) -> None:
        """Load for the first time, then keep watch."""
        await self.reload()
        self._task = asyncio.create_task(self._watch(), name="snapshot")

    async def aclose(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def age(self) -> float:
        """Seconds since the database last said that the snapshot is still true."""
        return time.monotonic() - self._confirmed

    async def reload(self) -> None:
        """Make the snapshot what is stored now. Raises :class:`UnavailableError`; the old one stands then."""
        async with self._loading:
            rows = await self._store.load_snapshot()
            before = self._current.value
            # Thousands of accounts take a while to build: on a thread, so that no request waits for it.
            after = await asyncio.to_thread(self._built, rows, before)
            self._current.value = after
            self._confirmed = time.monotonic()
            self._settle(before, after)
            for rest in rows.rests:
                if rest.revision is None:
                    continue  # of which key of the configuration's it was found out, nobody can tell
                edition = after.editions.get(rest.account_id, "")
                cooldown = Cooldown(rest.until.timestamp(), rest.reason, edition=edition)
                self._state.cool(rest.account_id, rest.reach, cooldown)

    def _built(self, rows: SnapshotRows, before: Snapshot) -> Snapshot:
        return Snapshot(
            version=rows.version,
            accounts=self._accounts(rows, before),
            keys={key.id: _key(key) for key in rows.keys},
            proxies=outbound_proxies(rows),
            client_keys_exist=rows.client_keys_exist,
            mappings={row.alias: row.targets for row in rows.mappings},
            switched_off=frozenset(row.id for row in rows.providers if not row.is_active),
            out_of_use={row.id: _out_of_use(row) for row in rows.accounts if row.is_active and row.status != "active"},
            revisions={row.id: row.updated_at for row in rows.accounts},
            editions=editions(rows, self._marks),
        )

    async def notice(self) -> None:
        """There was a change. It is stored, so where it cannot be loaded now, the watch will do it a little later."""
        try:
            await self.reload()
        except GatewayError as error:
            self._tell(error)
        else:
            self._state.announce(self._current.value.version)

    def _hear(self, version: int) -> None:
        """Another worker has told of a change; only a hint, since the watch would see it by itself."""
        if version > self._current.value.version:
            self._hinted.set()

    async def _watch(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._hinted.wait()
            self._hinted.clear()
            try:
                if await self._store.version() != self._current.value.version:
                    await self.reload()
                self._confirmed = time.monotonic()
            except Exception as error:  # noqa: BLE001 - without the watch a revoked key would open the door for ever
                self._tell(error)
            else:
                self._tell(None)

    def _tell(self, error: Exception | None) -> None:
        """One line when changes can no longer be seen and one when they can; what is in memory serves meanwhile."""
        if error is not None and not self._failing:
            # What is not of the gateway's own tree is a bug, and wants its traceback.
            trace = None if isinstance(error, GatewayError) else error
            log.warning("changes cannot be seen, the gateway goes on with what it knows: %s", error, exc_info=trace)
        elif error is None and self._failing:
            log.warning("changes can be seen again")
        self._failing = error is not None

    def _accounts(self, rows: SnapshotRows, before: Snapshot) -> Mapping[str, tuple[Account, ...]]:
        known = before.by_id
        found: dict[str, list[Account]] = {}
        for account in self._configured:
            bound = attrs.evolve(account, proxy_id=rows.bindings.get(account.id))
            found.setdefault(account.provider_id, []).append(_same(known.get(account.id), bound))
        for row in rows.accounts:
            account_or_none = self._account(row)
            if account_or_none is not None:
                found.setdefault(row.provider_id, []).append(self._kept(before, account_or_none, row))
        return {provider: tuple(accounts) for provider, accounts in found.items()}

    def _kept(self, snapshot: Snapshot, after: Account, row: StoredAccount) -> Account:
        """The account as it is to be used from now on.

        That its tokens were renewed is no change: whoever holds it has the new ones already, or will read them when it
        needs them.
        """
        before = snapshot.by_id.get(row.id)
        renewed = self._providers[row.provider_id].renews and snapshot.revisions.get(row.id) == row.updated_at
        if before is not None and renewed and attrs.evolve(after, credential=before.credential) == before:
            return before
        return _same(before, after)

    def _account(self, row: StoredAccount) -> Account | None:
        """The account as the request path wants it; None when it is switched off or cannot be used."""
        entry = self._providers.get(row.provider_id)
        if entry is None or not row.is_active or row.status != "active":
            return None
        if row.problem is not None or row.auth_data is None:
            log.error("the account %s cannot be used: %s", row.id, row.problem)
            return None
        try:
            credential = structure(dict(row.auth_data), entry.strategy.credential, "auth_data")
        except Exception as error:  # noqa: BLE001 - a plugin's class may raise anything, and there are other accounts
            reason = error if isinstance(error, StructuringError) else type(error).__name__
            log.error("the account %s cannot be used: %s", row.id, reason)
            return None
        return Account(
            id=row.id,
            provider_id=row.provider_id,
            label=row.label,
            credential=credential,
            metadata=row.metadata,
            proxy_url=row.proxy_url,
            proxy_id=row.proxy_id,
            egress=row.egress,
        )

    def _settle(self, before: Snapshot, after: Snapshot) -> None:
        """An account that was changed, or whose way out was, is given a new chance; one that is gone is let go of.

        Whoever enables an account that is in use changes nothing of it but the time of its last change; and one that
        was out of use comes back to nothing that was held against it before.
        """
        old, new = before.by_id, after.by_id
        then, now = before.revisions, after.revisions
        proxies_changed = before.proxies != after.proxies
        for account_id in old.keys() | then.keys():
            is_same = new.get(account_id) is old.get(account_id) and then.get(account_id) == now.get(account_id)
            if not is_same or (proxies_changed and self._waits(account_id)):
                self._state.clear(account_id)
        self._credentials.forget(old.keys() - new.keys())

    def _waits(self, account_id: str) -> bool:
        """Whether it rests because of its outbound proxy, and through no fault of its own."""
        cooldown = self._state.cooldown(account_id, EVERY_MODEL)
        return cooldown is not None and cooldown.reason == NO_WAY_OUT


def _same(before: Account | None, after: Account) -> Account:
    """An account that did not change stays the same object, and so keeps its auth flow."""
    return before if before is not None and before == after else after


def _out_of_use(row: StoredAccount) -> OutOfUse:
    status: Any = row.status
    return OutOfUse(provider_id=row.provider_id, status=status, reason=row.status_reason or status)


def _key(row: StoredKey) -> KeyEntry:
    terms = row.terms
    caller = Caller(
        id=row.id,
        role=row.role,
        providers=_set(terms.providers),
        models=_set(terms.models),
        accounts=_set(terms.accounts),
        requests_per_minute=terms.requests_per_minute,
        concurrency=terms.concurrency,
    )
    return KeyEntry(hash=row.hash, caller=caller, expires_at=row.expires_at)


def _set(names: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


def editions(rows: SnapshotRows, marks: Mapping[str, str]) -> Mapping[str, str]:
    """What tells each account from what it was before a change: of it, or of the outbound proxy that it is bound to."""
    configured = {account_id: f"{mark} {rows.bindings.get(account_id, 0)}" for account_id, mark in marks.items()}
    return configured | {row.id: f"{row.updated_at.isoformat()} {row.proxy_id or 0}" for row in rows.accounts}


def outbound_proxies(rows: SnapshotRows) -> Mapping[int, OutboundProxy]:
    """The pool, by number."""
    return {row.id: _proxy(row) for row in rows.proxies}


def _proxy(row: StoredProxy) -> OutboundProxy:
    """One whose URL does not open is switched off: its accounts wait, and nobody goes out bare."""
    return OutboundProxy(
        id=row.id,
        url=row.url,
        is_active=row.is_active and row.problem is None,
        health_status=row.health_status,
        consecutive_failures=row.consecutive_failures,
        max_failures=row.max_failures,
        success_rate=row.success_rate,
        avg_latency_ms=row.avg_latency_ms,
    )
