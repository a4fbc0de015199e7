"""The request log: call records, written in batches and read newest first."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

import attrs
import orjson

from aigateway_core.records import Attempt, CallRecord, attempt_of
from aigateway_core.storage.columns import clipped, from_column, from_json, storable, to_text
from aigateway_core.storage.database import Database, Session
from aigateway_core.storage.rows import CallQuery
from aigateway_core.storage.tallies import add_up

_COLUMNS = tuple(field.name for field in attrs.fields(CallRecord))
_FLAGS = frozenset({"streamed", "native"})
_OF_ITS_OWN = frozenset({"id", "request_id", "created_at", "attempts"})
"""What is never empty, and another for each record."""

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

_MOST_ATTEMPTS = 4096
"""Attempts whose text is kept: most differ in their account and some milliseconds only."""

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

        def unit(session: Session) -> Sequence[CallRecord]:
            new = session.insert_new("request_logs", _COLUMNS, _rows(records))
            fresh = records if len(new) == len(records) else [records[place] for place in new]
            add_up(session, fresh)
            return fresh

        return await self._database.append(unit) if records else ()

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


def _rows(records: Sequence[CallRecord]) -> Sequence[tuple[object, ...]]:
    """Spelled column by column: a batch says little that is new in most of them."""
    return [*zip(*map(_column, _COLUMNS, zip(*map(_VALUES, records))))]  # noqa: B905 - a record has all of its fields


def _column(name: str, values: Sequence[Any]) -> Iterable[object]:
    spelled = _SPELLINGS[name]
    if name in _OF_ITS_OWN:
        return map(spelled, values)
    found = {value: None if value is None else spelled(value) for value in {*values}}
    return map(found.__getitem__, values)


def _number(value: Any) -> int:
    if type(value) is int and -_MOST <= value <= _MOST:
        return value
    return max(-_MOST, min(int(value), _MOST))


def _text(width: int) -> Callable[[str], str | None]:
    def spelled(value: str) -> str | None:
        # Almost all are as they should be, and there are a dozen in a row.
        if len(value) <= width and value.isascii() and "\0" not in value:
            return value
        return clipped(value, width)

    return spelled


def _told(attempts: Sequence[Attempt]) -> str:
    return f"[{','.join([_said(*_ATTEMPTED(attempt)) for attempt in attempts])}]"


@functools.lru_cache(_MOST_ATTEMPTS)
def _said(*values: object) -> str:
    """What is not as it is by default; the rest would be half of the row."""
    told = {name: value for (name, default), value in zip(_OF_ATTEMPT, values, strict=True) if value is not default}
    return orjson.dumps(told).decode()


def _spelling(name: str) -> Callable[[Any], object]:
    """What makes a column's value of a field that is not empty."""
    if name in _WIDTHS:
        return _text(_WIDTHS[name])
    odd: dict[str, Callable[[Any], object]] = {"attempts": _told, "created_at": to_text, "streamed": int, "native": int}
    return odd.get(name, _number)


_VALUES = attrgetter(*_COLUMNS)
_SPELLINGS = {name: _spelling(name) for name in _COLUMNS}
_OF_ATTEMPT = tuple((field.name, field.default) for field in attrs.fields(Attempt))
_ATTEMPTED = attrgetter(*(name for name, _ in _OF_ATTEMPT))


def _record(row: Sequence[Any]) -> CallRecord:
    values: dict[str, Any] = dict(zip(_COLUMNS, row, strict=True))
    values["created_at"] = from_column(values["created_at"])
    values["attempts"] = tuple(map(attempt_of, from_json(values["attempts"])))
    values.update((name, bool(values[name])) for name in _FLAGS)
    return CallRecord(**values)
