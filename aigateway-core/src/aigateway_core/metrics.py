"""What a Prometheus server reads: counters that grow with each call record, and gauges that are looked up when it asks.

Label values are bounded: a name that a caller may make up is counted under ``other`` once there are too many.

Of several workers each can tell what all of them have counted: they count in files that all of them read.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import attrs
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from typing_extensions import override

from aigateway_core.records import CallRecord

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_MOST_NAMES = 200
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600)

Gauges = Mapping[str, float | Mapping[str, float]]
"""A gauge's value by its name; by its label too where it has one."""

_GAUGES = {
    "requests_in_flight": ("Calls that are under way.", None),
    "queue_length": ("Call records that wait for the stats sinks.", None),
    "records_dropped": ("Call records that are lost since the start.", None),
    "spool_bytes": ("Room that call records take on disk while the database is away.", None),
    "tasks": ("Tasks of the event loop: several for each request under way, and some that are always there.", None),
    "loop_stalls": ("Times since the start that something blocked an event loop for half a second or longer.", None),
    "accounts_cooling": ("Accounts that rest now for every model, by provider.", "provider"),
    "outbound_proxies": ("Outbound proxies, by health.", "health"),
}

_OF_EACH_WORKER: Mapping[str, Literal["livesum", "livemax", "sum"]] = {
    "requests_in_flight": "livesum",
    "queue_length": "livesum",
    "records_dropped": "sum",
    "spool_bytes": "livemax",
    "tasks": "livesum",
    "loop_stalls": "sum",
}
"""Gauges that other workers cannot look up, and what they come to. All spool into the same file; what one has lost
stays lost when it is gone."""
_SINCE_THE_START = tuple(name for name, mode in _OF_EACH_WORKER.items() if mode == "sum")


@attrs.frozen
class Share:
    """One worker's part of what all workers count: the files of this ``slot`` in ``folder``.

    No two workers that are alive may have the same slot. One that follows another in its slot goes on counting where
    that one ended, so that no counter ever falls while the gateway runs.
    """

    folder: Path
    slot: int

    def take(self) -> None:
        """Count in these files from now on, in this whole process: the library knows one way of counting at a time."""
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self.folder)
        values.ValueClass = values.MultiProcessValue(lambda: self.slot)  # type: ignore[no-untyped-call]

    def leave(self) -> None:
        """The worker of this slot is gone, and its gauges with it. For whoever sees it end."""
        mark_process_dead(self.slot, str(self.folder))  # type: ignore[no-untyped-call]


class Metrics:
    """A stats sink that adds up, and the page that shows it.

    With a ``share`` the page is that of all workers, and :meth:`note` is to be called once in a while.
    """

    def __init__(self, gauges: Callable[[], Gauges], share: Share | None = None) -> None:
        if share is not None:
            share.take()
        self.share = share
        self._gauges = gauges
        self._registry = CollectorRegistry()
        self._names: set[str] = set()
        self._requests = self._counter("requests", "Calls that are over.", "provider", "model", "outcome")
        self._tokens = self._counter("tokens", "Tokens of calls, as they were counted.", "provider", "model", "kind")
        self._attempts = self._counter("attempts", "Tries at upstreams.", "provider", "result")
        self._errors = self._counter("upstream_errors", "Tries at upstreams that failed.", "provider", "kind")
        self._duration = self._histogram("request_duration_seconds", "How long calls took.")
        self._first_byte = self._histogram("time_to_first_byte_seconds", "How long the first byte took.")
        self._own = {name: self._gauge(name) for name in _OF_EACH_WORKER} if share else {}
        self._noted = dict.fromkeys(_SINCE_THE_START, 0.0)

    async def page(self) -> bytes:
        """Everything, as Prometheus reads it."""
        self.note()
        # Looked up here, since it is not for other threads; written elsewhere, since it may take a while.
        looked_up = [_family(name, value) for name, value in self._gauges().items() if name not in self._own]
        return await asyncio.to_thread(self._written, looked_up)

    def note(self) -> None:
        """Let the other workers know the gauges that only this one can look up."""
        if not self._own:
            return
        told = self._gauges()
        for name, gauge in self._own.items():
            number = _number(told[name])
            if name in self._noted:
                # Those of the workers that had this slot before stand there already.
                gauge.inc(number - self._noted[name])
                self._noted[name] = number
            else:
                gauge.set(number)

    def _written(self, looked_up: Sequence[Metric]) -> bytes:
        registry = self._registry
        if self.share is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, str(self.share.folder))  # type: ignore[no-untyped-call]
        shown = CollectorRegistry()
        shown.register(_Known([*registry.collect(), *looked_up]))
        return generate_latest(shown)

    async def write(self, records: Sequence[CallRecord]) -> None:
        """Add these."""
        for record in records:
            self._add(record)

    async def aclose(self) -> None:
        """Nothing is held."""

    def _add(self, record: CallRecord) -> None:
        provider = record.provider_id or "none"
        # A model that was never answered for may be any word; the name of one that was is the vendor's.
        known = record.outcome in {"ok", "truncated"}
        model = self._bounded(record.model) if known and record.model else "other"
        self._requests.labels(provider, model, record.outcome).inc()
        self._duration.labels(provider).observe(max(0, record.latency_ms) / 1000)
        if record.time_to_first_byte_ms is not None:
            self._first_byte.labels(provider).observe(max(0, record.time_to_first_byte_ms) / 1000)
        for kind in ("input", "output", "cached", "reasoning"):
            if count := getattr(record, f"{kind}_tokens"):
                self._tokens.labels(provider, model, kind).inc(max(0, count))
        tries = Tally((attempt.provider_id or provider, attempt.error_kind) for attempt in record.attempts)
        for (asked, error), number in tries.items():
            self._attempts.labels(asked, "ok" if error is None else "error").inc(number)
            if error is not None:
                self._errors.labels(asked, str(error)).inc(number)

    def _bounded(self, name: str) -> str:
        if name not in self._names and len(self._names) >= _MOST_NAMES:
            return "other"
        self._names.add(name)
        return name

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"aigateway_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str) -> Gauge:
        text, mode = _GAUGES[name][0], _OF_EACH_WORKER[name]
        return Gauge(f"aigateway_{name}", text, registry=self._registry, multiprocess_mode=mode)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"aigateway_{name}", text, ("provider",), registry=self._registry, buckets=_SECONDS)


class _Known(Collector):
    """Families that were collected already."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    @override
    def collect(self) -> Iterable[Metric]:
        """All of them."""
        return self._families


def _family(name: str, value: float | Mapping[str, float]) -> Metric:
    text, label = _GAUGES[name]
    family = GaugeMetricFamily(f"aigateway_{name}", text, labels=[label] if label else [])
    for key, number in value.items() if isinstance(value, Mapping) else [(None, value)]:
        family.add_metric([] if key is None else [key], number)
    return family


def _number(value: float | Mapping[str, float]) -> float:
    return 0.0 if isinstance(value, Mapping) else value
