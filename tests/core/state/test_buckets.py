"""The buckets of keys: what holds for any numbers, and what counts while Redis is away."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigateway_core.state import buckets
from aigateway_core.state.address import RedisAddress
from aigateway_core.state.buckets import Buckets
from aigateway_core.state.redis import RedisState


@given(st.integers(1, 50), st.lists(st.floats(0, 30), max_size=200))
@settings(deadline=None)
def test_no_bucket_gives_more_than_it_holds_and_gains(per_minute: int, pauses: list[float]) -> None:
    clock = [1000.0]
    own = Buckets()
    granted = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buckets.time, "monotonic", lambda: clock[0])
        for pause in pauses:
            clock[0] += pause
            said = own.spend("k", per_minute)
            granted += said.granted
            assert 0 <= said.remaining < per_minute
            assert 0 <= said.reset <= 60.001
            if not said.granted:
                clock[0] += said.wait
                assert own.spend("k", per_minute).granted, "whoever waits as long as is said is let through"
                granted += 1
    assert granted <= per_minute + (clock[0] - 1000.0) * per_minute / 60 + 1


@pytest.mark.anyio
async def test_d_12_a_worker_counts_for_itself_while_redis_is_away() -> None:
    state = RedisState(RedisAddress(host="127.0.0.1", port=9))
    said = [await state.spend("k", 2) for _ in range(3)]
    assert [each.granted for each in said] == [True, True, False]
    await state.aclose()
