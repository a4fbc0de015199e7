from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from core.full_disk import full_disk

from aigateway_core.errors import UnavailableError
from aigateway_core.ledger import CallLedger
from aigateway_core.records import Attempt, CallRecord
from aigateway_core.spool import Spool

pytestmark = pytest.mark.anyio


class Shelf:
    """Stands for the request log, and fails where it is told to."""

    def __init__(self) -> None:
        self.rows: list[CallRecord] = []
        self.away = False
        self.refuses: set[str] = set()

    async def insert_many(self, records: Sequence[CallRecord]) -> Sequence[CallRecord]:
        if self.away:
            raise UnavailableError("away")
        if self.refuses and any(record.id in self.refuses for record in records):
            raise ValueError("odd")
        known = {record.id for record in self.rows}
        fresh = [record for record in records if record.id not in known]
        self.rows.extend(fresh)
        return fresh


_numbers = itertools.count(1)


def record() -> CallRecord:
    return CallRecord(
        id=str(next(_numbers)),
        request_id="r",
        created_at=datetime.now(UTC),
        dialect="d",
        client_key_id="-",
        outcome="ok",
        status_code=200,
        latency_ms=1,
        attempts=(Attempt(account_id="a", latency_ms=1),),
    )


async def test_without_a_storage_nothing_is_taken() -> None:
    with pytest.raises(UnavailableError):
        await CallLedger().insert_many([record()])


# With a spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "calls.spool", 1 << 20)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def ledger(shelf: Shelf, spool: Spool) -> AsyncIterator[CallLedger]:
    made = CallLedger()
    made.open(shelf, spool)
    yield made
    await made.aclose()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is what somebody else fills
            await asyncio.sleep(0.01)


async def test_what_the_database_does_not_take_waits_on_disk_and_arrives_once_and_in_order(
    shelf: Shelf, ledger: CallLedger, caplog: pytest.LogCaptureFixture
) -> None:
    sent = [record() for _ in range(5)]
    await ledger.insert_many(sent[:1])
    shelf.away = True
    for each in sent[1:4]:
        await ledger.insert_many([each])
    assert ledger.spooling
    assert ledger.spool_bytes > 0
    assert shelf.rows == sent[:1]
    shelf.away = False
    await ledger.insert_many(sent[4:])
    await until(lambda: len(caplog.records) > 1)  # what is said at the end is the last of it
    assert not ledger.spooling
    assert shelf.rows == sent
    assert (ledger.dropped, ledger.spool_bytes) == (0, 0)
    told = [each.message for each in caplog.records]
    assert len(told) == 2
    assert "they wait in" in told[0]
    assert "4 that had waited are written" in told[1]


async def test_what_another_process_left_on_disk_is_written_at_the_start(shelf: Shelf, spool: Spool) -> None:
    left = [record() for _ in range(700)]
    spool.put(left)
    await shelf.insert_many(left[:3])  # these had been written, and the process ended before it could say so
    ledger = CallLedger()
    ledger.open(shelf, Spool(spool.path, 1 << 20))
    await until(lambda: len(shelf.rows) == 700 and not ledger.spooling)
    await ledger.aclose()
    assert shelf.rows == left
    assert not spool.peek(1)


async def test_d_18_a_full_disk_is_the_recorders_to_wait_for(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    ledger = CallLedger()
    ledger.open(shelf, Spool(tmp_path / "file" / "calls.spool", 1 << 20))
    shelf.away = True
    with pytest.raises(OSError, match="file"):
        await ledger.insert_many([record()])
    shelf.away = False
    await ledger.insert_many([record()])
    assert len(shelf.rows) == 1
    await ledger.aclose()


async def test_one_record_that_the_database_refuses_takes_no_other_with_it(shelf: Shelf, ledger: CallLedger) -> None:
    good, odd, other = record(), record(), record()
    shelf.refuses = {odd.id}
    await ledger.insert_many([good, odd, other])
    assert shelf.rows == [good, other]
    assert ledger.dropped == 1
    with pytest.raises(ValueError, match="odd"):
        await ledger.insert_many([odd])


async def test_a_disk_that_is_full_keeps_nothing_from_a_database_that_is_back(
    shelf: Shelf, ledger: CallLedger, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.away = True
    sent = [record() for _ in range(1200)]
    await ledger.insert_many(sent)
    with full_disk():
        shelf.away = False
        await until(lambda: not ledger.spooling)
        await ledger.insert_many(later := [record()])
        assert shelf.rows == [*sent, *later]
        told = [each.message for each in caplog.records if "cannot be used" in each.message]
        assert len(told) == 1, "why is said, and once"
    await until(lambda: ledger.spool_bytes == 0)
    assert not Spool(spool.path, 1 << 20).peek(1)
    assert (len(shelf.rows), ledger.dropped) == (1201, 0)


async def test_a_spool_that_can_be_neither_read_nor_written_keeps_nothing_from_the_database(
    shelf: Shelf, ledger: CallLedger, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.away = True
    await ledger.insert_many([record()])
    spool.close()
    for path in spool.path.parent.iterdir():
        path.unlink()
    spool.path.mkdir()
    with pytest.raises(OSError, match="cannot be used"):
        await ledger.insert_many([record()])
    shelf.away = False
    await ledger.insert_many(later := [record()])
    assert shelf.rows == later
    assert ledger.spooling
    told = [each.message for each in caplog.records if "cannot be used" in each.message]
    assert len(told) == 1
