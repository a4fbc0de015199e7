"""The list of defences is about lines that there are, and a run tells a defence that is missed from one that is not."""

from __future__ import annotations

import attrs
import pytest
from faults import mutations
from faults.mutations import DEFENCES, Defence

PATIENCE = next(defence for defence in DEFENCES if defence.file == "patience.py")


def test_every_defence_is_one_place_in_one_file_and_has_tests() -> None:
    assert [problem for defence in DEFENCES if (problem := defence.problem) is not None] == []
    assert len({defence.name for defence in DEFENCES}) == len(DEFENCES)
    assert all(defence.line != defence.without and defence.tests for defence in DEFENCES)


@pytest.mark.timeout(600)
def test_a_defence_that_no_test_misses_ends_a_run_badly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    idle = attrs.evolve(PATIENCE, name="nothing", line="_SPREAD = 0.1", without="_SPREAD = 0.11")
    gone = attrs.evolve(PATIENCE, name="gone", line="no such line")
    odd = attrs.evolve(PATIENCE, name="odd", line="_SPREAD = 0.1", without="_SPREAD = (")
    monkeypatch.setattr(mutations, "DEFENCES", (PATIENCE, idle, gone, odd))
    assert mutations.main([]) == 1
    told = capsys.readouterr().out
    assert f"{PATIENCE.name}: missed\n" in told
    assert "nothing: NOT MISSED by any test\n" in told
    assert "gone: patience.py has this 0 times instead of once: no such line\n" in told
    assert "odd: NOT TRIED: pytest ended with" in told
    assert "4 defences: 1 missed when they were gone\n" in told


def test_the_words_of_an_expression_stay_together() -> None:
    defence = Defence("x", "patience.py", "a", "b", "test_vault.py state -k one or two")
    assert defence.words == ["tests/core/test_vault.py", "tests/core/state", "-k", "one or two"]
