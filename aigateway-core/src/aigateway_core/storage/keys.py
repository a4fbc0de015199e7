"""Keys of the gateway's own: made here, shown once, stored as hashes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import attrs

from aigateway_core.errors import NotFoundError
from aigateway_core.secret import Secret
from aigateway_core.storage.columns import (
    checked,
    from_column,
    from_json,
    from_optional,
    later,
    now,
    refuse_stale,
    to_column,
    to_json,
    to_naive,
)
from aigateway_core.storage.database import Change, Database, Session
from aigateway_core.storage.rows import UNSET, Actor, KeyPatch, KeyTerms, Page, Role, StoredKey
from aigateway_core.vault import KeyKind, KeyRing, key_id, new_key

_KIND: dict[Role, KeyKind] = {"admin": "adm", "client": "cli"}
_LISTS = ("providers", "models", "accounts")
_ALL = KeyTerms()


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

    async def get(self, public_id: str, role: Role) -> StoredKey:
        """One of this role. Raises :class:`NotFoundError`."""
        return await self._database.read(lambda session: key_value(_find(session, public_id, role)))

    async def all_active(self) -> tuple[StoredKey, ...]:
        """The keys that open something now."""
        return await self._database.read(valid_keys)

    async def create(
        self,
        role: Role,
        name: str,
        actor: Actor,
        *,
        expires_at: datetime | None = None,
        terms: KeyTerms = _ALL,
    ) -> tuple[StoredKey, Secret]:
        """Make a key. Raises :class:`InvalidRequestError`."""

        def unit(session: Session) -> tuple[tuple[StoredKey, Secret], tuple[Change, ...]]:
            made, change = self._add(session, role, name, expires_at, terms)
            return made, (change,)

        return await self._database.change(actor, unit)

    async def create_first(
        self, role: Role, name: str, actor: Actor, keep: Callable[[Secret], None] = lambda _: None
    ) -> tuple[StoredKey, Secret] | None:
        """Make a key, unless there is a valid one of this role: then None. Of several who try at once, one makes it.

        ``keep`` is given it before it counts, on another thread: where it raises, no key was made.
        """

        def unit(session: Session) -> tuple[tuple[StoredKey, Secret] | None, tuple[Change, ...]]:
            if any(key.role == role for key in valid_keys(session)):
                return None, ()
            made, change = self._add(session, role, name, None, _ALL)
            keep(made[1])
            return made, (change,)

        if any(key.role == role for key in await self.all_active()):
            return None
        return await self._database.change(actor, unit)

    async def replace(self, role: Role, name: str, actor: Actor) -> tuple[StoredKey, Secret]:
        """Revoke every key of this role and make a new one, at once."""

        def unit(session: Session) -> tuple[tuple[StoredKey, Secret], tuple[Change, ...]]:
            rows = session.entities.key.select().filter(role=role, revoked_at=None)
            revoked = [_revoke(row) for row in rows]
            made, change = self._add(session, role, name, None, _ALL)
            return made, (*revoked, change)

        return await self._database.change(actor, unit)

    async def update(
        self, public_id: str, role: Role, patch: KeyPatch, actor: Actor, *, expected_updated_at: datetime | None = None
    ) -> StoredKey:
        """Change the given fields.

        Raises :class:`NotFoundError`, :class:`InvalidRequestError`, and :class:`StaleChangeError` when the key was
        changed since ``expected_updated_at``.
        """
        given = {name: value for name, value in attrs.asdict(patch, recurse=False).items() if value is not UNSET}

        def unit(session: Session) -> tuple[StoredKey, tuple[Change, ...]]:
            row = _find(session, public_id, role)
            refuse_stale(row, expected_updated_at)
            if not given:
                return key_value(row), ()
            columns = {name: _column(name, value) for name, value in given.items()}
            detail = {name: {"from": _told(getattr(row, name)), "to": _told(value)} for name, value in columns.items()}
            row.set(**columns, updated_at=later(row.updated_at or row.created_at))
            return key_value(row), (_change("update", row, detail),)

        return await self._database.change(actor, unit)

    async def revoke(
        self, public_id: str, actor: Actor, role: Role | None = None, *, expected_updated_at: datetime | None = None
    ) -> StoredKey:
        """Make a key open nothing from now on; doing it twice is no mistake.

        Raises :class:`NotFoundError`, :class:`StaleChangeError`.
        """

        def unit(session: Session) -> tuple[StoredKey, tuple[Change, ...]]:
            row = _find(session, public_id, role)
            refuse_stale(row, expected_updated_at)
            changes = () if row.revoked_at is not None else (_revoke(row),)
            return key_value(row), changes

        return await self._database.change(actor, unit)

    def _add(
        self, session: Session, role: Role, name: str, expires_at: datetime | None, terms: KeyTerms
    ) -> tuple[tuple[StoredKey, Secret], Change]:
        key = new_key(_KIND[role])
        limits = {field: value for field, value in attrs.asdict(terms, recurse=False).items() if value is not None}
        row = session.entities.key(
            id=key_id(key.reveal()),
            name=checked(name, "name", 255),
            role=role,
            hash=self._keyring.hash_key(key.reveal()),
            created_at=to_naive(now()),
            expires_at=to_column(expires_at),
            **{field: _column(field, value) for field, value in limits.items()},
        )
        detail = {"name": name, "role": role, "expires_at": expires_at.isoformat() if expires_at else None, **limits}
        return (key_value(row), key), _change("create", row, detail)


def valid_keys(session: Session) -> tuple[StoredKey, ...]:
    """The keys that open something now, as values."""
    moment = now()
    rows = session.entities.key.select().filter(revoked_at=None)
    return tuple(key for key in map(key_value, rows) if key.is_valid(moment))


def client_keys_exist(session: Session) -> bool:
    """Whether there ever was a client key: where the last one has ended, the door does not open for everybody."""
    return session.entities.key.select().filter(role="client").first() is not None


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
        updated_at=from_column(row.updated_at or row.created_at),
        terms=KeyTerms(
            providers=_list(row.providers),
            models=_list(row.models),
            accounts=_list(row.accounts),
            requests_per_minute=row.requests_per_minute,
            concurrency=row.concurrency,
        ),
    )


def _revoke(row: Any) -> Change:
    row.set(revoked_at=to_naive(now()), updated_at=later(row.updated_at or row.created_at))
    return _change("revoke", row, {"name": row.name, "role": row.role})


def _find(session: Session, public_id: str, role: Role | None) -> Any:
    row = session.find(session.entities.key, "key", public_id)
    if role is not None and row.role != role:
        raise NotFoundError(f"there is no key {public_id[:64]!r}")
    return row


def _list(column: str | None) -> tuple[str, ...] | None:
    return None if column is None else tuple(from_json(column))


def _column(name: str, value: Any) -> Any:
    """What is stored of a field."""
    if name == "name":
        return checked(value, name, 255)
    if name == "expires_at":
        return to_column(value)
    return to_json(value) if name in _LISTS and value is not None else value


def _told(column: Any) -> Any:
    return column.isoformat() if isinstance(column, datetime) else column


def _change(verb: str, row: Any, detail: Mapping[str, Any]) -> Change:
    return Change(action=f"key.{verb}", entity="key", entity_id=row.id, detail=dict(detail))
