"""What the columns hold, in the code, in the entities and in the tables, is one and the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from importlib.resources import files

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pony.orm import Database

from aigateway_core.records import CallRecord
from aigateway_core.storage import calls, columns, providers
from aigateway_core.storage.entities import define_entities
from aigateway_core.storage.migrations.steps import Dialect, load_steps

Tables = Mapping[str, Mapping[str, str]]


def tables(dialect: Dialect) -> Tables:
    """Columns and their types, by table, as the migrations state them."""
    found: dict[str, dict[str, str]] = {}
    for step in load_steps(files("aigateway_core.storage.migrations"), dialect):
        if match := re.match(r"CREATE TABLE (\w+) \(\n(.*)\n\)", step.sql, re.DOTALL):
            lines = re.findall(r"^    ([a-z0-9_]+) ([A-Z]+(?:\(\d+\))?)", match[2], re.MULTILINE)
            found[match[1]] = dict(lines)
        elif match := re.match(r"ALTER TABLE (\w+) ADD COLUMN ([a-z_]+) ([A-Z]+(?:\(\d+\))?)", step.sql):
            found[match[1]][match[2]] = match[3]
        elif match := re.match(r"ALTER TABLE (\w+) DROP COLUMN ([a-z_]+)", step.sql):
            del found[match[1]][match[2]]
    return found


def widths(table: Mapping[str, str]) -> dict[str, int]:
    return {name: int(kind[8:-1]) for name, kind in table.items() if kind.startswith("VARCHAR")}


def test_both_engines_have_the_same_tables_and_columns() -> None:
    sqlite, mysql = tables("sqlite"), tables("mysql")
    assert {name: list(table) for name, table in sqlite.items()} == {name: list(table) for name, table in mysql.items()}
    assert {"providers", "accounts", "request_logs", "api_keys", "audit_log"} <= set(sqlite)


def test_the_entities_have_the_columns_and_widths_of_their_tables() -> None:
    mysql = tables("mysql")
    for entity in attrs.astuple(define_entities(Database()), recurse=False):
        table = mysql[entity._table_]
        assert {attribute.name for attribute in entity._attrs_} == set(table)
        limits = {attribute.name: attribute.args[0] for attribute in entity._attrs_ if attribute.py_type is str}
        assert limits == widths(table), entity._table_


def test_the_request_log_has_a_column_for_each_field_of_a_record() -> None:
    fields = [field.name for field in attrs.fields(CallRecord)]
    table = tables("mysql")["request_logs"]
    assert set(table) == {"seq", *fields}
    assert widths(table) == calls._WIDTHS


def test_the_checked_widths_of_a_provider_are_those_of_its_table() -> None:
    table = widths(tables("mysql")["providers"])
    assert table == {**providers._WIDTHS, "id": 64}


@given(
    st.datetimes(
        timezones=st.timezones() | st.just(UTC), min_value=datetime(1000, 1, 3), max_value=datetime(9999, 1, 1)
    )
)
def test_a_time_survives_both_ways_into_a_column(when: datetime) -> None:
    moment = when.astimezone(UTC)  # in a zone's own gaps and folds nothing equals anything
    assert columns.from_column(columns.to_naive(when)) == moment
    assert columns.from_column(columns.to_text(when)) == moment
    assert len(columns.to_text(when)) == 26


def test_times_in_text_sort_as_the_moments_do() -> None:
    west = timezone(timedelta(hours=-8))
    moments = [datetime(2026, 1, 1, 20, 0, 0, micro, west) for micro in (0, 5, 999_999)]
    moments.append(datetime(2026, 1, 2, 4, 0, 1, tzinfo=UTC))
    texts = [columns.to_text(moment) for moment in moments]
    assert texts == sorted(texts)


@given(st.text(), st.integers(1, 40))
def test_clipped_text_always_fits(text: str, width: int) -> None:
    clipped = columns.clipped(text, width)
    assert clipped is not None
    assert columns.storable(clipped, width)
    if columns.storable(text, width):
        assert clipped == text


def test_nothing_is_clipped_to_nothing() -> None:
    assert columns.clipped(None, 3) is None


@pytest.mark.parametrize(
    ("text", "fits"), [("", True), ("äää", True), ("⚡⚡⚡", True), ("xxxx", False), ("a\0", False), ("\ud800", False)]
)
def test_a_column_holds_so_many_characters_of_proper_text(text: str, fits: bool) -> None:
    assert columns.storable(text, 3) is fits
