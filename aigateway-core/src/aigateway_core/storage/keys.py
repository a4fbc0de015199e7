"""Keys of the gateway's own: made here, shown once, stored as hashes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from aigateway_core.secret import Secret
from aigateway_core.storage.columns import checked, from_column, from_optional, now, to_column, to_naive, to_text
from aigateway_core.storage.database import Change, Database, Session
from aigateway_core.storage.rows import Actor, Page, Role, StoredKey
from aigateway_core.vault import KeyKind, KeyRing, key_id, new_key

_KIND: dict[Role, KeyKind] = {"admin": "adm", "client": "cli"}
_USED = "UPDATE api_keys SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at < ?)"


class Keys:
    """Reads, makes and revokes keys. What makes one gives it with the key itself, which nobody can read again."""

    def __init__(self, database: Database, keyring: KeyRing) -> None:
        self._database = database
        self._keyring = keyring

    async def list(self, *, role: Role | None = None, limit: int = 20, offset: int = 0) -> Page[StoredKey]:
        """Keys in the order of their making, revoked ones too."""

        def unit(session: Session) -> Page[StoredKey]:
            table = session.entities.key
            rows = table.select() if role is None else table.select().filter(role=role)
            page = rows.order_by(table.created_at, table.id).limit(limit, offset=offset)
            return Page(rows=tuple(key_value(row) for row in page), total=rows.count())

        return await self._database.read(unit)

    async def all_active(self) -> tuple[StoredKey, ...]:
        """The keys that open something now."""
        return await self._database.read(valid_keys)

    async def create(
        self, role: Role, name: str, actor: Actor, *, expires_at: datetime | None = None
    ) -> tuple[StoredKey, Secret]:
        """Make a key. Raises :class:`InvalidRequestError`."""

        def unit(session: Session) -> tuple[tuple[StoredKey, Secret], tuple[Change, ...]]:
            made, change = self._add(session, role, name, expires_at)
            return made, (change,)

        return await self._database.change(actor, unit)

    async def create_first(self, role: Role, name: str, actor: Actor) -> tuple[StoredKey, Secret] | None:
        """Make a key, unless there is a valid one of this role: then None. Of several who try at once, one makes it."""

        def unit(session: Session) -> tuple[tuple[StoredKey, Secret] | None, tuple[Change, ...]]:
            if any(key.role == role for key in valid_keys(session)):
                return None, ()
            made, change = self._add(session, role, name, None)
            return made, (change,)

        if any(key.role == role for key in await self.all_active()):
            return None
        return await self._database.change(actor, unit)

    async def replace(self, role: Role, name: str, actor: Actor) -> tuple[StoredKey, Secret]:
        """Revoke every key of this role and make a new one, at once."""

        def unit(session: Session) -> tuple[tuple[StoredKey, Secret], tuple[Change, ...]]:
            rows = session.entities.key.select().filter(role=role, revoked_at=None)
            revoked = [_revoke(row) for row in rows]
            made, change = self._add(session, role, name, None)
            return made, (*revoked, change)

        return await self._database.change(actor, unit)

    async def revoke(self, public_id: str, actor: Actor) -> StoredKey:
        """Make a key open nothing from now on; doing it twice is no mistake. Raises :class:`NotFoundError`."""

        def unit(session: Session) -> tuple[StoredKey, tuple[Change, ...]]:
            row = session.find(session.entities.key, "key", public_id)
            changes = () if row.revoked_at is not None else (_revoke(row),)
            return key_value(row), changes

        return await self._database.change(actor, unit)

    async def note_use(self, public_ids: Collection[str], when: datetime) -> None:
        """The keys were last used at ``when``. No change that anybody is told of."""
        moment = to_text(when)
        rows = [(moment, public_id, moment) for public_id in sorted(public_ids)]
        if rows:
            await self._database.transaction(lambda session: session.execute_many(_USED, rows))

    def _add(
        self, session: Session, role: Role, name: str, expires_at: datetime | None
    ) -> tuple[tuple[StoredKey, Secret], Change]:
        key = new_key(_KIND[role])
        row = session.entities.key(
            id=key_id(key.reveal()),
            name=checked(name, "name", 255),
            role=role,
            hash=self._keyring.hash_key(key.reveal()),
            created_at=to_naive(now()),
            expires_at=to_column(expires_at),
        )
        detail = {"name": name, "role": role, "expires_at": expires_at.isoformat() if expires_at else None}
        return (key_value(row), key), Change(action="key.create", entity="key", entity_id=row.id, detail=detail)


def valid_keys(session: Session) -> tuple[StoredKey, ...]:
    """The keys that open something now, as values."""
    moment = now()
    rows = session.entities.key.select().filter(revoked_at=None)
    return tuple(key for key in map(key_value, rows) if key.is_valid(moment))


def key_value(row: Any) -> StoredKey:
    """A row as a value."""
    return StoredKey(
        id=row.id,
        name=row.name,
        role=row.role,
        hash=row.hash,
        created_at=from_column(row.created_at),
        last_used_at=from_optional(row.last_used_at),
        revoked_at=from_optional(row.revoked_at),
        expires_at=from_optional(row.expires_at),
    )


def _revoke(row: Any) -> Change:
    row.revoked_at = to_naive(now())
    return Change(action="key.revoke", entity="key", entity_id=row.id, detail={"name": row.name, "role": row.role})
