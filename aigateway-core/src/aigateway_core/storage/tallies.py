"""What call records add up to: by outbound proxy and day, by the hour, and the use of accounts, keys and proxies.

It is written with the rows, in one transaction: a batch is added up here, and the database is told each sum once. It is
told ``SET n = n + 1``, so that workers add to each other; and rows are touched in one order by everybody, so that two
batches cannot wait for each other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from operator import add, attrgetter
from typing import Any, TypeAlias

from aigateway_core.errors import ErrorKind
from aigateway_core.records import CallRecord
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
_Sums: TypeAlias = list[int]
_MOST_TOKENS = 2**31 - 1
_MADE_UP = frozenset({ErrorKind.MODEL_NOT_FOUND, ErrorKind.NOT_FOUND, ErrorKind.INVALID_REQUEST, ErrorKind.FORBIDDEN})
"""How calls end whose model may be any word that a caller made up: those are not counted one by one."""


def add_up(session: Session, records: Sequence[CallRecord]) -> None:
    """Add what these records say to the sums."""
    if not records:
        return
    _note_use(session, records)
    _upsert(session, "proxy_stats", _PROXY_KEY, _PROXY_SUMS, _by_proxy(records))
    _upsert(session, "call_stats", ("dimension", "hour", "name"), SUMS + BUCKET_COLUMNS, _by_hour(records))


# -- use

_LATER = "last_used_at = CASE WHEN last_used_at IS NULL OR last_used_at < ? THEN ? ELSE last_used_at END WHERE id = ?"
_USED = f"SET usage_count = usage_count + ?, {_LATER}"
_SEEN = f"SET {_LATER}"
_OF_NOBODY = frozenset({"-", "environment"})
"""What stands for a key where there is none in the database."""


def _note_use(session: Session, records: Sequence[CallRecord]) -> None:
    """An attempt is a use of its account and its outbound proxy, whatever came of it. Tells nobody of a change."""
    latest = to_text(max(record.created_at for record in records))
    attempts = [attempt for record in records for attempt in record.attempts]
    accounts = Counter(attempt.account_id for attempt in attempts)
    proxies = Counter(attempt.proxy_id for attempt in attempts if attempt.proxy_id is not None)
    stored = {account: count for account, count in accounts.items() if not account.startswith("config:")}
    for table, counts in (("accounts", stored), ("proxy_pool", proxies)):
        rows = [(count, latest, latest, key) for key, count in sorted(counts.items())]
        session.execute_many(f"UPDATE {table} {_USED}", rows)
    keys = {record.client_key_id for record in records} - _OF_NOBODY
    session.execute_many(f"UPDATE api_keys {_SEEN}", [(latest, latest, key) for key in sorted(keys)])


# -- by outbound proxy and day

_PROXY_KEY = ("proxy_id", "date", "provider_id")
_PROXY_SUMS = ("request_count", "success_count", "error_count", "total_latency_ms")


def _by_proxy(records: Sequence[CallRecord]) -> Mapping[_Key, _Sums]:
    """Every attempt that went by a proxy is a request to it; one whose client left is neither success nor error."""
    found: dict[_Key, _Sums] = {}
    for record in records:
        for attempt in record.attempts:
            if attempt.proxy_id is None:
                continue
            provider = clipped(attempt.provider_id or record.provider_id, 64) or "-"
            sums = found.setdefault((attempt.proxy_id, to_text(record.created_at)[:_DAY], provider), [0, 0, 0, 0])
            sums[0] += 1
            sums[1] += attempt.error_kind is None
            sums[2] += attempt.error_kind not in {None, "client_gone"}
            sums[3] += attempt.latency_ms
    return found


# -- by the hour

_DAY = len("2026-11-22")


def _by_hour(records: Sequence[CallRecord]) -> Mapping[_Key, _Sums]:
    """The sums of each name in each dimension: first of what is alike, since most of a batch is."""
    alike: dict[_Key, list[CallRecord]] = {}
    for record in records:
        alike.setdefault(_likeness(record), []).append(record)
    found: dict[_Key, _Sums] = {}
    for (day, hour, *names), those in alike.items():
        sums = _counted(those)
        for dimension, name in _places(*names):
            for place in ((dimension, _beginning(day, hour), name), (dimension + BY_DAY, _beginning(day), name)):
                before = found.get(place)
                found[place] = sums if before is None else [*map(add, before, sums)]
    return found


def _likeness(record: CallRecord) -> _Key:
    model = "-" if record.provider_id is None or record.error_kind in _MADE_UP else record.model or "-"
    error = None if record.outcome == "ok" else record.error_kind or record.outcome
    began = record.created_at.astimezone(UTC)
    day, hour = began.toordinal(), began.hour
    return day, hour, record.provider_id or "-", model, record.account_id or "-", record.client_key_id, error


def _beginning(day: int, hour: int = 0) -> str:
    return to_text(datetime.combine(date.fromordinal(day), time(hour), UTC))


def _places(provider: str, model: str, account: str, key: str, error: str | None) -> Iterator[tuple[str, str | None]]:
    yield "all", ""
    yield "provider", clipped(provider, 255)
    yield "model", clipped(model, 255)
    yield "account", clipped(account, 255)
    yield "key", clipped(key, 255)
    if error is not None:
        yield "error", clipped(error, 255)


_TOKENS_OF = attrgetter(*(name for name in SUMS if name.endswith("_tokens")))


def _counted(records: Sequence[CallRecord]) -> _Sums:
    """What these come to, in the order of the columns."""
    failed = sum([record.outcome not in {"ok", "client_gone"} for record in records])
    tokens = [
        sum([min(count, _MOST_TOKENS) for count in counts if count and count > 0])
        for counts in zip(*map(_TOKENS_OF, records), strict=True)
    ]
    latencies = [max(0, record.latency_ms) for record in records]
    buckets = [0] * len(BUCKETS)
    for latency, number in Counter(latencies).items():
        buckets[min(bisect_left(BUCKETS, latency), len(BUCKETS) - 1)] += number
    return [len(records), failed, *tokens, sum(latencies), *buckets]


# -- in either database


def _upsert(
    session: Session, table: str, key: Sequence[str], sums: Sequence[str], found: Mapping[_Key, Iterable[int]]
) -> None:
    columns = (*key, *sums)
    values = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - constants
    if session.is_sqlite:
        grown = ", ".join(f"{name} = {name} + excluded.{name}" for name in sums)
        statement = f"{values} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {grown}"
    else:
        grown = ", ".join(f"{name} = {name} + VALUES({name})" for name in sums)
        statement = f"{values} ON DUPLICATE KEY UPDATE {grown}"
    session.execute_many(statement, [(*place, *counted) for place, counted in sorted(found.items())])
