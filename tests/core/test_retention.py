"""Old records go, a slice at a time, and one worker sees to it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from aigateway_core.errors import UnavailableError
from aigateway_core.retention import Retention
from aigateway_core.state.memory import MemoryState

pytestmark = pytest.mark.anyio


class Shelf:
    """Records by their age in days."""

    def __init__(self, *days: float) -> None:
        now = datetime.now(UTC)
        self.made = sorted(now - timedelta(days=each) for each in days)
        self.slices: list[int] = []
        self.away = False

    async def delete_before(self, moment: datetime, most: int) -> int:
        if self.away:
            raise UnavailableError("away")
        gone = [each for each in self.made if each < moment][:most]
        self.made = self.made[len(gone) :]
        self.slices.append(len(gone))
        return len(gone)


async def test_only_what_is_too_old_goes_and_never_all_at_once() -> None:
    shelf = Shelf(*[40] * 2500, 29.9, 1)
    assert await Retention(shelf, MemoryState(), days=30).sweep() == 2500
    assert shelf.slices == [1000, 1000, 500, 0]
    assert len(shelf.made) == 2


async def test_while_one_worker_sweeps_the_others_leave_it_to_that_one() -> None:
    shelf, state = Shelf(*[40] * 1500), MemoryState()
    counts = await asyncio.gather(*(Retention(shelf, state, days=30).sweep() for _ in range(3)))
    assert sorted(counts) == [0, 0, 1500]
    assert await Retention(shelf, state, days=30).sweep() == 0
    assert shelf.slices[-1] == 0, "the lock is given back"


async def test_it_begins_by_itself_outlives_an_outage_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf(40, 1)
    shelf.away = True
    retention = Retention(shelf, MemoryState(), days=30, interval=0.05)
    retention.start()
    async with asyncio.timeout(5):
        while "were not deleted" not in caplog.text:  # noqa: ASYNC110 - the log is all that tells
            await asyncio.sleep(0.01)
        shelf.away = False
        while len(shelf.made) > 1:  # noqa: ASYNC110 - the task deletes
            await asyncio.sleep(0.01)
    await retention.aclose()


async def test_nothing_goes_while_everything_is_kept() -> None:
    shelf = Shelf(4000)
    retention = Retention(shelf, MemoryState(), days=0, interval=0.01)
    retention.start()
    await asyncio.sleep(0.05)
    await retention.aclose()
    assert len(shelf.made) == 1
