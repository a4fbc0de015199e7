"""MySQL and MariaDB as this gateway wants them: bounded in time, strict, and never resuming half a transaction."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pymysql
from pony.orm.dbapiprovider import Pool, get_version_tuple
from pony.orm.dbproviders.mysql import MySQLProvider
from pymysql.constants import CLIENT
from typing_extensions import override

from aigateway_core.storage.locations import MySQLServer

_SESSION = (
    # Whatever the server's settings are: no silent truncation, snapshots that hold still, no endless wait for a lock.
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET SESSION innodb_lock_wait_timeout = 3",
    "SET SESSION time_zone = '+00:00'",
)


def connect(**arguments: Any) -> Any:
    """A connection with the session settings that everything here relies on."""
    connection = pymysql.connect(**arguments)
    try:
        with connection.cursor() as cursor:
            for statement in _SESSION:
                cursor.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


def arguments(server: MySQLServer) -> dict[str, Any]:
    """What :func:`connect` needs to reach this server."""
    return {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "password": server.password.reveal(),
        "database": server.database,
        # Pony's and the servers' defaults are three-byte or Latin character sets, and collations that ignore case.
        "charset": "utf8mb4",
        "collation": "utf8mb4_bin",
        "connect_timeout": server.connect_timeout,
        "read_timeout": server.read_timeout,
        "write_timeout": server.read_timeout,
        # Pony counts the rows that a statement found, not those that it changed.
        "client_flag": CLIENT.FOUND_ROWS,
    }


class HardenedPool(Pool):  # type: ignore[misc]  # Pony has no types
    """One connection for each thread, renewed when old and tried after a pause. Times are in seconds."""

    most_age = 1800.0
    ping_after = 30.0
    born = 0.0
    used = 0.0

    @override
    def _connect(self) -> None:
        self.con = connect(**self.kwargs)
        self.born = time.monotonic()

    @override
    def connect(self) -> Any:
        now = time.monotonic()
        if self.con is not None and (now - self.born > self.most_age or not self._answers(now)):
            self.drop(self.con)
        self.used = now
        return super().connect()

    def _answers(self, now: float) -> bool:
        if now - self.used < self.ping_after:
            return True
        try:
            self.con.ping(reconnect=False)
        except pymysql.err.Error:
            return False
        return True

    @override
    def release(self, con: Any) -> None:
        try:
            con.rollback()
        except pymysql.err.Error:
            # Whatever was to be committed has been by now: a connection that dies here takes nothing with it.
            self.drop(con)

    @override
    def drop(self, con: Any) -> None:
        self.con = None
        with contextlib.suppress(pymysql.err.Error):
            con.close()

    @override
    def disconnect(self) -> None:
        if self.con is not None:
            self.drop(self.con)


class HardenedMySQLProvider(MySQLProvider):  # type: ignore[misc]  # Pony has no types
    """Pony's provider without its reconnection, which repeats the last statement of a transaction and drops the rest.

    What failed is repeated as a whole, or not at all, by :class:`~aigateway_core.storage.database.Database`.
    """

    dbapi_module = pymysql
    default_time_precision = max_time_precision = 6

    @override
    def inspect_connection(self, connection: Any) -> None:
        # Pony's own also sets a variable to a value that no server in strict mode accepts.
        with connection.cursor() as cursor:
            cursor.execute("SELECT VERSION(), DATABASE()")
            version, self.default_schema_name = cursor.fetchone()
        self.server_version = get_version_tuple(version)

    @override
    def should_reconnect(self, exc: Exception) -> bool:
        return False

    @override
    def get_pool(self, *args: Any, **kwargs: Any) -> HardenedPool:
        return HardenedPool(pymysql, *args, **kwargs)
