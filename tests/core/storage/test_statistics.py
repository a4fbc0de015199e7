"""What calls add up to, in either database: once for each record, whoever writes it and however often."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import attrs
import pytest

from aigateway_core.bookkeeping import DailyCounts
from aigateway_core.ledger import CallLedger
from aigateway_core.recording import Call, PendingAttempt, Recorder, RecorderLimits
from aigateway_core.records import Account, Attempt, CallRecord
from aigateway_core.state import DailyCount
from aigateway_core.state.memory import MemoryState
from aigateway_core.storage import Actor, CallQuery, NewProxy, SQLiteFile, Storage
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


MIDNIGHT = datetime(2026, 5, 5, tzinfo=UTC)


async def test_t_01_five_calls_a_second_over_midnight_are_counted_on_their_own_sides(
    storage: Storage, noted: Noted
) -> None:
    times = [MIDNIGHT + timedelta(milliseconds=200 * n) for n in range(-50, 100)]
    calls = [noted(f"c{n}", created_at=when, attempts=(attempt(9),)) for n, when in enumerate(times)]
    for begin in range(0, len(calls), 40):  # one batch has both days
        await storage.calls.insert_many(calls[begin : begin + 40])
    rows = await storage.statistics.of_proxy(9, DAY)
    assert [(row.date.day, row.request_count) for row in rows] == [(5, 100), (4, 50)]
    days = await storage.statistics.by_day("all", "", BEGIN, END)
    assert [(when.day, sums.requests) for when, sums in days] == [(4, 50), (5, 100)]


async def test_t_03_a_call_that_ends_after_midnight_belongs_to_the_day_on_which_it_began(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenth of a second before midnight it begins, five seconds later it ends, the next day it is written."""
    now = MIDNIGHT - timedelta(seconds=0.1)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return now

    monkeypatch.setattr("aigateway_core.recording.datetime", Clock)
    monkeypatch.setattr("aigateway_core.bookkeeping.datetime", Clock)
    state, ledger = MemoryState(), CallLedger()
    monkeypatch.setattr("aigateway_core.state.memory.time.time", lambda: now.timestamp())
    ledger.open(storage.calls)
    recorder = Recorder([_Into(ledger), DailyCounts(state)], RecorderLimits(flush_interval=60))
    call = Call(recorder, request_id="r", dialect="d", client_key_id="-")
    tried = PendingAttempt(call, Account(id="a", provider_id="acme"), 9)
    now = MIDNIGHT + timedelta(seconds=5)
    tried.end()
    call.end()
    now = MIDNIGHT + timedelta(hours=20)
    await recorder.aclose()
    assert [row.date for row in await storage.statistics.of_proxy(9, DAY)] == [DAY]
    (day,) = await storage.statistics.by_day("all", "", BEGIN, END)
    assert (day[0].day, day[1].requests) == (4, 1)
    assert await state.today(9) == DailyCount(0, 0), "it is no part of today's"


class _Into:
    """The ledger as a sink."""

    def __init__(self, ledger: CallLedger) -> None:
        self._ledger = ledger

    async def write(self, records: Sequence[CallRecord]) -> None:
        await self._ledger.insert_many(records)

    async def aclose(self) -> None:
        await self._ledger.aclose()


@pytest.fixture
def local_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine lives in this time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("zone", ["UTC", "Asia/Jakarta", "Pacific/Kiritimati", "Europe/Paris", "America/New_York"])
async def test_t_02_a_report_may_be_asked_for_by_the_days_of_any_zone(
    zone: str, storage: Storage, noted: Noted
) -> None:
    """Over the changes to summer time in March; whoever asks says by which clock the days begin and end."""
    first, own = datetime(2026, 3, 5, tzinfo=UTC), ZoneInfo(zone)
    times = [first + timedelta(minutes=15 + 30 * n) for n in range(48 * 28)]
    await storage.calls.insert_many([noted(f"r{n}", created_at=when) for n, when in enumerate(times)])
    expected = Counter(when.astimezone(own).date() for when in times)
    summed: Counter[date] = Counter()
    for day in expected:
        begin, end = (datetime(each.year, each.month, each.day, tzinfo=own) for each in (day, day + timedelta(days=1)))
        for row in await storage.statistics.by_name("all", begin.astimezone(UTC), end.astimezone(UTC)):
            summed[day] += row.requests
    assert summed == expected
    assert summed.total() == len(times)


@pytest.mark.parametrize("local_zone", ["Pacific/Kiritimati", "Asia/Jakarta", "America/New_York", "UTC"], indirect=True)
async def test_t_02_wherever_the_machine_is_the_sums_are_those_of_utc(
    local_zone: None, storage: Storage, noted: Noted, sql: Callable[..., object]
) -> None:
    """Each hour around a change to summer time, told in zones of all kinds; the server's own zone is another one."""
    first = datetime(2026, 3, 7, tzinfo=UTC)
    zones = [UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-9, minutes=-30)), ZoneInfo("Europe/Paris")]
    times = [(first + timedelta(hours=n)).astimezone(zones[n % 4]) for n in range(24 * 24)]
    if not isinstance(storage._database._location, SQLiteFile):
        sql("SET GLOBAL time_zone = '-11:00'")
    try:
        batch = [noted(f"z{n}", created_at=when, attempts=(attempt(9),)) for n, when in enumerate(times)]
        await storage.calls.insert_many(batch)
        days = await storage.statistics.by_day("all", "", first, first + timedelta(days=30))
        assert [(when, sums.requests) for when, sums in days] == [(first + timedelta(days=n), 24) for n in range(24)]
        hours = await storage.statistics.by_hour("all", "", first, first + timedelta(days=30))
        assert [when for when, _ in hours] == [first + timedelta(hours=n) for n in range(24 * 24)]
        rows = await storage.statistics.of_proxy(9, first.date())
        assert [row.request_count for row in rows] == [24] * 24
        read = await storage.calls.list(CallQuery(limit=1000))
        assert [record.created_at for record in read] == list(reversed(times))
    finally:
        if not isinstance(storage._database._location, SQLiteFile):
            sql("SET GLOBAL time_zone = 'SYSTEM'")
