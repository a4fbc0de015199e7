"""What happened: a record for each call, handed to the sinks in batches while the client already has its answer."""

from __future__ import annotations

import asyncio
import math
import os
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import TypeAlias

from aigateway_core.errors import (
    ClientError,
    ErrorKind,
    GatewayError,
    LoginNeededError,
    Scope,
    UnavailableError,
    UpstreamError,
)
from aigateway_core.lanes import Lane
from aigateway_core.lanes import RecorderLimits as RecorderLimits
from aigateway_core.lanes import is_cancelled as is_cancelled
from aigateway_core.model import Usage
from aigateway_core.plugin.stats import StatsSink
from aigateway_core.records import Account, Attempt, CallRecord, Operation, Outcome
from aigateway_core.routing import Route
from aigateway_core.secret import Secret

_LONGEST_NAME = 255
"""Characters of a name that is kept: callers make up the names of models."""

CLIENT_GONE_STATUS = 499
"""What stands in the log when nobody was there any more to receive a status (nginx's custom)."""


class Recorder:
    """A bounded queue before the stats sinks. :meth:`put` never waits; what does not fit is dropped and counted.

    With ``vendor_messages`` records keep what vendors say of a failure, which may quote the prompt.
    """

    def __init__(
        self, sinks: Sequence[StatsSink], limits: RecorderLimits | None = None, *, vendor_messages: bool = False
    ) -> None:
        self.vendor_messages = vendor_messages
        limits = limits or RecorderLimits()
        self._fresh: list[CallRecord] = []
        self._at_once = min(limits.batch_size, limits.queue_size)
        self._lanes = [Lane(sink, limits, self._hand_out) for sink in sinks]
        self.under_way = 0
        """Calls that have begun and not ended."""
        self._source, self._made = os.urandom(7).hex(), count()

    @property
    def dropped(self) -> int:
        """Records lost so far, over all sinks."""
        self._hand_out()
        return sum(lane.dropped for lane in self._lanes)

    @property
    def waiting(self) -> int:
        """Records that wait now, in the longest queue."""
        self._hand_out()
        return max((lane.waiting for lane in self._lanes), default=0)

    def new_id(self) -> str:
        """An id for a record that no other process makes either; ids grow with time.

        What is written together thus lies together in an index, where random ids would touch a page of it each.
        """
        return f"{time.time_ns() // 1_000_000:012x}{next(self._made) & 0xFFFFFF:06x}{self._source}"

    def put(self, record: CallRecord) -> None:
        """Take in one record."""
        self._fresh.append(record)
        if len(self._fresh) >= self._at_once:
            self._hand_out()

    def _hand_out(self) -> None:
        """Put what has come before the sinks: not one by one, since this is on the way of every request."""
        fresh, self._fresh = self._fresh, []
        for lane in self._lanes:
            lane.put(fresh)

    def start(self) -> None:
        """Begin to write."""
        for lane in self._lanes:
            lane.start()

    async def aclose(self) -> None:
        """Write what is left, then stop; a sink that takes too long over it is left behind."""
        await asyncio.gather(*(lane.aclose() for lane in self._lanes))


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

    def answered(self) -> None:
        """The first byte of a stream is ready to go to the client; that of a whole answer is when it ends."""
        self.first_byte_ms = round((time.perf_counter() - self._began) * 1000)

    def end(self, error: BaseException | None = None, *, status: int = 200) -> None:
        """The call is over: well, or with this error. ``status`` is what the client was sent."""
        if self._ended:
            return
        self._ended = True
        self._recorder.under_way -= 1
        if isinstance(error, asyncio.CancelledError) and error.args == (UnavailableError.SHUTTING_DOWN,):
            error, status = UnavailableError(UnavailableError.SHUTTING_DOWN), 503
        latency = round((time.perf_counter() - self._began) * 1000)
        if error is None:
            outcome: Outcome = "ok"
            kind = message = None
            self.first_byte_ms = latency if self.first_byte_ms is None else self.first_byte_ms
        else:
            outcome, status = self._outcome(error, status)
            kind, message = _told(error, verbatim=self._recorder.vendor_messages)
        usage = self.usage
        sent, received, cached, reasoning = _NOBODY_SAID if usage is None else _tokens(usage)
        self._recorder.put(
            CallRecord(
                id=self._recorder.new_id(),
                request_id=self.request_id,
                created_at=self._at,
                dialect=self.dialect,
                client_key_id=self.client_key_id,
                outcome=outcome,
                status_code=status,
                latency_ms=latency,
                model=self.model[:_LONGEST_NAME] if self.model else None,
                upstream_model=self.route.model if self.route else None,
                provider_id=self.route.provider.id if self.route else None,
                account_id=self.account.id if self.account else None,
                proxy_id=self.proxy_id,
                streamed=self.streamed,
                native=self.native,
                time_to_first_byte_ms=self.first_byte_ms,
                input_tokens=sent,
                output_tokens=received,
                cached_tokens=cached,
                reasoning_tokens=reasoning,
                usage_source=None if usage is None else "estimate" if usage.estimated else "upstream",
                finish_reason=None if self.finish_reason is None else str(self.finish_reason)[:_LONGEST_NAME],
                error_kind=kind,
                error=message,
                attempts=tuple(self.attempts),
                operation=self.operation,
            )
        )

    def _outcome(self, error: BaseException, status: int) -> tuple[Outcome, int]:
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
    """A try of a call at an upstream, with this account and through that outbound proxy of the pool, under way.

    Exactly one of its methods is called when it is over.
    """

    __slots__ = ("_account", "_began", "_call", "_proxy_id")

    def __init__(self, call: Call, account: Account, proxy_id: int | None = None) -> None:
        call.account, call.proxy_id = account, proxy_id
        self._call = call
        self._account = account
        self._proxy_id = proxy_id
        self._began = time.perf_counter()

    def abandoned(self, *, dispatched: bool) -> None:
        """The client left before there was an answer."""
        self.end(None, error_kind="client_gone", dispatched=dispatched)

    def failed(self, error: GatewayError) -> None:
        """No answer came. An error that is not the upstream's means that nothing was sent."""
        if isinstance(error, UpstreamError):
            self.end(error.status, error_kind=error.kind, scope=error.scope, dispatched=error.dispatched)
        else:
            self.end(None, error_kind=error.kind, scope="request", dispatched=False)

    def end(
        self,
        status_code: int | None = 200,
        *,
        error_kind: str | None = None,
        scope: Scope | None = None,
        dispatched: bool = True,
    ) -> None:
        """It is over: well, unless something else is said."""
        self._call.attempts.append(
            Attempt(
                account_id=self._account.id,
                latency_ms=round((time.perf_counter() - self._began) * 1000),
                status_code=status_code,
                error_kind=error_kind,
                scope=scope,
                dispatched=dispatched,
                proxy_id=self._proxy_id,
                provider_id=self._account.provider_id,
            )
        )


