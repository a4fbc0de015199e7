"""What one process has for renewing tokens, put together as the gateway does: its storage, its engine, its memory."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from aigateway_core.addresses import Destinations
from aigateway_core.builtin.oauth import OAuthOptions, OAuthStrategy
from aigateway_core.credentials import Credential, Credentials
from aigateway_core.egress import Egress
from aigateway_core.egress.health import ProxyHealthBook
from aigateway_core.engine import Transports
from aigateway_core.plugin import OpenAICompatibleConfig, OpenAICompatibleProvider
from aigateway_core.proxy_pool import ProxyPool
from aigateway_core.records import Account
from aigateway_core.renewal import Renewals
from aigateway_core.snapshot import CurrentSnapshot, ProviderEntry
from aigateway_core.state import State
from aigateway_core.state.memory import MemoryState
from aigateway_core.state.tokens import SealedTokens
from aigateway_core.storage import DatabaseLocation, Storage, StoredAccount
from aigateway_core.structuring import structure
from aigateway_core.token_spool import TokenSpool
from aigateway_core.vault import KeyRing

KEYRING = KeyRing([bytes(range(32))])
PROVIDER = "acme"


def entry_with(strategy: Any) -> ProviderEntry:
    return ProviderEntry(
        id=PROVIDER,
        kind=PROVIDER,
        title="Acme",
        provider=OpenAICompatibleProvider(OpenAICompatibleConfig(base_url="http://127.0.0.1:9", models=("m",))),
        strategy=strategy,
        strategy_name="oauth",
    )


class TokenHouse:
    """One process's part; ``state`` may be shared with others, the folder ``spool`` with those of the same machine."""

    def __init__(
        self,
        location: DatabaseLocation,
        auth_options: Mapping[str, Any],
        state: State | None = None,
        spool: Path | None = None,
    ) -> None:
        self._location = location
        self.state = state or MemoryState()
        self.strategy: Any = OAuthStrategy(structure(dict(auth_options), OAuthOptions))
        self.entry = entry_with(self.strategy)
        self.credentials = Credentials()
        self.snapshot = CurrentSnapshot()
        self.health = ProxyHealthBook(max_failures=3, retry_interval=60.0)
        self._spool = TokenSpool(spool, KEYRING) if spool else None
        self._held: dict[str, Account] = {}
        self._open = AsyncExitStack()

    async def __aenter__(self) -> TokenHouse:
        self.storage = await self._open.enter_async_context(await Storage.open(self._location, KEYRING))
        await self.storage.providers.upsert_installed(PROVIDER)
        transports = Transports(Destinations.allowing(["127.0.0.1"]))
        self._open.push_async_callback(transports.aclose)
        cache = SealedTokens(self.state, KEYRING)
        self.egress = Egress(transports, self.snapshot, ProxyPool(), self.health)
        self.renewals = Renewals(self.storage.accounts, self.storage.tokens, self.egress, cache, self._spool)
        await self.renewals.start()
        self.credentials.renewals = self.renewals
        self._open.push_async_callback(self.credentials.aclose)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    def know(self, row: StoredAccount) -> Account:
        """The account as this process's snapshot has it."""
        credential = structure(dict(row.auth_data or {}), self.strategy.credential)
        account = Account(id=row.id, provider_id=PROVIDER, credential=credential, proxy_url=row.proxy_url)
        self._held[row.id] = account
        return account

    async def get(self, account_id: str) -> Credential:
        """The credential, good now."""
        return await self.credentials.get(self.entry, self._held[account_id])

    async def renew(self, account_id: str) -> None:
        """Renew, however long the token would have lived."""
        await self.get(account_id)
        await self.credentials._living[account_id].renew()

    async def token(self, account_id: str) -> str:
        """The access token that a request would be signed with now."""
        flow = (await self.get(account_id)).auth.async_auth_flow(httpx.Request("GET", "http://vendor.test/"))
        request = await anext(flow)
        await flow.aclose()
        return str(request.headers["authorization"]).removeprefix("Bearer ")
