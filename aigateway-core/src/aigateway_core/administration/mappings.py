"""Model mappings, as an operator sees and changes them: other names for models, and where they lead."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import attrs

from aigateway_core.administration.views import iso, page, structured
from aigateway_core.errors import InvalidEntityError
from aigateway_core.records import Target
from aigateway_core.routing import LONGEST_NAME
from aigateway_core.snapshot import ProviderEntry
from aigateway_core.storage.rows import Actor, MappingPatch, NewMapping, Page, StoredMapping
from aigateway_core.structuring import near

MOST_TARGETS = 8
"""Each may be asked before a request fails, and its client waits all the while."""

_ODD_PATH = re.compile(r"//|\\|/\.\.?(?:/|$)")
"""What the server takes in no address, since it could mean two things."""


class MappingStore(Protocol):
    """Where mappings are kept; each change is audited in its own transaction."""

    async def list(self, *, is_active: bool | None = None, limit: int = 20, offset: int = 0) -> Page[StoredMapping]:
        """A page of them, by alias."""

    async def get(self, alias: str) -> StoredMapping:
        """One of them. Raises :class:`NotFoundError`."""

    async def create(self, new: NewMapping, actor: Actor) -> StoredMapping:
        """Add one. Raises :class:`ConflictError`."""

    async def update(
        self, alias: str, patch: MappingPatch, actor: Actor, *, expected_updated_at: datetime | None = None
    ) -> StoredMapping:
        """Change one. Raises :class:`NotFoundError`, :class:`StaleChangeError`."""

    async def delete(self, alias: str, actor: Actor, *, expected_updated_at: datetime | None = None) -> None:
        """Remove one. Raises :class:`NotFoundError`."""


@attrs.frozen(kw_only=True)
class _MappingBody:
    """What can be said of a mapping; in a change only what is given counts."""

    alias: str = ""
    targets: tuple[Target, ...] = ()
    description: str = ""
    is_active: bool = True


class MappingAdministration:
    """Reads and changes mappings."""

    def __init__(
        self,
        store: MappingStore,
        providers: Sequence[ProviderEntry],
        changed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._providers = {entry.id: entry for entry in providers}
        self._tell_of_change = changed

    async def list(self, is_active: bool | None = None, limit: int = 20, offset: int = 0) -> dict[str, Any]:
        """A page of mappings."""
        found = await self._store.list(is_active=is_active, limit=limit, offset=offset)
        return page([self._view(row) for row in found.rows], found.total, limit, offset)

    async def get(self, alias: str) -> dict[str, Any]:
        """One mapping. Raises :class:`NotFoundError`."""
        return self._view(await self._store.get(alias))

    async def create(self, body: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
        """Add one. Raises :class:`InvalidEntityError` with every problem, :class:`ConflictError`."""
        said = structured(body, _MappingBody)
        problems = _alias_problems(said.alias, given="alias" in body)
        problems += self._problems(said.targets) if "targets" in body else ["targets: is missing"]
        if problems:
            raise InvalidEntityError(problems)
        row = await self._store.create(NewMapping(**_fields(said)), actor)
        await self._changed()
        return self._view(row)

    async def update(
        self, alias: str, body: Mapping[str, Any], actor: Actor, expected: datetime | None = None
    ) -> dict[str, Any]:
        """Change the given fields. Raises what :meth:`create` and :meth:`get` raise."""
        said = structured(body, _MappingBody)
        problems = [*self._problems(said.targets)] if "targets" in body else []
        if "alias" in body and said.alias != alias:
            problems.append("alias: a mapping keeps its name; add another and remove this one")
        if problems:
            raise InvalidEntityError(problems)
        given = {name: value for name, value in _fields(said).items() if name in body and name != "alias"}
        row = await self._store.update(alias, MappingPatch(**given), actor, expected_updated_at=expected)
        await self._changed()
        return self._view(row)

    async def delete(self, alias: str, actor: Actor, expected: datetime | None = None) -> None:
        """Remove one. Raises :class:`NotFoundError`."""
        await self._store.delete(alias, actor, expected_updated_at=expected)
        await self._changed()

    async def _changed(self) -> None:
        if self._tell_of_change is not None:
            await self._tell_of_change()

    def _problems(self, targets: Sequence[Target]) -> Sequence[str]:
        if not 0 < len(targets) <= MOST_TARGETS:
            return [f"targets: expected from 1 to {MOST_TARGETS} of them"]
        problems = []
        for number, target in enumerate(targets):
            if target.provider not in self._providers:
                hint = near(target.provider, self._providers) or f"; there are: {', '.join(sorted(self._providers))}"
                problems.append(f"targets[{number}].provider: there is no provider {target.provider[:64]!r}{hint}")
            if trouble := _name_trouble(target.model):
                problems.append(f"targets[{number}].model: {trouble}")
            if target in targets[:number]:
                problems.append(f"targets[{number}]: stands there twice")
        return problems

    def _view(self, row: StoredMapping) -> dict[str, Any]:
        return {
            "alias": row.alias,
            "targets": [attrs.asdict(target) for target in row.targets],
            "description": row.description,
            "is_active": row.is_active,
            "warnings": self._warnings(row),
            "created_at": iso(row.created_at),
            "updated_at": iso(row.updated_at),
        }

    def _warnings(self, row: StoredMapping) -> Sequence[str]:
        """What its owner may not have meant. To give a model's own name another meaning is allowed, and is told."""
        shadowed = [
            f"the model {row.alias!r} of the provider {entry.id!r} cannot be asked by this name any more; "
            f"{entry.id}/{row.alias} still reaches it"
            for entry in self._providers.values()
            if any(model.id == row.alias for model in entry.provider.models)
        ]
        missing = [
            f"targets[{number}].provider: the provider {target.provider!r} does not run here, and is passed over"
            for number, target in enumerate(row.targets)
            if target.provider not in self._providers
        ]
        return shadowed + missing


def _alias_problems(alias: str, *, given: bool) -> list[str]:
    if not given:
        return ["alias: is missing"]
    trouble = _name_trouble(alias)
    if trouble is None and _ODD_PATH.search(f"/{alias}"):
        trouble = "cannot stand in an address: expected no \\, and no part between slashes that is empty, . or .."
    return [f"alias: {trouble}"] if trouble else []


def _name_trouble(name: str) -> str | None:
    if not name:
        return "is empty"
    if len(name) > LONGEST_NAME or not name.isprintable():
        return f"expected at most {LONGEST_NAME} characters, and none that cannot be printed"
    return "begins or ends with a space" if name != name.strip() else None


def _fields(said: _MappingBody) -> dict[str, Any]:
    return {field.name: getattr(said, field.name) for field in attrs.fields(_MappingBody)}
