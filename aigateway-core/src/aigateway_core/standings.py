"""Accounts that only somebody can mend: written down, so that no restart forgets them and every process knows of them.

A ban or an unpaid bill does not pass by itself. The request path finds it out and goes on; here it is written into the
account's row, once, whenever there is a database to write it to. Until then it stands in the state, as every rest does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

import attrs

from aigateway_core.errors import UnavailableError
from aigateway_core.state import Cooldown
from aigateway_core.storage.rows import Status

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two tries while the database is away."""

_FAREWELL_SECONDS = 2.0


class AccountRows(Protocol):
    """Where accounts are kept."""

    async def put_out_of_use(
        self, account_id: str, revision: datetime, status: Status, reason: str, remedy: str | None
    ) -> bool:
        """Mark an account; false when that has been done, or the account has been changed since ``revision``."""


@attrs.frozen
class _Found:
    revision: datetime
    status: Status
    reason: str
    remedy: str | None


class Standings:
    """Takes in what the request path finds out, without keeping it waiting; of each account one finding at most."""

    def __init__(self) -> None:
        self._rows: AccountRows | None = None
        self._tell_of_change: Callable[[], Awaitable[None]] | None = None
        self._waiting: dict[str, _Found] = {}
        self._noted: dict[str, datetime] = {}
        self._task: asyncio.Task[None] | None = None

    def open(self, rows: AccountRows, changed: Callable[[], Awaitable[None]]) -> None:
        """Write to these rows from now on, and call ``changed`` after each that was."""
        self._rows, self._tell_of_change = rows, changed

    def note(self, account_id: str, revision: datetime, cooldown: Cooldown) -> None:
        """This account is out of use, as it was last changed at ``revision``. What passes by itself is not kept."""
        if cooldown.passes or (cooldown.status != "banned" and cooldown.status != "disabled"):
            return
        if self._noted.get(account_id) == revision:
            return
        self._noted[account_id] = revision
        self._waiting[account_id] = _Found(revision, cooldown.status, cooldown.reason, cooldown.remedy)
        if self._rows is not None and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._write(self._rows), name="account-standings")

    async def aclose(self) -> None:
        """Write what waits, if that is possible now."""
        if self._task is None:
            return
        await asyncio.wait({self._task}, timeout=_FAREWELL_SECONDS)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _write(self, rows: AccountRows) -> None:
        pause = _FIRST_PAUSE
        while self._waiting:
            account_id, found = next(iter(self._waiting.items()))
            try:
                await self._mark(rows, account_id, found)
            except UnavailableError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            except Exception:
                log.exception("the status of the account %s could not be written", account_id)
            pause = _FIRST_PAUSE
            if self._waiting[account_id] is found:
                del self._waiting[account_id]

    async def _mark(self, rows: AccountRows, account_id: str, found: _Found) -> None:
        marked = await rows.put_out_of_use(account_id, found.revision, found.status, found.reason, found.remedy)
        if marked:
            hint = f": {found.remedy}" if found.remedy else ""
            log.warning("the account %s is %s (%s) until it is mended%s", account_id, found.status, found.reason, hint)
            if self._tell_of_change is not None:
                await self._tell_of_change()
