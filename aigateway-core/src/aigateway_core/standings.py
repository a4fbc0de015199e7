"""What the request path finds out about accounts, written down: no restart forgets it, and every process can tell it.

A ban or an unpaid bill does not pass by itself: it is written into the account's row, and everybody is told. A limit
passes: if that takes a while, it is written beside the accounts, for whoever starts or asks. What a provider has found
out about an account is added to its metadata. All of it is written behind the back of the request, once, whenever there
is a database to write to; until then a rest stands in the state, as every rest does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias

import attrs

from aigateway_core.errors import ErrorKind, UnavailableError
from aigateway_core.records import Account
from aigateway_core.state import Cooldown
from aigateway_core.storage.rows import AccountRest, Status

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two tries while the database is away."""

_FAREWELL_SECONDS = 2.0

_SHORTEST_REST = 59.0
"""Seconds. A rest of a minute is kept; what is shorter is over before it has been read, or a restart has ended."""

_SLACK = 10.0
"""Seconds that a rest may be prolonged by without being written again: requests that fail together each prolong it."""

_MOST_RESTS = 4096
"""Rests to remember that they were written. Callers make up the names of models, so there is a bound."""

_SWEEP_SECONDS = 3600.0
"""How often those that are over are deleted."""


class AccountRows(Protocol):
    """Where accounts are kept."""

    async def put_out_of_use(
        self, account_id: str, revision: datetime, status: Status, reason: str, remedy: str | None
    ) -> bool:
        """Mark an account; false when that has been done, or the account has been changed since ``revision``."""

    async def learn(self, account_id: str, metadata: Mapping[str, Any]) -> bool:
        """Add to an account's metadata; false when nothing is new."""


class RestRows(Protocol):
    """Where rests are kept."""

    async def keep(self, rests: Sequence[AccountRest]) -> None:
        """Store these; of two of the same account and reach the longer one counts."""

    async def forget_ended(self) -> None:
        """Delete those that are over."""


@attrs.frozen
class _Found:
    revision: datetime
    status: Status
    reason: str
    remedy: str | None


_Places: TypeAlias = dict[tuple[str, str], AccountRest]


class _Rests:
    """The rests that are to be written, and those that have been."""

    def __init__(self) -> None:
        self._waiting: _Places = {}
        self._noted: _Places = {}
        self._sweep_at = 0.0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, rest: AccountRest) -> None:
        """Remember it to be written, unless that would say nothing new."""
        place = rest.account_id, rest.reach
        known = self._noted.get(place)
        if known is not None and _adds_little(known, rest):
            return
        if known is None and len(self._noted) >= _MOST_RESTS:
            self._noted = _still(self._noted)
        if known is not None or len(self._noted) < _MOST_RESTS:
            self._noted[place] = self._waiting[place] = rest

    async def write(self, rows: RestRows) -> None:
        """Write all that wait, at once. Raises :class:`UnavailableError`; they wait on then."""
        self._waiting = _still(self._waiting)
        batch = dict(self._waiting)
        try:
            await self._sweep(rows)
            await rows.keep(tuple(batch.values()))
        except UnavailableError:
            raise
        except Exception:
            log.exception("the rests of %d accounts could not be written", len({name for name, _ in batch}))
        self._waiting = {place: rest for place, rest in self._waiting.items() if batch.get(place) is not rest}

    async def _sweep(self, rows: RestRows) -> None:
        if time.monotonic() >= self._sweep_at:
            await rows.forget_ended()
            self._sweep_at = time.monotonic() + _SWEEP_SECONDS


