"""Tokens in the state, sealed: whoever reads the store, or writes to it, can do nothing with that."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from aigateway_core.state import State
from aigateway_core.vault import KeyRing, Place, VaultError

log = logging.getLogger(__name__)


class SealedTokens:
    """What one process renewed, for the others to see without asking the database."""

    def __init__(self, state: State, keyring: KeyRing) -> None:
        self._state = state
        self._keyring = keyring

    async def get(self, provider_id: str, account_id: str) -> tuple[int, Mapping[str, Any]] | None:
        """Generation and ``auth_data``; what does not open is not there."""
        sealed = await self._state.token(provider_id, account_id)
        if sealed is None:
            return None
        try:
            found = json.loads(self._keyring.open(sealed.decode("ascii", "replace"), _place(provider_id, account_id)))
        except (VaultError, ValueError) as error:
            log.warning("a cached token does not open, and is not used: %s", error)
            return None
        return found["generation"], found["auth_data"]

    async def put(
        self, provider_id: str, account_id: str, generation: int, auth_data: Mapping[str, Any], seconds: float
    ) -> None:
        """Keep them for so long."""
        text = json.dumps({"generation": generation, "auth_data": dict(auth_data)})
        sealed = self._keyring.seal(text, _place(provider_id, account_id))
        await self._state.put_token(provider_id, account_id, sealed.encode(), seconds)


def _place(provider_id: str, account_id: str) -> Place:
    return Place("state", provider_id, account_id)
