"""Making the database itself, where the server's user may."""

from __future__ import annotations

from contextlib import closing

import pymysql

from aigateway_core.storage.failures import number
from aigateway_core.storage.locations import DatabaseLocation, SQLiteFile
from aigateway_core.storage.mysql_provider import arguments, connect

_NO_SUCH_DATABASE = 1049


def create_database(location: DatabaseLocation) -> bool:
    """Make the database if it is not there; whether it was made. A SQLite file is made by the first migration.

    Raises the driver's errors, among them those of a user who may not create databases.
    """
    if isinstance(location, SQLiteFile):
        return False
    try:
        connect(**arguments(location)).close()
    except pymysql.err.OperationalError as error:
        if number(error) != _NO_SUCH_DATABASE:
            raise
    else:
        return False
    name = "`" + location.database.replace("`", "``") + "`"
    with closing(connect(**{**arguments(location), "database": None})) as connection, connection.cursor() as cursor:
        # Of several who make it at once, all have it afterwards.
        cursor.execute(f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    return True
