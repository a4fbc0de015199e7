"""What an operator does with the database past the gateway: make it, look at it, migrate it, change its key."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import attrs

from aigateway_core.assembly import Assembly
from aigateway_core.errors import ConfigurationError
from aigateway_core.settings import Settings
from aigateway_core.storage import (
    Actor,
    Condition,
    Resealed,
    Step,
    create_database,
    inspect,
    migrate,
    refusal_to_open,
)
from aigateway_core.stores import key_ring, location, open_storage


@attrs.frozen(kw_only=True)
class Provisioned:
    """What was done: whether the database was made, the migrations that were run, the providers that got a row."""

    location: str
    created: bool
    migrations: tuple[str, ...]
    providers: tuple[str, ...] = ()


def bring_up_to_date(settings: Settings, *, create: bool = False) -> Provisioned:
    """Run the migrations that are missing; with ``create``, make the database before.

    Raises :class:`ConfigurationError` and :class:`UnavailableError` as a start of the gateway does.
    """
    where, names = location(settings.database), dict[str, None]()

    def note(step: Step, stage: str) -> None:
        if stage == "ran":
            names[f"{step.version:04d}_{step.name}"] = None

    try:
        created = create and create_database(where)
        migrate(where, on_step=note)
    except Exception as error:
        refusal = refusal_to_open(error, where)
        if refusal is None or refusal is error:
            raise
        raise refusal from error
    return Provisioned(location=str(where), created=created, migrations=tuple(names))


async def initialise(assembly: Assembly) -> Provisioned:
    """Make the database, bring it up to date, and give each installed provider its row. Again, it does nothing."""
    # Before anything is made: without a master key nothing could be stored in it.
    key_ring(assembly.settings)
    done = await asyncio.to_thread(bring_up_to_date, assembly.settings, create=True)
    async with await open_storage(assembly.settings) as storage:
        known = {provider.id for provider in await storage.providers.list()}
        wanted = [entry.id for entry in assembly.providers]
        await storage.providers.upsert_installed(*wanted)
    return attrs.evolve(done, providers=tuple(_new(wanted, known)))


def _new(wanted: Sequence[str], known: set[str]) -> list[str]:
    return [name for name in dict.fromkeys(wanted) if name not in known]


def condition(settings: Settings) -> Condition:
    """In what condition the database is; nothing is changed or made."""
    where = location(settings.database)
    try:
        # Of a key file that is not there yet this would make one, which looking must not do.
        ring = (
            None if settings.database.engine == "sqlite" and not settings.database.path.exists() else key_ring(settings)
        )
    except ConfigurationError as error:
        return attrs.evolve(inspect(where, None), problem=error.message)
    return inspect(where, ring)


async def rotate(settings: Settings, actor: Actor) -> Resealed:
    """Seal every stored secret with the first master key. Raises what :func:`open_storage` raises."""
    async with await open_storage(settings) as storage:
        return await storage.secrets.reseal(actor)
