"""What every stats sink has to keep, as tests to inherit."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
import pytest

from aigateway_core.plugin import Attempt, CallRecord, StatsSink

_LEAST = CallRecord(
    id="record-1",
    request_id="request-1",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    dialect="openai-chat",
    client_key_id="-",
    outcome="invalid_request",
    status_code=400,
    latency_ms=1,
)
_FULL = attrs.evolve(
    _LEAST,
    id="record-2",
    request_id="request-2",
    outcome="ok",
    status_code=200,
    latency_ms=1200,
    model="fast",
    upstream_model="acme-large",
    provider_id="acme",
    account_id="account-1",
    proxy_id=3,
    streamed=True,
    native=True,
    time_to_first_byte_ms=150,
    input_tokens=9,
    output_tokens=4,
    cached_tokens=0,
    reasoning_tokens=0,
    usage_source="upstream",
    finish_reason="stop",
    attempts=(
        Attempt(
            account_id="account-2",
            latency_ms=20,
            status_code=429,
            error_kind="rate_limit",
            scope="model",
            provider_id="acme",
        ),
        Attempt(account_id="account-1", latency_ms=1180, status_code=200, provider_id="acme"),
    ),
)


class StatsSinkConformance:
    """Subclass it, give the fixture ``sink``, and get the tests."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str:
        """The gateway runs on asyncio."""
        return "asyncio"

    async def test_it_takes_records_that_are_nearly_empty_and_full_ones(self, sink: StatsSink) -> None:
        await sink.write((_LEAST, _FULL))
        await sink.aclose()

    async def test_it_takes_an_empty_batch(self, sink: StatsSink) -> None:
        await sink.write(())
        await sink.aclose()

    async def test_it_takes_one_batch_after_the_other(self, sink: StatsSink) -> None:
        for batch in range(20):
            await sink.write([attrs.evolve(_FULL, id=f"record-{batch}-{number}") for number in range(50)])
        await sink.aclose()

    async def test_a_batch_may_be_offered_again(self, sink: StatsSink) -> None:
        await sink.write((_LEAST, _FULL))
        await sink.write((_LEAST, _FULL))
        await sink.aclose()

    async def test_it_can_be_closed_before_anything_was_written(self, sink: StatsSink) -> None:
        await sink.aclose()
