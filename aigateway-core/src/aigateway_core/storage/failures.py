"""What a database's error means for whoever asked.

Pony wraps a driver's error up to three deep, and the two drivers tell different things by different means; here both
come down to one of a few words. MySQL's numbers are those of its error reference; 1927, 4025 are MariaDB's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from enum import Enum, auto

import pymysql
from pony.orm.core import OptimisticCheckError

from aigateway_core.errors import ConfigurationError, GatewayError, UnavailableError
from aigateway_core.storage.locations import DatabaseLocation, MySQLServer, SQLiteFile


class Trouble(Enum):
    """What to do about an error."""

    BUSY = auto()
    """Rolled back because of somebody else: do it again."""
    LOST = auto()
    """The connection broke: what was not committed is gone."""
    AWAY = auto()
    """There is no database to talk to, or it does not accept anything now."""
    CONFLICT = auto()
    """The database refuses the change: it contradicts what is stored."""
    BUG = auto()
    """None of these: ours to mend."""


_MYSQL = {
    Trouble.BUSY: {1020, 1205, 1213},
    Trouble.LOST: {1053, 1152, 1317, 1927, 2006, 2013, 2055, 4031},
    Trouble.AWAY: {3, 28, 1021, 1040, 1044, 1045, 1049, 1114, 1129, 1203, 1226, 1290, 1698, 1836, 2002, 2003, 2005},
    Trouble.CONFLICT: {3819, 4025},
}
_BY_NUMBER = {number: trouble for trouble, numbers in _MYSQL.items() for number in numbers}

_DUPLICATE = 1062

_SQLITE = {
    "locked": Trouble.BUSY,
    "busy": Trouble.BUSY,
    "full": Trouble.AWAY,
    "readonly": Trouble.AWAY,
    "disk i/o": Trouble.AWAY,
    "unable to open": Trouble.AWAY,
}

_REFUSALS = {
    1044: "the user {user} may not use it: grant it all privileges on it",
    1045: "the server refuses the user {user} with this password",
    1049: "there is no such database: CREATE DATABASE {database} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    1142: "its tables have to be changed or made, and the user {user} may not: run `aigateway-core db migrate` with one"
    " who may, then start again",
    1698: "the server refuses the user {user}",
}


def diagnose(error: BaseException) -> Trouble:
    """What lies behind ``error``."""
    for cause in _causes(error):
        trouble = _diagnose_one(cause)
        if trouble is not Trouble.BUG:
            return trouble
    return Trouble.BUG


def _diagnose_one(error: BaseException) -> Trouble:
    if isinstance(error, OptimisticCheckError):
        return Trouble.BUSY
    if isinstance(error, sqlite3.OperationalError):
        text = str(error).lower()
        return next((trouble for word, trouble in _SQLITE.items() if word in text), Trouble.BUG)
    if isinstance(error, (sqlite3.IntegrityError, pymysql.err.IntegrityError)):
        return Trouble.CONFLICT
    if isinstance(error, pymysql.err.InterfaceError):
        return Trouble.LOST
    if isinstance(error, pymysql.err.Error):
        # A server that took too long once is not asked again: the second wait would only be added to the first.
        return Trouble.AWAY if "timed out" in str(error) else _BY_NUMBER.get(number(error), Trouble.BUG)
    return Trouble.BUG


def number(error: BaseException) -> int:
    """MySQL's number of an error, or 0."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def is_duplicate(error: BaseException) -> bool:
    """Whether a driver refuses a row because one with its key is there already; the statement alone has failed then."""
    if isinstance(error, sqlite3.IntegrityError):
        return "UNIQUE" in str(error)
    return isinstance(error, pymysql.err.IntegrityError) and number(error) == _DUPLICATE


def refusal_to_open(error: Exception, location: DatabaseLocation) -> GatewayError | None:
    """In people's words, why a database cannot be opened; None when ``error`` is none of that."""
    if isinstance(error, GatewayError):
        return error
    if diagnose(error) is Trouble.BUSY:
        return UnavailableError(f"the database {location} is busy")
    reason = _sqlite_reason(error) if isinstance(location, SQLiteFile) else _mysql_reason(error, location)
    if reason is not None:
        return ConfigurationError(f"the database {location} cannot be used: {reason}")
    if diagnose(error) in {Trouble.AWAY, Trouble.LOST}:
        return UnavailableError(f"the database {location} does not answer")
    return None


def _sqlite_reason(error: Exception) -> str | None:
    for cause in _causes(error):
        if isinstance(cause, sqlite3.DatabaseError):
            return str(cause)
        if isinstance(cause, OSError):
            return cause.strerror or type(cause).__name__
    return None


def _mysql_reason(error: Exception, server: MySQLServer) -> str | None:
    for cause in _causes(error):
        if isinstance(cause, pymysql.err.Error) and number(cause) in _REFUSALS:
            return _REFUSALS[number(cause)].format(user=server.user, database=server.database)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        cause = waiting.pop(0)
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [getattr(cause, "original_exc", None), cause.__cause__, cause.__context__]
        waiting += [info[1] for info in getattr(cause, "exceptions", ()) if isinstance(info, tuple)]
