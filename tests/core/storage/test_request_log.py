"""The request log in either database: batches, once each, newest first."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Any

import pytest
from services.private_servers import MariaDB

from aigateway_core.records import Attempt, CallRecord
from aigateway_core.retention import Retention
from aigateway_core.state.memory import MemoryState
from aigateway_core.storage import CallQuery, MySQLServer, Storage
from aigateway_core.vault import KeyRing

pytestmark = pytest.mark.anyio

Noted = Callable[..., CallRecord]


def ids(records: tuple[CallRecord, ...]) -> list[str]:
    return [record.id for record in records]


async def test_a_record_comes_back_as_it_was(storage: Storage, noted: Noted) -> None:
    full = noted(
        "full",
        model="acme/m ⚡",
        upstream_model="m",
        provider_id="acme",
        account_id="a1",
        proxy_id=7,
        streamed=True,
        native=True,
        time_to_first_byte_ms=3,
        input_tokens=10,
        output_tokens=20,
        cached_tokens=5,
        reasoning_tokens=1,
        usage_source="upstream",
        finish_reason="stop",
        operation="count_tokens",
        error_kind="overloaded",
        error="vendor said: 'no' -- \"%s\" ?",
        attempts=(
            Attempt(account_id="a0", latency_ms=5, status_code=529, error_kind="overloaded", scope="endpoint"),
            Attempt(account_id="a1", latency_ms=6, dispatched=False),
        ),
    )
    bare = noted("bare", minute=1, attempts=())
    await storage.calls.insert_many([full, bare])
    assert await storage.calls.list() == (bare, full)


async def test_attempts_of_another_version_are_read_as_far_as_they_are_known(
    storage: Storage, noted: Noted, sql: Callable[..., Any]
) -> None:
    await storage.calls.insert_many([noted()])
    sql('UPDATE request_logs SET attempts = \'[{"account_id": "a1", "latency_ms": 1, "unheard_of": 2}]\'')
    (record,) = await storage.calls.list()
    assert record.attempts == (Attempt(account_id="a1", latency_ms=1),)


async def test_a_repeated_batch_is_written_once(storage: Storage, noted: Noted, sql: Callable[..., Any]) -> None:
    batch = [noted(str(n), minute=n) for n in range(5)]
    await storage.calls.insert_many(batch)
    await storage.calls.insert_many(batch)
    await storage.calls.insert_many([*batch[3:], noted("5", minute=5), batch[0]])
    assert ids(await storage.calls.list()) == ["5", "4", "3", "2", "1", "0"]
    assert sql("SELECT COUNT(*) FROM request_logs") == [(6,)]


async def test_the_first_version_of_a_record_stays(storage: Storage, noted: Noted) -> None:
    first = noted("same", status_code=200)
    await storage.calls.insert_many([first])
    await storage.calls.insert_many([noted("same", status_code=500)])
    assert await storage.calls.list() == (first,)


async def test_a_record_in_a_batch_is_kept_as_it_is_by_itself(storage: Storage, noted: Noted) -> None:
    # What is alike in many records is spelled once for all of them.
    tried = [
        (Attempt(account_id="a1", latency_ms=1, status_code=200),),
        (Attempt(account_id="a1", latency_ms=1, status_code=200, provider_id="acme"),) * 2,
        (),
    ]
    said: list[dict[str, Any]] = [
        {"model": model, "streamed": streamed, "input_tokens": count, "reasoning_tokens": count, "attempts": attempts}
        for model, streamed, count, attempts in product([None, "m", "1"], [False, True], [None, 0, 1], tried)
    ]
    batch = [noted(f"{number:03}", **each) for number, each in enumerate(said)]
    await storage.calls.insert_many(batch)
    assert await storage.calls.list(CallQuery(limit=1000)) == tuple(reversed(batch))


async def test_a_request_id_that_a_client_repeats_is_no_repeated_record(storage: Storage, noted: Noted) -> None:
    await storage.calls.insert_many([noted("a", request_id="mine"), noted("b", request_id="mine")])
    assert len(await storage.calls.list()) == 2


async def test_a_large_batch_is_written_whole(storage: Storage, noted: Noted, sql: Callable[..., Any]) -> None:
    await storage.calls.insert_many([noted(str(n), error="x" * 1500) for n in range(2000)])
    assert sql("SELECT COUNT(*) FROM request_logs") == [(2000,)]
    assert len(await storage.calls.list(CallQuery(limit=3))) == 3


async def test_an_empty_batch_is_nothing(storage: Storage) -> None:
    await storage.calls.insert_many([])
    assert await storage.calls.list() == ()


async def test_newest_first_is_by_time_and_not_by_arrival(storage: Storage, noted: Noted) -> None:
    await storage.calls.insert_many([noted("late", minute=9)])
    await storage.calls.insert_many([noted("early", minute=1), noted("middle", minute=5), noted("middle2", minute=5)])
    assert ids(await storage.calls.list()) == ["late", "middle2", "middle", "early"]
    assert ids(await storage.calls.list(CallQuery(limit=2))) == ["late", "middle2"]


async def test_filters_combine(storage: Storage, noted: Noted) -> None:
    await storage.calls.insert_many(
        [
            noted("0", 0, provider_id="acme", account_id="a"),
            noted("1", 1, provider_id="acme", account_id="b", outcome="upstream_error"),
            noted("2", 2, provider_id="globex", account_id="c"),
            noted("3", 3),
        ]
    )
    assert ids(await storage.calls.list(CallQuery(provider_id="acme"))) == ["1", "0"]
    assert ids(await storage.calls.list(CallQuery(account_id="c"))) == ["2"]
    assert ids(await storage.calls.list(CallQuery(outcome="ok", provider_id="acme"))) == ["0"]
    since = noted(minute=2).created_at
    assert ids(await storage.calls.list(CallQuery(since=since))) == ["3", "2"]
    assert ids(await storage.calls.list(CallQuery(since=since.astimezone(timezone(timedelta(hours=-9)))))) == ["3", "2"]
    assert ids(await storage.calls.list(CallQuery(since=since + timedelta(microseconds=1)))) == ["3"]
    for odd in ("nobody", "' OR 1=1 --", "$provider_id", "%s", "?", "x" * 500, "\udc80"):
        assert await storage.calls.list(CallQuery(provider_id=odd)) == ()


async def test_an_odd_record_is_trimmed_and_holds_up_nobody(storage: Storage, noted: Noted) -> None:
    odd = noted(
        "odd",
        1,
        model="m" * 5000,
        request_id="r" * 500,
        error="nul \0 and half \ud83d of a pair",
        input_tokens=10**30,
        output_tokens=-(10**30),
    )
    await storage.calls.insert_many([noted("good"), odd])
    read, good = await storage.calls.list()
    assert good.id == "good"
    assert (read.model, read.request_id) == ("m" * 255, "r" * 128)
    assert read.error == "nul \ufffd and half ? of a pair"
    assert (read.input_tokens, read.output_tokens) == (2**31 - 1, -(2**31 - 1))


async def test_records_outlive_the_account_they_speak_of(storage: Storage, noted: Noted) -> None:
    await storage.calls.insert_many([noted("a", provider_id="uninstalled", account_id="deleted")])
    assert ids(await storage.calls.list(CallQuery(account_id="deleted"))) == ["a"]


async def test_batches_written_at_the_same_time_are_all_there(storage: Storage, noted: Noted) -> None:
    batches = [[noted(f"{batch}-{n}") for n in range(20)] for batch in range(10)]
    await asyncio.gather(*(storage.calls.insert_many(batch) for batch in [*batches, *batches[:3]]))
    assert len(await storage.calls.list(CallQuery(limit=1000))) == 200


async def test_times_keep_their_microseconds_around_whole_seconds(storage: Storage, noted: Noted) -> None:
    moments = [datetime(2026, 5, 4, 12, 0, 0, micro, UTC) for micro in (0, 1, 999_999)]
    await storage.calls.insert_many([noted(str(n), created_at=moment) for n, moment in enumerate(moments)])
    assert [record.created_at for record in await storage.calls.list()] == moments[::-1]


async def test_pages_follow_the_last_record_that_was_read(storage: Storage, noted: Noted) -> None:
    await storage.calls.insert_many([noted(str(n), minute=n // 2) for n in range(6)])
    first = await storage.calls.list(CallQuery(limit=3))
    second = await storage.calls.list(CallQuery(limit=3, before=first[-1].id))
    assert ids(first) + ids(second) == ["5", "4", "3", "2", "1", "0"]
    assert ids(await storage.calls.list(CallQuery(limit=2, offset=4))) == ["1", "0"]
    assert await storage.calls.list(CallQuery(before="0")) == ()
    for odd in ("never", "\0", "x" * 500):
        assert await storage.calls.list(CallQuery(before=odd)) == ()


async def test_only_what_was_not_there_is_new(storage: Storage, noted: Noted) -> None:
    one, two, three = (noted(str(n), n) for n in range(3))
    assert list(await storage.calls.insert_many([one])) == [one]
    assert list(await storage.calls.insert_many([one, two, two])) == [two]
    assert list(await storage.calls.insert_many([three, one])) == [three]


async def test_what_is_there_already_is_found_among_many(
    storage: Storage, noted: Noted, sql: Callable[..., Any]
) -> None:
    known = [noted(str(n)) for n in (0, 77, 119)]
    await storage.calls.insert_many(known)
    batch = [noted(str(n)) for n in range(120)]
    assert list(await storage.calls.insert_many(batch)) == [each for each in batch if each not in known]
    assert sql("SELECT COUNT(*) FROM request_logs") == [(120,)]


async def test_old_records_are_deleted_a_slice_at_a_time(storage: Storage, noted: Noted) -> None:
    await storage.calls.insert_many([noted(str(n), minute=n) for n in range(10)])
    limit = noted(minute=7).created_at
    assert await storage.calls.delete_before(limit, 5) == 5
    assert ids(await storage.calls.list()) == ["9", "8", "7", "6", "5"]
    assert await storage.calls.delete_before(limit, 5) == 2
    assert await storage.calls.delete_before(limit, 5) == 0
    assert ids(await storage.calls.list()) == ["9", "8", "7"]


ROWS = int(os.environ.get("AIGATEWAY_TEST_LOG_ROWS", "20000"))
"""Of which three quarters are to stay."""

FILL = """INSERT INTO request_logs (id, request_id, created_at, dialect, client_key_id, outcome, status_code,
 latency_ms, model, provider_id, account_id, streamed, native, attempts, operation)
 SELECT CONCAT('filled-', seq), 'r', UTC_TIMESTAMP(6) - INTERVAL (seq * 40 * 86400 / {rows}) SECOND, 'd', '-', 'ok',
 200, 12, 'm', 'p', 'a', 0, 0, '[]', 'chat' FROM seq_1_to_{rows}"""


@pytest.mark.services
@pytest.mark.timeout(7200)
async def test_k_05_forty_days_of_rows_are_cut_to_thirty_while_others_are_written(
    own_mariadb: MariaDB, mysql_location: Callable[..., MySQLServer], keyring: KeyRing, noted: Noted
) -> None:
    with own_mariadb.database() as name:
        async with await Storage.open(mysql_location(own_mariadb, name, read_timeout=60.0), keyring) as storage:
            await asyncio.to_thread(own_mariadb.execute, FILL.format(rows=ROWS), database=name)
            sweep = asyncio.create_task(Retention(storage.calls, MemoryState(), days=30).sweep())
            slowest, number = 0.0, 0
            while not sweep.done():
                began, number = time.monotonic(), number + 1
                batch = [noted(f"now-{number}-{n}", created_at=datetime.now(UTC)) for n in range(50)]
                await storage.calls.insert_many(batch)
                slowest = max(slowest, time.monotonic() - began)
                await asyncio.sleep(0.05)
            gone = await sweep
            assert abs(gone - ROWS / 4) <= 2 + ROWS / 10_000
            ((left, oldest),) = own_mariadb.execute("SELECT COUNT(*), MIN(created_at) FROM request_logs", database=name)
            assert left == ROWS - gone + 50 * number
            assert datetime.now(UTC) - oldest.replace(tzinfo=UTC) < timedelta(days=30, minutes=10)
            sys.stdout.write(f"{gone} of {ROWS} rows gone, the slowest of {number} batches took {slowest:.3f} s\n")
            assert slowest < 5.0, "nobody waits for it"
