"""Looking after one account: renew its tokens now, and see whether it works. Neither is held against the account.

Both are really tried, by an outbound proxy that is down too: whether it is well again is what somebody wants to see.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs

from aigateway_core.credentials import Credential, Credentials
from aigateway_core.errors import ConflictError, GatewayError, UpstreamError
from aigateway_core.model import ChatRequest, Message, TextPart
from aigateway_core.plugin import QuotaLeft
from aigateway_core.records import Account
from aigateway_core.renewal import Renewals, WaysOut
from aigateway_core.secret import scrub
from aigateway_core.snapshot import ProviderEntry
from aigateway_core.storage.rows import Actor, StoredAccount
from aigateway_core.structuring import StructuringError, structure
from aigateway_core.upstream import Limits, Upstream

_LIMITS = Limits(connect=10.0, first_byte=60.0, idle=60.0, total=90.0)
_MOST_MENDED = 4
_QUESTION = Message("user", (TextPart("Say OK."),))


class AccountRows(Protocol):
    """Where accounts are read."""

    async def get(self, account_id: str) -> StoredAccount:
        """One of them. Raises :class:`NotFoundError`."""


class Journal(Protocol):
    """Where it is written down what admins did."""

    async def note(self, action: str, entity: str, entity_id: str, actor: Actor, detail: Mapping[str, Any]) -> None:
        """Add a row of its own. Raises :class:`UnavailableError` when none can be written."""


class Checkup:
    """``configured`` are the accounts that the configuration brings, ``journal`` is the audit log."""

    def __init__(
        self,
        accounts: AccountRows,
        providers: Sequence[ProviderEntry],
        configured: Sequence[Account],
        renewals: Renewals,
        ways_out: WaysOut,
        journal: Journal,
    ) -> None:
        self._accounts = accounts
        self._providers = {entry.id: entry for entry in providers}
        self._configured = {account.id: account for account in configured}
        self._renewals = renewals
        self._ways_out = ways_out
        self._journal = journal

    async def refresh(self, account_id: str) -> None:
        """Renew the account's tokens, however long they would have lived.

        Raises :class:`NotFoundError`, :class:`ConflictError` when there is nothing to renew, and
        :class:`UpstreamError`.
        """
        entry, account = await self._account(account_id)
        if entry.renews is None or account.id in self._configured:
            raise ConflictError(f"the auth strategy {entry.strategy_name!r} has no tokens to renew")
        await self._renewals.renew(entry, account, None)

    async def test(self, account_id: str, actor: Actor, model: str | None = None) -> dict[str, Any]:
        """Ask the provider something small, once it is written down who wants that.

        Raises :class:`NotFoundError`, :class:`ConflictError`, and :class:`UnavailableError` when it cannot be written.
        """
        entry, account = await self._account(account_id)
        model = model or next((known.id for known in entry.provider.models), None)
        if model is None:
            raise ConflictError(f"the provider {entry.id!r} knows no model by itself: name one in model")
        await self._journal.note("account.test", "account", account_id, actor, {"model": model})
        began = time.monotonic()
        error = await self._failure(entry, account, model)
        told = {"ok": error is None, "model": model, "latency_ms": int((time.monotonic() - began) * 1000)}
        return told if error is None else {**told, "error": error}

    async def _failure(self, entry: ProviderEntry, account: Account, model: str) -> dict[str, Any] | None:
        credentials = Credentials()
        credentials.renewals = self._renewals
        secrets: Sequence[Any] = ()
        try:
            credential = await credentials.get(entry, account)
            secrets = credential.secrets
            request = ChatRequest(model=model, messages=(_QUESTION,), max_tokens=16)
            await _answer(entry, request, await self._upstream(entry, account, credential))
        except GatewayError as error:
            scope = error.scope if isinstance(error, UpstreamError) else None
            return {"kind": error.kind.value, "scope": scope, "message": scrub(error.message, secrets)}
        return None

    async def _upstream(self, entry: ProviderEntry, account: Account, credential: Credential) -> Upstream:
        way = await self._ways_out.way_out(account, even_down=True)
        return Upstream(
            way.transport,
            credential.auth,
            limits=_LIMITS,
            classify=entry.classify,
            secrets=credential.secrets,
            proxied=way.proxied,
            account_id=account.id,
            metadata=account.metadata,
        )

    async def quota(self, account_id: str) -> dict[str, Any]:
        """What the account has left, as its vendor tells it now.

        Raises :class:`NotFoundError`, :class:`ConflictError` when its provider cannot say, and :class:`UpstreamError`.
        """
        entry, account = await self._account(account_id)
        if entry.reports is None:
            raise ConflictError(f"the provider {entry.id!r} does not tell what an account has left")
        credentials = Credentials()
        credentials.renewals = self._renewals
        credential = await credentials.get(entry, account)
        found = await entry.reports.quota(await self._upstream(entry, account, credential))
        return {"data": [_told(each) for each in found]}

    async def _account(self, account_id: str) -> tuple[ProviderEntry, Account]:
        if (configured := self._configured.get(account_id)) is not None:
            return self._providers[configured.provider_id], configured
        row = await self._accounts.get(account_id)
        entry = self._providers.get(row.provider_id)
        if entry is None:
            raise ConflictError(f"the provider {row.provider_id!r} is not installed")
        if row.auth_data is None:
            raise ConflictError("the account's secrets do not open with this master key")
        try:
            credential = structure(dict(row.auth_data), entry.strategy.credential, "auth_data")
        except StructuringError as error:
            raise ConflictError(f"the account cannot be used: {error}") from None
        account = Account(id=row.id, provider_id=row.provider_id, label=row.label, credential=credential)
        return entry, attrs.evolve(
            account, metadata=row.metadata, proxy_url=row.proxy_url, proxy_id=row.proxy_id, egress=row.egress
        )


async def _answer(entry: ProviderEntry, request: ChatRequest, upstream: Upstream) -> None:
    """As on the request path, what a provider can mend is asked again: of another host, for one."""
    for _ in range(_MOST_MENDED):
        try:
            await entry.provider.complete(request, upstream)
        except UpstreamError as error:
            changed = entry.mends.mend(request, error) if entry.mends else None
            if changed is None:
                raise
            request = changed
        else:
            return
    await entry.provider.complete(request, upstream)


def _told(quota: QuotaLeft) -> dict[str, Any]:
    fraction, resets_at = quota.fraction, quota.resets_at
    return {
        "model": quota.model,
        "quota_group": quota.quota_group,
        "fraction_left": None if fraction is None else min(max(fraction, 0.0), 1.0),
        "resets_at": None if resets_at is None else resets_at.isoformat(),
    }
