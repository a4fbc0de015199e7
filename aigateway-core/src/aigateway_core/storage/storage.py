"""The way in: one object for all that is stored."""

from __future__ import annotations

import asyncio
from types import TracebackType

from aigateway_core.errors import ConfigurationError
from aigateway_core.storage.accounts import Accounts, all_accounts
from aigateway_core.storage.audit import AuditLog, version
from aigateway_core.storage.bindings import Bindings, current
from aigateway_core.storage.calls import Calls
from aigateway_core.storage.database import Database, Session
from aigateway_core.storage.failures import refusal_to_open
from aigateway_core.storage.keys import Keys, client_keys_exist, valid_keys
from aigateway_core.storage.locations import DatabaseLocation
from aigateway_core.storage.logins import Logins
from aigateway_core.storage.mappings import ModelMappings, active_mappings
from aigateway_core.storage.migrations import migrate
from aigateway_core.storage.outbound_proxies import OutboundProxies, all_proxies
from aigateway_core.storage.providers import Providers, all_providers
from aigateway_core.storage.resealing import Secrets
from aigateway_core.storage.rests import Rests, standing_rests
from aigateway_core.storage.rows import SnapshotRows
from aigateway_core.storage.statistics import Statistics
from aigateway_core.storage.tokens import Tokens
from aigateway_core.vault import KeyRing, Place, VaultError

CANARY = Place("storage_facts", "value", "canary")
"""The word that the first start sealed: whoever can open it has a master key that fits."""


class Storage:
    """All that is stored, by noun. Made by :meth:`open`, ended by :meth:`aclose` or by leaving ``async with``.

    Every method may raise :class:`~aigateway_core.errors.UnavailableError` when there is no database to ask.
    """

    def __init__(self, database: Database, keyring: KeyRing) -> None:
        self._database = database
        self._keyring = keyring
        self.providers = Providers(database, keyring)
        self.accounts = Accounts(database, keyring)
        self.tokens = Tokens(database, keyring)
        self.rests = Rests(database)
        self.logins = Logins(database, keyring)
        self.proxies = OutboundProxies(database, keyring)
        self.bindings = Bindings(database)
        self.calls = Calls(database)
        self.statistics = Statistics(database)
        self.keys = Keys(database, keyring)
        self.mappings = ModelMappings(database)
        self.audit = AuditLog(database)
        self.secrets = Secrets(database, keyring, CANARY)

    @classmethod
    async def open(cls, location: DatabaseLocation, keyring: KeyRing, *, threads: int = 4) -> Storage:
        """Bring the database up to date and connect to it, with at most ``threads`` connections and one for the log.

        Raises :class:`ConfigurationError` when the database cannot be used as configured, or was made with another
        master key (nothing in it is touched then), and :class:`UnavailableError` when it does not answer.
        """
        database = Database(location, threads=threads)
        storage = cls(database, keyring)
        try:
            await asyncio.to_thread(migrate, location)
            await asyncio.to_thread(database.bind)
            await database.transaction(storage._check_master_key)
        except Exception as error:
            await database.aclose()
            refusal = refusal_to_open(error, location)
            if refusal is None or refusal is error:
                raise
            raise refusal from error
        return storage

    async def aclose(self) -> None:
        """Close every connection."""
        await self._database.aclose()

    async def __aenter__(self) -> Storage:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def version(self) -> int:
        """Grows with every change of providers, accounts, outbound proxies, keys and mappings."""
        return await self._database.read(version)

    async def load_snapshot(self) -> SnapshotRows:
        """Everything the request path needs, as it stood at one moment."""

        def unit(session: Session) -> SnapshotRows:
            return SnapshotRows(
                version=version(session),
                providers=all_providers(session),
                accounts=all_accounts(session, self._keyring),
                keys=valid_keys(session),
                proxies=all_proxies(session, self._keyring),
                bindings=current(session),
                client_keys_exist=client_keys_exist(session),
                mappings=active_mappings(session),
                rests=standing_rests(session),
            )

        return await self._database.transaction(unit)

    def _check_master_key(self, session: Session) -> None:
        """Open the word that the first start sealed: a wrong master key shows before anything is written with it."""
        session.wait_for_turn()
        canary = session.entities.fact.get(name=CANARY.row)
        if canary is None:
            session.entities.fact(name=CANARY.row, value=self._keyring.seal("aigateway", CANARY))
            return
        try:
            self._keyring.open(canary.value, CANARY)
        except VaultError as error:
            raise ConfigurationError(
                "the master key does not fit this database: give the key that it was made with"
                f" (AIGATEWAY_MASTER_KEY, or the key file beside the database); {error}"
            ) from None
