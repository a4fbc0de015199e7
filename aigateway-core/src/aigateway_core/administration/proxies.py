"""The pool of outbound proxies, as an operator sees and changes it: who goes where, and what would move."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Protocol

import attrs

from aigateway_core.addresses import Destinations, proxy_url_problems
from aigateway_core.administration.views import iso, masked_url, page, structured
from aigateway_core.assignment import Exit, Move, Plan, plan, without
from aigateway_core.converter import Range
from aigateway_core.errors import InvalidEntityError, NotFoundError
from aigateway_core.storage.rows import Actor, NewProxy, Page, ProxyPatch, StoredAccount, StoredProxy

_EVERY = 1 << 31


class ProxyStore(Protocol):
    """Where the pool is kept; each change is audited in its own transaction."""

    async def list(
        self, *, is_active: bool | None = None, health_status: str | None = None, limit: int = 20, offset: int = 0
    ) -> Page[StoredProxy]:
        """A page of them, by id."""

    async def get(self, proxy_id: int) -> StoredProxy:
        """One of them. Raises :class:`NotFoundError`."""

    async def create(self, new: NewProxy, actor: Actor) -> StoredProxy:
        """Add one. Raises :class:`ConflictError`."""

    async def update(
        self, proxy_id: int, patch: ProxyPatch, actor: Actor, *, expected_updated_at: datetime | None = None
    ) -> StoredProxy:
        """Change one. Raises :class:`NotFoundError`, :class:`ConflictError`."""

    async def delete(
        self, proxy_id: int, actor: Actor, *, expected_updated_at: datetime | None = None
    ) -> Mapping[str, int]:
        """Remove one, its accounts handed on. Raises :class:`NotFoundError`, :class:`ConflictError`."""


class BindingStore(Protocol):
    """Where bindings are kept."""

    async def all(self) -> Mapping[str, int]:
        """The outbound proxy of each account that has one."""

    async def recalculate(self, accounts: Sequence[str], actor: Actor) -> Plan:
        """Bind every one of these, moving those that cannot stay."""


class AccountStore(Protocol):
    """Where accounts are read."""

    async def list(
        self, *, provider_id: str | None, is_active: bool | None, limit: int, offset: int
    ) -> Page[StoredAccount]:
        """A page of them, oldest first."""


Count = Annotated[int, Range(at_least=0, at_most=_EVERY)]
Whole = Annotated[int, Range(at_least=-_EVERY, at_most=_EVERY)]


@attrs.frozen(kw_only=True)
class _ProxyBody:
    """What can be said of an outbound proxy; in a change only what is given counts."""

    url: str = attrs.field(default="", repr=False)
    is_active: bool = True
    max_accounts: Count = 0
    priority: Whole = 0
    weight: Annotated[int, Range(at_least=1, at_most=_EVERY)] = 1
    max_failures: Annotated[int, Range(at_least=1, at_most=_EVERY)] | None = None


@attrs.frozen(kw_only=True)
class ProxyQuery:
    """Which proxies to list."""

    is_active: bool | None = None
    health_status: str | None = None
    limit: int = 20
    offset: int = 0


class ProxyAdministration:
    """Reads and changes the pool.

    ``configured`` are the accounts of the configuration file: they are bound like those in the database.
    """

    def __init__(
        self,
        store: ProxyStore,
        bindings: BindingStore,
        accounts: AccountStore,
        configured: Sequence[str],
        destinations: Destinations,
        changed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._bindings = bindings
        self._accounts = accounts
        self._configured = configured
        self._destinations = destinations
        self._tell_of_change = changed

    async def list(self, query: ProxyQuery) -> dict[str, Any]:
        """A page of proxies."""
        found = await self._store.list(**attrs.asdict(query))
        return page([_view(row) for row in found.rows], found.total, query.limit, query.offset)

    async def get(self, proxy_id: int) -> dict[str, Any]:
        """One proxy. Raises :class:`NotFoundError`."""
        return _view(await self._store.get(proxy_id))

    async def create(self, body: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
        """Add one. Raises :class:`InvalidEntityError` with every problem, :class:`ConflictError`."""
        said = structured(body, _ProxyBody)
        self._check_url(said.url or None if "url" in body else "")
        row = await self._store.create(NewProxy(**_fields(said)), actor)
        await self._changed()
        return _view(row)

    async def update(
        self, proxy_id: int, body: Mapping[str, Any], actor: Actor, expected: datetime | None = None
    ) -> dict[str, Any]:
        """Change the given fields. Raises what :meth:`create` and :meth:`get` raise."""
        said = structured(body, _ProxyBody)
        if "url" in body:
            self._check_url(said.url)
        patch = ProxyPatch(**{name: value for name, value in _fields(said).items() if name in body})
        row = await self._store.update(proxy_id, patch, actor, expected_updated_at=expected)
        await self._changed()
        return _view(row)

    async def delete(self, proxy_id: int, actor: Actor, expected: datetime | None = None) -> None:
        """Remove one; its accounts go by the others. Raises :class:`NotFoundError`, :class:`ConflictError`."""
        await self._store.delete(proxy_id, actor, expected_updated_at=expected)
        await self._changed()

    async def assignments(self) -> dict[str, Any]:
        """Who goes out by what now, and who by nothing yet."""
        pool = await self._pool()
        bound = pool.bindings
        places = [{"account_id": name, "proxy_id": bound.get(name)} for name in pool.accounts]
        return {"data": places, "total": len(places), "unassigned": sum(place["proxy_id"] is None for place in places)}

    async def recalculate(self, actor: Actor) -> dict[str, Any]:
        """Bind every account that goes out by the pool, moving those whose proxy is off, down or over its limit."""
        pool = await self._pool()
        found = await self._bindings.recalculate(pool.accounts, actor)
        await self._changed()
        return _told(found, pool)

    async def plan(self, without_proxy: int | None = None) -> dict[str, Any]:
        """What a recalculation would do now, or, with a proxy's number, what its end would do. Changes nothing.

        Raises :class:`NotFoundError` when there is no such proxy.
        """
        pool = await self._pool()
        if without_proxy is None:
            return _told(plan(pool.accounts, pool.bindings, pool.exits), pool)
        if without_proxy not in {each.id for each in pool.exits}:
            raise NotFoundError(f"there is no outbound proxy {without_proxy}")
        left = attrs.evolve(pool, exits=[each for each in pool.exits if each.id != without_proxy])
        return _told(without(without_proxy, pool.accounts, pool.bindings, pool.exits), left)

    def _check_url(self, url: str | None) -> None:
        problems = ["url: is missing"] if not url else proxy_url_problems(url, "url", self._destinations)
        if problems:
            raise InvalidEntityError(problems)

    async def _pool(self) -> _Pool:
        proxies = await self._store.list(limit=_EVERY)
        accounts = await self._accounts.list(provider_id=None, is_active=None, limit=_EVERY, offset=0)
        pooled = [row.id for row in accounts.rows if row.proxy_url is None and row.egress == "pool"]
        bindings = await self._bindings.all()
        names = [*self._configured, *pooled]
        return _Pool(
            names, {name: bindings[name] for name in names if name in bindings}, list(map(_exit, proxies.rows))
        )

    async def _changed(self) -> None:
        if self._tell_of_change is not None:
            await self._tell_of_change()


@attrs.frozen
class _Pool:
    """All that an assignment is made from: accounts that go out by the pool, where they are, where there is room."""

    accounts: Sequence[str]
    bindings: Mapping[str, int]
    exits: Sequence[Exit]


def _exit(row: StoredProxy) -> Exit:
    usable = row.is_active and row.health_status != "down" and row.problem is None
    return Exit(id=row.id, priority=row.priority, max_accounts=row.max_accounts, usable=usable)


def _told(found: Plan, pool: _Pool) -> dict[str, Any]:
    taken: dict[int, int] = {}
    for proxy_id in found.bindings.values():
        taken[proxy_id] = taken.get(proxy_id, 0) + 1
    return {
        "accounts": len(pool.accounts),
        "places": None if any(_endless(each) for each in pool.exits) else sum(_places(each) for each in pool.exits),
        "missing": len(found.unplaced),
        "moves": [_move(each) for each in found.moves],
        "proxies": [
            {
                "proxy_id": each.id,
                "usable": each.usable,
                "max_accounts": each.max_accounts,
                "accounts": taken.get(each.id, 0),
            }
            for each in sorted(pool.exits, key=lambda each: (-each.priority, each.id))
        ],
    }


def _endless(each: Exit) -> bool:
    return each.usable and each.max_accounts == 0


def _places(each: Exit) -> int:
    return each.max_accounts if each.usable else 0


def _move(move: Move) -> dict[str, Any]:
    return {"account_id": move.account_id, "from": move.before, "to": move.after}


def _fields(said: _ProxyBody) -> dict[str, Any]:
    return {field.name: getattr(said, field.name) for field in attrs.fields(_ProxyBody)}


def _view(row: StoredProxy) -> dict[str, Any]:
    return {
        "id": row.id,
        "url": masked_url(row.url) or None,
        "protocol": row.protocol,
        "is_active": row.is_active,
        "health_status": row.health_status,
        "problem": row.problem,
        "max_accounts": row.max_accounts,
        "current_accounts": row.current_accounts,
        "priority": row.priority,
        "weight": row.weight,
        "consecutive_failures": row.consecutive_failures,
        "max_failures": row.max_failures,
        "success_rate": row.success_rate,
        "avg_latency_ms": row.avg_latency_ms,
        "last_checked_at": iso(row.last_checked_at),
        "last_used_at": iso(row.last_used_at),
        "usage_count": row.usage_count,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }
