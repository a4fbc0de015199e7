"""Every row of the catalogue of faults is carried by a test or has a reason, and no row has both."""

from __future__ import annotations

import re

import pytest
from faults.catalogue import SECTIONS, TESTS, Section, carried, report

ROWS = 180
NOT_APPLICABLE_AT_MOST = 10


@pytest.fixture(scope="module")
def tests() -> dict[str, list[str]]:
    return carried()


def test_the_catalogue_has_its_rows_and_no_test_carries_another(tests: dict[str, list[str]]) -> None:
    rows = [row for section in SECTIONS for row in section.ids]
    assert len(set(rows)) == len(rows) == ROWS
    assert set(tests) <= set(rows)


@pytest.mark.parametrize("section", SECTIONS, ids=[section.letter for section in SECTIONS])
def test_every_row_has_a_test_or_a_reason_and_none_has_both(section: Section, tests: dict[str, list[str]]) -> None:
    of_tests = [row for row in section.ids if row in tests]
    excuses = section.excuses
    assert sorted([*of_tests, *excuses.instead_of_a_test]) == section.ids
    assert {*excuses.partly, *excuses.at_length} <= set(of_tests)
    assert not excuses.partly.keys() & excuses.at_length.keys()


@pytest.mark.parametrize("section", SECTIONS, ids=[section.letter for section in SECTIONS])
def test_what_is_carried_at_length_names_the_environment_that_does_so(section: Section) -> None:
    commands = (TESTS.parent / "tox.ini").read_text(encoding="utf-8")
    for row, reason in section.excuses.at_length.items():
        (named,) = re.findall(r"`tox -e (\w+)`", reason)
        assert f"\n    {named}: " in commands or f"[testenv:{named}]" in commands, row


def test_few_rows_are_said_not_to_apply() -> None:
    assert sum(len(section.excuses.not_applicable) for section in SECTIONS) <= NOT_APPLICABLE_AT_MOST


def test_the_report_has_a_line_for_every_row_and_the_sum_of_all() -> None:
    lines = list(report())
    assert sum(line.startswith("  ") and line[2] != " " for line in lines) == ROWS
    assert lines[-1].startswith(f"{ROWS} rows: ")
