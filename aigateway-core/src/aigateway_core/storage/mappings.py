"""Names for models that an operator made up, and where they lead."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from aigateway_core.errors import ConflictError, NotFoundError
from aigateway_core.records import Target
from aigateway_core.storage.columns import (
    checked,
    clipped,
    from_column,
    from_json,
    later,
    now,
    refuse_stale,
    storable,
    to_json,
    to_naive,
)
from aigateway_core.storage.database import Change, Database, Session
from aigateway_core.storage.rows import UNSET, Actor, MappingPatch, NewMapping, Page, StoredMapping

_WIDTHS = {"alias": 255, "description": 1000}


class ModelMappings:
    """Reads and changes mappings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, *, is_active: bool | None = None, limit: int = 20, offset: int = 0) -> Page[StoredMapping]:
        """Mappings by alias, switched on or off or either."""

        def unit(session: Session) -> Page[StoredMapping]:
            table = session.entities.mapping
            rows = table.select() if is_active is None else table.select().filter(is_active=is_active)
            page = rows.order_by(table.alias).limit(limit, offset=offset)
            return Page(rows=tuple(map(_value, page)), total=rows.count())

        return await self._database.read(unit)

    async def get(self, alias: str) -> StoredMapping:
        """One of them. Raises :class:`NotFoundError`."""
        return await self._database.read(lambda session: _value(_find(session, alias)))

    async def create(self, new: NewMapping, actor: Actor) -> StoredMapping:
        """Add one. Raises :class:`InvalidRequestError`, and :class:`ConflictError` for an alias that is taken."""

        def unit(session: Session) -> tuple[StoredMapping, tuple[Change, ...]]:
            moment = to_naive(now())
            given = attrs.asdict(new, recurse=False)
            columns = {name: _column(name, value) for name, value in given.items()}
            if session.entities.mapping.get(alias=columns["alias"]) is not None:
                raise ConflictError(f"there is a mapping {new.alias!r} already: change that one")
            row = session.entities.mapping(created_at=moment, updated_at=moment, **columns)
            return _value(row), (_change("create", row, columns),)

        return await self._database.change(actor, unit)

    async def update(
        self, alias: str, patch: MappingPatch, actor: Actor, *, expected_updated_at: datetime | None = None
    ) -> StoredMapping:
        """Change the given fields.

        Raises :class:`NotFoundError`, :class:`InvalidRequestError`, and :class:`StaleChangeError` when it was changed
        since ``expected_updated_at``.
        """
        given = {name: value for name, value in attrs.asdict(patch, recurse=False).items() if value is not UNSET}

        def unit(session: Session) -> tuple[StoredMapping, tuple[Change, ...]]:
            row = _find(session, alias)
            refuse_stale(row, expected_updated_at)
            if not given:
                return _value(row), ()
            columns = {name: _column(name, value) for name, value in given.items()}
            detail = {name: {"from": getattr(row, name), "to": value} for name, value in columns.items()}
            row.set(**columns, updated_at=later(row.updated_at))
            return _value(row), (_change("update", row, detail),)

        return await self._database.change(actor, unit)

    async def delete(self, alias: str, actor: Actor, *, expected_updated_at: datetime | None = None) -> None:
        """Remove one. Raises :class:`NotFoundError`, :class:`StaleChangeError`."""

        def unit(session: Session) -> tuple[None, tuple[Change, ...]]:
            row = _find(session, alias)
            refuse_stale(row, expected_updated_at)
            removed = _change("delete", row, {"targets": row.targets})
            row.delete()
            return None, (removed,)

        await self._database.change(actor, unit)


def active_mappings(session: Session) -> tuple[StoredMapping, ...]:
    """Those that are switched on, by alias."""
    table = session.entities.mapping
    return tuple(map(_value, table.select().filter(is_active=True).order_by(table.alias)))


def _value(row: Any) -> StoredMapping:
    return StoredMapping(
        alias=row.alias,
        targets=tuple(Target(**target) for target in from_json(row.targets)),
        description=row.description,
        is_active=row.is_active,
        created_at=from_column(row.created_at),
        updated_at=from_column(row.updated_at),
    )


def _find(session: Session, alias: str) -> Any:
    row = session.entities.mapping.get(alias=alias) if alias and storable(alias, _WIDTHS["alias"]) else None
    if row is None:
        raise NotFoundError(f"there is no mapping {alias[:64]!r}")
    return row


def _column(name: str, value: Any) -> Any:
    """What is stored of a field."""
    if name == "targets":
        return to_json(tuple(attrs.asdict(target) for target in value))
    return checked(value, name, _WIDTHS[name]) if name in _WIDTHS else value


def _change(verb: str, row: Any, detail: dict[str, Any]) -> Change:
    """The audit log's own column is narrower than an alias may be, so the whole of it stands in the detail."""
    name = clipped(row.alias, 64) or ""
    return Change(action=f"mapping.{verb}", entity="mapping", entity_id=name, detail={"alias": row.alias, **detail})
