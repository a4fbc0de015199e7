"""What a Prometheus server reads: counters that grow with each call record, and gauges that are looked up when it asks.

Label values are bounded: a name that a caller may make up is counted under ``other`` once there are too many.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from aigateway_core.records import CallRecord

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_MOST_NAMES = 200
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600)

Gauges = Mapping[str, float | Mapping[str, float]]
"""A gauge's value by its name; by its label too where it has one."""

_GAUGES = {
    "queue_length": ("Call records that wait for the stats sinks.", None),
    "records_dropped": ("Call records that are lost since the start.", None),
    "spool_bytes": ("Room that call records take on disk while the database is away.", None),
    "accounts_cooling": ("Accounts that rest now for every model, by provider.", "provider"),
    "outbound_proxies": ("Outbound proxies, by health.", "health"),
}


class Metrics:
    """A stats sink that adds up, and the page that shows it."""

    def __init__(self, gauges: Callable[[], Gauges]) -> None:
        self._registry = CollectorRegistry()
        self._names: set[str] = set()
        self._requests = self._counter("requests", "Calls that are over.", "provider", "model", "outcome")
        self._tokens = self._counter("tokens", "Tokens of calls, as they were counted.", "provider", "model", "kind")
        self._attempts = self._counter("attempts", "Tries at upstreams.", "provider", "result")
        self._errors = self._counter("upstream_errors", "Tries at upstreams that failed.", "provider", "kind")
        self._duration = self._histogram("request_duration_seconds", "How long calls took.")
        self._first_byte = self._histogram("time_to_first_byte_seconds", "How long the first byte took.")
        self._registry.register(_Gauges(gauges))

    def page(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self._registry)

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

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"aigateway_{name}", text, ("provider",), registry=self._registry, buckets=_SECONDS)


class _Gauges(Collector):
    """Asks for the values each time."""

    def __init__(self, gauges: Callable[[], Gauges]) -> None:
        self._gauges = gauges

    @override
    def collect(self) -> Iterable[Metric]:
        """The families of all gauges."""
        for name, value in self._gauges().items():
            text, label = _GAUGES[name]
            family = GaugeMetricFamily(f"aigateway_{name}", text, labels=[label] if label else [])
            for key, number in value.items() if isinstance(value, Mapping) else [(None, value)]:
                family.add_metric([] if key is None else [key], number)
            yield family
