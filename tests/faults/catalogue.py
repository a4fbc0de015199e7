"""Which rows of the catalogue of faults are carried by tests, and which are not: ``python -m faults.catalogue``.

The catalogue has 180 rows in nine sections. A test carries a row in its name, wherever in the tree it belongs
(``test_u_18_...``; it may carry several), or the name of a case does (``"U_18 an error event first"``). What no test
carries has its reason in ``excused/``, in the tables of its section.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import attrs

TESTS = Path(__file__).resolve().parents[1]


@attrs.frozen
class Section:
    """``reasons`` is the module of ``excused`` that has the tables."""

    letter: str
    title: str
    reasons: str
    numbers: tuple[int, ...]

    @property
    def ids(self) -> list[str]:
        """``I-01`` and so on, in order."""
        return [f"{self.letter}-{number:02}" for number in self.numbers]

    @property
    def excuses(self) -> Excuses:
        """What its tables say."""
        tables = import_module(f"faults.excused.{self.reasons}")
        names = [field.name for field in attrs.fields(Excuses)]
        return Excuses(**{name: getattr(tables, name.upper(), {}) for name in names})


@attrs.frozen
class Excuses:
    """Reasons by row. ``at_length`` is of rows that are carried small in every run, and to the letter in an environment
    of their own; ``partly`` of those that are carried, but never to the letter; the others of those that are not: the
    feature does not exist, what shows it has no name of its own, and what is not shown at all."""

    not_applicable: Mapping[str, str]
    elsewhere: Mapping[str, str]
    missing: Mapping[str, str]
    at_length: Mapping[str, str]
    partly: Mapping[str, str]

    @property
    def instead_of_a_test(self) -> list[str]:
        """The rows that no test is said to carry, each as often as it is named."""
        return [*self.not_applicable, *self.elsewhere, *self.missing]


def _up_to(last: int) -> tuple[int, ...]:
    return tuple(range(1, last + 1))


SECTIONS = (
    Section("I", "abused input", "abused_input", _up_to(36)),
    Section("U", "faults of upstreams", "upstreams", _up_to(38)),
    Section("C", "many at once", "many_at_once", (*_up_to(21), 30)),
    Section("D", "faults of what it depends on", "dependencies", _up_to(24)),
    Section("P", "faults of its processes", "processes", _up_to(14)),
    Section("T", "time", "time", _up_to(5)),
    Section("S", "security", "security", _up_to(25)),
    Section("K", "soak and resources", "resources", _up_to(8)),
    Section("X", "plugins and supply chain", "plugins", _up_to(8)),
)


STANDINGS = {"at_length": "carried at length"}


def carried_in(path: Path) -> Iterator[tuple[str, str]]:
    """Each row that a file of tests carries, with the name of the test or of the case."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name.startswith("test_"):
                found = re.findall(r"(?<=_)([iucdptskx])_(\d\d)(?=_|$)", name)
            case ast.Constant(value=str(name)):
                found = re.findall(r"^([IUCDPTSKX])_(\d\d)(?= )", name)
            case _:
                continue
        yield from ((f"{letter.upper()}-{number}", name) for letter, number in found)


def carried() -> dict[str, list[str]]:
    """The tests and cases that carry a row, as ``core/test_x.py::name``, by row."""
    rows: dict[str, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for row, name in carried_in(path):
            rows[row].append(f"{path.relative_to(TESTS)}::{name}")
    return dict(rows)


def _standing(row: str, excuses: Excuses, tests: Mapping[str, list[str]]) -> tuple[str, str]:
    for field in attrs.fields(Excuses):
        if row in (table := getattr(excuses, field.name)):
            return STANDINGS.get(field.name, field.name.replace("_", " ")), table[row]
    return ("carried", "") if row in tests else ("missing", "no reason given")


def report() -> Iterator[str]:
    """The lines of the report: each row with how it stands and its tests, then how many stand how."""
    tests = carried()
    totals: Counter[str] = Counter()
    for section in SECTIONS:
        yield f"{section.letter}  {section.title}"
        for row in section.ids:
            standing, reason = _standing(row, section.excuses, tests)
            totals[standing] += 1
            yield f"  {row}  {standing}{reason and f': {reason}'}"
            yield from (f"          {test}" for test in tests.get(row, ()))
    told = ", ".join(f"{count} {standing}" for standing, count in totals.most_common())
    yield f"{totals.total()} rows: {told}"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in report())
