"""Stats sinks that the core brings: one line per call in the log, and one row per call in the database."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

import attrs

from aigateway_core.plugin import CallRecord, StatsSinkSpec, hookimpl

log = logging.getLogger("aigateway.calls")

_LOGGED = (
    "request_id",
    "dialect",
    "client_key_id",
    "model",
    "provider_id",
    "upstream_model",
    "account_id",
    "outcome",
    "status_code",
    "latency_ms",
    "time_to_first_byte_ms",
    "streamed",
    "native",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "finish_reason",
    "error_kind",
)
"""What a line tells. The text of an error is not in it: an upstream may quote the prompt there."""


@attrs.frozen
class LogSinkConfig:
    """The log sink has nothing to choose."""


class LogSink:
    """One line per call on the logger ``aigateway.calls``."""

    def __init__(self, _: LogSinkConfig) -> None:
        pass

    async def write(self, records: Sequence[CallRecord]) -> None:
        """Log these records, each with its facts as fields."""
        for record in records:
            fields = {name: value for name in _LOGGED if (value := getattr(record, name)) is not None}
            log.info("call", extra={"fields": {**fields, "attempts": len(record.attempts)}})

    async def aclose(self) -> None:
        """Nothing is held."""


@hookimpl
def aigateway_register_stats_sinks() -> tuple[StatsSinkSpec[Any], ...]:
    """Offer ``log``."""
    return (StatsSinkSpec(name="log", config=LogSinkConfig, build=LogSink),)


class CallStore(Protocol):
    """Where records are kept for good."""

    async def insert_many(self, records: Sequence[CallRecord]) -> None:
        """Keep these records, all or none."""


@attrs.frozen
class DatabaseSinkConfig:
    """The database sink has nothing to choose: ``database`` says where its rows go."""


class DatabaseSink:
    """One row per call."""

    def __init__(self, store: CallStore) -> None:
        self._store = store

    async def write(self, records: Sequence[CallRecord]) -> None:
        """Keep these records. Raises what the store raises; none is kept then."""
        await self._store.insert_many(records)

    async def aclose(self) -> None:
        """The store belongs to whoever opened it."""


class DatabaseSinkPlugin:
    """A plugin that is an object, since its sink needs the store of this process."""

    def __init__(self, store: CallStore) -> None:
        self._store = store

    @hookimpl
    def aigateway_register_stats_sinks(self) -> tuple[StatsSinkSpec[Any], ...]:
        """Offer ``database``, which runs unless it is switched off."""
        return (
            StatsSinkSpec(
                name="database",
                config=DatabaseSinkConfig,
                build=lambda _: DatabaseSink(self._store),
                default=True,
            ),
        )
