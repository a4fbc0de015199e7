"""The request log: call records, written in batches and read newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import attrs
import orjson

from aigateway_core.records import Attempt, CallRecord
from aigateway_core.storage.columns import clipped, from_column, from_json, storable, to_text
from aigateway_core.storage.database import Database, Session

_COLUMNS = tuple(field.name for field in attrs.fields(CallRecord))
_FLAGS = frozenset({"streamed", "native"})
_WIDTHS = {
    "id": 64,
    "request_id": 128,
    "dialect": 32,
    "client_key_id": 64,
    "outcome": 32,
    "model": 255,
    "upstream_model": 255,
    "provider_id": 64,
    "account_id": 64,
    "usage_source": 16,
    "operation": 32,
    "finish_reason": 64,
    "error_kind": 64,
    "error": 2000,
}
_MOST = 2**31 - 1
"""Counts and milliseconds beyond this are nonsense that an upstream said; the row is worth keeping all the same."""

_INSERT = f"INSERT INTO request_logs ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_ONCE_SQLITE = " ON CONFLICT (id) DO NOTHING"
_ONCE_MYSQL = " ON DUPLICATE KEY UPDATE id = id"


class Calls:
    """Writes and reads call records."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert_many(self, records: Sequence[CallRecord]) -> None:
        """Write a batch, all of it or nothing. A record that is there already is kept: batches can be repeated."""
        rows = [_row(record) for record in records]

        def unit(session: Session) -> None:
            session.execute_many(_INSERT + (_ONCE_SQLITE if session.is_sqlite else _ONCE_MYSQL), rows)

        if rows:
            await self._database.transaction(unit)

    async def list(
        self,
        *,
        limit: int = 100,
        provider_id: str | None = None,
        account_id: str | None = None,
        outcome: str | None = None,
        since: datetime | None = None,
    ) -> tuple[CallRecord, ...]:
        """The newest records that fit, newest first; ``since`` is included."""
        equal = {"provider_id": provider_id, "account_id": account_id, "outcome": outcome}
        wanted: dict[str, object] = {name: value for name, value in equal.items() if value is not None}
        if not all(storable(str(value), _WIDTHS[name]) for name, value in wanted.items()):
            return ()
        conditions = [f"{name} = ${name}" for name in wanted]
        if since is not None:
            wanted["since"] = to_text(since)
            conditions.append("created_at >= $since")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        statement = (
            f"SELECT {', '.join(_COLUMNS)} FROM request_logs{where} ORDER BY created_at DESC, seq DESC LIMIT $most"  # noqa: S608 - constants
        )

        def unit(session: Session) -> tuple[CallRecord, ...]:
            return tuple(_record(row) for row in session.select(statement, **wanted, most=limit))

        return await self._database.read(unit)


def _row(record: CallRecord) -> tuple[object, ...]:
    return tuple(_column(name, getattr(record, name)) for name in _COLUMNS)


def _column(name: str, value: Any) -> object:
    if name == "attempts":
        return orjson.dumps([attrs.asdict(attempt) for attempt in value]).decode()
    if name == "created_at":
        return to_text(value)
    if name in _WIDTHS:
        return clipped(value, _WIDTHS[name])
    return None if value is None else max(-_MOST, min(int(value), _MOST))


def _record(row: Sequence[Any]) -> CallRecord:
    values: dict[str, Any] = dict(zip(_COLUMNS, row, strict=True))
    values["created_at"] = from_column(values["created_at"])
    values["attempts"] = tuple(Attempt(**attempt) for attempt in from_json(values["attempts"]))
    values.update((name, bool(values[name])) for name in _FLAGS)
    return CallRecord(**values)
