"""The audit log: who did what. What changes something writes its row with the change, by :meth:`Database.change`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pony.orm import desc

from aigateway_core.storage.columns import from_column, from_json
from aigateway_core.storage.database import Change, Database, Session
from aigateway_core.storage.rows import Actor, AuditEntry, Page


class AuditLog:
    """Reads the audit log, and adds what changes nothing else."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, *, limit: int = 20, offset: int = 0) -> Page[AuditEntry]:
        """The newest entries first."""

        def unit(session: Session) -> Page[AuditEntry]:
            audit = session.entities.audit
            rows = audit.select().order_by(desc(audit.id)).limit(limit, offset=offset)
            return Page(rows=tuple(_value(row) for row in rows), total=audit.select().count())

        return await self._database.read(unit)

    async def note(self, action: str, entity: str, entity_id: str, actor: Actor, detail: Mapping[str, Any]) -> None:
        """Add a row for what changes nothing. Raises :class:`UnavailableError` when the log takes none."""
        done = Change(action=action, entity=entity, entity_id=entity_id, detail=dict(detail))
        await self._database.change(actor, lambda _: (None, (done,)))


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
