"""From the settings to what they name: the database, the master keys, and what workers share."""

from __future__ import annotations

from aigateway_core.secret import Secret
from aigateway_core.settings import DatabaseSettings, RedisSettings, Settings
from aigateway_core.state import EditionOf, State
from aigateway_core.state.address import RedisAddress
from aigateway_core.state.memory import MemoryState
from aigateway_core.storage import DatabaseLocation, MySQLServer, SQLiteFile, Storage
from aigateway_core.vault import KeyRing, load_key_ring


def location(settings: DatabaseSettings) -> DatabaseLocation:
    """Where the database is."""
    if settings.engine == "sqlite":
        return SQLiteFile(settings.path)
    return MySQLServer(
        host=settings.host,
        port=settings.port,
        user=settings.user,
        password=settings.password or Secret(""),
        database=settings.database,
    )


async def open_storage(settings: Settings) -> Storage:
    """Open the database, its tables brought up to date.

    Raises :class:`ConfigurationError` when the master key is missing or does not fit, :class:`UnavailableError` when
    the database is away.
    """
    return await Storage.open(location(settings.database), key_ring(settings))


def key_ring(settings: Settings) -> KeyRing:
    """The master keys. Raises :class:`ConfigurationError`."""
    where = location(settings.database)
    return load_key_ring(settings.keys.master, where.path if isinstance(where, SQLiteFile) else None)


def shared_state(settings: RedisSettings, edition_of: EditionOf) -> State:
    """What requests and workers share: in Redis where there is one, else in this process. Opens nothing yet."""
    if not settings.enabled:
        return MemoryState(edition_of)
    # Only here: its library is seven megabytes.
    from aigateway_core.state.redis import RedisState

    return RedisState(redis_address(settings), settings.prefix, edition_of=edition_of)


def redis_address(settings: RedisSettings) -> RedisAddress:
    """Where Redis is, and how to be let in."""
    return RedisAddress(
        host=settings.host, port=settings.port, db=settings.db, password=settings.password, url=settings.url
    )
