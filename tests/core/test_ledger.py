from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

import pytest

from aigateway_core.errors import UnavailableError
from aigateway_core.ledger import CallLedger
from aigateway_core.records import Attempt, CallRecord

pytestmark = pytest.mark.anyio


class Shelf:
    """Stands for the three stores at once, and fails where it is told to."""

    def __init__(self, *, counts_fail: bool = False) -> None:
        self.rows: list[CallRecord] = []
        self.used: dict[str, int] = {}
        self.seen: set[str] = set()
        self._counts_fail = counts_fail

    calls = property(lambda self: self)
    keys = property(lambda self: _Keys(self))
    accounts = property(lambda self: self)

    async def insert_many(self, records: Sequence[CallRecord]) -> None:
        self.rows.extend(records)

    async def note_use(self, counts: Mapping[str, int], when: datetime) -> None:
        if self._counts_fail:
            raise UnavailableError("away")
        self.used.update(counts)


class _Keys:
    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def note_use(self, public_ids: Collection[str], when: datetime) -> None:
        self._shelf.seen.update(public_ids)


def record(*accounts: str, key: str = "-") -> CallRecord:
    return CallRecord(
        id="1",
        request_id="r",
        created_at=datetime.now(UTC),
        dialect="d",
        client_key_id=key,
        outcome="ok",
        status_code=200,
        latency_ms=1,
        attempts=tuple(Attempt(account_id=account, latency_ms=1) for account in accounts),
    )


async def test_every_attempt_counts_as_a_use_of_its_account() -> None:
    shelf, ledger = Shelf(), CallLedger()
    ledger.books = shelf
    await ledger.insert_many([record("a", "b"), record("b"), record("config:acme"), record()])
    assert len(shelf.rows) == 4
    assert shelf.used == {"a": 1, "b": 2}


async def test_only_stored_keys_are_noted() -> None:
    shelf, ledger = Shelf(), CallLedger()
    ledger.books = shelf
    await ledger.insert_many([record(key="-"), record(key="environment"), record(key="k1"), record(key="k1")])
    assert shelf.seen == {"k1"}


async def test_rows_that_were_kept_are_not_offered_again_because_a_count_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shelf, ledger = Shelf(counts_fail=True), CallLedger()
    ledger.books = shelf
    await ledger.insert_many([record("a")])
    assert len(shelf.rows) == 1
    assert "was not noted" in caplog.text


async def test_without_a_storage_nothing_is_taken() -> None:
    with pytest.raises(UnavailableError):
        await CallLedger().insert_many([record()])
