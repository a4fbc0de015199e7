"""What an operator stored about providers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from aigateway_core.secret import scrub
from aigateway_core.storage.columns import checked, from_column, from_json, later, now, refuse_stale, to_json, to_naive
from aigateway_core.storage.database import Change, Database, Session
from aigateway_core.storage.rows import SYSTEM, UNSET, Actor, ProviderPatch, StoredProvider
from aigateway_core.vault import KeyRing

_WIDTHS = {"name": 255, "base_url": 2048, "auth_type": 16, "auth_strategy": 64}


class Providers:
    """Reads and changes providers."""

    def __init__(self, database: Database, keyring: KeyRing) -> None:
        self._database = database
        self._keyring = keyring

    async def list(self) -> tuple[StoredProvider, ...]:
        """All of them, by id."""
        return await self._database.read(all_providers)

    async def get(self, provider_id: str) -> StoredProvider:
        """One of them. Raises :class:`NotFoundError`."""

        def unit(session: Session) -> StoredProvider:
            return provider_value(session.find(session.entities.provider, "provider", provider_id))

        return await self._database.read(unit)

    async def upsert_installed(self, *provider_ids: str, actor: Actor = SYSTEM) -> None:
        """Make sure that each has a row. A row that is there stays as it is."""

        def unit(session: Session) -> tuple[None, tuple[Change, ...]]:
            table = session.entities.provider
            missing = [provider_id for provider_id in dict.fromkeys(provider_ids) if table.get(id=provider_id) is None]
            for provider_id in missing:
                _create(session, checked(provider_id, "providers", 64))
            return None, tuple(Change(action="provider.create", entity="provider", entity_id=name) for name in missing)

        known = {provider.id for provider in await self.list()}
        if not known.issuperset(provider_ids):
            await self._database.change(actor, unit)

    async def update(
        self, provider_id: str, patch: ProviderPatch, actor: Actor, *, expected_updated_at: datetime | None = None
    ) -> StoredProvider:
        """Change the given fields.

        Raises :class:`NotFoundError`, :class:`InvalidRequestError`, and :class:`StaleChangeError` when it was changed
        since ``expected_updated_at``.
        """
        given = {name: value for name, value in attrs.asdict(patch, recurse=False).items() if value is not UNSET}

        def unit(session: Session) -> tuple[StoredProvider, tuple[Change, ...]]:
            row = session.find(session.entities.provider, "provider", provider_id)
            refuse_stale(row, expected_updated_at)
            detail: dict[str, Any] = {}
            for name, value in given.items():
                old, new = getattr(row, name), _column(name, value)
                if new != old:
                    detail[name] = {"from": self._told(name, old), "to": self._told(name, new)}
                    setattr(row, name, new)
            if not detail:
                return provider_value(row), ()
            row.updated_at = later(row.updated_at)
            changed = Change(action="provider.update", entity="provider", entity_id=provider_id, detail=detail)
            return provider_value(row), (changed,)

        return await self._database.change(actor, unit)

    def _told(self, name: str, column: Any) -> Any:
        # What an operator puts into the config may be secret; what else there is, is not, except by mistake.
        if name == "config":
            return self._keyring.fingerprint(column)
        return scrub(column) if isinstance(column, str) else column


def all_providers(session: Session) -> tuple[StoredProvider, ...]:
    """All rows as values, by id."""
    table = session.entities.provider
    return tuple(provider_value(row) for row in table.select().order_by(table.id))


def provider_value(row: Any) -> StoredProvider:
    """A row as a value."""
    return StoredProvider(
        id=row.id,
        name=row.name,
        base_url=row.base_url,
        auth_type=row.auth_type,
        auth_strategy=row.auth_strategy,
        supported_models=tuple(from_json(row.supported_models)),
        is_active=row.is_active,
        config=from_json(row.config),
        created_at=from_column(row.created_at),
        updated_at=from_column(row.updated_at),
    )


def _create(session: Session, provider_id: str) -> None:
    moment = to_naive(now())
    session.entities.provider(
        id=provider_id,
        name=provider_id,
        supported_models="[]",
        is_active=True,
        config="{}",
        created_at=moment,
        updated_at=moment,
    )


def _column(name: str, value: Any) -> Any:
    if name in {"supported_models", "config"}:
        return to_json(value)
    if name in _WIDTHS and value is not None:
        return checked(value, name, _WIDTHS[name])
    return value
