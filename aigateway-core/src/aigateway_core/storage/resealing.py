"""Sealing again, with the first key of the ring, what older keys have sealed.

It goes by slices, each a transaction of its own, so that nobody waits long and one that was stopped is simply run
again. The word by which a start knows its master key comes last: until then a ring without the older key is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from aigateway_core.storage.database import Change, Database, Session
from aigateway_core.storage.keys import valid_keys
from aigateway_core.storage.rows import Actor
from aigateway_core.vault import KeyRing, Place, VaultError

_SLICE = 100
_MOST_PASSES = 5
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "accounts": ("auth_data", "proxy_url"),
    "proxy_pool": ("url",),
    "oauth_logins": ("data",),
}


@attrs.frozen(kw_only=True)
class Resealed:
    """What a rotation did: the public name of the key, how many rows of each table were sealed again with it.

    ``unreadable`` are places that no key of the ring opens. ``older_keys`` are the gateway's own keys (by role and
    name) whose hashes still need an older master key: what they are is known to their holders alone.
    """

    key: str
    rows: Mapping[str, int]
    unreadable: tuple[str, ...] = ()
    older_keys: tuple[str, ...] = ()


@attrs.define
class _Tally:
    rows: dict[str, int] = attrs.field(factory=lambda: dict.fromkeys(_COLUMNS, 0))
    unreadable: set[str] = attrs.field(factory=set)


class Secrets:
    """All that is sealed in this database; ``canary`` is the place of the word that tells whether a master key fits."""

    def __init__(self, database: Database, keyring: KeyRing, canary: Place) -> None:
        self._database = database
        self._keyring = keyring
        self._canary = canary

    async def reseal(self, actor: Actor) -> Resealed:
        """Seal everything with the ring's first key. What is sealed with it already stays as it is."""
        tally = _Tally()
        for _ in range(_MOST_PASSES):
            before = sum(tally.rows.values())
            for table in _COLUMNS:
                await self._reseal_table(table, tally)
            # A gateway that still runs with the older key in the first place may have sealed more meanwhile.
            if sum(tally.rows.values()) == before:
                break
        return await self._database.change(actor, lambda session: self._finish(session, tally))

    async def _reseal_table(self, table: str, tally: _Tally) -> None:
        last: Any = 0 if table == "proxy_pool" else ""
        while last is not None:

            def slice_of(session: Session, after: Any = last) -> tuple[Any, int, set[str]]:
                return self._slice(session, table, after)

            last, count, unreadable = await self._database.transaction(slice_of)
            tally.rows[table] += count
            tally.unreadable |= unreadable

    def _slice(self, session: Session, table: str, after: Any) -> tuple[Any, int, set[str]]:
        """The last row that was looked at, None when there are no more; how many were sealed, and what did not open."""
        stale = " OR ".join(f"{column} NOT LIKE $current" for column in _COLUMNS[table])
        found = session.select(
            f"SELECT id FROM {table} WHERE id > $after AND ({stale}) ORDER BY id LIMIT {_SLICE}",  # noqa: S608 - ours
            after=after,
            current=self._keyring.mark + "%",
        )
        count, unreadable = 0, set[str]()
        for row_id in found:
            row = _entity(session, table).get_for_update(id=row_id)
            if row is not None:
                problems = self._reseal_row(session, table, row)
                unreadable |= problems
                count += not problems
        return (found[-1] if found else None), count, unreadable

    def _reseal_row(self, session: Session, table: str, row: Any) -> set[str]:
        unreadable = set()
        for column in _COLUMNS[table]:
            sealed, place = getattr(row, column), Place(table, column, str(row.id))
            if sealed is None or sealed.startswith(self._keyring.mark):
                continue
            try:
                text = self._keyring.open(sealed, place)
            except VaultError:
                unreadable.add(str(place))
                continue
            row.set(**{column: self._keyring.seal(text, place)})
            if table == "proxy_pool":
                self._mark_again(session, row, text)
        return unreadable

    def _mark_again(self, session: Session, row: Any, url: str) -> None:
        """The fingerprint that keeps a proxy from being added twice hangs on the master key as well."""
        found = self._keyring.fingerprint(url)
        if session.entities.proxy.get(fingerprint=found) is None:
            row.set(fingerprint=found)

    def _finish(self, session: Session, tally: _Tally) -> tuple[Resealed, tuple[Change, ...]]:
        canary = session.entities.fact.get_for_update(name=self._canary.row)
        is_stale = not canary.value.startswith(self._keyring.mark)
        if is_stale:
            canary.value = self._keyring.seal(self._keyring.open(canary.value, self._canary), self._canary)
        done = Resealed(
            key=self._keyring.kids[0],
            rows=tally.rows,
            unreadable=tuple(sorted(tally.unreadable)),
            older_keys=self._older_keys(session),
        )
        if not is_stale and not any(tally.rows.values()):
            return done, ()
        detail = {"key": done.key, **tally.rows, "unreadable": len(done.unreadable)}
        return done, (Change(action="secrets.rotate", entity="master_key", entity_id=done.key, detail=detail),)

    def _older_keys(self, session: Session) -> tuple[str, ...]:
        return tuple(
            f"{key.role} key {key.name!r} of {key.created_at:%Y-%m-%d}"
            for key in valid_keys(session)
            if not key.hash.startswith(self._keyring.mark)
        )


def _entity(session: Session, table: str) -> Any:
    entities = session.entities
    return {"accounts": entities.account, "proxy_pool": entities.proxy, "oauth_logins": entities.login}[table]
