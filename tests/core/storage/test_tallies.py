"""What batches add up to: the same, however the records come together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.records import Attempt, CallRecord
from aigateway_core.storage.tallies import BUCKET_COLUMNS, SUMS, _by_hour, _by_proxy

WORDS = st.sampled_from([None, "a", "b", "ä\0" * 200])
COUNTS = st.one_of(st.none(), st.integers(0, 2**33))
LATENCIES = st.one_of(st.integers(-5, 5000), st.integers(3_599_999, 2**32))
TIMES = st.datetimes(datetime(2026, 5, 4, 21), datetime(2026, 5, 5, 2)).map(lambda when: when.replace(tzinfo=UTC))
ATTEMPTS = st.builds(
    Attempt,
    account_id=st.just("a"),
    latency_ms=LATENCIES,
    error_kind=st.sampled_from([None, "client_gone", "server"]),
    proxy_id=st.sampled_from([None, 1, 2]),
    provider_id=WORDS,
)
RECORDS = st.builds(
    CallRecord,
    id=st.just("1"),
    request_id=st.just("1"),
    created_at=TIMES,
    dialect=st.just("openai-chat"),
    client_key_id=st.sampled_from(["-", "k"]),
    outcome=st.sampled_from(["ok", "client_gone", "upstream_error"]),
    status_code=st.just(200),
    latency_ms=LATENCIES,
    model=WORDS,
    provider_id=WORDS,
    account_id=WORDS,
    input_tokens=COUNTS,
    output_tokens=COUNTS,
    error_kind=st.sampled_from([None, "server", "model_not_found"]),
    attempts=st.lists(ATTEMPTS, max_size=3).map(tuple),
)
Sums = Mapping[tuple[Any, ...], Sequence[int]]


def added(tally: Callable[[Sequence[CallRecord]], Sums], records: Sequence[CallRecord]) -> dict[Any, list[int]]:
    """What the records add up to one by one."""
    found: dict[Any, list[int]] = {}
    for record in records:
        for key, sums in tally([record]).items():
            found[key] = [one + other for one, other in zip(found.get(key) or [0] * len(sums), sums, strict=True)]
    return found


@given(st.lists(RECORDS, max_size=8))
def test_a_batch_adds_up_to_what_its_records_do_one_by_one(records: list[CallRecord]) -> None:
    assert _by_hour(records) == added(_by_hour, records)
    assert _by_proxy(records) == added(_by_proxy, records)


@given(st.lists(RECORDS, max_size=8))
def test_every_dimension_has_every_call_once_by_the_hour_and_by_the_day(records: list[CallRecord]) -> None:
    counted: Counter[str] = Counter()
    for (dimension, hour, _), sums in _by_hour(records).items():
        counted[dimension] += sums[0]
        assert sums[0] == sum(sums[len(SUMS) :])
        assert len(sums) == len(SUMS) + len(BUCKET_COLUMNS)
        assert hour.endswith(":00:00.000000")
    failed = sum(record.outcome != "ok" for record in records)
    for name in ("all", "provider", "model", "account", "key"):
        assert (counted[name], counted[f"{name}/day"]) == (len(records), len(records))
    assert (counted["error"], counted["error/day"]) == (failed, failed)


@given(RECORDS, st.integers(-14, 14))
def test_the_zone_in_which_a_time_is_told_changes_nothing(record: CallRecord, hours: int) -> None:
    told = attrs.evolve(record, created_at=record.created_at.astimezone(timezone(timedelta(hours=hours))))
    assert _by_hour([told]) == _by_hour([record])
    assert _by_proxy([told]) == _by_proxy([record])
