"""What an operator may see and change: accounts and providers, as plain JSON values with every secret masked.

The admin API and the command line both speak through this, so that each rule stands in one place. Secrets are
write-only: what is read back says that a field is set, and its last four characters.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import attrs

from aigateway_core.addresses import Destinations, ProxyAddress
from aigateway_core.checkup import Checkup
from aigateway_core.errors import ConflictError, InvalidEntityError, InvalidRequestError
from aigateway_core.jsontext import loads_object
from aigateway_core.logins import Logins
from aigateway_core.records import Account
from aigateway_core.secret import MASK, Secret
from aigateway_core.snapshot import ProviderEntry
from aigateway_core.state import EVERY_MODEL, State
from aigateway_core.storage.rows import AccountPatch, Actor, NewAccount, Page, StoredAccount
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
        """Change one. Raises :class:`NotFoundError`, or :class:`ConflictError` when it has changed since."""

    async def delete(self, account_id: str, actor: Actor) -> None:
        """Remove one. Raises :class:`NotFoundError`."""


@attrs.frozen(kw_only=True)
class _AccountBody:
    """What can be said of an account; in a change only what is given counts."""

    provider_id: str = ""
    auth_data: Any = None
    label: str = ""
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    is_active: bool = True
    proxy_url: str | None = None


@attrs.frozen(kw_only=True)
class AccountQuery:
    """Which accounts to list."""

    provider_id: str | None = None
    is_active: bool | None = None
    limit: int = 20
    offset: int = 0


class Administration:
    """Reads and changes.

    ``configured`` are the accounts that the configuration file brings: they are shown, and only the file changes them.
    ``destinations`` are what an outbound proxy's address may be; a name is judged only when it is connected to.
    :attr:`logins` makes accounts by logging in, :attr:`checkup` looks after one at a time.
    In a running gateway ``changed`` lets the request path see a change at once, and ``state`` knows which accounts
    rest; a process of its own, like the command line, has neither.
    """

    def __init__(
        self,
        store: AccountStore,
        providers: Sequence[ProviderEntry],
        configured: Sequence[Account],
        destinations: Destinations,
        logins: Logins,
        checkup: Checkup,
        changed: Callable[[], Awaitable[None]] | None = None,
        state: State | None = None,
    ) -> None:
        self._store = store
        self._providers = {entry.id: entry for entry in providers}
        self._configured = {account.id: account for account in configured}
        self._destinations = destinations
        self.logins = logins
        self.checkup = checkup
        self._tell_of_change = changed
        self._state = state

    def providers(self) -> list[dict[str, Any]]:
        """The providers that run, in the order of their names."""
        return [_provider_view(entry) for _, entry in sorted(self._providers.items())]

    async def accounts(self, query: AccountQuery) -> dict[str, Any]:
        """A page of accounts, those of the configuration first."""
        configured = [self._configured_view(account) for account in self._configured.values() if _fits(account, query)]
        here = configured[query.offset : query.offset + query.limit]
        page = await self._store.list(
            provider_id=query.provider_id,
            is_active=query.is_active,
            limit=query.limit - len(here),
            offset=max(0, query.offset - len(configured)),
        )
        data = [*here, *(self._view(row) for row in page.rows)]
        return {"data": data, "total": page.total + len(configured), "limit": query.limit, "offset": query.offset}

    async def account(self, account_id: str) -> dict[str, Any]:
        """One account. Raises :class:`NotFoundError`."""
        if account_id in self._configured:
            return self._configured_view(self._configured[account_id])
        return self._view(await self._store.get(account_id))

    async def create_account(self, body: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
        """Add an account. Raises :class:`InvalidEntityError` with every problem."""
        said = _structured(body)
        entry = self._providers.get(said.provider_id)
        if entry is None:
            raise InvalidEntityError([f"provider_id: {self._no_provider(body)}"])
        problems = self._proxy_problems(said.proxy_url)
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
        )
        row = await self._store.create(new, actor)
        await self._changed()
        return self._view(row)

    async def update_account(self, account_id: str, body: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
        """Change the given fields of an account. Raises what :meth:`create_account` and :meth:`account` raise."""
        self._refuse_configured(account_id)
        said = _structured(body)
        row = await self._store.get(account_id)
        problems = self._proxy_problems(said.proxy_url)
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
        changed = await self._store.update(account_id, AccountPatch(**patch), actor)
        await self._changed()
        return self._view(changed)

    async def delete_account(self, account_id: str, actor: Actor) -> None:
        """Remove an account. Raises :class:`NotFoundError`."""
        self._refuse_configured(account_id)
        await self._store.delete(account_id, actor)
        await self._changed()

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

    def _proxy_problems(self, url: str | None) -> list[str]:
        if url is None:
            return []
        try:
            proxy = ProxyAddress.parse(url)
        except ValueError as error:
            return [f"proxy_url: {error}"]
        if not self._destinations.permits_host(proxy.host, proxy.port):
            return ["proxy_url: is not a public address; name it in security.allow_private_hosts to allow it"]
        return []

    def _view(self, row: StoredAccount) -> dict[str, Any]:
        return {
            "id": row.id,
            "provider_id": row.provider_id,
            "label": row.label,
            "auth_data": _masked(row.auth_data),
            "metadata": dict(row.metadata),
            "is_active": row.is_active,
            **self._status(row),
            "proxy_url": _masked_url(row.proxy_url),
            "proxy_id": row.proxy_id,
            "expires_at": _iso(row.expires_at),
            "last_used_at": _iso(row.last_used_at),
            "usage_count": row.usage_count,
            "created_at": _iso(row.created_at),
            "updated_at": _iso(row.updated_at),
            "source": "database",
        }

    def _status(self, row: StoredAccount) -> dict[str, Any]:
        """Whether the request path takes this account now, and why not."""
        if (trouble := self._trouble(row)) is not None:
            return _told("unusable", trouble)
        if not row.is_active:
            return _told("disabled")
        if row.status != "active":
            return _told(row.status, row.status_reason, row.status_until)
        return self._rest(row.id)

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

    def _rest(self, account_id: str) -> dict[str, Any]:
        cooldown = None if self._state is None else self._state.cooldown(account_id, EVERY_MODEL)
        if cooldown is None:
            return _told("active")
        until = datetime.fromtimestamp(cooldown.until, UTC) if cooldown.passes else None
        return _told(cooldown.status, cooldown.reason, until)

    def _configured_view(self, account: Account) -> dict[str, Any]:
        return {
            "id": account.id,
            "provider_id": account.provider_id,
            "label": account.label,
            "auth_data": _masked(attrs.asdict(account.credential, recurse=False) if account.credential else {}),
            "metadata": {},
            "is_active": True,
            **self._rest(account.id),
            "proxy_url": None,
            "proxy_id": None,
            "expires_at": None,
            "last_used_at": None,
            "usage_count": None,
            "created_at": None,
            "updated_at": None,
            "source": "configuration",
        }


_PATCHED = ("label", "metadata", "is_active", "proxy_url")


def _fits(account: Account, query: AccountQuery) -> bool:
    return query.provider_id in {None, account.provider_id} and query.is_active in {None, True}


def _structured(body: Mapping[str, Any]) -> _AccountBody:
    try:
        return structure(dict(body), _AccountBody)
    except StructuringError as error:
        raise InvalidEntityError(list(map(str, error.problems))) from error


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
    return given


def _masked(auth_data: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if auth_data is None:
        return None
    return {name: _set(value) for name, value in auth_data.items()}


def _set(value: Any) -> dict[str, Any]:
    secret = value if isinstance(value, Secret) else Secret(value if isinstance(value, str) else "")
    return {"set": value not in (None, ""), "last4": secret.last4}


def _masked_url(url: str | None) -> str | None:
    """The URL without its password, which is as much a secret as any."""
    if url is None:
        return None
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{parts.username}:{MASK}@{host}" if parts.username else host
    return urlunsplit((parts.scheme, netloc, parts.path, "", ""))


def _told(status: str, reason: str | None = None, until: datetime | None = None) -> dict[str, Any]:
    return {"status": status, "status_reason": reason, "status_until": _iso(until)}


def _iso(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")


def _provider_view(entry: ProviderEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.title or entry.id,
        "kind": entry.kind,
        "auth_strategy": entry.strategy_name,
        "supported_models": [model.id for model in entry.provider.models],
        "model_patterns": list(entry.provider.model_patterns),
        "is_active": True,
        "priority": entry.priority,
        "risk": entry.risk,
    }
