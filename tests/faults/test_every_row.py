"""Every row of the catalogue of faults is carried by a test or has a reason, and no row has both."""

from __future__ import annotations

import pytest
from faults.catalogue import SECTIONS, Section, carried, report

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
    assert set(excuses.partly) <= set(of_tests)


def test_few_rows_are_said_not_to_apply() -> None:
    assert sum(len(section.excuses.not_applicable) for section in SECTIONS) <= NOT_APPLICABLE_AT_MOST


def test_the_report_has_a_line_for_every_row_and_the_sum_of_all() -> None:
    lines = list(report())
    assert sum(line.startswith("  ") and line[2] != " " for line in lines) == ROWS
    assert lines[-1].startswith(f"{ROWS} rows: ")
