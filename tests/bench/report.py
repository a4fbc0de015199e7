"""Figures as tables: medians with their spread, and ratios within a round.

``python -m bench.report FILE`` prints the tables of figures that were kept; with ``DOCUMENT…`` behind it, they are
written there instead, between ``<!-- bench: NAME -->`` and ``<!-- /bench -->``, where NAME is ``summary``, ``brief``,
``machine``, ``growth`` or a mode.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

OURS = "aigateway"
_WORST_SHARE = 0.001
"""Failed answers, as a share of all, from which a run says nothing about speed."""

Row = dict[str, Any]
Results = dict[str, Any]


@attrs.frozen
class Figure:
    """A median, and the least and the most that it was taken from."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure | None:
        """None where nothing was measured."""
        return cls(statistics.median(values), min(values), max(values)) if values else None

    def __str__(self) -> str:
        return f"{_number(self.median)} [{_number(self.least)} – {_number(self.most)}]"


class Runs:
    """The runs of a result that went well."""

    def __init__(self, results: Results) -> None:
        self._rows = [row for row in results["runs"] if "error" not in row and not _is_broken(row)]

    @property
    def modes(self) -> list[str]:
        """The modes that were measured, in their order."""
        return list(dict.fromkeys(row["mode"] for row in self._rows))

    def of(self, target: str, mode: str) -> dict[int, Row]:
        """The runs of one target by the number of their round."""
        return {row["round"]: row for row in self._rows if (row["target"], row["mode"]) == (target, mode)}

    def figure(self, target: str, mode: str, field: str, scale: float = 1.0) -> Figure | None:
        """What was measured."""
        return Figure.of([row[field] * scale for row in self.of(target, mode).values() if field in row])

    def paired(
        self, target: str, other: str, mode: str, field: str, join: Callable[[float, float], float]
    ) -> Figure | None:
        """Both of the same round, joined: what disturbed one has disturbed the other."""
        theirs = self.of(other, mode)
        pairs = [(row, theirs[number]) for number, row in self.of(target, mode).items() if number in theirs]
        return Figure.of([join(row[field], its[field]) for row, its in pairs if field in row and its.get(field)])

    def ratio(self, target: str, mode: str, field: str) -> Figure | None:
        """How many times ours."""
        return self.paired(target, OURS, mode, field, lambda its, ours: its / ours)

    def added_ms(self, target: str, mode: str, field: str) -> Figure | None:
        """Milliseconds more than without a gateway; what is translated is held against what is not."""
        plain = mode.replace("-translated-", "-native-")
        rows = Runs({"runs": [*self.of(target, mode).values(), *self.of("direct", plain).values()]})
        rows._rows = [{**row, "mode": plain} for row in rows._rows]
        return rows.paired(target, "direct", plain, field, lambda its, direct: (its - direct) / 1000)


_Column = Callable[[Results, Runs, str], str]
"""The cell of a target, of the whole result and of its good runs."""


def _is_broken(row: Row) -> bool:
    return bool(row["failed"] > _WORST_SHARE * row["all"])


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _cell(figure: Figure | None, *, spread: bool = True) -> str:
    if figure is None:
        return "–"
    return str(figure) if spread else _number(figure.median)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def summary(results: Results) -> str:
    """The table for those who read one."""
    head = ["requests/s", "CPU µs per request", "× ours", "added p50, c=1 (ms)", "added p99, c=16 (ms)"]
    head += ["CPU µs per chunk, bursts", "CPU µs per chunk, paced", "memory (MB)", "start (s)", "start, CPU (s)"]
    return _chosen(results, head)


def brief(results: Results) -> str:
    """The table for a first page: gateways alone, and few figures of each."""
    head = ["requests/s", "CPU µs per request", "requests/s, 200 kB", "CPU µs per chunk, bursts", "memory (MB)"]
    without = {name: about for name, about in results["targets"].items() if name != "direct"}
    return _chosen({**results, "targets": without}, head)


def _chosen(results: Results, head: Sequence[str]) -> str:
    runs = Runs(results)
    rows = []
    for name, about in results["targets"].items():
        cells = [_COLUMNS[title](results, runs, name) for title in head]
        rows.append([about["title"], *(cells if name != "direct" else [cells[0], *("" for _ in cells[1:])])])
    return _table(["", *head], rows)


def _memory(results: Results, target: str) -> float:
    """The most that it had after any run."""
    after = [row["memory_mb"] for row in results["runs"] if row["target"] == target and "memory_mb" in row]
    return float(max([results["targets"][target]["memory_mb"], *after]))


def _median(mode: str, field: str) -> _Column:
    return lambda _, runs, name: _cell(runs.figure(name, mode, field), spread=False)


def _added(mode: str, field: str) -> _Column:
    return lambda _, runs, name: _cell(runs.added_ms(name, mode, field), spread=False)


def _start(field: str) -> _Column:
    return lambda results, _, name: _number(results["targets"][name][field])


_WHOLE = "whole-native-small-c64"
_COLUMNS: dict[str, _Column] = {
    "requests/s": _median(_WHOLE, "rate"),
    "requests/s, 200 kB": _median("whole-native-agent-c16", "rate"),
    "CPU µs per request": _median(_WHOLE, "cpu_us"),
    "× ours": lambda _, runs, name: _cell(runs.ratio(name, _WHOLE, "cpu_us"), spread=False),
    "added p50, c=1 (ms)": _added("whole-native-small-c1", "p50"),
    "added p99, c=16 (ms)": _added("whole-native-small-c16", "p99"),
    "CPU µs per chunk, bursts": _median("stream-native-small-c16", "cpu_us_chunk"),
    "CPU µs per chunk, paced": _median("paced-native-small-c64", "cpu_us_chunk"),
    "memory (MB)": lambda results, _, name: _number(_memory(results, name)),
    "start (s)": _start("start_seconds"),
    "start, CPU (s)": _start("start_cpu_seconds"),
}


