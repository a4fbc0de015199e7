"""What a Prometheus server reads: counters that grow with each call record, and gauges that are looked up when it asks.

Label values are bounded: a name that a caller may make up is counted under ``other`` once there are too many.

Of several workers each can tell what all of them have counted: each writes down its own with every batch of records,
in a file that all of them read.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import orjson

from aigateway_core.records import CallRecord

log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""That of Prometheus' text format."""

Gauges = Mapping[str, float | Mapping[str, float]]
"""A gauge's value by its name; by its label too where it has one."""

Counts: TypeAlias = Counter[tuple[str, ...]]
"""Numbers by the name of a metric and its labels; those of a histogram have a bucket's upper end or ``sum`` besides."""

_MOST_NAMES = 200
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600)
_ENDS = (*(str(float(end)) for end in _SECONDS), "+Inf")
_SUM = "sum"
_TOKENS = ("input", "output", "cached", "reasoning")
_TOKENS_OF = attrgetter(*(f"{kind}_tokens" for kind in _TOKENS))

_COUNTERS = {
    "requests": ("Calls that are over.", ("provider", "model", "outcome")),
    "tokens": ("Tokens of calls, as they were counted.", ("provider", "model", "kind")),
    "attempts": ("Tries at upstreams.", ("provider", "result")),
    "upstream_errors": ("Tries at upstreams that failed.", ("provider", "kind")),
}
_HISTOGRAMS = {
    "request_duration_seconds": "How long calls took.",
    "time_to_first_byte_seconds": "How long the first byte took.",
}
_GAUGES = {
    "requests_in_flight": ("Calls that are under way.", None),
    "queue_length": ("Call records that wait for the stats sinks.", None),
    "records_dropped": ("Call records that are lost since the start.", None),
    "spool_bytes": ("Room that call records take on disk while the database is away.", None),
    "tasks": ("Tasks of the event loop: several for each request under way, and some that are always there.", None),
    "loop_stalls": ("Times since the start that something blocked an event loop for half a second or longer.", None),
    "open_breakers": ("Models and providers that have answered none of the last requests and are left alone.", None),
    "accounts_cooling": ("Accounts that rest now for every model, by provider.", "provider"),
    "outbound_proxies": ("Outbound proxies, by health.", "health"),
}


def _most(told: Iterable[float]) -> float:
    return max(told, default=0.0)


_OF_EACH_WORKER: Mapping[str, Callable[[Iterable[float]], float]] = {
    "requests_in_flight": sum,
    "queue_length": sum,
    "records_dropped": sum,
    "spool_bytes": _most,
    "tasks": sum,
    "loop_stalls": sum,
    "open_breakers": _most,
}
"""Gauges that other workers cannot look up, and what they come to. All spool into one file and see the same vendors."""

_SINCE_THE_START = ("records_dropped", "loop_stalls")
"""What stays when a worker is gone: what it has lost stays lost."""


@attrs.frozen
class Told:
    """What a worker has written down: its counts, and its own gauges."""

    counts: Counts = attrs.field(factory=Counter)
    gauges: Mapping[str, float] = attrs.field(factory=dict)


@attrs.frozen
class Share:
    """One worker's part of what all workers count: the file of this ``slot`` in ``folder``.

    No two workers that are alive may have the same slot. One that follows another in its slot goes on counting where
    that one ended, so that no counter ever falls while the gateway runs.
    """

    folder: Path
    slot: int

    @property
    def path(self) -> Path:
        """Where it stands."""
        return self.folder / f"worker-{self.slot}.json"

    def write(self, told: Told) -> None:
        """Write down everything anew: whoever reads finds this, or what stood there before.

        A folder that somebody has cleaned away, as temporary ones may be, is made again.
        May raise :class:`OSError`, and :class:`TypeError` for what cannot be written as JSON.
        """
        said = {"counts": [[*name, number] for name, number in told.counts.items()], "gauges": told.gauges}
        fresh = self.path.with_suffix(".new")
        text = orjson.dumps(said)
        try:
            fresh.write_bytes(text)
        except FileNotFoundError:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            fresh.write_bytes(text)
        fresh.replace(self.path)

    def read(self) -> Told:
        """What stands there; nothing if nobody has had this slot."""
        return _read(self.path)

    def leave(self) -> None:
        """The worker of this slot is gone, and its gauges with it. For whoever sees it end."""
        told = self.read()
        lost = {name: value for name, value in told.gauges.items() if name in _SINCE_THE_START}
        self.write(Told(told.counts, lost))

    def of_all(self) -> Told:
        """What all workers have counted, and what their gauges come to."""
        told = [_read(path) for path in self.folder.glob("worker-*.json")]
        counts: Counts = Counter()
        for each in told:
            counts.update(each.counts)
        gauges = {name: add(each.gauges.get(name, 0.0) for each in told) for name, add in _OF_EACH_WORKER.items()}
        return Told(counts, gauges)


