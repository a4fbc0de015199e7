"""Renewed tokens on disk until the database has them: sealed, a file each, so that no kill can lose one.

The refresh token that a renewal spent is worth nothing any more; until the database has taken the next one, that is in
the hands of one process. So it is on disk before anything else is done with it. Every process of this machine that
uses the same database looks into the same folder.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from aigateway_core.disk import sync_folder, write_durably
from aigateway_core.vault import KeyRing, Place, VaultError

log = logging.getLogger(__name__)

_SUFFIX = ".token"


@attrs.frozen(kw_only=True)
class RenewedTokens:
    """What took the place of an account's tokens of the generation ``spent``."""

    account_id: str
    spent: int
    auth_data: Mapping[str, Any] = attrs.field(repr=False)
    expires_at: datetime | None = None


class TokenSpool:
    """A folder of sealed files. Its methods block, and may raise :class:`OSError`."""

    def __init__(self, folder: Path, keyring: KeyRing) -> None:
        self.folder = folder
        self._keyring = keyring

    def put(self, tokens: RenewedTokens) -> None:
        """Keep these; once this returns not even a power cut takes them away."""
        name = _name(tokens.account_id, tokens.spent)
        sealed = self._keyring.seal(_written(tokens), _place(name)).encode()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self.folder / f".{secrets.token_hex(8)}"
        try:
            write_durably(draft, sealed)
            # The answer that came last is the one that an identity provider goes by.
            draft.replace(self.folder / name)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(self.folder)

    def of(self, account_id: str, spent: int) -> RenewedTokens | None:
        """What waits for this account in place of the tokens of this generation."""
        return self._read(_name(account_id, spent))

    def all(self) -> Sequence[RenewedTokens]:
        """Everything that waits and can be opened."""
        try:
            names = sorted(path.name for path in self.folder.iterdir() if path.suffix == _SUFFIX)
        except FileNotFoundError:
            return ()
        return [tokens for tokens in map(self._read, names) if tokens is not None]

    def remove(self, tokens: RenewedTokens) -> None:
        """Forget these: the database has them, or has others."""
        (self.folder / _name(tokens.account_id, tokens.spent)).unlink(missing_ok=True)

    def _read(self, name: str) -> RenewedTokens | None:
        try:
            return _read(self._keyring.open((self.folder / name).read_text("ascii", "replace"), _place(name)))
        except FileNotFoundError:
            return None
        except (OSError, VaultError, ValueError, KeyError, TypeError) as error:
            # It stays: the master key that it wants may come back.
            log.error("the renewed token in %s cannot be read: %s", self.folder / name, error)
            return None


def _name(account_id: str, spent: int) -> str:
    return f"{hashlib.sha256(account_id.encode()).hexdigest()[:32]}-{spent}{_SUFFIX}"


def _place(name: str) -> Place:
    return Place("token_spool", "auth_data", name)


def _written(tokens: RenewedTokens) -> str:
    said = attrs.asdict(tokens)
    return json.dumps({**said, "auth_data": dict(tokens.auth_data)}, default=datetime.isoformat)


def _read(text: str) -> RenewedTokens:
    said = json.loads(text)
    ends = said["expires_at"]
    return RenewedTokens(**{**said, "expires_at": None if ends is None else datetime.fromisoformat(ends)})