def of_mode(results: Results, mode: str) -> str:
    """Everything that one mode showed."""
    runs = Runs(results)
    unit, field = ("request", "cpu_us") if mode.startswith("whole") else ("chunk", "cpu_us_chunk")
    first = "p99 added (ms)" if unit == "request" else "first content added, p50 (ms)"
    head = ["", "answers/s", "× ours", f"CPU µs per {unit}", "× ours", "p50 added (ms)", first]
    rows = []
    for name, about in results["targets"].items():
        if not runs.of(name, mode):
            continue
        later = "p99" if unit == "request" else "first_content_p50"
        cells = [_cell(runs.figure(name, mode, "rate")), _cell(runs.ratio(name, mode, "rate"), spread=False)]
        cells += [_cell(runs.figure(name, mode, field)), _cell(runs.ratio(name, mode, field), spread=False)]
        cells += [_cell(runs.added_ms(name, mode, "p50")), _cell(runs.added_ms(name, mode, later))]
        rows.append([about["title"], *(cells if name != "direct" else [*cells[:2], "", "", "", ""])])
    return _table(head, rows)


def machine(results: Results) -> str:
    """Where it was measured, when, and with what."""
    told = results["machine"]
    plan = results["plan"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    where = f"{told['processor']}, {told['cores']} cores, {told['memory_gb']} GB, {told['system']}"
    how = f"{results['measured_at']}, {plan['rounds']} rounds of {plan['seconds']:g} s, load by {plan['load']}"
    build = f" ({told['build']})" if "build" in told else ""
    return f"{where}, Python {told['python']}{build}; {how}. Versions: {versions}.\n"


def growth(results: Results) -> str:
    """What each thing costs at its sizes, and how many times what it does at the smallest."""
    head = ["", "size", "CPU µs per request or event", "× the smallest", "memory (MB)", "each, at most", "failed"]
    found: dict[tuple[str, int], dict[int, Row]] = {}
    for row in results.get("growth", []):
        found.setdefault((row["what"], row["size"]), {})[row["round"]] = row
    smallest = {what: min(size for other, size in found if other == what) for what, _ in found}
    rows = []
    for (what, size), rounds in sorted(found.items()):
        least = found[what, smallest[what]]
        ratios = [row["cpu_us"] / least[number]["cpu_us"] for number, row in rounds.items() if number in least]
        memory = [row["memory_mb"] for row in rounds.values() if "memory_mb" in row]
        cost = Figure.of([row["cpu_us"] for row in rounds.values()])
        cells = [_cell(cost), *(_cell(Figure.of(values), spread=False) for values in (ratios, memory))]
        failed = sum(row["failed"] for row in rounds.values())
        rows.append([what, str(size), *cells, _each(list(rounds.values())), str(failed)])
    return _table(head, rows) if rows else ""


def _each(rows: Sequence[Row]) -> str:
    """What one worker or one stream holds: at most, since later rounds find room that the first one has made."""
    found = [(row[name], unit) for row in rows for name, unit in _EACH.items() if name in row]
    return "{:.3g} {}".format(*max(found)) if found else "–"


_EACH = {"worker_mb": "MB", "stream_kb": "kB"}


def tables(results: Results) -> str:
    """All of it, in Markdown."""
    parts = [machine(results), "\n", *([summary(results)] if results["runs"] else [])]
    if results.get("growth"):
        parts.append(f"\n### growth\n\n{growth(results)}")
    parts += [f"\n### {mode}\n\n{of_mode(results, mode)}" for mode in Runs(results).modes]
    parts += [f"\n{name} was left out: {why}\n" for name, why in results["left_out"].items()]
    for name, kinds in results["cannot"].items():
        parts += [f"\n{name} has no {kind}: {why}\n" for kind, why in kinds.items() if name not in ("direct", "nginx")]
    broken = [row for row in results["runs"] if "error" in row or _is_broken(row)]
    parts += [f"\n{row['target']} failed in {row['mode']}, round {row['round']}\n" for row in broken]
    return "".join(parts)


def text_of(results: Results) -> str:
    """As JSON, a line for each run."""
    lists = {name: value for name, value in results.items() if name in _LISTS}
    rest = json.dumps({name: value for name, value in results.items() if name not in _LISTS}, indent=1)
    lines = {name: ",\n".join(map(json.dumps, rows)) for name, rows in lists.items()}
    told = [f' "{name}": [\n{text}\n]' for name, text in lines.items()]
    return ",\n".join([rest[:-2], *told]) + "\n}\n"


_LISTS = ("growth", "runs")
_BLOCK = re.compile(r"(<!-- bench: (\S+) -->\n).*?(<!-- /bench -->)", re.DOTALL)


def current(text: str, results: Results) -> str:
    """A document with its tables as these figures say them."""

    def made(found: re.Match[str]) -> str:
        begin, name, end = found.groups()
        make = {"summary": summary, "brief": brief, "machine": machine, "growth": growth}.get(name)
        return f"{begin}\n{make(results) if make else of_mode(results, name)}\n{end}"

    return _BLOCK.sub(made, text)


def main(file: str, *documents: str) -> None:
    """Print the tables, or write them into documents."""
    results = json.loads(Path(file).read_text())
    if not documents:
        sys.stdout.write(tables(results))
    for document in map(Path, documents):
        document.write_text(current(document.read_text(), results))


if __name__ == "__main__":
    main(*sys.argv[1:])