def _told(error: BaseException, *, verbatim: bool) -> tuple[str | None, str | None]:
    if isinstance(error, GatewayError):
        return error.kind, (error.message if verbatim else _in_our_words(error))[:1000]
    return ("internal", type(error).__name__) if isinstance(error, Exception) else (None, None)


_REFUSED = 400
"""The first status that says that something is wrong; an error may also stand in an answer that says 200."""
_QUOTED = re.compile(r"""(?<!\w)(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?!\w)""", re.DOTALL)
_WORD = re.compile(r"[\w.:\[\]-]{1,64}", re.ASCII)
_PATH = re.compile(r"[\w.:\[\]-]{1,256}", re.ASCII)


def _in_our_words(error: GatewayError) -> str:
    """What may be stored of it: a vendor quotes the prompt that it refuses, our own texts what they refuse."""
    if not isinstance(error, UpstreamError) or isinstance(error, LoginNeededError):
        return _unquoted(error)
    if error.kind is ErrorKind.PROTOCOL or (error.status is None and error.code is None):
        return _unquoted(error)  # no vendor has said so: its answer is missing or cannot be read
    code, param = (word if word is not None and _WORD.fullmatch(word) else None for word in (error.code, error.param))
    status = error.status if error.status is not None and error.status >= _REFUSED else None
    told = ", ".join(f"{name} {value}" for name, value in (("status", status), ("code", code)) if value is not None)
    said = f"the upstream answered with {told}" if told else "the upstream reported an error"
    return said + (f", about {param}" if param else "")


def _unquoted(error: GatewayError) -> str:
    """Our own text, without what it repeats of a body: values, and a path on which a caller's own keys lie."""
    path, message = getattr(error, "path", None), error.message
    if path and not _PATH.fullmatch(path):
        known = path.partition(".")[0]
        message = message.replace(path, f"{known}.…" if _PATH.fullmatch(known) else "…", 1)
    return _QUOTED.sub("'…'", message)


_Tokens: TypeAlias = tuple[int | None, ...]
_MOST_TOKENS = 2**31 - 1
"""What a column of the log holds. Sums of it go into 64 bits for ever, whatever a vendor says."""
_NOBODY_SAID: _Tokens = (None, None, None, None)


def _tokens(usage: Usage) -> _Tokens:
    """What was counted: sent, received, read from a cache, spent on reasoning."""
    said = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.reasoning_tokens)
    return (
        said
        if {*map(type, said)} == {int} and min(said) >= 0 and max(said) <= _MOST_TOKENS
        else tuple(map(_count, said))
    )


def _count(tokens: object) -> int | None:
    """What a provider counted, if it is a number: one odd value must not keep a whole batch out of the log."""
    return min(max(0, int(tokens)), _MOST_TOKENS) if isinstance(tokens, int | float) and math.isfinite(tokens) else None
