"""What several workers count together, each of them a process."""

from __future__ import annotations

import asyncio
import json
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from core.metrics_process import record
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from aigateway_core.metrics import _GAUGES, Metrics, Share, Told
from aigateway_core.records import Attempt, CallRecord

Found = dict[tuple[str, ...], float]


class Worker:
    """One of them, in this slot."""

    def __init__(self, folder: Path, slot: int) -> None:
        command = [sys.executable, str(Path(__file__).with_name("metrics_process.py")), str(folder), str(slot)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def told(self, **said: float) -> dict[str, Found]:
        """The samples of its page, by name and labels, after it was told this."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(said) + "\n")
        self._process.stdin.flush()
        found: dict[str, Found] = {}
        for family in text_string_to_metric_families(json.loads(self._process.stdout.readline())):
            for sample in family.samples:
                labels = tuple(sample.labels[name] for name in sorted(sample.labels))
                assert labels not in found.setdefault(sample.name, {}), f"{sample} stands there twice"
                found[sample.name][labels] = sample.value
        return found

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[[int], Worker]]:
    started: list[Worker] = []

    def start(slot: int) -> Worker:
        started.append(Worker(tmp_path, slot))
        return started[-1]

    yield start
    for each in started:
        each.kill()


def test_each_worker_tells_what_all_of_them_have_counted(worker: Callable[[int], Worker]) -> None:
    one, other = worker(1), worker(2)
    one.told(calls=2)
    for found in (other.told(calls=3), one.told()):
        assert found["aigateway_requests_total"] == {("m-1", "ok", "acme"): 5}
        assert found["aigateway_tokens_total"] == {("input", "m-1", "acme"): 50}
        assert found["aigateway_request_duration_seconds_count"] == {("acme",): 5}
        assert found["aigateway_request_duration_seconds_bucket"]["0.5", "acme"] == 5
        assert found["aigateway_request_duration_seconds_bucket"]["0.25", "acme"] == 0


def test_gauges_of_each_are_added_and_those_of_all_are_told_once(worker: Callable[[int], Worker]) -> None:
    one, other = worker(1), worker(2)
    one.told(under_way=5, waiting=3, lost=1, breakers=2)
    found = other.told(under_way=6, waiting=4, lost=2, breakers=1)
    assert found["aigateway_requests_in_flight"] == {(): 11}
    assert found["aigateway_queue_length"] == {(): 7}
    assert found["aigateway_tasks"] == {(): 10}
    assert found["aigateway_records_dropped"] == {(): 3}
    assert found["aigateway_open_breakers"] == {(): 2}, "of one vendor, as those see it that see the most"
    assert found["aigateway_accounts_cooling"] == {("acme",): 2}
    assert found["aigateway_outbound_proxies"] == {("healthy",): 1}
    assert one.told(waiting=0)["aigateway_queue_length"] == {(): 4}


def test_no_counter_falls_when_a_worker_dies_and_another_takes_its_slot(
    worker: Callable[[int], Worker], tmp_path: Path
) -> None:
    one, other = worker(1), worker(2)
    one.told(calls=1)
    other.told(calls=2, waiting=9, lost=5, stalls=2)
    other.kill()
    Share(tmp_path, 2).leave()
    found = one.told()
    assert found["aigateway_requests_total"] == {("m-1", "ok", "acme"): 3}
    assert found["aigateway_queue_length"] == {(): 0}
    assert found["aigateway_records_dropped"] == {(): 5}
    assert found["aigateway_loop_stalls"] == {(): 2}
    found = worker(2).told(calls=4, lost=1)
    assert found["aigateway_requests_total"] == {("m-1", "ok", "acme"): 7}
    assert found["aigateway_records_dropped"] == {(): 6}
    assert len(list(tmp_path.iterdir())) == 2


def test_where_the_folder_is_cleaned_away_it_is_made_again(worker: Callable[[int], Worker], tmp_path: Path) -> None:
    one, other = worker(1), worker(2)
    one.told(calls=1)
    other.told(calls=2)
    shutil.rmtree(tmp_path)
    other.told(calls=1)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    assert one.told()["aigateway_requests_total"] == {("m-1", "ok", "acme"): 4}
    shutil.rmtree(tmp_path)
    Share(tmp_path, 2).leave()
    assert one.told()["aigateway_requests_total"] == {("m-1", "ok", "acme"): 1}


TIMES, TOKENS = st.sampled_from([-1, 0, 49, 51, 10**7]), st.sampled_from([None, -3, 0, 5, 2**40])
RECORDS = st.builds(
    lambda **said: attrs.evolve(record(1), **said),
    provider_id=st.sampled_from([None, "acme", "globex"]),
    model=st.sampled_from([None, "m", "n"]),
    outcome=st.sampled_from(["ok", "truncated", "upstream_error"]),
    latency_ms=TIMES,
    time_to_first_byte_ms=st.none() | TIMES,
    input_tokens=TOKENS,
    reasoning_tokens=TOKENS,
    attempts=st.lists(
        st.builds(
            Attempt,
            account_id=st.just("a"),
            latency_ms=TIMES,
            error_kind=st.sampled_from([None, "server", "timeout"]),
            provider_id=st.sampled_from([None, "acme", "globex"]),
        ),
        max_size=3,
    ).map(tuple),
)


@given(st.lists(RECORDS, max_size=8))
def test_a_batch_counts_for_what_its_records_count_one_by_one(records: list[CallRecord]) -> None:
    async def counted(*batches: list[CallRecord]) -> tuple[int, Found]:
        metrics = Metrics(lambda: dict.fromkeys(_GAUGES, 0))
        for batch in batches:
            await metrics.write(batch)
        return sum(metrics._counts[each] for each in metrics._counts if each[0] == "requests"), dict(metrics._counts)

    together = asyncio.run(counted(records))
    assert together == asyncio.run(counted(*([each] for each in records)))
    assert together[0] == len(records)


@pytest.mark.anyio
async def test_a_disk_that_takes_its_time_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics(lambda: dict.fromkeys(_GAUGES, 0), Share(tmp_path, 1))
    written, busy = [], threading.Event()
    write = Share.write

    def slowly(share: Share, told: Told) -> None:
        assert busy.wait(10)
        write(share, told)
        written.append(sum(told.counts.values()))

    monkeypatch.setattr(Share, "write", slowly)
    notes = [asyncio.create_task(metrics.note()) for _ in range(3)]
    notes.append(asyncio.create_task(metrics.write([record(1)])))
    await asyncio.sleep(0.05)  # the loop runs, though the disk does not
    assert written == []
    busy.set()
    await asyncio.gather(*notes)
    assert written == sorted(written)
    assert Share(tmp_path, 1).read().counts["requests", "acme", "m-1", "ok"] == 1


@pytest.mark.anyio
@pytest.mark.parametrize("odd", [{"input_tokens": 2**64}, {"model": "m-\ud83d"}])
async def test_what_cannot_be_written_down_is_counted_once_all_the_same(tmp_path: Path, odd: dict[str, Any]) -> None:
    metrics = Metrics(lambda: dict.fromkeys(_GAUGES, 0), Share(tmp_path, 1))
    await metrics.write([attrs.evolve(record(1), **odd), record(2)])
    assert sum(number for (name, *_), number in metrics._counts.items() if name == "requests") == 2
