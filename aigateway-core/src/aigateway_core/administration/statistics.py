"""What happened, as an operator sees it: single calls newest first, and what they add up to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, Protocol, TypeAlias

import attrs

from aigateway_core.administration.views import iso
from aigateway_core.errors import InvalidRequestError
from aigateway_core.records import CallRecord
from aigateway_core.state import State
from aigateway_core.storage.rows import CallQuery, CallSums, ProxyDay, StoredProxy

Dimension: TypeAlias = Literal["all", "provider", "model", "account", "key", "error"]

_SPAN = timedelta(days=1)
_MOST_POINTS = 2000
_SHOWN = ("requests", "errors", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")


class CallStore(Protocol):
    """Where calls are read."""

    async def list(self, query: CallQuery | None = None) -> Sequence[CallRecord]:
        """Those that fit, newest first."""


class SumStore(Protocol):
    """Where sums are read."""

    async def by_name(self, dimension: Dimension, since: datetime, until: datetime) -> Sequence[CallSums]:
        """The sums of each name, those with most requests first."""

    async def by_hour(
        self, dimension: Dimension, name: str, since: datetime, until: datetime
    ) -> Sequence[tuple[datetime, CallSums]]:
        """The sums of each hour in which there was anything."""

    async def by_day(
        self, dimension: Dimension, name: str, since: datetime, until: datetime
    ) -> Sequence[tuple[datetime, CallSums]]:
        """The sums of each whole day in which there was anything, and of the hours around them."""

    async def of_proxy(self, proxy_id: int, since: date) -> Sequence[ProxyDay]:
        """The days of an outbound proxy, newest first."""

    @property
    def bucket_ends(self) -> Sequence[int]:
        """The upper ends, in milliseconds, of the buckets that latencies are counted by."""


class ProxyStore(Protocol):
    """Where outbound proxies are looked up."""

    async def get(self, proxy_id: int) -> StoredProxy:
        """One of them. Raises :class:`NotFoundError`."""


_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
"""No call was earlier, none is later; a day beyond either can still be reckoned with."""


def _within(moment: datetime) -> datetime:
    return min(max(moment, _FIRST), _LAST).astimezone(UTC)


@attrs.frozen(kw_only=True)
class Span:
    """From a time to another one; the last day unless something else is said."""

    since: datetime | None = None
    until: datetime | None = None

    def ends(self) -> tuple[datetime, datetime]:
        """Both, the first at the full hour. Raises :class:`InvalidRequestError` when there is nothing between them."""
        until = _within(self.until or datetime.now(UTC))
        since = _within(self.since or until - _SPAN).replace(minute=0, second=0, microsecond=0)
        if since >= until:
            raise InvalidRequestError("must be earlier than until", path="since")
        return since, until


class StatisticsAdministration:
    """Reads. ``state`` is that of a running gateway, if this is in one: it knows the counts of today."""

    def __init__(self, calls: CallStore, sums: SumStore, proxies: ProxyStore, state: State | None = None) -> None:
        self._calls = calls
        self._sums = sums
        self._proxies = proxies
        self._state = state

    async def logs(self, query: CallQuery) -> dict[str, Any]:
        """A page of calls; ``next`` is what to say as ``before`` for the one after it, None at the end.

        There is no total: with millions of rows, counting them takes longer than reading a page.
        """
        found = await self._calls.list(query)
        after = found[-1].id if len(found) == query.limit else None
        return {"data": [_call(record) for record in found], "limit": query.limit, "next": after}

    async def summary(self, span: Span) -> dict[str, Any]:
        """What the calls of a time span add up to, in all and by what they have in common (by whole hours)."""
        since, until = span.ends()
        totals = await self._sums.by_name("all", since, until)
        found: dict[str, Any] = {"since": iso(since), "until": iso(until)}
        found["total"] = self._told(totals[0] if totals else _nothing(len(self._sums.bucket_ends)))
        errors = await self._sums.by_name("error", since, until)
        found["errors_by_kind"] = {row.name: row.requests for row in errors}
        dimensions: tuple[Dimension, ...] = ("provider", "model", "account", "key")
        for dimension in dimensions:
            rows = await self._sums.by_name(dimension, since, until)
            found[f"by_{dimension}"] = [{"name": row.name, **self._told(row)} for row in rows]
        return found

    async def timeseries(
        self, span: Span, *, by_day: bool = False, dimension: Dimension = "all", name: str = ""
    ) -> dict[str, Any]:
        """A point for each hour or day (UTC) of the span, for everything or for one name of a dimension.

        Raises :class:`InvalidRequestError` when that were too many points.
        """
        since, until = span.ends()
        step, hour = (timedelta(days=1), 0) if by_day else (timedelta(hours=1), since.hour)
        since = since.replace(hour=hour)
        if (until - since) / step > _MOST_POINTS:
            raise InvalidRequestError(f"more than {_MOST_POINTS} points: ask for days or a shorter time", path="since")
        nothing = _nothing(len(self._sums.bucket_ends))
        points = {since + n * step: nothing for n in range(math.ceil((until - since) / step))}
        found = self._sums.by_day if by_day else self._sums.by_hour
        for begin, sums in await found(dimension, name, since, until):
            place = begin.replace(hour=0) if by_day else begin
            points[place] = sums if points[place] is nothing else _added(points[place], sums)
        data = [{"time": iso(begin), **self._told(sums)} for begin, sums in points.items()]
        return {"interval": "day" if by_day else "hour", "data": data}

    async def of_proxy(self, proxy_id: int, days: int) -> dict[str, Any]:
        """What an outbound proxy carried on the last days, by provider. Raises :class:`NotFoundError`."""
        today = datetime.now(UTC).date()
        rows = await self._sums.of_proxy(proxy_id, today - timedelta(days=days - 1))
        if not rows:
            await self._proxies.get(proxy_id)
        told: dict[str, Any] = {"data": [{**attrs.asdict(row), "date": row.date.isoformat()} for row in rows]}
        if self._state is not None:
            counted = await self._state.today(proxy_id)
            told["today"] = {"requests": counted.requests, "errors": counted.errors}
        return told

    def _told(self, sums: CallSums) -> dict[str, Any]:
        told = {name: getattr(sums, name) for name in _SHOWN}
        average = round(sums.latency_ms / sums.requests) if sums.requests else None
        shares = {f"latency_p{share}_ms": self._percentile(sums, share / 100) for share in (50, 95)}
        return {**told, "latency_avg_ms": average, **shares}

    def _percentile(self, sums: CallSums, share: float) -> int | None:
        """The latency that this share of the calls did not exceed, estimated within its bucket."""
        wanted, below, lower = share * sum(sums.latencies), 0, 0
        for count, upper in zip(sums.latencies, self._sums.bucket_ends, strict=True):
            if count and below + count >= wanted:
                return round(lower + (upper - lower) * (wanted - below) / count)
            below, lower = below + count, upper
        return None


def _nothing(buckets: int) -> CallSums:
    return CallSums(
        name="",
        requests=0,
        errors=0,
        input_tokens=0,
        output_tokens=0,
        cached_tokens=0,
        reasoning_tokens=0,
        latency_ms=0,
        latencies=(0,) * buckets,
    )


def _added(one: CallSums, other: CallSums) -> CallSums:
    numbers = [field.name for field in attrs.fields(CallSums) if field.name not in {"name", "latencies"}]
    sums = {name: getattr(one, name) + getattr(other, name) for name in numbers}
    latencies = tuple(map(sum, zip(one.latencies, other.latencies, strict=True)))
    return CallSums(name=one.name, latencies=latencies, **sums)


def _call(record: CallRecord) -> dict[str, Any]:
    told = attrs.asdict(record)
    told["created_at"] = iso(record.created_at)
    return told
