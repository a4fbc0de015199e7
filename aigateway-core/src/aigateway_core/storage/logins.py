"""Logins that have been begun and wait for their answer: what only the one who began it and the gateway may know.

The state that goes through the browser is the only way to a login. It is stored as a hash; what belongs to it (the
PKCE verifier, for one) is sealed. A login is taken out once: whoever comes second finds nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from aigateway_core.errors import NotFoundError
from aigateway_core.storage.columns import from_json, now, to_json, to_naive
from aigateway_core.storage.database import Change, Database, Session
from aigateway_core.storage.rows import Actor
from aigateway_core.vault import KeyRing, Place, VaultError

_MOST = 1000
"""Logins that may wait at a time."""


class Logins:
    """Begun logins, by their state."""

    def __init__(self, database: Database, keyring: KeyRing) -> None:
        self._database = database
        self._keyring = keyring

    async def put(self, state: str, provider_id: str, data: Mapping[str, Any], seconds: float) -> None:
        """Keep what belongs to a login until it is answered, ``seconds`` at most. Clears away what nobody answered."""
        login_id = _hash(state)

        def unit(session: Session) -> None:
            table, moment = session.entities.login, to_naive(now())
            for row in list(table.select()):
                if row.expires_at <= moment:
                    row.delete()
            for row in list(table.select().order_by(table.expires_at))[: -_MOST + 1]:
                row.delete()
            table(
                id=login_id,
                provider_id=provider_id,
                data=self._keyring.seal(to_json(data), _place(login_id)),
                expires_at=moment + timedelta(seconds=seconds),
            )

        await self._database.transaction(unit)

    async def take(self, state: str) -> tuple[str, dict[str, Any]]:
        """The provider and what belongs to the login, which is over with that.

        Raises :class:`NotFoundError` when no login of this state waits (any more).
        """
        login_id = _hash(state)

        def unit(session: Session) -> tuple[str, dict[str, Any]] | None:
            row = session.entities.login.get_for_update(id=login_id)
            if row is None:
                return None
            provider_id, sealed, fresh = row.provider_id, row.data, row.expires_at > to_naive(now())
            row.delete()
            try:
                return (provider_id, from_json(self._keyring.open(sealed, _place(login_id)))) if fresh else None
            except VaultError:
                return None

        found = await self._database.transaction(unit)
        if found is None:
            raise NotFoundError("no login waits for this answer: it has been used, has expired, or was never begun")
        return found

    async def refused(self, provider_id: str, reason: str, actor: Actor) -> None:
        """Write down that a login came to nothing, and whose it was."""

        def unit(_: Session) -> tuple[None, tuple[Change, ...]]:
            detail = {"reason": reason}
            return None, (Change(action="login.refuse", entity="provider", entity_id=provider_id, detail=detail),)

        await self._database.change(actor, unit)


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode("utf-8", "replace")).hexdigest()


def _place(login_id: str) -> Place:
    return Place("oauth_logins", "data", login_id)