class Metrics:
    """A stats sink that adds up, and the page that shows it.

    With a ``share`` the page is that of all workers, and :meth:`note` is to be called once in a while.
    """

    def __init__(self, gauges: Callable[[], Gauges], share: Share | None = None) -> None:
        before = share.read() if share else Told()
        self.share = share
        self._gauges = gauges
        self._names: set[str] = set()
        self._counts = before.counts
        self._before = {name: before.gauges.get(name, 0.0) for name in _SINCE_THE_START}
        self._own: Mapping[str, float] = before.gauges
        self._failing = False
        self._writing = asyncio.Lock()

    async def page(self) -> bytes:
        """Everything, as Prometheus reads it."""
        await self.note()
        # Looked up and copied here, since it is not for other threads; written elsewhere, since it may take a while.
        return await asyncio.to_thread(_page, self.share or Told(self._counts.copy()), self._gauges())

    async def note(self) -> None:
        """Let the other workers know what this one has counted, and the gauges that only this one can look up."""
        if self.share is not None:
            gauges = self._gauges()
            self._own = {name: _number(gauges[name]) + self._before.get(name, 0.0) for name in _OF_EACH_WORKER}
            await self._write_down(self.share)

    async def _write_down(self, share: Share) -> None:
        """Beside the event loop, since a busy disk takes its time; one after the other, so that the newest stays."""
        async with self._writing:
            try:
                await asyncio.to_thread(share.write, Told(self._counts.copy(), self._own))
            except (OSError, TypeError) as error:
                # Nothing is lost: the next time everything is written again. A value that is no JSON does not escape
                # either: the batch is counted, and whoever hears of a failure gives it once more.
                if not self._failing:
                    log.warning("other workers cannot be told what this one counts: %s", error)
                self._failing = True
            else:
                self._failing = False

    async def write(self, records: Sequence[CallRecord]) -> None:
        """Add these."""
        alike: dict[tuple[str | None, str | None, str], list[CallRecord]] = {}
        for record in records:
            alike.setdefault((record.provider_id, record.model, record.outcome), []).append(record)
        for each in alike.values():
            self._add(each)
        if self.share is not None:
            await self._write_down(self.share)

    async def aclose(self) -> None:
        """Nothing is held."""

    def _add(self, records: Sequence[CallRecord]) -> None:
        """Add these, which are of one provider, model and outcome."""
        counts, outcome, model = self._counts, records[0].outcome, records[0].model
        provider = records[0].provider_id or "none"
        # A model that was never answered for may be any word; the name of one that was is the vendor's.
        model = self._bounded(model) if model and outcome in {"ok", "truncated"} else "other"
        counts["requests", provider, model, outcome] += len(records)
        self._observe("request_duration_seconds", provider, [record.latency_ms for record in records])
        first_bytes = [each for record in records if (each := record.time_to_first_byte_ms) is not None]
        self._observe("time_to_first_byte_seconds", provider, first_bytes)
        for kind, numbers in zip(_TOKENS, zip(*map(_TOKENS_OF, records), strict=True), strict=True):
            if total := sum([number for number in numbers if number and number > 0]):
                counts["tokens", provider, model, kind] += total
        tried = [(each.provider_id or provider, each.error_kind) for record in records for each in record.attempts]
        for (asked, error), number in Counter(tried).items():
            counts["attempts", asked, "ok" if error is None else "error"] += number
            if error is not None:
                counts["upstream_errors", asked, str(error)] += number

    def _observe(self, name: str, provider: str, times: Iterable[int]) -> None:
        """Count these milliseconds."""
        for milliseconds, number in Counter(times).items():
            took = max(0, milliseconds)
            self._counts[name, provider, _ENDS[bisect_left(_SECONDS, took / 1000)]] += number
            self._counts[name, provider, _SUM] += took * number

    def _bounded(self, name: str) -> str:
        if name not in self._names:
            if len(self._names) >= _MOST_NAMES:
                return "other"
            self._names.add(name)
        return name


def _read(path: Path) -> Told:
    try:
        said = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return Told()
    return Told(Counter({tuple(name): number for *name, number in said["counts"]}), said["gauges"])


def _number(value: float | Mapping[str, float]) -> float:
    return 0.0 if isinstance(value, Mapping) else float(value)


# -- the page


def _page(told: Share | Told, looked_up: Gauges) -> bytes:
    # Imported where somebody asks: a gateway that nobody watches does without it.
    from prometheus_client import CollectorRegistry, generate_latest

    told = told.of_all() if isinstance(told, Share) else told
    registry = CollectorRegistry()
    registry.register(_Known([*_families(told.counts), *_looked_up({**looked_up, **told.gauges})]))
    return generate_latest(registry)


class _Known:
    """Families that were collected already."""

    def __init__(self, families: Sequence[Any]) -> None:
        self._families = families

    def collect(self) -> Iterable[Any]:
        """All of them."""
        return self._families


def _families(counts: Counts) -> Iterable[Any]:
    from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily

    for name, (text, labels) in _COUNTERS.items():
        counter = CounterMetricFamily(f"aigateway_{name}", text, labels=labels)
        for (of, *values), number in sorted(counts.items()):
            if of == name:
                counter.add_metric(values, number)
        yield counter
    for name, text in _HISTOGRAMS.items():
        histogram = HistogramMetricFamily(f"aigateway_{name}", text, labels=["provider"])
        for provider in sorted({key[1] for key in counts if key[0] == name}):
            below = accumulate(counts[name, provider, end] for end in _ENDS)
            seconds = counts[name, provider, _SUM] / 1000
            histogram.add_metric([provider], list(zip(_ENDS, map(float, below), strict=True)), seconds)
        yield histogram


def _looked_up(gauges: Gauges) -> Iterable[Any]:
    from prometheus_client.metrics_core import GaugeMetricFamily

    for name, value in gauges.items():
        text, label = _GAUGES[name]
        family = GaugeMetricFamily(f"aigateway_{name}", text, labels=[label] if label else [])
        for key, number in value.items() if isinstance(value, Mapping) else [(None, value)]:
            family.add_metric([] if key is None else [key], number)
        yield family
