"""Rounds of measurements: every target, one after the other, again and again."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
from bench.machine import Cores, CoreTime, cpu_seconds, memory_mb
from bench.modes import Mode
from bench.peers import InstallError
from bench.targets import Target, Upstream
from bench.tools import Load, OwnLoad, Wrk
from services.provide import ProvideError

_SETTLE_SECONDS = 0.3
_MOST_SETTLE_SECONDS = 20.0
_IDLE = 0.03
"""Share of a core that a server takes which does nothing."""
_ROUNDS_OF_ANSWERS = 5
_LONGEST_SECONDS = 12.0
"""A slow target is measured until each connection has had so many answers, but no longer than that."""


def say(line: str) -> None:
    """Tell whoever waits."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@attrs.frozen(kw_only=True)
class Plan:
    """How long and how often, times in seconds. ``starts``: how often a target is started, to see how long it takes."""

    modes: Sequence[Mode]
    rounds: int
    seconds: float
    warmup: float
    starts: int


@attrs.define
class Findings:
    """What was found so far."""

    started: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    left_out: dict[str, str] = attrs.field(factory=dict)
    cannot: dict[str, dict[str, str]] = attrs.field(factory=dict)
    runs: list[dict[str, Any]] = attrs.field(factory=list)


class Bench:
    """Starts the targets, puts load on them by turns, and ends them whatever happens."""

    def __init__(self, upstream: Upstream, cores: Cores, plan: Plan, programs: Path, folder: Path) -> None:
        self.findings = Findings()
        self._upstream = upstream
        self._cores = cores
        self._plan = plan
        self._own = OwnLoad(programs, folder)
        self._wrk = Wrk.found(folder)

    @property
    def tool_for_whole(self) -> str:
        """What puts the load on where answers are whole."""
        return (self._wrk or self._own).name

    def run(self, targets: Sequence[Target]) -> None:
        """Measure them all; what is found is in :attr:`findings` even if this is broken off."""
        with ExitStack() as started:
            there = [target for target in targets if self._bring_up(target, started)]
            for number in range(self._plan.rounds):
                for mode in self._plan.modes:
                    able = [target for target in there if self._is_able(target, mode)]
                    # Who comes first has the colder machine: turn and turn about.
                    for target in able if number % 2 == 0 else reversed(able):
                        self._note(target, mode, number)

    def _bring_up(self, target: Target, started: ExitStack) -> bool:
        say(f"{target.name}: preparing")
        try:
            target.prepare()
            starts = [self._start(target, last=number == 0) for number in reversed(range(max(1, self._plan.starts)))]
        except (InstallError, ProvideError, OSError, AssertionError) as error:
            self.findings.left_out[target.name] = str(error)[-2000:]
            say(f"{target.name}: left out: {error}")
            return False
        started.callback(target.stop)
        time.sleep(_SETTLE_SECONDS)
        memory = memory_mb(target.process) if target.process else 0.0
        seconds, processor = map(min, zip(*starts, strict=True))
        self.findings.started[target.name] = {
            "title": target.title,
            "start_seconds": seconds,
            "start_cpu_seconds": processor,
            "memory_mb": memory,
        }
        say(f"{target.name}: {seconds:.2f} s to the first answer, {processor:.2f} s of them at work, {memory:.0f} MB")
        return True

    def _start(self, target: Target, *, last: bool) -> tuple[float, float]:
        """Seconds to the first answer, and processor time until then."""
        began = time.monotonic()
        try:
            target.start()
        except BaseException:
            target.kill()
            raise
        taken = time.monotonic() - began, cpu_seconds(target.process) if target.process else 0.0
        if not last:
            target.stop()
        return taken

    def _is_able(self, target: Target, mode: Mode) -> bool:
        known = self.findings.cannot.setdefault(target.name, {})
        kind = f"{mode.shape}-{mode.wording}-{mode.size}"
        if kind not in known:
            self._upstream.script(chunks=100, interval_ms=0)
            known[kind] = target.refusal(mode) or ""
            if known[kind]:
                say(f"{target.name}: {kind} left out: {known[kind]}")
        return not known[kind]

    def _note(self, target: Target, mode: Mode, number: int) -> None:
        try:
            row = {"target": target.name, "mode": mode.name, "round": number, **self._measure(target, mode)}
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            row = {"target": target.name, "mode": mode.name, "round": number, "error": str(error)}
        self.findings.runs.append(row)
        say(_line(row))

    def _measure(self, target: Target, mode: Mode) -> dict[str, Any]:
        self._upstream.script(chunks=mode.chunks + 2, interval_ms=mode.interval_ms)
        tool = self._wrk if self._wrk and not mode.streamed else self._own
        load = self._load(target, mode)
        rate = tool.run(attrs.evolve(load, seconds=self._plan.warmup))["rate"]
        enough = _ROUNDS_OF_ANSWERS * mode.connections / max(rate, 0.1)
        settle(target)
        with self._watched(target) as spent:
            told = tool.run(attrs.evolve(load, seconds=min(max(load.seconds, enough), _LONGEST_SECONDS)))
        settle(target)
        if not told["requests"]:  # nothing was over in time: there is nothing to tell of how long it takes
            told = {name: value for name, value in told.items() if not name.startswith(("p50", "p99", "first_"))}
        told |= {name: value for name, value in spent.items() if name != "cpu_seconds"}
        told["cpu_us"] = spent["cpu_seconds"] / max(1, told["all"]) * 1e6
        if mode.streamed:
            told["cpu_us_chunk"] = spent["cpu_seconds"] / max(1, told["all_chunks"]) * 1e6
        return told

    def _load(self, target: Target, mode: Mode) -> Load:
        pace = mode.interval_ms * (mode.chunks + 2) / 1000
        return Load(
            port=target.port,
            connections=mode.connections,
            requests=target.requests(mode),
            chunks=mode.chunks,
            warmup=pace,
            seconds=self._plan.seconds + pace,
            ramp=pace,
        )

    @contextlib.contextmanager
    def _watched(self, target: Target) -> Iterator[dict[str, float]]:
        """What the target spends meanwhile, and how much of its core others take: both in seconds and in shares."""
        spent: dict[str, float] = {}
        own = cpu_seconds(target.process) if target.process else 0.0
        core, began = CoreTime.of(self._cores.measured), time.monotonic()
        yield spent
        seconds, after = time.monotonic() - began, CoreTime.of(self._cores.measured)
        spent["cpu_seconds"] = (cpu_seconds(target.process) if target.process else 0.0) - own
        spent["others"] = max(0.0, after.busy - core.busy - spent["cpu_seconds"]) / seconds
        spent["stolen"] = (after.stolen - core.stolen) / seconds
        spent["memory_mb"] = memory_mb(target.process) if target.process else 0.0


def settle(target: Target) -> None:
    """Wait until a target has done with what was asked of it: it must not take time from who comes next."""
    deadline = time.monotonic() + _MOST_SETTLE_SECONDS
    while target.process and time.monotonic() < deadline:
        before = cpu_seconds(target.process)
        time.sleep(_SETTLE_SECONDS)
        if cpu_seconds(target.process) - before < _IDLE * _SETTLE_SECONDS:
            return


def _line(row: dict[str, Any]) -> str:
    where = f"{row['round']} {row['mode']:<28} {row['target']:<22}"
    if "error" in row:
        return f"{where} {row['error']}"
    cost = f"{row['cpu_us_chunk']:6.1f} us/chunk" if "cpu_us_chunk" in row else f"{row['cpu_us']:8.1f} us/request"
    times = "  ".join(f"{name} {row[name] / 1000:8.2f} ms" for name in ("p50", "p99") if name in row)
    wrong = f"  {row['failed']} FAILED {row.get('refusal', '')}" if row["failed"] else ""
    return f"{where} {row['rate']:9.1f}/s  {times}  {cost}  others {row['others']:.2f}{wrong}"
