"""What happened: a record for each call, handed to the sinks in batches while the client already has its answer."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

import attrs

from aigateway_core.errors import ClientError, GatewayError, Scope, UnavailableError, UpstreamError
from aigateway_core.model import Usage
from aigateway_core.plugin.stats import StatsSink
from aigateway_core.records import Account, Attempt, CallRecord, Outcome
from aigateway_core.routing import Route

log = logging.getLogger(__name__)

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
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def dropped(self) -> int:
        """Records lost so far, over all sinks."""
        return sum(lane.dropped for lane in self._lanes)

    def put(self, record: CallRecord) -> None:
        """Take in one record."""
        for lane in self._lanes:
            lane.put(record)

    def start(self) -> None:
        """Begin to write."""
        self._tasks = [
            asyncio.create_task(lane.run(), name=f"recorder-{number}") for number, lane in enumerate(self._lanes)
        ]

    async def aclose(self) -> None:
        """Write what is left, then stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lane in self._lanes:
            await lane.aclose()


class _Lane:
    """One sink with a queue of its own, so that a slow one holds up nobody."""

    def __init__(self, sink: StatsSink, limits: RecorderLimits) -> None:
        self._sink = sink
        self._limits = limits
        self._queue: deque[CallRecord] = deque()
        self._full = asyncio.Event()
        self._failing = False
        self.dropped = 0

    def put(self, record: CallRecord) -> None:
        if len(self._queue) >= self._limits.queue_size:
            self.dropped += 1
            return
        self._queue.append(record)
        if len(self._queue) >= self._limits.batch_size:
            self._full.set()

    async def run(self) -> None:
        pause = self._limits.flush_interval
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._full.wait()
            self._full.clear()
            # A sink that is away is asked less and less often, and hears everything once it is back.
            pause = self._limits.flush_interval if await self._flush() else min(pause * 2, 5.0)

    async def _flush(self) -> bool:
        """Write all that waits; false when the sink failed (what it did not take keeps waiting)."""
        while self._queue:
            batch = [self._queue[position] for position in range(min(len(self._queue), self._limits.batch_size))]
            try:
                await self._sink.write(batch)
            except Exception as error:  # noqa: BLE001 - a plugin's sink may raise anything; recording must outlive it
                self._fail(error)
                return False
            if self._failing:
                self._failing = False
                log.warning("the stats sink %s works again", type(self._sink).__name__)
            for _ in batch:
                self._queue.popleft()
        return True

    def _fail(self, error: Exception) -> None:
        """One line when a sink begins to fail, not one for every try."""
        if not self._failing:
            self._failing = True
            log.warning("the stats sink %s fails, records wait: %s", type(self._sink).__name__, type(error).__name__)

    async def aclose(self) -> None:
        if not await self._flush():
            self.dropped += len(self._queue)
            log.error("%d call records are lost: their stats sink failed to the end", len(self._queue))
        await self._sink.aclose()


class Call:
    """One call while it happens; becomes a :class:`CallRecord` when it :meth:`ends <end>`, exactly once."""

    def __init__(self, recorder: Recorder, *, request_id: str, dialect: str, client_key_id: str) -> None:
        self._recorder = recorder
        self._began = time.perf_counter()
        self._at = datetime.now(UTC)
        self.request_id = request_id
        self.dialect = dialect
        self.client_key_id = client_key_id
        self.model: str | None = None
        self.route: Route | None = None
        self.account: Account | None = None
        self.streamed = False
        self.native = False
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.first_byte_ms: int | None = None
        self.attempts: list[Attempt] = []
        self._ended = False

    def elapsed_ms(self) -> int:
        """Milliseconds since the call began."""
        return round((time.perf_counter() - self._began) * 1000)

    def answered(self) -> None:
        """The first byte of the answer is ready to go to the client."""
        self.first_byte_ms = self.elapsed_ms()

    def attempt(self, account: Account) -> PendingAttempt:
        """An attempt begins on this account."""
        self.account = account
        return PendingAttempt(self, account)

    def end(self, error: BaseException | None = None, *, status: int = 200) -> None:
        """The call is over: well, or with this error. ``status`` is what the client was sent."""
        if self._ended:
            return
        self._ended = True
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
                model=self.model,
                upstream_model=self.route.model if self.route else None,
                provider_id=self.route.provider.id if self.route else None,
                account_id=self.account.id if self.account else None,
                streamed=self.streamed,
                native=self.native,
                time_to_first_byte_ms=self.first_byte_ms,
                input_tokens=usage.input_tokens if usage else None,
                output_tokens=usage.output_tokens if usage else None,
                cached_tokens=usage.cache_read_tokens if usage else None,
                reasoning_tokens=usage.reasoning_tokens if usage else None,
                usage_source=_source(usage),
                finish_reason=self.finish_reason,
                error_kind=kind,
                error=message,
                attempts=tuple(self.attempts),
            )
        )

    def _outcome(self, error: BaseException | None, status: int) -> tuple[Outcome, int]:
        if error is None:
            return "ok", status
        if not isinstance(error, Exception):
            if error.args == (UnavailableError.SHUTTING_DOWN,):
                return ("gateway_error", 503) if self.first_byte_ms is None else ("truncated", status)
            return "client_gone", CLIENT_GONE_STATUS if self.first_byte_ms is None else status
        if self.first_byte_ms is not None:
            return "truncated", status
        if isinstance(error, ClientError):
            return "invalid_request", status
        return ("upstream_error" if isinstance(error, UpstreamError) else "gateway_error"), status


class PendingAttempt:
    """A try at an upstream that is under way; exactly one of its methods is called when it is over."""

    __slots__ = ("_account", "_began", "_call")

    def __init__(self, call: Call, account: Account) -> None:
        self._call = call
        self._account = account
        self._began = call.elapsed_ms()

    def succeeded(self) -> None:
        """An answer came."""
        self._add(status_code=200)

    def abandoned(self) -> None:
        """The client left before there was an answer."""
        self._add(error_kind="client_gone")

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
            )
        )


def _told(error: BaseException | None) -> tuple[str | None, str | None]:
    if error is None:
        return None, None
    if isinstance(error, GatewayError):
        return error.kind, error.message[:1000]
    return ("internal", type(error).__name__) if isinstance(error, Exception) else (None, None)


def _source(usage: Usage | None) -> Literal["upstream", "estimate"] | None:
    if usage is None:
        return None
    return "estimate" if usage.estimated else "upstream"
