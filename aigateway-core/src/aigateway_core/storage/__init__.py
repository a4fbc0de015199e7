"""All that is stored, on SQLite or on MySQL and MariaDB: the only package that knows Pony and PyMySQL.

:class:`Storage` is the way in; what it takes and gives are frozen values. Read ``storage.py``, then ``accounts.py``
for a noun, then ``database.py`` for how a unit of work runs.
"""

from __future__ import annotations

from aigateway_core.storage.condition import Condition, inspect
from aigateway_core.storage.creation import create_database
from aigateway_core.storage.failures import refusal_to_open
from aigateway_core.storage.locations import DatabaseLocation, MySQLServer, SQLiteFile
from aigateway_core.storage.migrations import MigrationError, OnStep, Step, migrate
from aigateway_core.storage.resealing import Resealed
from aigateway_core.storage.rows import (
    SYSTEM,
    UNSET,
    AccountPatch,
    AccountRest,
    Actor,
    AuditEntry,
    CallQuery,
    KeyPatch,
    KeyTerms,
    MappingPatch,
    NewAccount,
    NewMapping,
    NewProxy,
    Page,
    Problem,
    ProviderPatch,
    ProxyHealth,
    ProxyPatch,
    Role,
    SnapshotRows,
    Status,
    StoredAccount,
    StoredKey,
    StoredMapping,
    StoredProvider,
    StoredProxy,
    Unset,
)
from aigateway_core.storage.storage import Storage

__all__ = [
    "SYSTEM",
    "UNSET",
    "AccountPatch",
    "AccountRest",
    "Actor",
    "AuditEntry",
    "CallQuery",
    "Condition",
    "DatabaseLocation",
    "KeyPatch",
    "KeyTerms",
    "MappingPatch",
    "MigrationError",
    "MySQLServer",
    "NewAccount",
    "NewMapping",
    "NewProxy",
    "OnStep",
    "Page",
    "Problem",
    "ProviderPatch",
    "ProxyHealth",
    "ProxyPatch",
    "Resealed",
    "Role",
    "SQLiteFile",
    "SnapshotRows",
    "Status",
    "Step",
    "Storage",
    "StoredAccount",
    "StoredKey",
    "StoredMapping",
    "StoredProvider",
    "StoredProxy",
    "Unset",
    "create_database",
    "inspect",
    "migrate",
    "refusal_to_open",
]
