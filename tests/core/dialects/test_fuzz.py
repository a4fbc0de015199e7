"""A little of the fuzzing in every run, and what the long runs have found."""

from __future__ import annotations

import re
import time

import pytest
from core import foreign_bytes
from core.dialects import fuzz
from core.dialects.fuzz import TARGETS, run
from core.dialects.profiles import budget
from core.fuzz_target import Target
from hypothesis import strategies as st


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_falls(target: Target) -> None:
    run(target, budget(300 if target in foreign_bytes.TARGETS else 30))


def test_a_run_goes_on_when_something_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    def falls(number: int) -> None:
        assert number < 3

    targets = (Target("weak", st.integers(), falls), Target("strong", st.integers(), lambda _: None))
    monkeypatch.setattr(fuzz, "TARGETS", targets)
    tried = fuzz.Run()
    tried.until(time.monotonic() + 0.5)
    assert tried.fallen.keys() == {"weak"}
    assert tried.counted["strong"] > 0
    told = tried.report()
    assert "assert number < 3" in told
    assert re.search(r"weak +\d+ examples  FELL", told)
    assert re.search(r"strong +\d+ examples  stood", told)
