"""Times come back from SQLite as they went, and every connection is prepared."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pony.utils import datetime2timestamp

from aigateway_core.storage.database import Database
from aigateway_core.storage.locations import SQLiteFile
from aigateway_core.storage.migrations import migrate
from aigateway_core.storage.sqlite_provider import QuickDatetimeConverter


@pytest.fixture
async def database(sqlite_location: SQLiteFile) -> AsyncIterator[Database]:
    migrate(sqlite_location)
    opened = Database(sqlite_location, threads=2)
    opened.bind()
    yield opened
    await opened.aclose()


def read(value: object) -> object:
    return QuickDatetimeConverter.sql2py(object.__new__(QuickDatetimeConverter), value)


@given(st.datetimes())
def test_a_time_is_read_as_pony_wrote_it(moment: datetime) -> None:
    assert read(datetime2timestamp(moment)) == moment


@pytest.mark.parametrize("odd", [None, 5, "soon", ""])
def test_what_is_no_time_is_left_as_it_is(odd: object) -> None:
    assert read(odd) == odd


@pytest.mark.anyio
async def test_a_commit_outlives_a_power_cut_on_each_connection(database: Database) -> None:
    """2 is FULL; Pony prepares a connection only where it knows its provider by the name it was asked for."""
    assert await database.read(lambda session: session.select("SELECT synchronous FROM pragma_synchronous")[0]) == 2
    assert await database.append(lambda session: session.select("SELECT synchronous FROM pragma_synchronous")[0]) == 2