class Standings:
    """Takes in what the request path finds out, without keeping it waiting; of each account one finding at most."""

    def __init__(self) -> None:
        self._rows: AccountRows | None = None
        self._rest_rows: RestRows | None = None
        self._tell_of_change: Callable[[], Awaitable[None]] | None = None
        self._waiting: dict[str, _Found] = {}
        self._noted: dict[str, datetime] = {}
        self._learned: dict[str, Mapping[str, Any]] = {}
        self._rests = _Rests()
        self._task: asyncio.Task[None] | None = None

    def open(self, rows: AccountRows, rests: RestRows, changed: Callable[[], Awaitable[None]]) -> None:
        """Write to these rows from now on, and call ``changed`` after each account that was marked."""
        self._rows, self._rest_rows, self._tell_of_change = rows, rests, changed

    def note(self, account: Account, revision: datetime | None, reach: str, cooldown: Cooldown) -> None:
        """This account, as it was last changed at ``revision``, rests or is out of use; what is soon over is not kept.

        An account without a revision comes from the configuration: only its rests can be written.
        """
        if cooldown.passes:
            self._note_rest(account, revision, reach, cooldown)
        elif revision is not None and self._noted.get(account.id) != revision:
            self._note_for_good(account.id, revision, cooldown)
        self._begin()

    def learn(self, account_id: str, metadata: Mapping[str, Any]) -> None:
        """A provider has found this out about an account, and wants to find it in the account's metadata."""
        self._learned[account_id] = {**self._learned.get(account_id, {}), **metadata}
        self._begin()

    @property
    def _has_work(self) -> bool:
        return bool(self._waiting or self._rests or self._learned)

    def _begin(self) -> None:
        if self._rows is not None and self._has_work and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._write(), name="account-standings")

    def _note_rest(self, account: Account, revision: datetime | None, reach: str, cooldown: Cooldown) -> None:
        # A model that an account does not have is no state of the account's, and its name may be any caller's word.
        if cooldown.until - time.time() < _SHORTEST_REST or cooldown.reason == ErrorKind.MODEL_NOT_FOUND:
            return
        until = datetime.fromtimestamp(int(cooldown.until * 1000) / 1000, UTC)
        self._rests.add(
            AccountRest(
                account_id=account.id,
                reach=reach,
                reason=cooldown.reason,
                until=until,
                revision=revision,
                proxy_id=account.proxy_id,
            )
        )

    def _note_for_good(self, account_id: str, revision: datetime, cooldown: Cooldown) -> None:
        if cooldown.status == "banned" or cooldown.status == "disabled":
            self._noted[account_id] = revision
            self._waiting[account_id] = _Found(revision, cooldown.status, cooldown.reason, cooldown.remedy)

    async def aclose(self) -> None:
        """Write what waits, if that is possible now."""
        if self._task is None:
            return
        await asyncio.wait({self._task}, timeout=_FAREWELL_SECONDS)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _write(self) -> None:
        pause = _FIRST_PAUSE
        while self._has_work:
            try:
                await self._write_next()
            except UnavailableError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                pause = _FIRST_PAUSE

    async def _write_next(self) -> None:
        if self._waiting and self._rows is not None:
            await self._mark(self._rows, *next(iter(self._waiting.items())))
        elif self._learned and self._rows is not None:
            await self._keep(self._rows, *next(iter(self._learned.items())))
        elif self._rest_rows is not None:
            await self._rests.write(self._rest_rows)

    async def _mark(self, rows: AccountRows, account_id: str, found: _Found) -> None:
        try:
            marked = await rows.put_out_of_use(account_id, found.revision, found.status, found.reason, found.remedy)
            if marked:
                await self._tell(account_id, found)
        except UnavailableError:
            raise
        except Exception:
            log.exception("the status of the account %s could not be written", account_id)
        if self._waiting[account_id] is found:
            del self._waiting[account_id]

    async def _keep(self, rows: AccountRows, account_id: str, metadata: Mapping[str, Any]) -> None:
        try:
            if await rows.learn(account_id, metadata) and self._tell_of_change is not None:
                await self._tell_of_change()
        except UnavailableError:
            raise
        except Exception:
            log.exception("what was found out about the account %s could not be written", account_id)
        if self._learned[account_id] is metadata:
            del self._learned[account_id]

    async def _tell(self, account_id: str, found: _Found) -> None:
        hint = f": {found.remedy}" if found.remedy else ""
        log.warning("the account %s is %s (%s) until it is mended%s", account_id, found.status, found.reason, hint)
        if self._tell_of_change is not None:
            await self._tell_of_change()


def _adds_little(known: AccountRest, rest: AccountRest) -> bool:
    """Whether what is known says as much, of the same state of the account."""
    is_same = (known.revision, known.proxy_id) == (rest.revision, rest.proxy_id)
    return is_same and (rest.until - known.until).total_seconds() < _SLACK


def _still(rests: _Places) -> _Places:
    """Those that are not over."""
    now = datetime.now(UTC)
    return {place: rest for place, rest in rests.items() if rest.until > now}
