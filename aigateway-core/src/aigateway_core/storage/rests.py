"""Rests of accounts that pass by themselves: kept, so that a restart does not end them and every process can tell them.

They change often and matter for a while, so that they are no change of an operator's: neither the audit log nor the
version hears of them. Nor is any of them taken back. A rest holds only for the account as it was when the rest was
found out; whoever changes the account, or binds it to another outbound proxy, ends its rests by that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from aigateway_core.storage import bindings
from aigateway_core.storage.columns import clipped, from_column, from_optional, now, storable, to_text
from aigateway_core.storage.database import Database, Session
from aigateway_core.storage.rows import AccountRest

_WIDTHS = {"account_id": 64, "reach": 255}
_LONGEST_REASON = 255

_OF_CONFIGURATION = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands in the column for the revision that an account of the configuration does not have."""

_COLUMNS = ("account_id", "reach", "proxy_id", "reason", "ends_at", "revision")
_INSERT = f"INSERT INTO account_rests ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 - constants
# Of two findings the one that was made of the newer account counts, then the one that lasts longer.
_ON_SQLITE = (
    f"{_INSERT} ON CONFLICT (account_id, reach, proxy_id) DO UPDATE SET"
    " reason = excluded.reason, ends_at = excluded.ends_at, revision = excluded.revision"
    " WHERE excluded.revision > revision OR (excluded.revision = revision AND excluded.ends_at > ends_at)"
)
_COUNTS = "VALUES(revision) > revision OR (VALUES(revision) = revision AND VALUES(ends_at) > ends_at)"
# Assigned from left to right, and each condition sees what is to its left: what it asks for comes last.
_ON_MYSQL = (
    f"{_INSERT} ON DUPLICATE KEY UPDATE reason = IF({_COUNTS}, VALUES(reason), reason),"
    f" ends_at = IF({_COUNTS}, VALUES(ends_at), ends_at), revision = GREATEST(revision, VALUES(revision))"
)
_STANDING = (
    "SELECT r.account_id, r.reach, r.reason, r.ends_at, r.revision, r.proxy_id, a.updated_at FROM account_rests r"
    " LEFT JOIN accounts a ON a.id = r.account_id WHERE r.ends_at > $moment ORDER BY r.account_id, r.reach"
)


class Rests:
    """Which accounts rest, for what, and until when."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, rests: Sequence[AccountRest]) -> None:
        """Store these. Of two of the same account and reach the one of the newer revision counts, then the longer."""
        # In one order for everybody, so that two processes cannot wait for each other's rows.
        found = sorted(filter(_is_storable, rests), key=lambda rest: (rest.account_id, rest.reach))
        rows = [_row(rest) for rest in found]
        if rows:
            await self._database.transaction(
                lambda session: session.execute_many(_ON_SQLITE if session.is_sqlite else _ON_MYSQL, rows)
            )

    async def standing(self) -> tuple[AccountRest, ...]:
        """Those that hold now, by account and reach."""
        return await self._database.read(standing_rests)

    async def forget_ended(self) -> None:
        """Delete those that are over."""
        moment = to_text(now())
        await self._database.transaction(
            lambda session: session.execute("DELETE FROM account_rests WHERE ends_at <= ?", moment)
        )

    async def forget_configured(self) -> None:
        """Delete those of accounts that the configuration brings: nothing else gives them a new chance."""
        revision = to_text(_OF_CONFIGURATION)
        await self._database.transaction(
            lambda session: session.execute("DELETE FROM account_rests WHERE revision = ?", revision)
        )


def standing_rests(session: Session) -> tuple[AccountRest, ...]:
    """Those that are not over, of accounts that are as they were."""
    bound = bindings.current(session)
    return tuple(_holding(session.select(_STANDING, moment=to_text(now())), bound))


def _holding(rows: Sequence[Any], bound: dict[str, int]) -> Iterator[AccountRest]:
    for account_id, reach, reason, ends_at, revision, proxy_id, updated_at in rows:
        changed = from_optional(updated_at) or _OF_CONFIGURATION
        if from_column(revision) == changed and proxy_id == bound.get(account_id, 0):
            yield AccountRest(
                account_id=account_id,
                reach=reach,
                reason=reason,
                until=from_column(ends_at),
                revision=None if changed == _OF_CONFIGURATION else changed,
                proxy_id=proxy_id or None,
            )


def _is_storable(rest: AccountRest) -> bool:
    """Names of models come from callers, and some fit into no column: such a rest stays where it was found."""
    return all(storable(getattr(rest, name), width) for name, width in _WIDTHS.items())


def _row(rest: AccountRest) -> tuple[Any, ...]:
    revision, until = to_text(rest.revision or _OF_CONFIGURATION), to_text(rest.until)
    return rest.account_id, rest.reach, rest.proxy_id or 0, clipped(rest.reason, _LONGEST_REASON), until, revision
