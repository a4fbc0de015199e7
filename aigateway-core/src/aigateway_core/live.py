"""Keeps the snapshot true: turns what is stored into what the request path reads, whenever something has changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from aigateway_core.credentials import Credentials
from aigateway_core.errors import GatewayError
from aigateway_core.records import Account
from aigateway_core.snapshot import CurrentSnapshot, KeyEntry, ProviderEntry, Snapshot
from aigateway_core.state import State
from aigateway_core.storage.rows import SnapshotRows, StoredAccount
from aigateway_core.structuring import StructuringError, structure

log = logging.getLogger(__name__)


class SnapshotStore(Protocol):
    """Where the rows come from; ``version`` grows with every change."""

    async def version(self) -> int:
        """The number of the newest change."""

    async def load_snapshot(self) -> SnapshotRows:
        """All that the request path needs to know, as it stood at one moment."""


class LiveSnapshot:
    """Loads the snapshot, and again when the version has moved: asked every ``interval`` seconds and after a change."""

    def __init__(
        self,
        current: CurrentSnapshot,
        store: SnapshotStore,
        providers: Sequence[ProviderEntry],
        configured: Sequence[Account],
        *,
        state: State,
        credentials: Credentials,
        interval: float = 1.0,
    ) -> None:
        self._current = current
        self._store = store
        self._providers = {entry.id: entry for entry in providers}
        self._configured = configured
        self._state = state
        self._credentials = credentials
        self._interval = interval
        self._task: asyncio.Task[None] | None = None
        self._loading = asyncio.Lock()
        self._failing = False
        self._revisions: Mapping[str, datetime] = {}
        self._hinted = asyncio.Event()
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

    async def reload(self) -> None:
        """Make the snapshot what is stored now. Raises :class:`UnavailableError`; the old one stands then."""
        async with self._loading:
            rows = await self._store.load_snapshot()
            before = self._current.value
            after = Snapshot(
                version=rows.version,
                accounts=self._accounts(rows.accounts, before),
                keys={
                    key.id: KeyEntry(id=key.id, hash=key.hash, role=key.role, expires_at=key.expires_at)
                    for key in rows.keys
                },
            )
            self._current.value = after
            self._settle(before, after)

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

    def _accounts(self, rows: Sequence[StoredAccount], before: Snapshot) -> Mapping[str, tuple[Account, ...]]:
        known = before.by_id
        revisions = {row.id: row.updated_at for row in rows}
        found: dict[str, list[Account]] = {}
        for account in self._configured:
            found.setdefault(account.provider_id, []).append(account)
        for row in rows:
            account_or_none = self._account(row)
            if account_or_none is not None:
                # An account that did not change stays the same object, and so keeps its auth flow. That its tokens were
                # renewed is no change: whoever holds it has the new ones already, or will read them when it needs them.
                same = known.get(row.id)
                renewed = self._providers[row.provider_id].renews and self._revisions.get(row.id) == row.updated_at
                account = same if same is not None and (renewed or same == account_or_none) else account_or_none
                found.setdefault(row.provider_id, []).append(account)
        self._revisions = revisions
        return {provider: tuple(accounts) for provider, accounts in found.items()}

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
        )

    def _settle(self, before: Snapshot, after: Snapshot) -> None:
        """An account that was changed is given a new chance; one that is gone is let go of."""
        old, new = before.by_id, after.by_id
        for account_id, account in old.items():
            if new.get(account_id) is not account:
                self._state.clear(account_id)
        self._credentials.forget(old.keys() - new.keys())
