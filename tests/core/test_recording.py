from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest

from aigateway_core.errors import (
    ErrorKind,
    GatewayError,
    InvalidRequestError,
    LoginNeededError,
    NoAccountError,
    UnavailableError,
    UpstreamError,
)
from aigateway_core.model import Usage
from aigateway_core.recording import Call, PendingAttempt, Recorder, RecorderLimits
from aigateway_core.records import Account, CallRecord
from aigateway_core.routing import Router
from aigateway_core.snapshot import ProviderEntry

pytestmark = pytest.mark.anyio
SOON = RecorderLimits(flush_interval=0.01, batch_size=10, queue_size=100)


class Sink:
    """Keeps what it is given; fails while it is told to."""

    def __init__(self) -> None:
        self.records: list[CallRecord] = []
        self.batches: list[int] = []
        self.fails = False
        self.closed = False

    async def write(self, records: Sequence[CallRecord]) -> None:
        if self.fails:
            raise OSError("away")
        self.records.extend(records)
        self.batches.append(len(records))

    async def aclose(self) -> None:
        self.closed = True


def call(recorder: Recorder) -> Call:
    return Call(recorder, request_id="r", dialect="openai-chat", client_key_id="-")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the condition is a list that somebody else fills
            await asyncio.sleep(0.005)


async def test_a_record_reaches_every_sink_soon() -> None:
    one, two = Sink(), Sink()
    recorder = Recorder([one, two], SOON)
    recorder.start()
    call(recorder).end()
    await until(lambda: len(one.records) == len(two.records) == 1)
    await recorder.aclose()
    assert one.closed
    assert two.closed


async def test_what_still_waits_at_the_end_is_written() -> None:
    sink = Sink()
    recorder = Recorder([sink], RecorderLimits(flush_interval=60, batch_size=10))
    recorder.start()
    for _ in range(25):
        call(recorder).end()
    await recorder.aclose()
    assert len(sink.records) == 25
    assert max(sink.batches) <= 10


def test_a_call_is_under_way_until_it_ends_however_often_that_is_said() -> None:
    recorder = Recorder([])
    one, other = call(recorder), call(recorder)
    assert recorder.under_way == 2
    one.end(asyncio.CancelledError())
    one.end()
    assert recorder.under_way == 1
    other.end()
    assert recorder.under_way == 0


async def test_a_full_batch_does_not_wait_for_the_interval() -> None:
    sink = Sink()
    recorder = Recorder([sink], RecorderLimits(flush_interval=60, batch_size=3))
    recorder.start()
    for _ in range(3):
        call(recorder).end()
    await until(lambda: len(sink.records) == 3)
    await recorder.aclose()


