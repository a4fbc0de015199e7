"""The request log: call records, written in batches and read newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import attrs
import orjson

from aigateway_core.records import CallRecord, attempt_of
from aigateway_core.storage.columns import clipped, from_column, from_json, storable, to_text
from aigateway_core.storage.database import Database, Session
from aigateway_core.storage.rows import CallQuery
from aigateway_core.storage.tallies import add_up

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
_EQUAL = ("provider_id", "account_id", "model", "outcome", "client_key_id")
_BOUNDS = {"since": "created_at >= $since", "until": "created_at < $until"}
_PLACE = "SELECT created_at, seq FROM request_logs WHERE id = $id"


class Calls:
    """Writes and reads call records."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert_many(self, records: Sequence[CallRecord]) -> Sequence[CallRecord]:
        """Write a batch with all that it adds up to, whole or not at all, and return those that are new.

        A record that is there already is kept and counts for nothing: batches can be repeated.
        """
        rows = [_row(record) for record in records]

        def unit(session: Session) -> Sequence[CallRecord]:
            fresh = [records[place] for place in session.insert_new(_INSERT, rows)]
            add_up(session, fresh)
            return fresh

        return await self._database.transaction(unit) if rows else ()

    async def list(self, query: CallQuery | None = None) -> tuple[CallRecord, ...]:
        """The newest records that fit, newest first."""
        query = query or CallQuery()
        wanted: dict[str, object] = {name: value for name in _EQUAL if (value := getattr(query, name)) is not None}
        if not all(storable(str(value), _WIDTHS[name]) for name, value in wanted.items()):
            return ()
        conditions = [f"{name} = ${name}" for name in wanted]
        for name, condition in _BOUNDS.items():
            if (moment := getattr(query, name)) is not None:
                wanted[name] = to_text(moment)
                conditions.append(condition)

        def unit(session: Session) -> tuple[CallRecord, ...]:
            if query.before is not None:
                found = session.select(_PLACE, id=query.before) if storable(query.before, _WIDTHS["id"]) else ()
                if not found:
                    return ()
                wanted["at"], wanted["seq"] = found[0]
                conditions.append("created_at <= $at AND (created_at < $at OR seq < $seq)")
            rows = session.select(_listing(conditions), **wanted, most=query.limit, skipped=query.offset)
            return tuple(_record(row) for row in rows)

        return await self._database.read(unit)

    async def delete_before(self, moment: datetime, most: int) -> int:
        """Delete up to so many of the oldest records from before ``moment``; returns how many it were.

        Nothing is locked for longer than that takes, and nobody waits for it but who reads those very rows.
        """

        def unit(session: Session) -> int:
            old = session.select(
                "SELECT seq FROM request_logs WHERE created_at < $moment ORDER BY created_at, seq LIMIT $most",
                moment=to_text(moment),
                most=most,
            )
            session.execute_many("DELETE FROM request_logs WHERE seq = ?", [(seq,) for seq in sorted(old)])
            return len(old)

        return await self._database.transaction(unit)


def _listing(conditions: Sequence[str]) -> str:
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    newest = "ORDER BY created_at DESC, seq DESC LIMIT $most OFFSET $skipped"
    return f"SELECT {', '.join(_COLUMNS)} FROM request_logs{where} {newest}"  # noqa: S608 - constants


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
    values["attempts"] = tuple(map(attempt_of, from_json(values["attempts"])))
    values.update((name, bool(values[name])) for name in _FLAGS)
    return CallRecord(**values)
