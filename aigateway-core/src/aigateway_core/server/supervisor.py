"""Several workers behind one address: each a process of its own, kept alive, and renewed one after the other.

uvicorn has a supervisor too. It does not fit: its workers outlive it when it is killed, a connection that comes while
they drain hangs on the socket that it keeps open, it ends with 0 when no worker could start, it starts one that cannot
start twice a second for ever, and its rolling restart takes a worker away before there is another.

Here the supervisor binds the address, and every worker accepts from the same sockets, so that no connection is lost
when a worker goes. It serves nothing itself, and opens neither database nor Redis.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import count

import attrs

from aigateway_core.errors import ConfigurationError
from aigateway_core.server.link import SupervisorEnd, line
from aigateway_core.server.listening import leave_no_core, listen, raise_file_limit
from aigateway_core.settings import ServerSettings

log = logging.getLogger(__name__)

_START_SECONDS = 120.0
"""A worker that takes no requests by then is stuck."""
_SETTLED_SECONDS = 10.0
"""A worker that dies younger than this is not followed at once by another one."""
_LONGEST_PAUSE = 10.0
_MOST_FAILURES = 5
"""So many starts in a row come to nothing, and no worker serves: then there is no use in going on."""
_HARD_END_SECONDS = 20.0
"""After the time that workers have to drain."""
_START_FAILED = 3


def supervise(
    command: Sequence[str],
    settings: ServerSettings,
    *,
    on_listening: Callable[[], None] | None = None,
    on_gone: Callable[[int], None] | None = None,
) -> None:
    """Run ``settings.workers`` workers until SIGTERM or SIGINT, then end them in good order.

    ``command`` starts a worker; it is given ``--number N``, ``--slot N``, ``--link FD`` and ``--listener FD`` for each
    socket. The number is that of its place, which it may share with one that is on its way out; the slot is its alone
    while it lives. ``on_listening`` is called once, when the first of them takes requests, ``on_gone`` with the slot of
    each that has ended, before another one is given it. On SIGHUP each is replaced by a new one, which reads the
    configuration again.

    Raises :class:`ConfigurationError` when the address cannot be listened on, and :class:`SystemExit` when no worker
    starts (with the exit code of the worker) or one had to be killed at the end (1).
    """
    if sys.platform == "win32":
        raise ConfigurationError("server.workers: on Windows a process cannot hand its sockets on; one worker only")
    listeners = listen(settings)
    raise_file_limit()
    leave_no_core()
    gc.enable()  # the command has switched it off
    code = asyncio.run(_Supervisor(command, settings, listeners, on_listening, on_gone).run())
    if code:
        sys.exit(code)


@attrs.define(eq=False, kw_only=True)
class _Worker:
    """``left`` is set when it has ended, or when another one has taken its place.

    ``grace`` is how many seconds its requests may need to end, as it says itself once it serves.
    """

    number: int
    slot: int
    process: asyncio.subprocess.Process
    link: SupervisorEnd
    began: float
    grace: float
    left: asyncio.Event = attrs.field(factory=asyncio.Event)

    @property
    def end(self) -> str:
        """How it ended."""
        code = self.process.returncode
        return f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"


class _Supervisor:
    def __init__(
        self,
        command: Sequence[str],
        settings: ServerSettings,
        listeners: Sequence[socket.socket],
        on_listening: Callable[[], None] | None,
        on_gone: Callable[[int], None] | None,
    ) -> None:
        self._command = command
        self._count = settings.workers
        self._grace = settings.drain_timeout
        self._listeners = listeners
        self._on_listening = on_listening
        self._on_gone = on_gone
        self._slots: set[int] = set()
        self._over = asyncio.Event()
        self._renewal_wanted = asyncio.Event()
        self._places: dict[int, _Worker] = {}
        self._young_deaths: dict[int, int] = {}
        self._alive: dict[_Worker, asyncio.Task[None]] = {}
        self._has_served = False
        self._code = 0

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._renewal_wanted.set)
        keeping = [asyncio.create_task(self._start_all(), name="workers")]
        keeping.append(asyncio.create_task(self._renew_when_asked(), name="rolling-restart"))
        await self._over.wait()
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        await self._see_all_out()
        return self._code

    # -- one place

    async def _start_all(self) -> None:
        # The first one alone: what is wrong with the configuration shall be said once.
        await self._fill(1)
        if self._over.is_set():
            return
        if self._on_listening is not None:
            self._on_listening()
        await asyncio.gather(*(self._keep(number) for number in range(1, self._count + 1)))

    async def _keep(self, number: int) -> None:
        """Keep a worker in this place."""
        while not self._over.is_set():
            worker = self._places.get(number)
            if worker is None:
                await self._fill(number)
                continue
            await worker.left.wait()
            if self._places.get(number) is worker and not self._over.is_set():
                log.error("worker %d %s; another one takes its place", number, worker.end)
                del self._places[number]
                self._note_age(worker)

    async def _fill(self, number: int) -> None:
        """Start workers for this place until one of them serves."""
        while not self._over.is_set():
            await asyncio.sleep(_pause(self._young_deaths.get(number, 0)))
            worker = await self._start(number)
            if worker is None:
                self._young_deaths[number] = self._young_deaths.get(number, 0) + 1
                self._judge(number, 0)
                continue
            if await self._serves(worker):
                self._places[number] = worker
                self._has_served = True
                return
            self._note_age(worker)
            await worker.left.wait()
            if not self._over.is_set():
                log.error("worker %d could not start: it %s", number, worker.end)
                self._judge(number, worker.process.returncode or 0)

    def _note_age(self, worker: _Worker) -> None:
        is_young = time.monotonic() - worker.began < _SETTLED_SECONDS
        self._young_deaths[worker.number] = self._young_deaths.get(worker.number, 0) + 1 if is_young else 0

    def _judge(self, number: int, code: int) -> None:
        """A worker could not start. Where none ever did it is of no use to try again, for the same will happen."""
        serving = any(not each.left.is_set() for each in self._places.values())
        is_hopeless = not self._has_served and code > 0
        if not serving and (is_hopeless or self._young_deaths[number] >= _MOST_FAILURES):
            log.error("the gateway ends, since no worker can start")
            self._code = code if code > 0 else _START_FAILED
            self._end()

    # -- one worker

    async def _start(self, number: int) -> _Worker | None:
        """A new worker; None when there can be none now: the program is being replaced, or there is no room."""
        slot = next(each for each in count(1) if each not in self._slots)
        self._slots.add(slot)
        try:
            link, process = await self._spawn(number, slot)
        except OSError as error:
            self._slots.discard(slot)
            log.error("worker %d cannot be started: %s", number, error.strerror or type(error).__name__)
            return None
        worker = _Worker(
            number=number, slot=slot, process=process, link=link, began=time.monotonic(), grace=self._grace
        )
        self._alive[worker] = asyncio.create_task(self._see_out(worker))
        if self._over.is_set():
            self._terminate(worker)
        return worker

    async def _spawn(self, number: int, slot: int) -> tuple[SupervisorEnd, asyncio.subprocess.Process]:
        link, theirs = line()
        descriptors = [each.fileno() for each in self._listeners]
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    f"--number={number}",
                    f"--slot={slot}",
                    f"--link={theirs.fileno()}",
                    *(f"--listener={each}" for each in descriptors),
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), *descriptors),
                    # An interrupt from the keyboard is for the supervisor alone, which then ends them in good order.
                    process_group=0,
                )
            except BaseException:
                link.close()
                raise
        return link, process

    async def _see_out(self, worker: _Worker) -> None:
        await worker.process.wait()
        worker.link.close()
        worker.left.set()
        if self._on_gone is not None:
            try:
                self._on_gone(worker.slot)
            except OSError as error:
                log.warning("what worker %d has left cannot be looked after: %s", worker.number, error)
        self._slots.discard(worker.slot)
        del self._alive[worker]

    async def _serves(self, worker: _Worker) -> bool:
        """Wait until it takes requests; false when it has ended before. One that is stuck is ended."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                grace = await worker.link.ready()
        except TimeoutError:
            log.error("worker %d takes no requests after %g seconds", worker.number, _START_SECONDS)
            worker.process.kill()
            return False
        if grace is None:
            return False
        # The configuration may have another one by now than the supervisor was started with.
        worker.grace = grace
        log.info("worker %d serves, as process %d", worker.number, worker.process.pid)
        return True

    # -- all of them

    async def _renew_when_asked(self) -> None:
        while True:
            await self._renewal_wanted.wait()
            self._renewal_wanted.clear()
            try:
                await self._renew()
            except Exception:
                # The next one shall be heard all the same.
                log.exception("rolling restart given up, and the workers that are there go on")

    async def _renew(self) -> None:
        """Put a new worker in each place; the old one answers what it has begun, however long that takes."""
        log.info("rolling restart: %d workers, one after the other", self._count)
        for number in range(1, self._count + 1):
            worker = await self._start(number)
            if worker is None or not await self._serves(worker):
                if worker is not None:
                    await worker.left.wait()
                end = "cannot be started" if worker is None else worker.end
                log.error("rolling restart given up: the new worker %s, and the old ones go on", end)
                return
            old = self._places.get(number)
            if old is None:
                # It has died meanwhile and another one is being started, which reads the configuration as well.
                worker.link.ask_to_leave()
                continue
            self._places[number] = worker
            old.left.set()
            old.link.ask_to_leave()
        log.info("rolling restart: done")

    def _end(self) -> None:
        """Once: let all of them drain. Twice: let them end at once."""
        self._over.set()
        for listener in self._listeners:
            listener.close()
        for worker in list(self._alive):
            self._terminate(worker)

    def _terminate(self, worker: _Worker) -> None:
        if worker.process.returncode is None:
            worker.process.terminate()

    async def _see_all_out(self) -> None:
        if not self._alive:
            return
        patience = max(worker.grace for worker in self._alive) + _HARD_END_SECONDS
        _, late = await asyncio.wait(self._alive.values(), timeout=patience)
        for worker in list(self._alive):
            if late:
                log.error("worker %d did not end in time and is killed", worker.number)
                self._code = self._code or 1
                worker.process.kill()
        await asyncio.gather(*late)


def _pause(young_deaths: int) -> float:
    """Seconds before the next start: the longer, the more have come to nothing."""
    return min(_LONGEST_PAUSE, 0.25 * 2.0 ** min(young_deaths - 1, 64)) if young_deaths else 0.0
