"""Take each defence away in turn, and see that a test notices: ``python -m faults.mutations [WORD ...]``.

Each run is on a copy of the tree. It ends well when the tests of every defence (or of those whose names have one of the
words in them) pass as it stands and fail without it: a defence that no test misses may be lost one day without a word.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import cache_from_source
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import yaml

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path("aigateway-core/src/aigateway_core")
TESTS = Path("tests/core")
SECONDS, SECONDS_FOR_ALL = 300, 3600
"""How long the tests of one defence may take, and those of all; what hangs without its defence has missed it."""

FAILED = 1
"""pytest's exit code for tests that failed; every other one but 0 says that they could not be run."""


@attrs.frozen
class Defence:
    """``line`` in ``file`` becomes ``without``; ``tests`` are arguments for pytest, below ``tests/core``."""

    name: str
    file: str
    line: str
    without: str
    tests: str

    @property
    def files(self) -> list[str]:
        """Where its tests are."""
        return [str(TESTS / word) for word in self.tests.partition("-k ")[0].split()]

    @property
    def words(self) -> list[str]:
        """What pytest is told; after ``-k`` comes one expression, whatever blanks it has."""
        _, dash, expression = self.tests.partition("-k ")
        return [*self.files, *(["-k", expression] if dash else [])]

    @property
    def problem(self) -> str | None:
        """Why it cannot be taken away, if it cannot."""
        count = (ROOT / PACKAGE / self.file).read_text(encoding="utf-8").count(self.line)
        if count != 1:
            return f"{self.file} has this {count} times instead of once: {self.line}"
        missing = [file for file in self.files if not (ROOT / file).exists()]
        return f"there is no {missing[0]}" if missing else None


DEFENCES = tuple(Defence(**each) for each in yaml.safe_load(Path(__file__).with_name("defences.yaml").read_text()))


@attrs.frozen
class Outcome:
    """What became of a defence: it is well only if it was ``missed``."""

    defence: Defence
    said: str
    seconds: float

    @property
    def is_well(self) -> bool:
        """Whether a test noticed."""
        return self.said == "missed"


class Copy:
    """A copy of the sources and tests, in which one thing at a time is changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last = ""
        skipped = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info", "dist", "build")
        for name in ("aigateway-core", "tests"):
            shutil.copytree(ROOT / name, folder / name, ignore=skipped)
        for name in ("tox.ini", "pyproject.toml"):
            shutil.copy(ROOT / name, folder / name)

    def without(self, defence: Defence) -> str:
        """What the tests of a defence say when it is not there."""
        file = self.folder / PACKAGE / defence.file
        text = file.read_text(encoding="utf-8")
        _write(file, text.replace(defence.line, defence.without))
        try:
            code = self.tried(defence.words)
        except subprocess.TimeoutExpired:
            return "missed"
        finally:
            _write(file, text)
        return {0: "NOT MISSED by any test", FAILED: "missed"}.get(code, f"NOT TRIED: pytest ended with {code}")

    def tried(self, words: Sequence[str], seconds: float = SECONDS) -> int:
        """pytest's exit code."""
        source = str((self.folder / PACKAGE).parent)
        environment = {**os.environ, "PYTHONPATH": source}
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--timeout=60", *words]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
        self.last = done.stdout[-3000:] + done.stderr[-1000:]
        return done.returncode


def _write(file: Path, text: str) -> None:
    """Change a file, and forget what it was compiled to: two versions may be of the same second and length."""
    file.write_text(text, encoding="utf-8")
    Path(cache_from_source(str(file))).unlink(missing_ok=True)


def run(defences: Sequence[Defence]) -> list[Outcome]:
    """Take each of them away in turn; first of all, their tests have to pass as they are."""
    outcomes = []
    with TemporaryDirectory() as folder:
        copy = Copy(Path(folder))
        if (code := copy.tried(sorted({file for each in defences for file in each.files}), SECONDS_FOR_ALL)) != 0:
            sys.stdout.write(f"{copy.last}\nthe tests end with {code} while every defence is there\n")
            return []
        for defence in defences:
            began = time.monotonic()
            outcome = Outcome(defence, defence.problem or copy.without(defence), time.monotonic() - began)
            outcomes.append(outcome)
            sys.stdout.write(f"{outcome.seconds:5.0f} s  {defence.name}: {outcome.said}\n")
            sys.stdout.flush()
    return outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 1 when a defence was not missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*")
    words = parser.parse_args(arguments).words
    outcomes = run([each for each in DEFENCES if not words or any(word in each.name for word in words)])
    bad = [outcome for outcome in outcomes if not outcome.is_well]
    sys.stdout.write(f"{len(outcomes)} defences: {len(outcomes) - len(bad)} missed when they were gone\n")
    sys.stdout.writelines(f"  {outcome.defence.name}: {outcome.said}\n" for outcome in bad)
    return 1 if bad or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
