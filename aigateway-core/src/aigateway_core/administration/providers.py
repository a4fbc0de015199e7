"""Providers, as an operator sees them and switches them on and off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import attrs

from aigateway_core.administration.views import iso, page, structured
from aigateway_core.errors import ConflictError, NotFoundError
from aigateway_core.snapshot import ProviderEntry
from aigateway_core.storage.rows import Actor, ProviderPatch, StoredProvider

_OF_THE_CONFIGURATION = ("base_url", "config", "auth_strategy", "priority")
"""What a provider is built from when the gateway starts."""


class ProviderStore(Protocol):
    """Where it is kept which providers are switched off; each change is audited in its own transaction."""

    async def list(self) -> tuple[StoredProvider, ...]:
        """All of them, by id."""

    async def get(self, provider_id: str) -> StoredProvider:
        """One of them. Raises :class:`NotFoundError`."""

    async def update(
        self, provider_id: str, patch: ProviderPatch, actor: Actor, *, expected_updated_at: datetime | None = None
    ) -> StoredProvider:
        """Change one. Raises :class:`NotFoundError`, :class:`StaleChangeError`."""


@attrs.frozen(kw_only=True)
class _ProviderBody:
    """What can be changed of a provider."""

    is_active: bool = True


class ProviderAdministration:
    """Shows the providers that run, and switches them on and off."""

    def __init__(
        self,
        store: ProviderStore,
        providers: Sequence[ProviderEntry],
        changed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._providers = {entry.id: entry for entry in sorted(providers, key=lambda entry: entry.id)}
        self._tell_of_change = changed

    async def list(self) -> dict[str, Any]:
        """All of them at once, in the order of their names: there are few."""
        rows = {row.id: row for row in await self._store.list()}
        data = [_view(entry, rows[name]) for name, entry in self._providers.items() if name in rows]
        return page(data, len(data), len(data), 0)

    async def get(self, provider_id: str) -> dict[str, Any]:
        """One of them. Raises :class:`NotFoundError`."""
        return _view(self._entry(provider_id), await self._store.get(provider_id))

    async def update(
        self, provider_id: str, body: Mapping[str, Any], actor: Actor, expected: datetime | None = None
    ) -> dict[str, Any]:
        """Switch it on or off.

        Raises :class:`InvalidEntityError`, :class:`NotFoundError`, and :class:`ConflictError` for what the
        configuration alone says.
        """
        entry = self._entry(provider_id)
        for name in _OF_THE_CONFIGURATION:
            if name in body:
                setting = f"providers.{provider_id}" + ("" if name == "config" else f".{name}")
                raise ConflictError(f"the configuration says this ({setting}); change it there, and start again")
        said = structured(body, _ProviderBody)
        patch = ProviderPatch(is_active=said.is_active) if "is_active" in body else ProviderPatch()
        row = await self._store.update(provider_id, patch, actor, expected_updated_at=expected)
        if self._tell_of_change is not None:
            await self._tell_of_change()
        return _view(entry, row)

    def _entry(self, provider_id: str) -> ProviderEntry:
        if (entry := self._providers.get(provider_id)) is None:
            raise NotFoundError(f"there is no provider {provider_id[:64]!r}")
        return entry


def _view(entry: ProviderEntry, row: StoredProvider) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.title or entry.id,
        "kind": entry.kind,
        "auth_strategy": entry.strategy_name,
        "supported_models": [model.id for model in entry.provider.models],
        "model_patterns": list(entry.provider.model_patterns),
        "is_active": row.is_active,
        "priority": entry.priority,
        "risk": entry.risk,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }
