"""What calls add up to, in either database: once for each record, whoever writes it and however often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone

import attrs
import pytest

from aigateway_core.records import Attempt, CallRecord
from aigateway_core.storage import Actor, NewProxy, Storage
from aigateway_core.storage.tallies import BUCKETS

pytestmark = pytest.mark.anyio
Noted = Callable[..., CallRecord]
BEGIN, END = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
DAY = date(2026, 5, 4)


def attempt(proxy_id: int | None, error_kind: str | None = None, latency_ms: int = 10) -> Attempt:
    return Attempt(account_id="a1", latency_ms=latency_ms, error_kind=error_kind, proxy_id=proxy_id)


async def test_attempts_are_counted_by_proxy_provider_and_day(storage: Storage, noted: Noted, actor: Actor) -> None:
    proxy = await storage.proxies.create(NewProxy(url="http://one.test:1"), actor)
    before = await storage.version()
    batch = [
        noted("1", provider_id="acme", attempts=(attempt(proxy.id, "server", 5), attempt(proxy.id, latency_ms=7))),
        noted("2", 1, provider_id="acme", attempts=(attempt(proxy.id, "client_gone"), attempt(None))),
        noted("3", 2, provider_id="globex", attempts=(attempt(proxy.id),)),
        noted("4", 3, provider_id="acme", created_at=datetime(2026, 5, 5, tzinfo=UTC), attempts=(attempt(proxy.id),)),
    ]
    for _ in range(2):
        await storage.calls.insert_many(batch)
    rows = await storage.statistics.of_proxy(proxy.id, DAY)
    told = [(row.date.day, row.provider_id, row.request_count, row.success_count, row.error_count) for row in rows]
    assert told == [(5, "acme", 1, 1, 0), (4, "acme", 3, 1, 1), (4, "globex", 1, 1, 0)]
    assert rows[1].total_latency_ms == 22
    assert len(await storage.statistics.of_proxy(proxy.id, date(2026, 5, 5))) == 1
    read = await storage.proxies.get(proxy.id)
    assert (read.usage_count, read.last_used_at) == (5, datetime(2026, 5, 5, tzinfo=UTC))
    assert await storage.version() == before


async def test_a_call_that_fell_back_is_counted_for_each_provider_that_it_asked(storage: Storage, noted: Noted) -> None:
    failed, well = attempt(4, "server"), attempt(4)
    tries = (attrs.evolve(failed, provider_id="acme"), attrs.evolve(well, provider_id="globex"))
    await storage.calls.insert_many([noted(provider_id="globex", attempts=tries)])
    rows = await storage.statistics.of_proxy(4, DAY)
    assert {row.provider_id: (row.success_count, row.error_count) for row in rows} == {"acme": (0, 1), "globex": (1, 0)}
    (record,) = await storage.calls.list()
    assert [each.provider_id for each in record.attempts] == ["acme", "globex"]


async def test_the_day_of_a_record_is_that_of_utc(storage: Storage, noted: Noted) -> None:
    late = datetime(2026, 5, 4, 22, 30, tzinfo=timezone(timedelta(hours=-3, minutes=-30)))
    await storage.calls.insert_many([noted(created_at=late, attempts=(attempt(9),))])
    assert [row.date for row in await storage.statistics.of_proxy(9, DAY)] == [date(2026, 5, 5)]
    hours = await storage.statistics.by_hour("all", "", BEGIN, END)
    assert [hour for hour, _ in hours] == [datetime(2026, 5, 5, 2, tzinfo=UTC)]


async def test_sums_by_name_and_by_hour(storage: Storage, noted: Noted) -> None:
    await storage.calls.insert_many(
        [
            noted("1", 0, provider_id="acme", model="m", input_tokens=3, output_tokens=5, latency_ms=12),
            noted("2", 59, provider_id="acme", model="m", input_tokens=4, latency_ms=10),
            noted("3", 3, provider_id="acme", model="odd", error_kind="model_not_found", outcome="upstream_error"),
            noted("4", 3, model="no such", error_kind="model_not_found", outcome="invalid_request"),
            noted("5", created_at=datetime(2026, 5, 4, 13, tzinfo=UTC), outcome="client_gone", provider_id="globex"),
        ]
    )
    statistics = storage.statistics
    assert {row.name: row.requests for row in await statistics.by_name("provider", BEGIN, END)} == {
        "acme": 3,
        "globex": 1,
        "-": 1,
    }
    models = {row.name: row for row in await statistics.by_name("model", BEGIN, END)}
    assert set(models) == {"m", "-"}, "a name that a caller made up is not kept for ever"
    assert (models["m"].input_tokens, models["m"].output_tokens, models["m"].latency_ms) == (7, 5, 22)
    assert models["m"].latencies[:3] == (1, 1, 0)
    assert len(models["m"].latencies) == len(BUCKETS)
    errors = await statistics.by_name("error", BEGIN, END)
    assert {row.name: (row.requests, row.errors) for row in errors} == {
        "model_not_found": (2, 2),
        "client_gone": (1, 0),
    }
    hours = await statistics.by_hour("all", "", BEGIN, END)
    assert [(hour.hour, sums.requests, sums.errors) for hour, sums in hours] == [(12, 4, 2), (13, 1, 0)]
    noon = datetime(2026, 5, 4, 12, tzinfo=UTC)
    one = await statistics.by_hour("provider", "acme", noon, noon + timedelta(hours=1))
    assert [sums.requests for _, sums in one] == [3]
    assert await statistics.by_hour("all", "", END, END) == []


async def test_batches_that_are_written_at_once_and_twice_are_counted_once(storage: Storage, noted: Noted) -> None:
    batches = [
        [noted(f"{batch}-{n}", provider_id="acme", attempts=(attempt(n % 3),)) for n in range(30)] for batch in range(6)
    ]
    await asyncio.gather(*(storage.calls.insert_many(batch) for batch in [*batches, *batches]))
    ((_, sums),) = await storage.statistics.by_hour("all", "", BEGIN, END)
    assert sums.requests == 180
    counts = [(await storage.statistics.of_proxy(proxy_id, DAY))[0].request_count for proxy_id in range(3)]
    assert counts == [60, 60, 60]


async def test_whole_days_and_the_hours_around_them_are_added_up_once(storage: Storage, noted: Noted) -> None:
    """An hour apart each, over five days; whatever the span, its sum is that of its hours."""
    begin = datetime(2026, 5, 4, tzinfo=UTC)
    await storage.calls.insert_many([noted(str(n), created_at=begin + timedelta(hours=n)) for n in range(120)])
    for first, last in [(0, 120), (5, 120), (24, 96), (5, 20), (5, 30), (23, 49), (24, 48), (1, 119), (47, 97), (7, 7)]:
        since, until = begin + timedelta(hours=first), begin + timedelta(hours=last)
        found = await storage.statistics.by_name("all", since, until)
        assert [row.requests for row in found] == ([last - first] if last > first else []), (first, last)
        parts = [storage.statistics.by_day, storage.statistics.by_hour]
        counts = [sum(sums.requests for _, sums in await part("all", "", since, until)) for part in parts]
        assert counts == [last - first, last - first]
