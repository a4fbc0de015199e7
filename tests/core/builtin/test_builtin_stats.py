"""The built-in stats sinks."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from aigateway_core.builtin.stats import (
    CallStore,
    DatabaseSinkConfig,
    DatabaseSinkPlugin,
    LogSinkConfig,
    aigateway_register_stats_sinks,
)
from aigateway_core.logs import JsonFormatter
from aigateway_core.plugin import Attempt, CallRecord

pytestmark = pytest.mark.anyio

RECORD = CallRecord(
    id="1",
    request_id="r-1",
    created_at=datetime(2026, 1, 2, tzinfo=UTC),
    dialect="anthropic",
    client_key_id="k-1",
    outcome="upstream_error",
    status_code=502,
    latency_ms=120,
    model="echo-1",
    provider_id="echo",
    account_id="a-1",
    streamed=True,
    error_kind="server",
    error="the upstream quotes the prompt: my dear diary",
    attempts=(Attempt(account_id="a-0", latency_ms=3, status_code=500), Attempt(account_id="a-1", latency_ms=4)),
)


async def test_the_log_sink_writes_one_line_of_facts_per_call() -> None:
    (spec,) = aigateway_register_stats_sinks()
    assert (spec.name, spec.default) == ("log", False)
    sink = spec.build(LogSinkConfig())
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("aigateway.calls")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        await sink.write([RECORD, RECORD])
        await sink.aclose()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    first, second = stream.getvalue().splitlines()
    assert json.loads(first) | {"time": ""} == json.loads(second) | {"time": ""}
    assert json.loads(first) == {
        "time": json.loads(first)["time"],
        "level": "info",
        "logger": "aigateway.calls",
        "message": "call",
        "request_id": "r-1",
        "dialect": "anthropic",
        "client_key_id": "k-1",
        "model": "echo-1",
        "provider_id": "echo",
        "account_id": "a-1",
        "outcome": "upstream_error",
        "status_code": 502,
        "latency_ms": 120,
        "streamed": True,
        "native": False,
        "error_kind": "server",
        "attempts": 2,
    }
    assert "diary" not in first


class ListStore:
    """Keeps records in a list, or refuses them."""

    def __init__(self) -> None:
        self.kept: list[CallRecord] = []
        self.away = False

    async def insert_many(self, records: Sequence[CallRecord]) -> None:
        if self.away:
            raise ConnectionError
        self.kept.extend(records)


async def test_the_database_sink_hands_whole_batches_to_the_store_and_hides_no_failure() -> None:
    store = ListStore()
    typed: CallStore = store
    (spec,) = DatabaseSinkPlugin(typed).aigateway_register_stats_sinks()
    assert (spec.name, spec.default) == ("database", True)
    sink = spec.build(DatabaseSinkConfig())
    await sink.write([RECORD, RECORD])
    store.away = True
    with pytest.raises(ConnectionError):
        await sink.write([RECORD])
    assert store.kept == [RECORD, RECORD]
    await sink.aclose()
