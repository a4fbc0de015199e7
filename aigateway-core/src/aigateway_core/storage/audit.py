"""The audit log: who changed what. It is written with each change, by :meth:`Database.change`, and only read here."""

from __future__ import annotations

from typing import Any

from pony.orm import desc

from aigateway_core.storage.columns import from_column, from_json
from aigateway_core.storage.database import Database, Session
from aigateway_core.storage.rows import AuditEntry, Page


class AuditLog:
    """Reads the audit log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, *, limit: int = 20, offset: int = 0) -> Page[AuditEntry]:
        """The newest entries first."""

        def unit(session: Session) -> Page[AuditEntry]:
            audit = session.entities.audit
            rows = audit.select().order_by(desc(audit.id)).limit(limit, offset=offset)
            return Page(rows=tuple(_value(row) for row in rows), total=audit.select().count())

        return await self._database.read(unit)


def version(session: Session) -> int:
    """The number of the newest change; 0 when there was none."""
    return session.select("SELECT MAX(id) FROM audit_log")[0] or 0


def _value(row: Any) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        created_at=from_column(row.created_at),
        actor=row.actor,
        action=row.action,
        entity=row.entity,
        entity_id=row.entity_id,
        detail=from_json(row.detail),
        request_id=row.request_id,
    )
