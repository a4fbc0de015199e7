"""Stores what renewals bring: on disk at once, in the database as soon as that takes it, and never not at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from aigateway_core.errors import UnavailableError
from aigateway_core.token_spool import RenewedTokens, TokenSpool

log = logging.getLogger(__name__)

_PAUSE = 0.5
"""Seconds between two tries to store what waits."""

_LAST_TRIES = 5.0
"""Seconds that the end of a process waits for a database that may come back."""


class KeepsTokens(Protocol):
    """Where tokens are stored."""

    async def keep(
        self, account_id: str, generation: int, auth_data: Mapping[str, Any], expires_at: datetime | None
    ) -> bool:
        """Store new tokens in place of those of this generation; false when they are not there any more.

        Raises :class:`UnavailableError`.
        """


class TokenKeeper:
    """Between a renewal and the database. Without a ``spool`` what cannot be stored is in memory alone."""

    def __init__(self, tokens: KeepsTokens, spool: TokenSpool | None = None) -> None:
        self._tokens = tokens
        self._spool = spool
        self._waiting: dict[tuple[str, int], RenewedTokens] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Store what an earlier process has left on disk, before anybody spends what it has spent already."""
        if self._spool is not None:
            try:
                left = await asyncio.to_thread(self._spool.all)
            except OSError as error:
                log.error("the renewed tokens in %s cannot be read: %s", self._spool.folder, error.strerror)
                left = ()
            self._waiting |= {(tokens.account_id, tokens.spent): tokens for tokens in left}
        if not await self._store_waiting():
            self._store_later()

    async def keep(self, tokens: RenewedTokens) -> bool:
        """Store these in place of what they were renewed from; false when something else is stored there by now.

        When there is no database they are kept until there is one, and that counts as stored.
        """
        spooled = await self._to_disk(tokens)
        try:
            kept = await self.store(tokens)
        except UnavailableError:
            # The old token is spent, so the new one is all there is: it serves from memory until it can be stored.
            where = "waits on disk" if spooled else "is in memory alone"
            log.error("the renewed token of the account %s cannot be stored yet and %s", tokens.account_id, where)
            self._waiting[tokens.account_id, tokens.spent] = tokens
            self._store_later()
            return True
        return kept

    async def store(self, tokens: RenewedTokens) -> bool:
        """Put these into the database. Raises :class:`UnavailableError`; they go on waiting then."""
        kept = await self._tokens.keep(tokens.account_id, tokens.spent, tokens.auth_data, tokens.expires_at)
        self._waiting.pop((tokens.account_id, tokens.spent), None)
        if self._spool is not None:
            try:
                await asyncio.to_thread(self._spool.remove, tokens)
            except OSError as error:
                log.warning("what was stored stays in %s too: %s", self._spool.folder, error.strerror)
        return kept

    async def waiting(self, account_id: str, generation: int) -> RenewedTokens | None:
        """What was renewed from the tokens of this generation on this machine, and is not stored yet."""
        found = self._waiting.get((account_id, generation))
        if found is not None or self._spool is None:
            return found
        return await asyncio.to_thread(self._spool.of, account_id, generation)

    async def aclose(self) -> None:
        """Wait a little for tokens that could not be stored yet."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_LAST_TRIES)
            self._task.cancel()
        for tokens in self._waiting.values():
            after = "may need a login" if self._spool is None else "is as it was until the next start stores it"
            log.error("a renewed token could not be stored before the end: the account %s %s", tokens.account_id, after)

    async def _to_disk(self, tokens: RenewedTokens) -> bool:
        if self._spool is None:
            return False
        try:
            await asyncio.to_thread(self._spool.put, tokens)
        except OSError as error:
            log.error("renewed tokens cannot be kept in %s meanwhile: %s", self._spool.folder, error.strerror)
            return False
        return True

    def _store_later(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._store_until_done(), name="store tokens")

    async def _store_until_done(self) -> None:
        while not await self._store_waiting():  # noqa: ASYNC110 - a database tells nobody that it is back
            await asyncio.sleep(_PAUSE)

    async def _store_waiting(self) -> bool:
        """Whether nothing waits any more."""
        for tokens in list(self._waiting.values()):
            try:
                await self.store(tokens)
            except UnavailableError:
                return False
            except Exception:
                # What is on disk stays there for the next start; the others need not wait for it.
                self._waiting.pop((tokens.account_id, tokens.spent), None)
                log.exception("the renewed token of the account %s cannot be stored", tokens.account_id)
            else:
                log.warning("the renewed token of the account %s has been stored", tokens.account_id)
        return True
