"""The pool of outbound proxies. Their URLs hold passwords, and so are sealed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from aigateway_core.errors import ConflictError, NotFoundError
from aigateway_core.storage import bindings
from aigateway_core.storage.columns import from_column, from_optional, later, now, refuse_stale, to_column, to_naive
from aigateway_core.storage.database import Change, Database, Session
from aigateway_core.storage.rows import UNSET, Actor, NewProxy, Page, ProxyHealth, ProxyPatch, StoredProxy
from aigateway_core.vault import KeyRing, Place, VaultError


class OutboundProxies:
    """Reads and changes the pool."""

    def __init__(self, database: Database, keyring: KeyRing) -> None:
        self._database = database
        self._keyring = keyring

    async def list(
        self, *, is_active: bool | None = None, health_status: str | None = None, limit: int = 20, offset: int = 0
    ) -> Page[StoredProxy]:
        """Those that fit, by id."""
        wanted = {"is_active": is_active, "health_status": health_status}

        def unit(session: Session) -> Page[StoredProxy]:
            table = session.entities.proxy
            rows = table.select().filter(**{name: value for name, value in wanted.items() if value is not None})
            total = rows.count()
            taken = bindings.counts(session)
            page = rows.order_by(table.id).limit(limit, offset=offset)
            return Page(rows=tuple(proxy_value(row, taken, self._keyring) for row in page), total=total)

        return await self._database.read(unit)

    async def get(self, proxy_id: int) -> StoredProxy:
        """One of them. Raises :class:`NotFoundError`."""
        return await self._database.read(lambda session: self._value(session, _find(session, proxy_id)))

    async def create(self, new: NewProxy, actor: Actor) -> StoredProxy:
        """Add one. Raises :class:`ConflictError` when the same URL is there already."""

        def unit(session: Session) -> tuple[StoredProxy, tuple[Change, ...]]:
            moment = to_naive(now())
            fingerprint = self._fresh_fingerprint(session, new.url)
            given = attrs.asdict(new, filter=attrs.filters.exclude("url"))
            # What seals a URL is bound to its row, and a row has a number only once it is there.
            row = session.entities.proxy(
                url="-",
                fingerprint=fingerprint,
                protocol=_protocol(new.url),
                health_status="healthy",
                created_at=moment,
                updated_at=moment,
                **given,
            )
            row.flush()
            row.url = self._keyring.seal(new.url, _place(row.id))
            made = _change("create", row, {"url": fingerprint, **given})
            return self._value(session, row), (made,)

        return await self._database.change(actor, unit)

    async def update(
        self, proxy_id: int, patch: ProxyPatch, actor: Actor, *, expected_updated_at: datetime | None = None
    ) -> StoredProxy:
        """Change the given fields; accounts stay bound. Raises :class:`NotFoundError`, :class:`ConflictError`."""
        given = {name: value for name, value in attrs.asdict(patch).items() if value is not UNSET}

        def unit(session: Session) -> tuple[StoredProxy, tuple[Change, ...]]:
            row = _find(session, proxy_id)
            refuse_stale(row, expected_updated_at)
            if not given:
                return self._value(session, row), ()
            detail = {name: self._told(name, value) for name, value in given.items()}
            if (url := given.pop("url", None)) is not None:
                row.fingerprint = self._fresh_fingerprint(session, url, than=proxy_id)
                row.url, row.protocol = self._keyring.seal(url, _place(proxy_id)), _protocol(url)
                # It is another proxy now: nothing that was seen of the one before counts.
                given.update(health_status="healthy", consecutive_failures=0, success_rate=None, avg_latency_ms=None)
            row.set(**given)
            row.updated_at = later(row.updated_at)
            return self._value(session, row), (_change("update", row, detail),)

        return await self._database.change(actor, unit)

    async def delete(
        self, proxy_id: int, actor: Actor, *, expected_updated_at: datetime | None = None
    ) -> dict[str, int]:
        """Remove one, and give its accounts another each; tells who went where.

        Raises :class:`NotFoundError`, :class:`StaleChangeError`, and :class:`ConflictError` when there is no room for
        all of them: an account that had an outbound proxy never goes out without one by itself.
        """

        def unit(session: Session) -> tuple[dict[str, int], tuple[Change, ...]]:
            row = _find(session, proxy_id)
            refuse_stale(row, expected_updated_at)
            moved = bindings.clear(session, proxy_id)
            row.delete()
            return moved, (Change(action="proxy.delete", entity="proxy", entity_id=str(proxy_id), detail=moved),)

        return await self._database.change(actor, unit)

    async def note_health(self, proxy_id: int, health: ProxyHealth, actor: Actor) -> None:
        """Keep what was seen. Only a new status is a change that others hear of; a proxy that is gone is ignored."""

        def unit(session: Session) -> tuple[None, tuple[Change, ...]]:
            row = session.entities.proxy.get(id=proxy_id)
            if row is None:
                return None, ()
            before = row.health_status
            row.set(**{**attrs.asdict(health), "last_checked_at": to_column(health.last_checked_at)})
            if before == health.health_status:
                return None, ()
            return None, (_change("health", row, {"from": before, "to": health.health_status}),)

        await self._database.change(actor, unit)

    def _fresh_fingerprint(self, session: Session, url: str, than: int | None = None) -> str:
        found = self._keyring.fingerprint(url)
        same = session.entities.proxy.get(fingerprint=found)
        if same is not None and same.id != than:
            raise ConflictError(f"this outbound proxy is in the pool already, as number {same.id}")
        return found

    def _told(self, name: str, value: Any) -> Any:
        return self._keyring.fingerprint(value) if name == "url" else value

    def _value(self, session: Session, row: Any) -> StoredProxy:
        return proxy_value(row, bindings.counts(session), self._keyring)


def all_proxies(session: Session, keyring: KeyRing) -> tuple[StoredProxy, ...]:
    """All rows as values, by id."""
    taken = bindings.counts(session)
    table = session.entities.proxy
    return tuple(proxy_value(row, taken, keyring) for row in table.select().order_by(table.id))


def proxy_value(row: Any, taken: dict[int, int], keyring: KeyRing) -> StoredProxy:
    """A row as a value, its URL opened if it opens."""
    proxy = StoredProxy(
        id=row.id,
        url="",
        protocol=row.protocol,
        is_active=row.is_active,
        health_status=row.health_status,
        max_accounts=row.max_accounts,
        current_accounts=taken.get(row.id, 0),
        priority=row.priority,
        weight=row.weight,
        consecutive_failures=row.consecutive_failures,
        max_failures=row.max_failures,
        success_rate=row.success_rate,
        avg_latency_ms=row.avg_latency_ms,
        last_checked_at=from_optional(row.last_checked_at),
        last_used_at=from_optional(row.last_used_at),
        usage_count=row.usage_count,
        created_at=from_column(row.created_at),
        updated_at=from_column(row.updated_at),
    )
    try:
        return attrs.evolve(proxy, url=keyring.open(row.url, _place(row.id)))
    except VaultError:
        return attrs.evolve(proxy, problem="crypto_error")


def _find(session: Session, proxy_id: int) -> Any:
    row = session.entities.proxy.get(id=proxy_id) if abs(proxy_id) < 1 << 63 else None
    if row is None:
        raise NotFoundError(f"there is no outbound proxy {proxy_id}")
    return row


def _protocol(url: str) -> str:
    """``socks5h`` is the same to us: names are always resolved by the proxy."""
    return url.partition(":")[0].lower().removesuffix("h") if url.lower().startswith("socks") else url.partition(":")[0]


def _change(verb: str, row: Any, detail: dict[str, Any]) -> Change:
    return Change(action=f"proxy.{verb}", entity="proxy", entity_id=str(row.id), detail=detail)


def _place(proxy_id: int) -> Place:
    return Place("proxy_pool", "url", str(proxy_id))
