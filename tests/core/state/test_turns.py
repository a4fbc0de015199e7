"""Blocks of turns, and the crowds that want one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aigateway_core.state.turns import BLOCK, Turns
from aigateway_core.state.wire import Keys

pytestmark = pytest.mark.anyio


class Counter:
    """Answers as Redis does, the first time when it is told to."""

    def __init__(self) -> None:
        self.end = 0
        self.first = asyncio.get_running_loop().create_future()

    async def ask(self, *_: object) -> list[Any]:
        if not self.first.done():
            await self.first
        self.end += BLOCK
        return [self.end, True]


@pytest.mark.timeout(20)
async def test_a_crowd_that_comes_as_a_block_arrives_empties_it_and_gets_the_next_ones() -> None:
    counter = Counter()
    turns = Turns(counter, Keys(), lambda command, answer: None)  # type: ignore[arg-type]
    turns.prepare("acme", "m")
    await asyncio.sleep(0)
    # All of them are ready to run before the loop tells that the fetching is done.
    counter.first.set_result(None)
    taken = await asyncio.gather(*(turns.take("acme", "m") for _ in range(10 * BLOCK)))
    assert sorted(taken) == list(range(10 * BLOCK))
    await turns.aclose()
