"""Call records between the calls and where they are kept, when the gateway stops."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from aigateway_core.bookkeeping import spool_path
from aigateway_core.bootstrap import House, assemble, first_look
from aigateway_core.recording import Call
from aigateway_core.records import CallRecord
from aigateway_core.settings import DatabaseSettings, PluginsSettings, Settings
from aigateway_core.spool import Spool

pytestmark = pytest.mark.anyio


class Slow:
    """A database that takes whatever it is given, and its time over it."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    async def insert_many(self, records: Sequence[CallRecord]) -> Sequence[CallRecord]:
        await asyncio.sleep(1.5)
        self.taken |= {record.id for record in records}
        return records


async def test_what_a_slow_database_does_not_take_before_the_end_waits_on_disk(tmp_path: Path) -> None:
    settings = Settings(database=DatabaseSettings(path=tmp_path / "a.db"), plugins=PluginsSettings(allowed=frozenset()))
    assembly = assemble(settings)
    await first_look(assembly)
    house = House(assembly)
    await house.start()
    assembly.ledger.calls = slow = Slow()
    recorder = house._books.recorder
    for number in range(4000):
        Call(recorder, request_id=str(number), dialect="d", client_key_id="-").end()
    await house.stop()
    waiting = Spool(spool_path(settings), 1 << 28).peek(5000)
    kept = slow.taken | {each.record.id for each in waiting if each.record is not None}
    assert (len(kept), recorder.dropped, assembly.ledger.dropped) == (4000, 0, 0)
    assert slow.taken, "it was asked all the same"
