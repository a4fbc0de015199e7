"""Several processes that share one Redis pick accounts as one would."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from services.private_servers import Redis

pytestmark = pytest.mark.services
PROCESS = Path(__file__).with_name("picking_process.py")


class Worker:
    """One of them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def tell(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, int]:
        assert self._process.stdout is not None
        found: dict[str, int] = json.loads(self._process.stdout.readline())
        return found


@pytest.fixture
def workers(own_redis: Redis) -> Iterator[list[Worker]]:
    with ExitStack() as stack:
        started = []
        for number in range(4):
            command = [sys.executable, str(PROCESS), str(own_redis.port), f"worker-{number}"]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            started.append(Worker(process))
        for worker in started:
            assert worker.hear() == "ready"  # type: ignore[comparison-overlap]
        yield started


def pick(workers: list[Worker], number: int) -> Counter[str]:
    """All workers pick at once."""
    for worker in workers:
        worker.tell(f"pick {number // len(workers)}")
    return sum((Counter(worker.hear()) for worker in workers), Counter())


def test_four_processes_pick_three_accounts_evenly_and_heed_what_one_of_them_learns(workers: list[Worker]) -> None:
    picked = pick(workers, 3000)
    assert picked.total() == 3000
    assert all(950 <= picked[account] <= 1050 for account in "abc"), picked
    workers[0].tell("cool c")
    workers[0].hear()
    deadline = time.monotonic() + 5
    while "c" in pick(workers, 40):
        assert time.monotonic() < deadline, "the other workers did not hear that an account rests"
    picked = pick(workers, 2000)
    assert set(picked) == {"a", "b"}
    assert all(950 <= picked[account] <= 1050 for account in "ab"), picked
