"""A little of the fuzzing in every run, and what the long runs have found."""

from __future__ import annotations

import pytest
from core.dialects.fuzz import TARGETS, Target, run
from core.dialects.profiles import budget


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_falls(target: Target) -> None:
    run(target, budget(30))
