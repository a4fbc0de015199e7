"""What happened: a record for each call, handed to the sinks in batches while the client already has its answer."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Literal

import attrs

from aigateway_core.errors import ClientError, ErrorKind, GatewayError, Scope, UnavailableError, UpstreamError
from aigateway_core.model import Usage
from aigateway_core.plugin.stats import StatsSink
from aigateway_core.records import Account, Attempt, CallRecord, Operation, Outcome
from aigateway_core.routing import Route
from aigateway_core.secret import Secret

log = logging.getLogger(__name__)

_FAREWELL_SECONDS = 5.0
"""How long a sink may take to write what is left when the gateway stops, and to close."""

_LONGEST_NAME = 255
"""Characters of a name that is kept: callers make up the names of models."""

CLIENT_GONE_STATUS = 499
"""What stands in the log when nobody was there any more to receive a status (nginx's custom)."""


@attrs.frozen(kw_only=True)
class RecorderLimits:
    """At most ``queue_size`` records wait; they go out every ``flush_interval`` seconds, ``batch_size`` at a time."""

    queue_size: int = 10_000
    flush_interval: float = 0.25
    batch_size: int = 500


class Recorder:
    """A bounded queue before the stats sinks. :meth:`put` never waits; what does not fit is dropped and counted."""

    def __init__(self, sinks: Sequence[StatsSink], limits: RecorderLimits | None = None) -> None:
        self._lanes = [_Lane(sink, limits or RecorderLimits()) for sink in sinks]
        self.under_way = 0
        """Calls that have begun and not ended."""

    @property
    def dropped(self) -> int:
        """Records lost so far, over all sinks."""
        return sum(lane.dropped for lane in self._lanes)

    @property
    def waiting(self) -> int:
        """Records that wait now, in the longest queue."""
        return max((lane.waiting for lane in self._lanes), default=0)

    def put(self, record: CallRecord) -> None:
        """Take in one record."""
        for lane in self._lanes:
            lane.put(record)

    def start(self) -> None:
        """Begin to write."""
        for lane in self._lanes:
            lane.start()

    async def aclose(self) -> None:
        """Write what is left, then stop; a sink that takes too long over it is left behind."""
        await asyncio.gather(*(lane.aclose() for lane in self._lanes))


class _Lane:
    """One sink with a queue of its own, so that a slow one holds up nobody."""

    def __init__(self, sink: StatsSink, limits: RecorderLimits) -> None:
        self._sink = sink
        self._name = type(sink).__name__
        self._limits = limits
        self._queue: deque[CallRecord] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False
        self._closing = False
        self._dropped_before = 0
        self.dropped = 0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def put(self, record: CallRecord) -> None:
        if len(self._queue) >= self._limits.queue_size:
            if self.dropped == self._dropped_before:
                log.warning("the stats sink %s does not keep up, records are dropped", self._name)
            self.dropped += 1
            return
        self._queue.append(record)
        # A sink that is away is asked at its own pace, whatever comes in meanwhile.
        if len(self._queue) >= self._limits.batch_size and not self._failing:
            self._wake.set()

    def start(self) -> asyncio.Task[None]:
        self._task = asyncio.create_task(self._run(), name=f"recorder-{self._name}")
        return self._task

    async def aclose(self) -> None:
        self._closing = True
        self._wake.set()
        task = self._task or self.start()
        await asyncio.wait({task}, timeout=_FAREWELL_SECONDS)
        task.cancel()
        if self._queue:
            self.dropped += len(self._queue)
            log.error("%d call records are lost: the stats sink %s did not take them", len(self._queue), self._name)
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self._sink.aclose()
        except Exception:
            log.exception("the stats sink %s could not be closed", self._name)

    async def _run(self) -> None:
        pause = self._limits.flush_interval
        while not self._closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            self._wake.clear()
            # A sink that is away is asked less and less often, and hears everything once it is back.
            pause = self._limits.flush_interval if await self._flush() else min(pause * 2, 5.0)
        await self._flush()

    async def _flush(self) -> bool:
        """Write all that waits; false when the sink failed (what it did not take keeps waiting)."""
        while batch := list(islice(self._queue, self._limits.batch_size)):
            try:
                await self._sink.write(batch)
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelled():
                    raise
                self._fail(error)
                return False
            for _ in batch:
                self._queue.popleft()
            self._recover()
        return True

    def _fail(self, error: BaseException) -> None:
        """One line when a sink begins to fail, not one for every try."""
        if not self._failing:
            self._failing = True
            log.warning("the stats sink %s fails, records wait: %s", self._name, type(error).__name__)

    def _recover(self) -> None:
        if self._failing:
            self._failing = False
            log.warning("the stats sink %s works again", self._name)
        if lost := self.dropped - self._dropped_before:
            self._dropped_before = self.dropped
            log.warning("the stats sink %s keeps up again, %d records were dropped", self._name, lost)


def is_cancelled() -> bool:
    """Whether somebody wants the current task to end.

    A plugin may let a cancellation escape that was none of this task's: it must not pass for one that was.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Call:
    """One call while it happens; becomes a :class:`CallRecord` when it :meth:`ends <end>`, exactly once."""

    def __init__(
        self, recorder: Recorder, *, request_id: str, dialect: str, client_key_id: str, operation: Operation = "chat"
    ) -> None:
        self._recorder = recorder
        self._began = time.perf_counter()
        self._at = datetime.now(UTC)
        self.request_id = request_id
        self.operation: Operation = operation
        self.dialect = dialect
        self.client_key_id = client_key_id
        self.model: str | None = None
        self.route: Route | None = None
        self.account: Account | None = None
        self.proxy_id: int | None = None
        self.secrets: Sequence[Secret] = ()
        self.streamed = False
        self.native = False
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.first_byte_ms: int | None = None
        self.attempts: list[Attempt] = []
        self._ended = False
        recorder.under_way += 1

    def elapsed_ms(self) -> int:
        """Milliseconds since the call began."""
        return round((time.perf_counter() - self._began) * 1000)

    def answered(self) -> None:
        """The first byte of the answer is ready to go to the client."""
        self.first_byte_ms = self.elapsed_ms()

    def attempt(self, account: Account, proxy_id: int | None = None) -> PendingAttempt:
        """An attempt begins on this account, through that outbound proxy of the pool."""
        self.account, self.proxy_id = account, proxy_id
        return PendingAttempt(self, account, proxy_id)

    def end(self, error: BaseException | None = None, *, status: int = 200) -> None:
        """The call is over: well, or with this error. ``status`` is what the client was sent."""
        if self._ended:
            return
        self._ended = True
        self._recorder.under_way -= 1
        if isinstance(error, asyncio.CancelledError) and error.args == (UnavailableError.SHUTTING_DOWN,):
            error, status = UnavailableError(UnavailableError.SHUTTING_DOWN), 503
        outcome, status = self._outcome(error, status)
        kind, message = _told(error)
        usage = self.usage
        self._recorder.put(
            CallRecord(
                id=os.urandom(16).hex(),
                request_id=self.request_id,
                created_at=self._at,
                dialect=self.dialect,
                client_key_id=self.client_key_id,
                outcome=outcome,
                status_code=status,
                latency_ms=self.elapsed_ms(),
                model=self.model[:_LONGEST_NAME] if self.model else None,
                upstream_model=self.route.model if self.route else None,
                provider_id=self.route.provider.id if self.route else None,
                account_id=self.account.id if self.account else None,
                proxy_id=self.proxy_id,
                streamed=self.streamed,
                native=self.native,
                time_to_first_byte_ms=self.first_byte_ms,
                input_tokens=_count(usage.input_tokens) if usage else None,
                output_tokens=_count(usage.output_tokens) if usage else None,
                cached_tokens=_count(usage.cache_read_tokens) if usage else None,
                reasoning_tokens=_count(usage.reasoning_tokens) if usage else None,
                usage_source=_source(usage),
                finish_reason=None if self.finish_reason is None else str(self.finish_reason)[:_LONGEST_NAME],
                error_kind=kind,
                error=message,
                attempts=tuple(self.attempts),
                operation=self.operation,
            )
        )

    def _outcome(self, error: BaseException | None, status: int) -> tuple[Outcome, int]:
        if error is None:
            return "ok", status
        begun = self.first_byte_ms is not None
        if not isinstance(error, Exception):
            return "client_gone", 200 if begun else CLIENT_GONE_STATUS
        if begun:
            return "truncated", 200
        if isinstance(error, ClientError):
            return "invalid_request", status
        upstream = isinstance(error, UpstreamError) and error.kind is not ErrorKind.INTERNAL
        return "upstream_error" if upstream else "gateway_error", status


class PendingAttempt:
    """A try at an upstream that is under way; exactly one of its methods is called when it is over."""

    __slots__ = ("_account", "_began", "_call", "_proxy_id")

    def __init__(self, call: Call, account: Account, proxy_id: int | None) -> None:
        self._call = call
        self._account = account
        self._proxy_id = proxy_id
        self._began = call.elapsed_ms()

    def succeeded(self) -> None:
        """An answer came."""
        self._add(status_code=200)

    def abandoned(self, *, dispatched: bool) -> None:
        """The client left before there was an answer."""
        self._add(error_kind="client_gone", dispatched=dispatched)

    def failed(self, error: GatewayError) -> None:
        """No answer came. An error that is not the upstream's means that nothing was sent."""
        if isinstance(error, UpstreamError):
            self._add(status_code=error.status, error_kind=error.kind, scope=error.scope, dispatched=error.dispatched)
        else:
            self._add(error_kind=error.kind, scope="request", dispatched=False)

    def _add(
        self,
        *,
        status_code: int | None = None,
        error_kind: str | None = None,
        scope: Scope | None = None,
        dispatched: bool = True,
    ) -> None:
        self._call.attempts.append(
            Attempt(
                account_id=self._account.id,
                latency_ms=self._call.elapsed_ms() - self._began,
                status_code=status_code,
                error_kind=error_kind,
                scope=scope,
                dispatched=dispatched,
                proxy_id=self._proxy_id,
                provider_id=self._account.provider_id,
            )
        )


def _told(error: BaseException | None) -> tuple[str | None, str | None]:
    if error is None:
        return None, None
    if isinstance(error, GatewayError):
        return error.kind, error.message[:1000]
    return ("internal", type(error).__name__) if isinstance(error, Exception) else (None, None)


def _count(tokens: object) -> int | None:
    """What a provider counted, if it is a number: one odd value must not keep a whole batch out of the log."""
    return max(0, int(tokens)) if isinstance(tokens, int | float) and math.isfinite(tokens) else None


def _source(usage: Usage | None) -> Literal["upstream", "estimate"] | None:
    if usage is None:
        return None
    return "estimate" if usage.estimated else "upstream"
