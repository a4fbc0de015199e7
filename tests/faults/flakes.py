"""The tests that have to pass every time, many times in a row: ``python -m faults.flakes [--times 20] [ROW ...]``.

They are those that carry a row of ``GATE``, or the rows that are named (``C-05 U-20``). Each round is a run of its own;
at the end stands what failed and how often, and the exit code is 0 when nothing did. After ``--`` come arguments for
pytest.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

from faults.catalogue import TESTS, carried

GATE = (
    *("C-01", "C-02", "C-03", "C-04", "C-05", "C-10", "C-12"),
    *("P-02", "P-03", "P-07"),
    *("D-01", "D-02", "D-09", "D-10", "D-12", "D-13"),
    *("U-03", "U-04", "U-05", "U-06", "U-07", "U-15", "U-16", "U-17", "U-18", "U-20", "U-36"),
)
"""What is about doing several things at once, or about what goes wrong at one moment or another."""

_SHOWN = 5_000
"""Characters of what a test that failed had to say."""


def command(rows: Sequence[str], more: Sequence[str]) -> list[str]:
    """How to run the tests that carry these rows. Of a test whose cases carry rows, only those cases are run."""
    tests = carried()
    files = sorted({str(TESTS / test.partition("::")[0]) for row in rows for test in tests.get(row, ())})
    names = " or ".join(row.lower().replace("-", "_") for row in rows)
    return [sys.executable, "-m", "pytest", "-q", "--tb=short", *files, "-k", names, *more]


def once(rows: Sequence[str], more: Sequence[str]) -> tuple[int, list[str]]:
    """Run them; how many there were, and the names of those that failed."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        done = subprocess.run(
            [*command(rows, more), f"--junitxml={report}"], capture_output=True, text=True, check=False
        )
        cases = list(ET.parse(report).iter("testcase")) if report.exists() else []
    troubles = [(str(case.get("name")), each) for case in cases for each in case if each.tag in {"failure", "error"}]
    for name, trouble in troubles:
        sys.stdout.write(f"{name}: {trouble.tag}\n{(trouble.text or '')[:_SHOWN]}\n")
    failed = list(dict.fromkeys(name for name, _ in troubles))
    if done.returncode and not failed:
        failed = [f"pytest itself, with exit code {done.returncode}"]
        sys.stdout.write(done.stdout[-_SHOWN:])
    return len(cases), failed


def main() -> int:
    """Run as often as was asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", default=GATE)
    parser.add_argument("--times", type=int, default=20)
    said, _, more = " ".join(sys.argv[1:]).partition("-- ")
    asked = parser.parse_args(said.split())
    flakes: Counter[str] = Counter()
    for number in range(1, asked.times + 1):
        began = time.monotonic()
        count, failed = once(asked.rows, more.split())
        flakes.update(failed)
        passed = f"{count - len(failed)} of {count} tests passed"
        sys.stdout.write(f"round {number}: {passed}, {time.monotonic() - began:.0f} s\n")
        sys.stdout.flush()
    for name, times in flakes.most_common():
        sys.stdout.write(f"failed {times} times of {asked.times}: {name}\n")
    return 1 if flakes else 0


if __name__ == "__main__":
    sys.exit(main())
