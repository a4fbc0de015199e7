"""What call records add up to: by outbound proxy and day, and by the hour; written with the rows, in one transaction.

Each sum is ``SET n = n + 1`` in the database, so that workers add to each other; and rows are touched in one order by
everybody, so that two batches cannot wait for each other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from aigateway_core.errors import ErrorKind
from aigateway_core.records import Attempt, CallRecord
from aigateway_core.storage.columns import clipped, to_text
from aigateway_core.storage.database import Session

BUCKETS = (
    *(10, 25, 50, 100, 200, 350, 500, 750, 1000, 1500, 2500, 4000, 6000, 10_000, 15_000, 25_000, 40_000, 60_000),
    *(120_000, 300_000, 3_600_000),
)
"""Upper ends in milliseconds of the buckets that latencies are counted by; the last one takes whatever is longer."""

BUCKET_COLUMNS = tuple(f"upto_{end}" for end in BUCKETS)
SUMS = ("requests", "errors", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "latency_ms")

BY_DAY = "/day"
"""Ends the name of a dimension whose rows stand for whole days: a month of hours is a lot to add up."""

_Key: TypeAlias = tuple[Any, ...]
_MOST_TOKENS = 2**31 - 1
_MADE_UP = frozenset({ErrorKind.MODEL_NOT_FOUND, ErrorKind.NOT_FOUND, ErrorKind.INVALID_REQUEST, ErrorKind.FORBIDDEN})
"""How calls end whose model may be any word that a caller made up: those are not counted one by one."""

_USED = (
    "UPDATE proxy_pool SET usage_count = usage_count + ?, last_used_at ="
    " CASE WHEN last_used_at IS NULL OR last_used_at < ? THEN ? ELSE last_used_at END WHERE id = ?"
)


def add_up(session: Session, records: Sequence[CallRecord]) -> None:
    """Add what these records say to the sums."""
    _upsert(session, "proxy_stats", _PROXY_KEY, _PROXY_SUMS, _by_proxy(records))
    _upsert(session, "call_stats", ("dimension", "hour", "name"), SUMS + BUCKET_COLUMNS, _by_hour(records))
    used = _uses(records)
    session.execute_many(_USED, [(count, to_text(when), to_text(when), key) for key, (count, when) in used])


# -- by outbound proxy and day

_PROXY_KEY = ("proxy_id", "date", "provider_id")
_PROXY_SUMS = ("request_count", "success_count", "error_count", "total_latency_ms")


def _by_proxy(records: Sequence[CallRecord]) -> Mapping[_Key, Counter[str]]:
    """Every attempt that went by a proxy is a request to it; one whose client left is neither success nor error."""
    found: dict[_Key, Counter[str]] = {}
    for record, attempt, proxy_id in _proxied(records):
        key = (proxy_id, _day(record.created_at), clipped(attempt.provider_id or record.provider_id, 64) or "-")
        sums = found.setdefault(key, Counter())
        sums["request_count"] += 1
        sums["success_count"] += attempt.error_kind is None
        sums["error_count"] += attempt.error_kind not in {None, "client_gone"}
        sums["total_latency_ms"] += attempt.latency_ms
    return found


def _uses(records: Sequence[CallRecord]) -> list[tuple[int, tuple[int, datetime]]]:
    counts: dict[int, tuple[int, datetime]] = {}
    for record, _, proxy_id in _proxied(records):
        count, latest = counts.get(proxy_id, (0, record.created_at))
        counts[proxy_id] = (count + 1, max(latest, record.created_at))
    return sorted(counts.items())


def _proxied(records: Sequence[CallRecord]) -> Iterator[tuple[CallRecord, Attempt, int]]:
    for record in records:
        for attempt in record.attempts:
            if attempt.proxy_id is not None:
                yield record, attempt, attempt.proxy_id


def _day(when: datetime) -> str:
    return when.astimezone(UTC).date().isoformat()


# -- by the hour


def _by_hour(records: Sequence[CallRecord]) -> Mapping[_Key, Counter[str]]:
    found: dict[_Key, Counter[str]] = {}
    for record in records:
        moment = record.created_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        hour, day = to_text(moment), to_text(moment.replace(hour=0))
        added = _sums(record)
        for dimension, name in _places(record):
            found.setdefault((dimension, hour, clipped(name, 255)), Counter()).update(added)
            found.setdefault((dimension + BY_DAY, day, clipped(name, 255)), Counter()).update(added)
    return found


def _places(record: CallRecord) -> Iterator[tuple[str, str]]:
    yield "all", ""
    yield "provider", record.provider_id or "-"
    yield "model", "-" if record.provider_id is None or record.error_kind in _MADE_UP else record.model or "-"
    yield "account", record.account_id or "-"
    yield "key", record.client_key_id
    if record.outcome != "ok":
        yield "error", record.error_kind or record.outcome


def _sums(record: CallRecord) -> Mapping[str, int]:
    latency = max(0, record.latency_ms)
    return {
        "requests": 1,
        "errors": int(record.outcome not in {"ok", "client_gone"}),
        "input_tokens": _tokens(record.input_tokens),
        "output_tokens": _tokens(record.output_tokens),
        "cached_tokens": _tokens(record.cached_tokens),
        "reasoning_tokens": _tokens(record.reasoning_tokens),
        "latency_ms": latency,
        BUCKET_COLUMNS[min(bisect_left(BUCKETS, latency), len(BUCKETS) - 1)]: 1,
    }


def _tokens(count: int | None) -> int:
    return max(0, min(count or 0, _MOST_TOKENS))


# -- in either database


def _upsert(
    session: Session, table: str, key: Sequence[str], sums: Sequence[str], found: Mapping[_Key, Counter[str]]
) -> None:
    columns = (*key, *sums)
    values = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - constants
    if session.is_sqlite:
        grown = ", ".join(f"{name} = {name} + excluded.{name}" for name in sums)
        statement = f"{values} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {grown}"
    else:
        grown = ", ".join(f"{name} = {name} + VALUES({name})" for name in sums)
        statement = f"{values} ON DUPLICATE KEY UPDATE {grown}"
    rows = [(*place, *(counted[name] for name in sums)) for place, counted in sorted(found.items())]
    session.execute_many(statement, rows)
