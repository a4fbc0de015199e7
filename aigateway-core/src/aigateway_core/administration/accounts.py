"""Accounts, as an operator sees and changes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import attrs

from aigateway_core.addresses import Destinations, proxy_url_problems
from aigateway_core.administration.rests import KnownRests, RestStore, told
from aigateway_core.administration.views import iso, masked, masked_url, page, structured
from aigateway_core.errors import ConflictError, InvalidEntityError, InvalidRequestError
from aigateway_core.jsontext import loads_object
from aigateway_core.records import Account
from aigateway_core.secret import MASK
from aigateway_core.snapshot import ProviderEntry
from aigateway_core.state import State
from aigateway_core.storage.rows import AccountPatch, Actor, EgressKind, NewAccount, Page, StoredAccount
from aigateway_core.structuring import StructuringError, structure


class AccountStore(Protocol):
    """Where accounts are kept; each change is audited in its own transaction."""

    async def list(
        self, *, provider_id: str | None, is_active: bool | None, limit: int, offset: int
    ) -> Page[StoredAccount]:
        """A page of them, oldest first."""

    async def get(self, account_id: str) -> StoredAccount:
        """One of them. Raises :class:`NotFoundError`."""

    async def create(self, new: NewAccount, actor: Actor) -> StoredAccount:
        """Add one."""

    async def update(
        self, account_id: str, patch: AccountPatch, actor: Actor, *, expected_updated_at: datetime | None = None
    ) -> StoredAccount:
        """Change one. Raises :class:`NotFoundError`, or :class:`StaleChangeError` when it has changed since."""

    async def delete(self, account_id: str, actor: Actor, *, expected_updated_at: datetime | None = None) -> None:
        """Remove one. Raises :class:`NotFoundError`."""


class BindingStore(Protocol):
    """Where it is kept which outbound proxy an account goes out by."""

    async def all(self) -> Mapping[str, int]:
        """The outbound proxy of each account that has one."""

    async def claim(self, account_id: str, actor: Actor) -> int | None:
        """Bind this account to the next proxy with room; None when there is none."""


@attrs.frozen(kw_only=True)
class _AccountBody:
    """What can be said of an account; in a change only what is given counts."""

    provider_id: str = ""
    auth_data: Any = None
    label: str = ""
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    is_active: bool = True
    proxy_url: str | None = None
    egress: EgressKind = "pool"


@attrs.frozen(kw_only=True)
class AccountQuery:
    """Which accounts to list."""

    provider_id: str | None = None
    is_active: bool | None = None
    limit: int = 20
    offset: int = 0


class AccountAdministration:
    """Reads and changes accounts.

    ``configured`` are the accounts that the configuration file brings: they are shown, and only the file changes them.
    ``destinations`` are what an outbound proxy's address may be; a name is judged only when it is connected to.
    ``changed`` lets running gateways see a change at once. Which accounts rest ``state`` knows, to the second, and
    ``rests`` of whatever takes a while: the command line has no state but where there is a Redis to ask.
    """

    def __init__(
        self,
        store: AccountStore,
        bindings: BindingStore,
        rests: RestStore,
        providers: Sequence[ProviderEntry],
        configured: Sequence[Account],
        destinations: Destinations,
        changed: Callable[[], Awaitable[None]] | None = None,
        state: State | None = None,
    ) -> None:
        self._store = store
        self._bindings = bindings
        self._rests = rests
        self._providers = {entry.id: entry for entry in providers}
        self._configured = {account.id: account for account in configured}
        self._destinations = destinations
        self._tell_of_change = changed
        self._state = state

    async def list(self, query: AccountQuery) -> dict[str, Any]:
        """A page of accounts, those of the configuration first."""
        bound = await self._bindings.all() if self._configured else {}
        fitting = [account for account in self._configured.values() if _fits(account, query)]
        rests = await self._known()
        configured = [self._configured_view(account, bound.get(account.id), rests) for account in fitting]
        here = configured[query.offset : query.offset + query.limit]
        found = await self._store.list(
            provider_id=query.provider_id,
            is_active=query.is_active,
            limit=query.limit - len(here),
            offset=max(0, query.offset - len(configured)),
        )
        data = [*here, *(self._view(row, rests) for row in found.rows)]
        return page(data, found.total + len(configured), query.limit, query.offset)

    async def get(self, account_id: str) -> dict[str, Any]:
        """One account. Raises :class:`NotFoundError`."""
        if account_id in self._configured:
            bound = await self._bindings.all()
            return self._configured_view(self._configured[account_id], bound.get(account_id), await self._known())
        return self._view(await self._store.get(account_id), await self._known())

    async def create(self, body: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
        """Add an account. Raises :class:`InvalidEntityError` with every problem."""
        said = structured(body, _AccountBody)
        entry = self._providers.get(said.provider_id)
        if entry is None:
            raise InvalidEntityError([f"provider_id: {self._no_provider(body)}"])
        problems = proxy_url_problems(said.proxy_url, "proxy_url", self._destinations)
        auth_data = _auth_data(entry, said.auth_data, problems)
        if problems:
            raise InvalidEntityError(problems)
        new = NewAccount(
            provider_id=entry.id,
            auth_data=auth_data,
            label=said.label,
            metadata=said.metadata,
            is_active=said.is_active,
            proxy_url=said.proxy_url,
            egress=said.egress,
        )
        row = await self._store.create(new, actor)
        if row.proxy_url is None and row.egress == "pool":
            row = attrs.evolve(row, proxy_id=await self._bindings.claim(row.id, actor))
        await self._changed()
        return self._view(row, await self._known())

    async def update(
        self, account_id: str, body: Mapping[str, Any], actor: Actor, expected: datetime | None = None
    ) -> dict[str, Any]:
        """Change the given fields of an account. Raises what :meth:`create` and :meth:`get` raise."""
        self._refuse_configured(account_id)
        said = structured(body, _AccountBody)
        row = await self._store.get(account_id)
        problems = proxy_url_problems(said.proxy_url, "proxy_url", self._destinations)
        patch: dict[str, Any] = {name: getattr(said, name) for name in _PATCHED if name in body}
        if "provider_id" in body and said.provider_id != row.provider_id:
            problems.append("provider_id: an account cannot move to another provider; add it there instead")
        if "auth_data" in body:
            entry = self._providers.get(row.provider_id)
            if entry is None:
                problems.append(
                    f"auth_data: the provider {row.provider_id!r} is not installed, so this cannot be checked"
                )
            else:
                patch["auth_data"] = _auth_data(entry, said.auth_data, problems)
        if problems:
            raise InvalidEntityError(problems)
        changed = await self._store.update(account_id, AccountPatch(**patch), actor, expected_updated_at=expected)
        await self._changed()
        return self._view(changed, await self._known())

    async def delete(self, account_id: str, actor: Actor, expected: datetime | None = None) -> None:
        """Remove an account. Raises :class:`NotFoundError`."""
        self._refuse_configured(account_id)
        await self._store.delete(account_id, actor, expected_updated_at=expected)
        await self._changed()

    async def _known(self) -> KnownRests:
        return KnownRests(await self._rests.standing(), self._state)

    async def _changed(self) -> None:
        if self._tell_of_change is not None:
            await self._tell_of_change()

    def _refuse_configured(self, account_id: str) -> None:
        if (account := self._configured.get(account_id)) is not None:
            raise ConflictError(
                f"this account comes from the configuration (providers.{account.provider_id}); change it there"
            )

    def _no_provider(self, body: Mapping[str, Any]) -> str:
        if "provider_id" not in body:
            return "is missing"
        return f"no such provider; installed: {', '.join(sorted(self._providers)) or 'none'}"

    def _view(self, row: StoredAccount, rests: KnownRests) -> dict[str, Any]:
        return {
            "id": row.id,
            "provider_id": row.provider_id,
            "label": row.label,
            "auth_data": masked(row.auth_data),
            "metadata": dict(row.metadata),
            "is_active": row.is_active,
            **self._status(row, rests),
            "resting": rests.resting(row.id),
            "proxy_url": masked_url(row.proxy_url),
            "proxy_id": row.proxy_id,
            "egress": row.egress,
            "expires_at": iso(row.expires_at),
            "last_used_at": iso(row.last_used_at),
            "usage_count": row.usage_count,
            "created_at": iso(row.created_at),
            "updated_at": iso(row.updated_at),
            "source": "database",
        }

    def _status(self, row: StoredAccount, rests: KnownRests) -> dict[str, Any]:
        """Whether the request path takes this account now, and why not."""
        if (trouble := self._trouble(row)) is not None:
            return told("unusable", trouble)
        if not row.is_active:
            return told("disabled")
        if row.status != "active":
            return told(row.status, row.status_reason, row.status_until, row.status_remedy)
        return rests.status(row.id)

    def _trouble(self, row: StoredAccount) -> str | None:
        """What makes an account unusable whatever is done with it."""
        if row.problem:
            return row.problem
        entry = self._providers.get(row.provider_id)
        if entry is None:
            return "provider_not_installed"
        problems: list[str] = []
        _auth_data(entry, None if row.auth_data is None else dict(row.auth_data), problems)
        return "auth_data_does_not_fit" if problems else None

    def _configured_view(self, account: Account, proxy_id: int | None, rests: KnownRests) -> dict[str, Any]:
        return {
            "id": account.id,
            "provider_id": account.provider_id,
            "label": account.label,
            "auth_data": masked(attrs.asdict(account.credential, recurse=False) if account.credential else {}),
            "metadata": {},
            "is_active": True,
            **rests.status(account.id),
            "resting": rests.resting(account.id),
            "proxy_url": None,
            "proxy_id": proxy_id,
            "egress": account.egress,
            "expires_at": None,
            "last_used_at": None,
            "usage_count": None,
            "created_at": None,
            "updated_at": None,
            "source": "configuration",
        }


_PATCHED = ("label", "metadata", "is_active", "proxy_url", "egress")


def _fits(account: Account, query: AccountQuery) -> bool:
    return query.provider_id in {None, account.provider_id} and query.is_active in {None, True}


def _auth_data(entry: ProviderEntry, given: Any, problems: list[str]) -> dict[str, Any]:
    """The credential's fields as the strategy wants them: from an object, or from JSON text as the seed sent it."""
    if isinstance(given, str):
        try:
            given = loads_object(given.encode())
        except InvalidRequestError:
            problems.append("auth_data: is text, but not JSON of an object")
            return {}
    if not isinstance(given, dict):
        problems.append("auth_data: expected an object" if given is not None else "auth_data: is missing")
        return {}
    try:
        structure(given, entry.strategy.credential, "auth_data")
    except StructuringError as error:
        problems.extend(map(str, error.problems))
    problems += [f"auth_data.{name}: {_A_MASK}" for name, value in given.items() if value == MASK]
    return given


_A_MASK = f"{MASK} is what is shown in the place of secrets; leave auth_data out to keep what is stored"
