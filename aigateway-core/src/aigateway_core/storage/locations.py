"""Where the database is."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import attrs
from typing_extensions import override

from aigateway_core.secret import Secret


def _absolute(path: Path) -> Path:
    # Pony would take a relative path as relative to the module that opens it.
    return path.absolute()


@attrs.frozen
class SQLiteFile:
    """A file of our own on this machine. It is made, with its folder, when it is not there."""

    path: Path = attrs.field(converter=_absolute)

    @override
    def __str__(self) -> str:
        return str(self.path)


@attrs.frozen(kw_only=True)
class MySQLServer:
    """A database on a MySQL or MariaDB server; the database has to exist. Timeouts are in seconds."""

    host: str = "localhost"
    port: int = 3306
    user: str = "aigateway"
    password: Secret = attrs.field(factory=lambda: Secret(""))
    database: str = "aigateway"
    connect_timeout: float = 2.0
    read_timeout: float = 5.0

    @override
    def __str__(self) -> str:
        return f"{self.database} on {self.host}:{self.port}"


DatabaseLocation: TypeAlias = SQLiteFile | MySQLServer
