"""A valid credential for an account: the auth flow that its strategy builds, kept while the account stays as it is."""

from __future__ import annotations

import logging

import attrs
import httpx

from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.records import Account
from aigateway_core.secret import Secret
from aigateway_core.snapshot import ProviderEntry

log = logging.getLogger(__name__)


@attrs.frozen(eq=False)
class Credential:
    """How an account's requests are signed, and the secrets that must not show in what comes back."""

    auth: httpx.Auth
    secrets: tuple[Secret, ...] = attrs.field(repr=False)


class Credentials:
    """Builds each account's auth flow once; a strategy may keep tokens in it."""

    def __init__(self) -> None:
        self._built: dict[str, tuple[Account, Credential]] = {}

    def get(self, entry: ProviderEntry, account: Account) -> Credential:
        """The credential of this account. Raises :class:`UpstreamError`, of which nothing was sent."""
        held = self._built.get(account.id)
        if held is not None and held[0] is account:
            return held[1]
        credential = Credential(_auth(entry, account), secrets_of(account.credential))
        self._built[account.id] = (account, credential)
        return credential

    def forget(self, account_ids: set[str]) -> None:
        """Let go of accounts that are no longer there."""
        for account_id in account_ids:
            self._built.pop(account_id, None)


def _auth(entry: ProviderEntry, account: Account) -> httpx.Auth:
    """A strategy may raise anything; that is this account's trouble alone, and another one may take the call."""
    try:
        return entry.strategy.auth(account)
    except Exception:
        log.exception("the auth strategy %s cannot use the account %s", entry.strategy_name, account.id)
        message = "the credential of the account cannot be used"
        raise UpstreamError(ErrorKind.CREDENTIAL, message, scope="account", dispatched=False) from None


def secrets_of(credential: object) -> tuple[Secret, ...]:
    """The secret fields of a credential."""
    kind = type(credential)
    values = (getattr(credential, field.name) for field in attrs.fields(kind)) if attrs.has(kind) else ()
    return tuple(value for value in values if isinstance(value, Secret))
