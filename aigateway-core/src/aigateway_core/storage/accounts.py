"""Accounts, their secrets sealed before they reach the database and opened after."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

import attrs

from aigateway_core.errors import InvalidRequestError, NotFoundError
from aigateway_core.storage import bindings, columns
from aigateway_core.storage.columns import from_column, from_json, from_optional, now, to_column, to_json, to_naive
from aigateway_core.storage.database import Change, Database, Session
from aigateway_core.storage.rows import SYSTEM, UNSET, AccountPatch, Actor, NewAccount, Page, Status, StoredAccount
from aigateway_core.vault import KeyRing, Place, VaultError

_SEALED = frozenset({"auth_data", "proxy_url"})
_LONGEST_REMEDY = 4000
_ID_WIDTH = 36


class Accounts:
    """Reads and changes accounts."""

    def __init__(self, database: Database, keyring: KeyRing) -> None:
        self._database = database
        self._keyring = keyring

    async def list(
        self, *, provider_id: str | None = None, is_active: bool | None = None, limit: int = 20, offset: int = 0
    ) -> Page[StoredAccount]:
        """Accounts in the order of their making, of one provider or of all, active or not or either."""
        if provider_id is not None and not (provider_id and columns.storable(provider_id, 64)):
            return Page(rows=(), total=0)
        wanted = {"provider_id": provider_id, "is_active": is_active}

        def unit(session: Session) -> Page[StoredAccount]:
            table = session.entities.account
            rows = table.select().filter(**{name: value for name, value in wanted.items() if value is not None})
            total = rows.count()
            page = rows.order_by(table.created_at, table.id).limit(limit, offset=offset)
            bound = bindings.current(session)
            return Page(rows=tuple(account_value(row, bound, self._keyring) for row in page), total=total)

        return await self._database.read(unit)

    async def get(self, account_id: str) -> StoredAccount:
        """One of them. Raises :class:`NotFoundError`."""
        return await self._database.read(lambda session: self._value(session, _find(session, account_id)))

    async def create(self, new: NewAccount, actor: Actor) -> StoredAccount:
        """Store an account. Raises :class:`InvalidRequestError`, for instance for a provider that nobody knows."""
        account_id = new.id or str(uuid4())
        given = attrs.asdict(new, recurse=False, filter=attrs.filters.exclude("id"))

        def unit(session: Session) -> tuple[StoredAccount, tuple[Change, ...]]:
            _require_provider(session, new.provider_id)
            moment = to_naive(now())
            values = {name: self._column(account_id, name, value) for name, value in given.items()}
            row = session.entities.account(id=account_id, created_at=moment, updated_at=moment, **values)
            detail = {name: self._told(name, value) for name, value in given.items()}
            made = Change(action="account.create", entity="account", entity_id=account_id, detail=detail)
            return self._value(session, row), (made,)

        return await self._database.change(actor, unit)

    async def update(
        self, account_id: str, patch: AccountPatch, actor: Actor, *, expected_updated_at: datetime | None = None
    ) -> StoredAccount:
        """Change the given fields.

        Raises :class:`NotFoundError`, :class:`InvalidRequestError`, and :class:`StaleChangeError` when the account
        was changed since ``expected_updated_at``.
        """
        given = {name: value for name, value in attrs.asdict(patch, recurse=False).items() if value is not UNSET}

        def unit(session: Session) -> tuple[StoredAccount, tuple[Change, ...]]:
            row = _find(session, account_id)
            before = self._value(session, row)
            columns.refuse_stale(row, expected_updated_at)
            if not given:
                return before, ()
            detail = {name: self._difference(before, name, value) for name, value in given.items()}
            for name, value in given.items():
                setattr(row, name, self._column(account_id, name, value))
            if "auth_data" in given or "metadata" in given or given.get("is_active") is True:
                # A new chance, whatever it was shut out for.
                row.set(status="active", status_reason=None, status_until=None, status_remedy=None)
            if "auth_data" in given:
                # A renewal of the old one that is under way comes too late.
                row.set(auth_generation=row.auth_generation + 1, refresh_attempt=None, refresh_until=None)
            # Later than before even when the clock is not: the time tells the states of an account apart.
            row.updated_at = columns.later(row.updated_at)
            changed = Change(action="account.update", entity="account", entity_id=account_id, detail=detail)
            if row.proxy_url is not None or row.egress == "direct":
                # It does not go out by the pool any more, and its place is free.
                bindings.release(session, account_id)
            return self._value(session, row), (changed,)

        return await self._database.change(actor, unit)

    async def put_out_of_use(
        self, account_id: str, revision: datetime, status: Status, reason: str, remedy: str | None
    ) -> bool:
        """Mark an active account that only somebody can mend; it was found to be so when ``revision`` had changed it.

        False when it is marked already, is gone, or has been changed since: then it may have been mended.
        """

        def unit(session: Session) -> tuple[bool, tuple[Change, ...]]:
            row = session.entities.account.get_for_update(id=account_id)
            if row is None or row.status != "active" or from_column(row.updated_at) != revision:
                return False, ()
            row.set(
                status=status,
                status_reason=columns.clipped(reason, 255),
                status_until=None,
                status_remedy=columns.clipped(remedy, _LONGEST_REMEDY),
            )
            detail = {"reason": reason}
            return True, (Change(action=f"account.{status}", entity="account", entity_id=account_id, detail=detail),)

        return await self._database.change(SYSTEM, unit)

    async def learn(self, account_id: str, metadata: Mapping[str, Any]) -> bool:
        """Add what was found out about an account to its metadata; what is there already stays as it is.

        False when that changes nothing, or the account is gone. It is no change of an operator's: ``updated_at`` stays.
        """

        def unit(session: Session) -> tuple[bool, tuple[Change, ...]]:
            row = session.entities.account.get_for_update(id=account_id)
            if row is None:
                return False, ()
            known = from_json(row.metadata)
            new = {name: value for name, value in metadata.items() if not known.get(name)}
            if not new:
                return False, ()
            row.metadata = to_json({**known, **new})
            detail = {"names": sorted(new)}
            return True, (Change(action="account.learn", entity="account", entity_id=account_id, detail=detail),)

        # The configuration's accounts have longer ids, and no row.
        return columns.storable(account_id, _ID_WIDTH) and await self._database.change(SYSTEM, unit)

    async def delete(self, account_id: str, actor: Actor, *, expected_updated_at: datetime | None = None) -> None:
        """Remove an account. Raises :class:`NotFoundError`, :class:`StaleChangeError`."""

        def unit(session: Session) -> tuple[None, tuple[Change, ...]]:
            row = _find(session, account_id)
            columns.refuse_stale(row, expected_updated_at)
            detail = {"provider_id": row.provider_id, "label": row.label}
            row.delete()
            bindings.release(session, account_id)
            return None, (Change(action="account.delete", entity="account", entity_id=account_id, detail=detail),)

        await self._database.change(actor, unit)

    def _value(self, session: Session, row: Any) -> StoredAccount:
        return account_value(row, bindings.current(session), self._keyring)

    def _column(self, account_id: str, name: str, value: Any) -> Any:
        """What is stored of a field."""
        if name == "auth_data":
            return sealed_auth_data(self._keyring, account_id, value)
        if value is not None and name in _SEALED:
            return self._keyring.seal(value, _place(account_id, name))
        if name == "label":
            return columns.checked(value, name, 255)
        if name == "metadata":
            return to_json(value)
        return to_column(value) if name == "expires_at" else value

    def _difference(self, before: StoredAccount, name: str, value: Any) -> dict[str, Any]:
        unreadable = before.problem is not None and name in _SEALED
        old = "unreadable" if unreadable else self._told(name, getattr(before, name))
        return {"from": old, "to": self._told(name, value)}

    def _told(self, name: str, value: Any) -> Any:
        """What the audit log says of a field. Metadata may be anything, so it is treated like a secret."""
        if value is None:
            return None
        if name in {"auth_data", "metadata"}:
            return self._keyring.fingerprint(to_json(value))
        if name == "proxy_url":
            return self._keyring.fingerprint(value)
        return value.isoformat() if isinstance(value, datetime) else value


def all_accounts(session: Session, keyring: KeyRing) -> tuple[StoredAccount, ...]:
    """All rows as values, in the order of their making."""
    table = session.entities.account
    bound = bindings.current(session)
    return tuple(account_value(row, bound, keyring) for row in table.select().order_by(table.created_at, table.id))


def account_value(row: Any, bound: Mapping[str, int], keyring: KeyRing) -> StoredAccount:
    """A row as a value, its secrets opened if they open; ``bound`` are the outbound proxies of accounts."""
    account = StoredAccount(
        id=row.id,
        provider_id=row.provider_id,
        label=row.label,
        auth_data=None,
        metadata=from_json(row.metadata),
        is_active=row.is_active,
        proxy_url=None,
        proxy_id=bound.get(row.id),
        egress=row.egress,
        expires_at=from_optional(row.expires_at),
        last_used_at=from_optional(row.last_used_at),
        usage_count=row.usage_count,
        created_at=from_column(row.created_at),
        updated_at=from_column(row.updated_at),
        status=row.status,
        status_reason=row.status_reason,
        status_until=from_optional(row.status_until),
        status_remedy=row.status_remedy,
        auth_generation=row.auth_generation,
    )
    try:
        auth_data = from_json(keyring.open(row.auth_data, _place(row.id, "auth_data")))
        proxy_url = None if row.proxy_url is None else keyring.open(row.proxy_url, _place(row.id, "proxy_url"))
    except VaultError:
        return attrs.evolve(account, problem="crypto_error")
    return attrs.evolve(account, auth_data=auth_data, proxy_url=proxy_url)


def sealed_auth_data(keyring: KeyRing, account_id: str, auth_data: Mapping[str, Any]) -> str:
    """What is stored of an account's credential."""
    return keyring.seal(to_json(auth_data), _place(account_id, "auth_data"))


def _require_provider(session: Session, provider_id: str) -> None:
    try:
        session.find(session.entities.provider, "provider", provider_id)
    except NotFoundError as error:
        raise InvalidRequestError(error.message, path="provider_id") from None


def _find(session: Session, account_id: str) -> Any:
    return session.find(session.entities.account, "account", account_id)


def _place(account_id: str, column: str) -> Place:
    return Place("accounts", column, account_id)
