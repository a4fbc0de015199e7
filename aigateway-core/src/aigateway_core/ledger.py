"""The store behind the database sink: call records as rows, and the use that they make of accounts and keys."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from aigateway_core.errors import UnavailableError
from aigateway_core.records import CallRecord

log = logging.getLogger(__name__)


class Calls(Protocol):
    """Where records are kept."""

    async def insert_many(self, records: Sequence[CallRecord]) -> None:
        """Keep these, all or none; one that is there already stays as it is."""


class AccountUse(Protocol):
    """Where accounts are counted."""

    async def note_use(self, counts: Mapping[str, int], when: datetime) -> None:
        """Add to the usage counts."""


class KeyUse(Protocol):
    """Where the use of keys is noted."""

    async def note_use(self, public_ids: Collection[str], when: datetime) -> None:
        """These keys were last used then."""


class Books(Protocol):
    """What the ledger writes to."""

    @property
    def calls(self) -> Calls:
        """The request log."""

    @property
    def accounts(self) -> AccountUse:
        """The accounts."""

    @property
    def keys(self) -> KeyUse:
        """The keys."""


class CallLedger:
    """Writes to whatever storage is open: the sink is made before the storage is."""

    def __init__(self) -> None:
        self.books: Books | None = None

    async def insert_many(self, records: Sequence[CallRecord]) -> None:
        """Keep these records. Raises :class:`UnavailableError` when there is no database to write to."""
        if self.books is None:
            raise UnavailableError("the storage is not open")
        await self.books.calls.insert_many(records)
        try:
            await self._note_use(self.books, records)
        except UnavailableError as error:
            # The rows are what counts; writing the batch again for the sake of a hint could count it twice.
            log.warning("the use of accounts was not noted: %s", error.message)

    @staticmethod
    async def _note_use(books: Books, records: Sequence[CallRecord]) -> None:
        """An attempt is a use, whatever came of it."""
        latest = max(record.created_at for record in records)
        used = Counter(attempt.account_id for record in records for attempt in record.attempts)
        stored = {account: count for account, count in used.items() if not account.startswith("config:")}
        if stored:
            await books.accounts.note_use(stored, latest)
        keys = {record.client_key_id for record in records} - {"-", "environment"}
        if keys:
            await books.keys.note_use(keys, latest)
