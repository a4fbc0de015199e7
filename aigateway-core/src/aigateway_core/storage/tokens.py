"""The tokens of accounts while they are renewed: who may spend a refresh token, and what came of it.

A refresh token may be good for one use only. So whoever is about to spend one says so in the account's row before
(:meth:`Tokens.claim`), which also proves that what comes back can be written; and writes what came back over exactly
the tokens that were spent (:meth:`Tokens.keep`): ``auth_generation`` counts the writings, and a late writer finds none
of his. Renewing is no change of an operator's: it leaves ``updated_at`` and the audit log alone, unless it gives life
back to an account that was marked as dead.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aigateway_core.storage.accounts import sealed_auth_data
from aigateway_core.storage.columns import clipped, later, now, to_column, to_naive
from aigateway_core.storage.database import Change, Database, Session
from aigateway_core.storage.rows import SYSTEM
from aigateway_core.vault import KeyRing

_GRACE_SECONDS = 2.0
"""How long a token that somebody may have spent without a word is left alone: several times what lies between two tries
to store the next one."""


class Tokens:
    """Claims, and what is kept under them. None of the methods knows what the tokens are."""

    def __init__(self, database: Database, keyring: KeyRing) -> None:
        self._database = database
        self._keyring = keyring

    async def claim(self, account_id: str, generation: int, attempt: str, seconds: float) -> bool:
        """Announce that ``attempt`` spends the refresh token of this generation, within ``seconds``.

        False when the account is gone, its tokens are others by now, or another attempt has announced itself. One that
        has ended without a word may have lost the database with the next token in its hands: so whoever finds it waits
        a moment for that, and asks again.
        """

        def unit(session: Session) -> bool:
            row = _of_generation(session, account_id, generation)
            moment = _clock(session)
            if row is None or _is_claimed(row, moment, seconds):
                return False
            is_ours = row.refresh_attempt in {None, attempt}
            row.set(
                refresh_attempt=attempt,
                refresh_until=moment + timedelta(seconds=seconds if is_ours else _GRACE_SECONDS),
            )
            return is_ours

        return await self._database.transaction(unit)

    async def keep(
        self, account_id: str, generation: int, auth_data: Mapping[str, Any], expires_at: datetime | None
    ) -> bool:
        """Store what a renewal brought, in place of the tokens of this generation.

        False when those are not there any more: somebody else has stored newer ones. If a login was asked for because
        of those, it is no longer needed.
        """

        def unit(session: Session) -> tuple[bool, tuple[Change, ...]]:
            row = _of_generation(session, account_id, generation)
            if row is None:
                return False, ()
            was_dead = row.status == "needs_login"
            if was_dead:
                row.set(status="active", status_reason=None, status_until=None, updated_at=later(row.updated_at))
            row.set(
                auth_data=sealed_auth_data(self._keyring, account_id, auth_data),
                auth_generation=generation + 1,
                expires_at=to_column(expires_at),
                refresh_attempt=None,
                refresh_until=None,
            )
            change = Change(action="account.renewed_late", entity="account", entity_id=account_id)
            return True, (change,) if was_dead else ()

        return await self._database.change(SYSTEM, unit)

    async def release(self, account_id: str, attempt: str) -> None:
        """Take back an announcement: nothing came of the attempt, and another one need not wait."""

        def unit(session: Session) -> None:
            row = session.entities.account.get_for_update(id=account_id)
            if row is not None and row.refresh_attempt == attempt:
                row.set(refresh_attempt=None, refresh_until=None)

        await self._database.transaction(unit)

    async def need_login(self, account_id: str, generation: int, reason: str) -> bool:
        """Mark the account: its tokens of this generation are dead, and only a login brings new ones.

        False when they are not there any more. The mark is a change that every process is told of.
        """

        def unit(session: Session) -> tuple[bool, tuple[Change, ...]]:
            row = _of_generation(session, account_id, generation)
            if row is None:
                return False, ()
            if row.status == "needs_login":
                return True, ()
            row.set(
                status="needs_login",
                status_reason=clipped(reason, 255),
                status_until=None,
                status_remedy=None,
                refresh_attempt=None,
                refresh_until=None,
            )
            detail = {"reason": reason}
            return True, (Change(action="account.needs_login", entity="account", entity_id=account_id, detail=detail),)

        return await self._database.change(SYSTEM, unit)


def _of_generation(session: Session, account_id: str, generation: int) -> Any:
    """The account's row, locked, if its tokens are still of this generation."""
    row = session.entities.account.get_for_update(id=account_id)
    return row if row is not None and row.auth_generation == generation else None


def _is_claimed(row: Any, moment: datetime, seconds: float) -> bool:
    """Whether somebody may be spending the token now.

    A claim for longer than any is made is of a clock that was set back since: it would stand as long as that.
    """
    ends = row.refresh_until
    return ends is not None and moment < ends <= moment + timedelta(seconds=2 * max(seconds, _GRACE_SECONDS))


def _clock(session: Session) -> datetime:
    """The time by which claims are measured, the same for every process: the server's, or this machine's."""
    if session.is_sqlite:
        return to_naive(now())
    moment = session.select("SELECT UTC_TIMESTAMP(6)")[0]
    return to_naive(moment.replace(tzinfo=UTC))
