"""Which account goes out by which outbound proxy. A binding stays until the proxy is gone or an operator moves it.

Every change here is an audited one, and those happen one after the other, in all processes: what is counted in the
transaction still holds when it commits, so that a limit cannot be overrun.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from aigateway_core.assignment import Exit, Plan, choose, plan, without
from aigateway_core.errors import ConflictError
from aigateway_core.storage.columns import checked, now, to_naive
from aigateway_core.storage.database import Change, Database, Session
from aigateway_core.storage.rows import Actor


class Bindings:
    """Binds accounts to outbound proxies, fill-first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> Mapping[str, int]:
        """The outbound proxy of each account that has one."""
        return await self._database.read(current)

    async def claim(self, account_id: str, actor: Actor, *, reserve_seconds: float | None = None) -> int | None:
        """The outbound proxy of this account: the one it has, or the next with room; None when every one is full.

        ``reserve_seconds`` is for an account that is still to be made: unless it claims again without it, its place is
        free again after that time.
        """
        checked(account_id, "account_id", 64)

        def unit(session: Session) -> tuple[int | None, tuple[Change, ...]]:
            moment = to_naive(now())
            _forget_reservations(session, moment)
            until = None if reserve_seconds is None else moment + timedelta(seconds=reserve_seconds)
            row = session.entities.binding.get(account_id=account_id)
            if row is not None:
                if row.reserved_until is not None:
                    row.reserved_until = until
                return row.proxy_id, ()
            found = choose(exits(session), counts(session))
            if found is None:
                return None, ()
            session.entities.binding(account_id=account_id, proxy_id=found, bound_at=moment, reserved_until=until)
            return found, (Change(action="account.bind", entity="account", entity_id=account_id, detail={"to": found}),)

        return await self._database.change(actor, unit)

    async def give_back(self, account_id: str, actor: Actor) -> None:
        """End a reservation whose account does not come; a binding stays."""

        def unit(session: Session) -> tuple[None, tuple[Change, ...]]:
            row = session.entities.binding.get(account_id=account_id)
            if row is None or row.reserved_until is None:
                return None, ()
            detail = {"from": row.proxy_id, "to": None}
            row.delete()
            return None, (Change(action="account.bind", entity="account", entity_id=account_id, detail=detail),)

        await self._database.change(actor, unit)

    async def recalculate(self, accounts: Sequence[str], actor: Actor) -> Plan:
        """Bind every one of these, moving those whose proxy is switched off, down or over its limit."""

        def unit(session: Session) -> tuple[Plan, tuple[Change, ...]]:
            found = plan(accounts, current(session), exits(session))
            for move in found.moves:
                _move(session, move.account_id, move.after)
            return found, tuple(
                Change(
                    action="account.bind",
                    entity="account",
                    entity_id=move.account_id,
                    detail={"from": move.before, "to": move.after},
                )
                for move in found.moves
                if move.after is not None
            )

        return await self._database.change(actor, unit)


def current(session: Session) -> dict[str, int]:
    """The proxy of each account, in the order in which they were bound; a reservation that is over binds nothing."""
    moment = to_naive(now())
    rows = session.entities.binding.select()
    held = [row for row in rows if row.reserved_until is None or row.reserved_until > moment]
    return {row.account_id: row.proxy_id for row in sorted(held, key=lambda row: (row.bound_at, row.account_id))}


def counts(session: Session) -> dict[int, int]:
    """How many accounts each proxy has."""
    return Counter(current(session).values())


def exits(session: Session) -> list[Exit]:
    """The pool as places to fill."""
    return [
        Exit(
            id=row.id,
            priority=row.priority,
            max_accounts=row.max_accounts,
            usable=row.is_active and row.health_status != "down",
        )
        for row in session.entities.proxy.select()
    ]


def clear(session: Session, proxy_id: int) -> dict[str, int]:
    """Move every account off this proxy. Raises :class:`ConflictError` when there is no room for all of them."""
    _forget_reservations(session, to_naive(now()))
    bound = current(session)
    found = without(proxy_id, list(bound), bound, exits(session))
    if left := found.unplaced:
        raise ConflictError(
            f"{len(left)} of the accounts that go out by this proxy would find no other ({', '.join(left[:5])}):"
            " add a proxy or raise max_accounts first, or say egress: direct for those that may do without"
        )
    moved = {move.account_id: move.after for move in found.moves if move.after is not None}
    for account_id, after in moved.items():
        _move(session, account_id, after)
    return moved


def release(session: Session, account_id: str) -> None:
    """The account is gone, and its place is free."""
    if (row := session.entities.binding.get(account_id=account_id)) is not None:
        row.delete()


def _move(session: Session, account_id: str, proxy_id: int | None) -> None:
    """Bind to another proxy. Who finds no place keeps the one it has: it rests there rather than going out bare."""
    row: Any = session.entities.binding.get(account_id=account_id)
    if proxy_id is None:
        return
    if row is None:
        session.entities.binding(account_id=account_id, proxy_id=proxy_id, bound_at=to_naive(now()))
    else:
        row.set(proxy_id=proxy_id, bound_at=to_naive(now()))


def _forget_reservations(session: Session, moment: Any) -> None:
    for row in session.entities.binding.select():
        if row.reserved_until is not None and row.reserved_until <= moment:
            row.delete()
