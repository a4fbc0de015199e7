"""Reads what calls added up to (see :mod:`~aigateway_core.storage.tallies`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, TypeAlias

from aigateway_core.storage.columns import from_column, to_text
from aigateway_core.storage.database import Database, Session
from aigateway_core.storage.rows import CallSums, ProxyDay
from aigateway_core.storage.tallies import BUCKET_COLUMNS, BUCKETS, BY_DAY, SUMS

Dimension: TypeAlias = Literal["all", "provider", "model", "account", "key", "error"]

_ADDED = ", ".join(f"SUM({name})" for name in SUMS + BUCKET_COLUMNS)
_ALMOST_A_DAY = timedelta(days=1) - timedelta(microseconds=1)
_MOST_NAMES = 100
_BY_NAME = (
    f"SELECT name, {_ADDED} FROM call_stats"  # noqa: S608 - constants
    " WHERE (dimension = $dimension AND hour >= $since AND hour < $first)"
    " OR (dimension = $daily AND hour >= $first AND hour < $last)"
    " OR (dimension = $dimension AND hour >= $last AND hour < $until)"
    f" GROUP BY name ORDER BY SUM(requests) DESC, name LIMIT {_MOST_NAMES}"
)
_BY_HOUR = (
    f"SELECT hour, {', '.join(SUMS + BUCKET_COLUMNS)} FROM call_stats"  # noqa: S608 - constants
    " WHERE dimension = $dimension AND name = $name AND hour >= $since AND hour < $until ORDER BY hour"
)
_BY_DAY = (
    "SELECT proxy_id, provider_id, date, request_count, success_count, error_count, total_latency_ms FROM proxy_stats"
    " WHERE proxy_id = $proxy_id AND date >= $since ORDER BY date DESC, provider_id"
)


class Statistics:
    """Sums over whole hours and days."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def bucket_ends(self) -> Sequence[int]:
        """The upper ends, in milliseconds, of the buckets that latencies are counted by."""
        return BUCKETS

    async def by_name(self, dimension: Dimension, since: datetime, until: datetime) -> Sequence[CallSums]:
        """The sums of each name in a dimension, those with most requests first, a hundred at most.

        An hour belongs to the time span if it begins in it.
        """
        first, last = _whole_days(since, until)

        def unit(session: Session) -> Sequence[CallSums]:
            times = {"since": since, "first": first, "last": last, "until": until}
            values = {name: to_text(when) for name, when in times.items()}
            rows = session.select(_BY_NAME, dimension=dimension, daily=dimension + BY_DAY, **values)
            return [_sums(row) for row in rows]

        return await self._database.read(unit)

    async def by_hour(
        self, dimension: Dimension, name: str, since: datetime, until: datetime
    ) -> Sequence[tuple[datetime, CallSums]]:
        """The sums of each hour in which there was anything, in their order."""

        def unit(session: Session) -> Sequence[tuple[datetime, CallSums]]:
            rows = session.select(_BY_HOUR, dimension=dimension, name=name, since=to_text(since), until=to_text(until))
            return [(from_column(hour), _sums((name, *sums))) for hour, *sums in rows]

        return await self._database.read(unit)

    async def by_day(
        self, dimension: Dimension, name: str, since: datetime, until: datetime
    ) -> Sequence[tuple[datetime, CallSums]]:
        """The sums of each whole day in which there was anything, and of the hours around them, by when they begin."""
        first, last = _whole_days(since, until)

        def unit(session: Session) -> Sequence[tuple[datetime, CallSums]]:
            found: list[tuple[datetime, CallSums]] = []
            for unit_of, begin, end in (
                (dimension, since, first),
                (dimension + BY_DAY, first, last),
                (dimension, last, until),
            ):
                times = {"since": to_text(begin), "until": to_text(end)}
                rows = session.select(_BY_HOUR, dimension=unit_of, name=name, **times) if begin < end else ()
                found += [(from_column(hour), _sums((name, *sums))) for hour, *sums in rows]
            return found

        return await self._database.read(unit)

    async def of_proxy(self, proxy_id: int, since: date) -> Sequence[ProxyDay]:
        """The days of an outbound proxy from this one on, newest first."""

        def unit(session: Session) -> Sequence[ProxyDay]:
            rows = session.select(_BY_DAY, proxy_id=proxy_id, since=since.isoformat())
            return [_day(row) for row in rows]

        return await self._database.read(unit)


def _whole_days(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """From when to when there are whole days (UTC) in a time span; both are its end when there are none."""
    first = (since.astimezone(UTC) + _ALMOST_A_DAY).replace(hour=0, minute=0, second=0, microsecond=0)
    last = until.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (first, last) if first < last else (until, until)


def _sums(row: Sequence[Any]) -> CallSums:
    name, *found = row
    numbers = [int(each) for each in found]
    sums = dict(zip(SUMS, numbers, strict=False))
    return CallSums(name=name, **sums, latencies=tuple(numbers[len(SUMS) :]))


def _day(row: Sequence[Any]) -> ProxyDay:
    proxy_id, provider_id, day, requests, successes, errors, latency = row
    return ProxyDay(
        proxy_id=proxy_id,
        provider_id=provider_id,
        date=date.fromisoformat(day) if isinstance(day, str) else day,
        request_count=requests,
        success_count=successes,
        error_count=errors,
        total_latency_ms=latency,
    )
