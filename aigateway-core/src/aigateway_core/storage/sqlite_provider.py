"""Pony's way to SQLite, for rows by the thousand."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from pony.orm.dbproviders.sqlite import SQLiteDatetimeConverter, SQLiteProvider
from typing_extensions import override


class QuickDatetimeConverter(SQLiteDatetimeConverter):  # type: ignore[misc]  # Pony has no types
    """Reads what Pony writes (``2026-05-04 12:00:00.000000``) as ISO 8601.

    Pony's own goes by ``strptime``, which is a third of what it takes to load a thousand accounts.
    """

    @override
    def sql2py(self, val: Any) -> Any:
        try:
            return datetime.fromisoformat(val)
        except (TypeError, ValueError):
            return val


class QuickSQLiteProvider(SQLiteProvider):  # type: ignore[misc]
    """Pony's provider with another reader of times."""

    converter_classes: ClassVar[list[tuple[Any, Any]]] = [
        (kind, QuickDatetimeConverter if kind is datetime else converter)
        for kind, converter in SQLiteProvider.converter_classes
    ]
