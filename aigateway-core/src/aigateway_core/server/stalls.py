"""Tells when something blocks the event loop, and what: no request is served meanwhile, and no deadline holds.

A plugin that waits without ``await`` does it, or a parser that takes seconds over an odd document. The loop leaves a
mark several times a second, and a thread looks whether the marks still come.
"""

from __future__ import annotations

import asyncio
import logging
import selectors
import sys
import threading
import time
import traceback
from collections.abc import Callable

log = logging.getLogger(__name__)

STALL_SECONDS = 0.5
"""A loop that has not run for so long stands still."""

_PERIOD = 0.1
_OVERSLEPT = 3 * _PERIOD
_WORKED = 0.3
"""Seconds of the processor that a process cannot have spent in one period unless it was at work throughout."""
_MOST_FRAMES = 12
_SAME_PLACE_SECONDS = 60.0
"""What blocks the loop again at the same place within this time is counted, and not told again."""


class StallWatch:
    """Watches the loop that runs when it is started. ``on_stall`` is called on a thread of its own, once for each."""

    def __init__(self, on_stall: Callable[[], None] | None = None) -> None:
        self._on_stall = on_stall or (lambda: None)
        self._mark = time.monotonic()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watched = 0
        self._place = ""
        self._told = 0.0

    def start(self) -> None:
        """Begin to watch."""
        self._loop, self._watched = asyncio.get_running_loop(), threading.get_ident()
        self._leave_mark()
        self._thread = threading.Thread(target=self._watch, name="stalls", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def _leave_mark(self) -> None:
        self._mark = time.monotonic()
        if self._loop is not None and not self._over.is_set():
            self._loop.call_later(_PERIOD, self._leave_mark)

    def _watch(self) -> None:
        """Look again and again; what stands still is counted and told once."""
        stalled: float | None = None
        told = False
        looked, spent = time.monotonic(), time.process_time()
        while not self._over.wait(_PERIOD):
            mark, now, cpu = self._mark, time.monotonic(), time.process_time()
            was_awake = _was_awake(now - looked, cpu - spent)
            looked, spent = now, cpu
            if stalled is None:
                if now - mark > STALL_SECONDS and was_awake and (place := _place(self._watched)):
                    stalled, told = mark, self._tell(now - mark, place)
                    self._on_stall()
            elif mark > stalled:
                if told:
                    log.warning("the event loop runs again, after %.1f s", mark - stalled)
                stalled = None

    def _tell(self, seconds: float, place: str) -> bool:
        now = time.monotonic()
        if place == self._place and now - self._told < _SAME_PLACE_SECONDS:
            return False
        self._place, self._told = place, now
        log.error(
            "the event loop stands still for %.1f s and serves nobody: something in it does not let go; it is at %s",
            seconds,
            place,
        )
        return True


def _was_awake(passed: float, spent: float) -> bool:
    """Whether this thread could look in time, or could not since the process itself was at work, in one C function.

    Else the whole process had no turn: it was stopped, or the machine slept.
    """
    return passed < _OVERSLEPT or spent >= _WORKED


def _place(thread: int) -> str:
    """Where a thread is, innermost first; nothing when it waits for events."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - documented, and there is no other way
    frames = traceback.extract_stack(frame)[::-1] if frame is not None else []
    if not frames or frames[0].filename == selectors.__file__:
        return ""
    return " < ".join(f"{each.filename}:{each.lineno} {each.name}" for each in frames[:_MOST_FRAMES])
