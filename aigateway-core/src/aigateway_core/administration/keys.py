"""Client keys, as an operator sees and changes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

import attrs

from aigateway_core.administration.views import iso, page, structured
from aigateway_core.converter import Range
from aigateway_core.errors import ConflictError, InvalidEntityError
from aigateway_core.routing import LONGEST_NAME
from aigateway_core.secret import Secret
from aigateway_core.storage.rows import Actor, KeyPatch, KeyTerms, Page, Role, StoredAccount, StoredKey
from aigateway_core.structuring import near

_ROLE: Role = "client"
_EVERY = 1 << 31


class KeyStore(Protocol):
    """Where keys are kept; each change is audited in its own transaction."""

    async def list(self, *, role: Role | None = None, limit: int = 20, offset: int = 0) -> Page[StoredKey]:
        """A page of them, oldest first."""

    async def get(self, public_id: str, role: Role) -> StoredKey:
        """One of them. Raises :class:`NotFoundError`."""

    async def create(
        self,
        role: Role,
        name: str,
        actor: Actor,
        *,
        expires_at: datetime | None = None,
        terms: KeyTerms = ...,
    ) -> tuple[StoredKey, Secret]:
        """Make one."""

    async def update(
        self, public_id: str, role: Role, patch: KeyPatch, actor: Actor, *, expected_updated_at: datetime | None = None
    ) -> StoredKey:
        """Change one. Raises :class:`NotFoundError`, :class:`StaleChangeError`."""

    async def revoke(
        self, public_id: str, actor: Actor, role: Role | None = None, *, expected_updated_at: datetime | None = None
    ) -> StoredKey:
        """Make one open nothing any more. Raises :class:`NotFoundError`."""


class AccountStore(Protocol):
    """Where accounts are read."""

    async def list(
        self, *, provider_id: str | None, is_active: bool | None, limit: int, offset: int
    ) -> Page[StoredAccount]:
        """A page of them, oldest first."""


Limit = Annotated[int, Range(at_least=1, at_most=1_000_000)]


@attrs.frozen(kw_only=True)
class _KeyBody:
    """What can be said of a key; in a change only what is given counts, and null is: everything, for good."""

    name: str = ""
    expires_at: datetime | None = None
    providers: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    accounts: tuple[str, ...] | None = None
    requests_per_minute: Limit | None = None
    concurrency: Limit | None = None


_TERMS = tuple(field.name for field in attrs.fields(KeyTerms))


class KeyAdministration:
    """Makes, shows, changes and revokes client keys. A key itself is shown once, by the answer that it is made with.

    ``providers`` and ``configured`` are the ids of the providers that run, and of the configuration's accounts.
    """

    def __init__(
        self,
        store: KeyStore,
        accounts: AccountStore,
        providers: Sequence[str],
        configured: Sequence[str],
        changed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._providers = providers
        self._configured = configured
        self._tell_of_change = changed

    async def list(self, limit: int = 20, offset: int = 0) -> dict[str, Any]:
        """A page of keys, those that have ended too."""
        found = await self._store.list(role=_ROLE, limit=limit, offset=offset)
        return page([_view(row) for row in found.rows], found.total, limit, offset)

    async def get(self, key_id: str) -> dict[str, Any]:
        """One key. Raises :class:`NotFoundError`."""
        return _view(await self._store.get(key_id, _ROLE))

    async def create(self, body: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
        """Make a key; the field ``key`` is the key, and nobody can read it again.

        Raises :class:`InvalidEntityError` with every problem.
        """
        said = structured(body, _KeyBody)
        await self._check(said)
        terms = KeyTerms(**{name: getattr(said, name) for name in _TERMS})
        row, key = await self._store.create(_ROLE, said.name, actor, expires_at=said.expires_at, terms=terms)
        await self._changed()
        return {**_view(row), "key": key.reveal()}

    async def update(
        self, key_id: str, body: Mapping[str, Any], actor: Actor, expected: datetime | None = None
    ) -> dict[str, Any]:
        """Change the given fields. Raises what :meth:`create` and :meth:`get` raise, and :class:`ConflictError`."""
        said = structured(body, _KeyBody)
        await self._check(said)
        if (await self._store.get(key_id, _ROLE)).revoked_at is not None:
            raise ConflictError("this key was revoked, and stays so: make another")
        patch = KeyPatch(**{name: getattr(said, name) for name in (*_TERMS, "name", "expires_at") if name in body})
        row = await self._store.update(key_id, _ROLE, patch, actor, expected_updated_at=expected)
        await self._changed()
        return _view(row)

    async def revoke(self, key_id: str, actor: Actor, expected: datetime | None = None) -> None:
        """Make a key open nothing from now on. Raises :class:`NotFoundError`."""
        await self._store.revoke(key_id, actor, _ROLE, expected_updated_at=expected)
        await self._changed()

    async def _check(self, said: _KeyBody) -> None:
        """Refuse what has the right shape and still cannot be meant."""
        problems = [
            f"{name}: is empty, so that the key would open nothing; null stands for every one"
            for name in ("providers", "models", "accounts")
            if getattr(said, name) == ()
        ]
        if said.expires_at is not None and said.expires_at <= datetime.now(UTC):
            problems.append("expires_at: is over already; to end a key now, revoke it")
        problems += _strange("providers", said.providers or (), self._providers)
        problems += _impossible_models(said.models or ())
        if said.accounts:
            found = await self._accounts.list(provider_id=None, is_active=None, limit=_EVERY, offset=0)
            problems += _strange("accounts", said.accounts, [*self._configured, *(row.id for row in found.rows)])
        if problems:
            raise InvalidEntityError(problems)

    async def _changed(self) -> None:
        if self._tell_of_change is not None:
            await self._tell_of_change()


def _strange(field: str, names: Sequence[str], known: Sequence[str]) -> list[str]:
    noun = field.removesuffix("s")
    return [
        f"{field}[{number}]: there is no {noun} {name[:64]!r}{near(name[:64], known)}"
        for number, name in enumerate(names)
        if name not in known
    ]


def _impossible_models(names: Sequence[str]) -> list[str]:
    return [
        f"models[{number}]: expected a model's name, with at most one * at its end"
        for number, name in enumerate(names)
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or "*" in name[:-1]
    ]


def _view(row: StoredKey) -> dict[str, Any]:
    return {
        "id": row.id,
        "prefix": f"gwcli_{row.id}_",
        "name": row.name,
        "status": _status(row),
        "expires_at": iso(row.expires_at),
        "revoked_at": iso(row.revoked_at),
        **{name: _plain(getattr(row.terms, name)) for name in _TERMS},
        "last_used_at": iso(row.last_used_at),
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


def _status(row: StoredKey) -> str:
    if row.revoked_at is not None:
        return "revoked"
    return "active" if row.is_valid(datetime.now(UTC)) else "expired"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