class Slow(Sink):
    """Takes its time over its first batch."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()

    async def write(self, records: Sequence[CallRecord]) -> None:
        self.begun.set()
        await self.may_end.wait()
        await super().write(records)


async def test_what_comes_while_a_batch_is_written_waits_for_others_to_go_with() -> None:
    sink = Slow()
    recorder = Recorder([sink], RecorderLimits(flush_interval=60, batch_size=3))
    recorder.start()
    for _ in range(3):
        call(recorder).end()
    await sink.begun.wait()
    call(recorder).end()
    assert recorder.waiting == 4
    sink.may_end.set()
    await until(lambda: recorder.waiting == 1)
    await asyncio.sleep(0.02)
    assert sink.batches == [3]
    for _ in range(3):
        call(recorder).end()
    await until(lambda: sink.batches == [3, 3, 1])
    await recorder.aclose()


async def test_what_comes_while_the_last_batch_is_written_is_written_too() -> None:
    sink = Slow()
    recorder = Recorder([sink], RecorderLimits(flush_interval=60))
    recorder.start()
    call(recorder).end()
    closing = asyncio.create_task(recorder.aclose())
    await sink.begun.wait()
    call(recorder).end()
    sink.may_end.set()
    await closing
    assert (sink.batches, recorder.dropped) == ([1, 1], 0)


async def test_a_sink_that_is_away_gets_everything_in_order_once_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink()
    sink.fails = True
    recorder = Recorder([sink], SOON)
    recorder.start()
    for number in range(5):
        Call(recorder, request_id=str(number), dialect="d", client_key_id="-").end()
    await until(lambda: "fails" in caplog.text)
    sink.fails = False
    await until(lambda: len(sink.records) == 5)
    await recorder.aclose()
    assert [record.request_id for record in sink.records] == list("01234")
    assert sum("fails" in record.message for record in caplog.records) == 1
    assert recorder.dropped == 0


async def test_one_bad_sink_does_not_hold_up_the_others() -> None:
    bad, good = Sink(), Sink()
    bad.fails = True
    recorder = Recorder([bad, good], SOON)
    recorder.start()
    call(recorder).end()
    await until(lambda: len(good.records) == 1)
    await recorder.aclose()
    assert recorder.dropped == 1


async def test_a_full_queue_drops_and_counts_and_never_waits() -> None:
    sink = Sink()
    recorder = Recorder([sink], RecorderLimits(queue_size=2, flush_interval=60, batch_size=100))
    for _ in range(5):
        call(recorder).end()
    assert recorder.dropped == 3
    await recorder.aclose()
    assert len(sink.records) == 2


async def test_a_sink_that_fails_is_left_alone_for_a_while_however_many_records_come() -> None:
    sink = Sink()
    tries = 0

    async def fail(records: Sequence[CallRecord]) -> None:
        nonlocal tries
        tries += 1
        raise OSError("away")

    sink.write = fail  # type: ignore[method-assign]
    recorder = Recorder([sink], RecorderLimits(flush_interval=60, batch_size=2, queue_size=1000))
    recorder.start()
    for _ in range(500):
        call(recorder).end()
        await asyncio.sleep(0)
    assert tries <= 2
    await recorder.aclose()


async def test_that_records_are_dropped_is_said_once_and_that_it_is_over_with_their_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = Sink()
    recorder = Recorder([sink], RecorderLimits(queue_size=2, flush_interval=60, batch_size=100))
    for _ in range(5):
        call(recorder).end()
    await recorder.aclose()
    told = [record.message for record in caplog.records]
    assert told == [
        "the stats sink Sink does not keep up, records are dropped",
        "the stats sink Sink keeps up again, 3 records were dropped",
    ]


@pytest.mark.timeout(20)
async def test_a_sink_that_never_returns_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("aigateway_core.lanes._FAREWELL_SECONDS", 0.05)

    class Stuck(Sink):
        async def write(self, records: Sequence[CallRecord]) -> None:
            await asyncio.Event().wait()

        async def aclose(self) -> None:
            await asyncio.Event().wait()

    good = Sink()
    recorder = Recorder([Stuck(), good], SOON)
    recorder.start()
    call(recorder).end()
    await recorder.aclose()
    assert len(good.records) == 1
    assert good.closed
    assert recorder.dropped == 1
    assert "1 call records are lost" in caplog.text


async def test_a_sink_that_cannot_be_closed_takes_no_other_along() -> None:
    class Unclosable(Sink):
        async def aclose(self) -> None:
            raise OSError("already closed")

    bad, good = Unclosable(), Sink()
    recorder = Recorder([bad, good], RecorderLimits(flush_interval=60))
    recorder.start()
    call(recorder).end()
    await recorder.aclose()
    assert len(bad.records) == len(good.records) == 1
    assert good.closed


async def test_a_write_under_way_at_the_end_is_let_finish_and_not_repeated() -> None:
    class Slow(Sink):
        async def write(self, records: Sequence[CallRecord]) -> None:
            await asyncio.sleep(0.05)
            await super().write(records)

    sink = Slow()
    recorder = Recorder([sink], SOON)
    recorder.start()
    call(recorder).end()
    await asyncio.sleep(0.03)
    call(recorder).end()
    await recorder.aclose()
    assert sink.batches == [1, 1]


async def test_a_cancellation_that_a_sink_lets_escape_does_not_end_the_recording() -> None:
    sink = Sink()
    strays = [asyncio.CancelledError()]
    write = sink.write

    async def once_stray(records: Sequence[CallRecord]) -> None:
        if strays:
            raise strays.pop()
        await write(records)

    sink.write = once_stray  # type: ignore[method-assign]
    recorder = Recorder([sink], SOON)
    recorder.start()
    call(recorder).end()
    await until(lambda: len(sink.records) == 1)
    await recorder.aclose()


@pytest.mark.parametrize("odd", ["x", float("nan"), float("inf"), object()])
async def test_odd_values_of_a_provider_do_not_get_into_a_record(odd: object) -> None:
    sink = Sink()
    recorder = Recorder([sink], SOON)
    one = call(recorder)
    one.usage = Usage(input_tokens=odd, output_tokens=7)  # type: ignore[arg-type]
    one.finish_reason = odd  # type: ignore[assignment]
    one.end()
    await recorder.aclose()
    (record,) = sink.records
    assert (record.input_tokens, record.output_tokens) == (None, 7)
    assert isinstance(record.finish_reason, str)


async def test_no_record_has_more_tokens_than_its_column_holds() -> None:
    sink = Sink()
    recorder = Recorder([sink], SOON)
    one = call(recorder)
    one.usage = Usage(input_tokens=2**64 - 1, output_tokens=2**31, cache_read_tokens=-1)
    one.end()
    await recorder.aclose()
    (record,) = sink.records
    assert (record.input_tokens, record.output_tokens, record.cached_tokens) == (2**31 - 1, 2**31 - 1, 0)


_SAID = "my very private diary"
_REFUSED = UpstreamError(
    ErrorKind.INVALID_REQUEST, f"blocked: {_SAID}", status=400, code="blocked_text", param="messages[0].content"
)


@pytest.mark.parametrize(
    ("error", "stored"),
    [
        (_REFUSED, "the upstream answered with status 400, code blocked_text, about messages[0].content"),
        (UpstreamError(ErrorKind.SERVER, _SAID, status=500), "the upstream answered with status 500"),
        (UpstreamError(ErrorKind.OVERLOADED, _SAID, code="busy"), "the upstream answered with code busy"),
        (
            UpstreamError(ErrorKind.SERVER, _SAID, status=500, code=_SAID, param=_SAID),
            "the upstream answered with status 500",
        ),
        (UpstreamError(ErrorKind.TIMEOUT, "the upstream's time is over"), "the upstream's time is over"),
        (UpstreamError(ErrorKind.PROTOCOL, f"no JSON: got '{_SAID}'", status=200), "no JSON: got '…'"),
        (
            InvalidRequestError(f"expected a or b, got {_SAID!r}", path="messages[0].role"),
            "messages[0].role: expected a or b, got '…'",
        ),
        (
            InvalidRequestError("expected a string, got an integer", path=f"metadata.{_SAID}"),
            "metadata.…: expected a string, got an integer",
        ),
        (InvalidRequestError("expected an object", path=f"{_SAID}.x"), "…: expected an object"),
        (UpstreamError(ErrorKind.SERVER, _SAID, status=200), "the upstream reported an error"),
        (
            InvalidRequestError(f'the request body gives the key "{_SAID}" twice'),
            "the request body gives the key '…' twice",
        ),
        (InvalidRequestError("got " + repr(f'that\'s {_SAID} and "more"') + " and 'x'"), "got '…' and '…'"),
        (InvalidRequestError("the gateway's own and the upstream's"), "the gateway's own and the upstream's"),
        (
            LoginNeededError("log in again: invalid_grant", status=400, code="invalid_grant"),
            "log in again: invalid_grant",
        ),
    ],
)
async def test_no_words_of_a_vendor_or_a_client_are_kept_of_an_error(error: GatewayError, stored: str) -> None:
    sink = Sink()
    recorder = Recorder([sink], SOON)
    call(recorder).end(error)
    await recorder.aclose()
    (record,) = sink.records
    assert (record.error_kind, record.error) == (error.kind, stored)


async def test_what_vendors_say_is_kept_where_the_operator_wants_it() -> None:
    sink = Sink()
    recorder = Recorder([sink], SOON, vendor_messages=True)
    call(recorder).end(_REFUSED)
    await recorder.aclose()
    assert sink.records[0].error == _REFUSED.message


async def test_a_name_that_a_client_made_up_is_not_kept_at_any_length() -> None:
    sink = Sink()
    recorder = Recorder([sink], SOON)
    one = call(recorder)
    one.model = "m" * 1_000_000
    one.end()
    await recorder.aclose()
    assert len(sink.records[0].model or "") == 255


async def ended(error: BaseException | None, *, first_byte: bool = False, status: int = 200) -> CallRecord:
    sink = Sink()
    recorder = Recorder([sink], SOON)
    one = call(recorder)
    if first_byte:
        one.answered()
    one.end(error, status=status)
    one.end(RuntimeError("a second end counts for nothing"))
    await recorder.aclose()
    (record,) = sink.records
    return record


@pytest.mark.parametrize(
    ("error", "first_byte", "outcome"),
    [
        (None, True, "ok"),
        (InvalidRequestError("wrong"), False, "invalid_request"),
        (NoAccountError("none"), False, "gateway_error"),
        (UpstreamError(ErrorKind.SERVER, "broken"), False, "upstream_error"),
        (UpstreamError(ErrorKind.INTERNAL, "a plugin failed"), False, "gateway_error"),
        (UpstreamError(ErrorKind.PROTOCOL, "cut"), True, "truncated"),
        (asyncio.CancelledError(), False, "client_gone"),
        (asyncio.CancelledError(), True, "client_gone"),
        (RuntimeError("a bug"), False, "gateway_error"),
    ],
)
async def test_every_end_has_its_outcome(error: BaseException | None, first_byte: bool, outcome: str) -> None:
    assert (await ended(error, first_byte=first_byte)).outcome == outcome


async def test_a_client_that_left_before_the_answer_is_a_499() -> None:
    assert (await ended(asyncio.CancelledError())).status_code == 499
    assert (await ended(asyncio.CancelledError(), first_byte=True)).status_code == 200


@pytest.mark.parametrize(("first_byte", "outcome", "status"), [(False, "gateway_error", 503), (True, "truncated", 200)])
async def test_what_the_shutdown_ended_says_so(first_byte: bool, outcome: str, status: int) -> None:
    record = await ended(asyncio.CancelledError(UnavailableError.SHUTTING_DOWN), first_byte=first_byte)
    assert (record.outcome, record.status_code) == (outcome, status)
    assert (record.error_kind, record.error) == ("unavailable", "the gateway is shutting down")


async def test_the_text_of_an_unforeseen_error_is_not_kept() -> None:
    record = await ended(RuntimeError("user:password@host"))
    assert (record.error_kind, record.error) == ("internal", "RuntimeError")


async def test_a_record_tells_the_whole_story(entry: Callable[..., ProviderEntry]) -> None:
    sink = Sink()
    recorder = Recorder([sink], SOON)
    one = call(recorder)
    one.model, one.route = "alias", Router([entry("acme", models=["m"])]).route("m")
    PendingAttempt(one, Account(id="a", provider_id="acme")).failed(
        UpstreamError(ErrorKind.RATE_LIMIT, "slow down", scope="model", status=429)
    )
    PendingAttempt(one, Account(id="b", provider_id="acme")).end()
    one.usage = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=4, reasoning_tokens=2)
    one.finish_reason = "stop"
    one.end()
    await recorder.aclose()
    (record,) = sink.records
    assert (record.provider_id, record.account_id, record.model, record.upstream_model) == ("acme", "b", "alias", "m")
    assert (record.input_tokens, record.output_tokens, record.cached_tokens, record.reasoning_tokens) == (10, 5, 4, 2)
    assert record.usage_source == "upstream"
    assert [(each.account_id, each.status_code, each.error_kind, each.scope) for each in record.attempts] == [
        ("a", 429, "rate_limit", "model"),
        ("b", 200, None, None),
    ]


async def test_records_have_ids_of_their_own_whatever_the_client_calls_its_request() -> None:
    sink = Sink()
    recorder = Recorder([sink], SOON)
    for _ in range(2):
        call(recorder).end()
    await recorder.aclose()
    assert sink.records[0].request_id == sink.records[1].request_id
    assert sink.records[0].id != sink.records[1].id


def test_ids_of_records_are_unique_and_grow_with_time() -> None:
    one, other = Recorder([]), Recorder([])
    ids = [recorder.new_id() for _ in range(3000) for recorder in (one, other)]
    assert len(set(ids)) == len(ids)
    assert {len(each) for each in ids} == {32}
    assert ids[::2] == sorted(ids[::2])
    time.sleep(0.002)
    assert max(ids) < min(one.new_id(), other.new_id())
