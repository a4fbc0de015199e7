"""What grows with what: the cost of a request with accounts, open streams, idle connections and workers.

Each thing is measured small and large by turns, so that a ratio is taken within a round. The sums of what upstream and
load have to do are the same for both sizes.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import attrs
from bench.machine import Cores, connections_to, cpu_seconds, family, memory_mb
from bench.measure import say, settle
from bench.modes import Mode
from bench.targets import KEYS, Embedded, Target, Upstream
from bench.tools import Load, OwnLoad
from services.private_servers import Redis, running
from services.provide import provide
from typing_extensions import override

ACCOUNTS = (10, 1000)
STREAMS = (100, 1000)
IDLE = (1, 200)
WORKERS = (1, 2)

_EVENTS_A_SECOND = 5000
"""Of all open streams together, however many there are."""
_EVENTS = 30
_OPENING_MS = 100
_LOAD = 16
_MOST_SECONDS_IDLE = 10.0
"""The gateway lets go of connections that nobody uses for somewhat longer than this."""

Row = dict[str, Any]


class Pool(Embedded):
    """This gateway with more accounts than three, or with workers, which share their state in Redis."""

    name: ClassVar[str] = "aigateway-grown"

    def __init__(
        self,
        root: Path,
        upstream: Upstream,
        cores: Cores,
        *,
        accounts: int = 3,
        workers: int = 1,
        redis: Redis | None = None,
    ) -> None:
        super().__init__(root, upstream, cores)
        self._accounts, self._workers, self._redis = accounts, workers, redis

    @property
    @override
    def keys(self) -> Sequence[str]:
        return list(itertools.islice(itertools.cycle(KEYS), self._accounts))

    @override
    def storage(self) -> dict[str, Any]:
        shared = {"redis": {"enabled": True, "url": self._redis.url}} if self._redis else {}
        server = {"client_auth": "required", "workers": self._workers}
        return {**super().storage(), **shared, "server": server}


@attrs.frozen
class Case:
    """One thing at one size: ``measure`` tells what it costs."""

    what: str
    size: int
    measure: Callable[[], Row]


class Growth:
    """Starts the gateways that are compared, and measures them by turns; :attr:`rows` is what was found so far."""

    def __init__(self, upstream: Upstream, cores: Cores, programs: Path, folder: Path, seconds: float) -> None:
        self.rows: list[Row] = []
        self._upstream = upstream
        self._cores = cores
        self._own = OwnLoad(programs, folder)
        self._folder = folder
        self._seconds = seconds

    def run(self, rounds: int) -> None:
        """Measure everything so often."""
        with ExitStack() as started:
            cases = self._cases(started)
            for number in range(rounds):
                for case in cases if number % 2 == 0 else reversed(cases):
                    row = {"what": case.what, "size": case.size, "round": number, **case.measure()}
                    self.rows.append(row)
                    say("  ".join(f"{name} {value}" for name, value in row.items()))

    def _cases(self, started: ExitStack) -> list[Case]:
        provide()
        (self._folder / "redis").mkdir(exist_ok=True)
        redis = started.enter_context(running(Redis(self._folder / "redis")))
        few, many = (self._started(started, f"accounts-{size}", accounts=size) for size in ACCOUNTS)
        one, two = (self._started(started, f"workers-{size}", workers=size, redis=redis) for size in WORKERS)
        return [
            Case("accounts", ACCOUNTS[0], lambda: self._requests(few)),
            Case("accounts", ACCOUNTS[1], lambda: self._requests(many)),
            Case("open streams", STREAMS[0], lambda: self._streams(few, STREAMS[0])),
            Case("open streams", STREAMS[1], lambda: self._streams(few, STREAMS[1])),
            Case("idle connections", IDLE[0], lambda: self._idle(few, IDLE[0])),
            Case("idle connections", IDLE[1], lambda: self._idle(few, IDLE[1])),
            Case("workers", WORKERS[0], lambda: self._requests(one)),
            Case("workers", WORKERS[1], lambda: self._requests(two)),
        ]

    def _started(self, started: ExitStack, name: str, **more: Any) -> Pool:
        say(f"{name}: preparing")
        target = Pool(self._folder / name, self._upstream, self._cores, **more)
        target.prepare()
        started.enter_context(running(target))
        return target

    def _requests(self, target: Target, connections: int = _LOAD) -> Row:
        """What a whole answer costs, and what the processes hold afterwards."""
        self._own.run(self._load(target, Mode("whole", "native", "small", connections), seconds=1.0))
        settle(target)
        told = self._spent(target, self._load(target, Mode("whole", "native", "small", connections), self._seconds))
        # The supervisor of several workers serves nothing.
        _, *workers = family(_process(target))
        each = [memory_mb(pid) for pid in workers] or [memory_mb(_process(target))]
        return {**told, "memory_mb": memory_mb(_process(target)), "worker_mb": sum(each) / len(each)}

    def _idle(self, target: Target, connections: int) -> Row:
        """What a request costs that has a connection to itself, beside connections that idle."""
        deadline = time.monotonic() + 2 * _MOST_SECONDS_IDLE
        while connections_to(self._upstream.port, _process(target)) > connections and time.monotonic() < deadline:
            time.sleep(0.5)  # those of an earlier case go by themselves
        # Each stream has a connection of its own as long as it lasts, which is kept afterwards.
        self._upstream.script(chunks=_EVENTS + 2, interval_ms=_OPENING_MS)
        _, request = target.requests(Mode("paced", "native", "small", connections))
        asyncio.run(_streams_at_once(target.port, request, connections))
        idle = connections_to(self._upstream.port, _process(target))
        seconds = min(self._seconds, _MOST_SECONDS_IDLE)
        told = self._spent(target, self._load(target, Mode("whole", "native", "small", 1), seconds), wait=False)
        return {**told, "connections": idle}

    def _streams(self, target: Target, streams: int) -> Row:
        """What an event costs, and what the process holds for each stream that is open."""
        interval = streams * 1000 // _EVENTS_A_SECOND
        self._upstream.script(chunks=_EVENTS + 2, interval_ms=interval)
        pace = interval * (_EVENTS + 2) / 1000
        settle(target)
        before, highest, over = memory_mb(_process(target)), 0.0, threading.Event()

        def look() -> None:
            nonlocal highest
            while not over.wait(0.2):
                highest = max(highest, memory_mb(_process(target)))

        looking = threading.Thread(target=look)
        looking.start()
        try:
            load = self._load(target, Mode("paced", "native", "small", streams), self._seconds + pace)
            told = self._spent(target, attrs.evolve(load, chunks=_EVENTS, warmup=pace, ramp=pace))
        finally:
            over.set()
            looking.join()
        return {**told, "memory_mb": highest, "stream_kb": max(0.0, highest - before) * 1024 / streams}

    def _spent(self, target: Target, load: Load, *, wait: bool = True) -> Row:
        began = cpu_seconds(_process(target))
        told = self._own.run(load)
        if wait:
            settle(target)
        else:
            time.sleep(1.0)  # the records are written by then
        seconds = cpu_seconds(_process(target)) - began
        # An event of a stream pays its part of the request.
        count = told["all_chunks"] if load.chunks else told["all"]
        names = ("rate", "p50", "p99", "failed", "all")
        return {"cpu_us": seconds / max(1, count) * 1e6, **{name: told[name] for name in names}}

    def _load(self, target: Target, mode: Mode, seconds: float) -> Load:
        requests = target.requests(mode)
        return Load(
            port=target.port, connections=mode.connections, requests=requests, chunks=0, warmup=0.0, seconds=seconds
        )


async def _streams_at_once(port: int, request: bytes, count: int) -> None:
    """Read so many streams to their ends, all of them open at a time."""

    async def read() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        await reader.readuntil(b"[DONE]")
        writer.close()

    async with asyncio.timeout(60):
        await asyncio.gather(*(read() for _ in range(count)))


def _process(target: Target) -> int:
    if target.process is None:
        raise RuntimeError(f"{target.name} has no process")
    return target.process
