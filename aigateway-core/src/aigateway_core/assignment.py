"""Which outbound proxy an account goes out by: one is filled before the next is begun, and who has a place keeps it.

Nothing here knows a database: storage asks :func:`choose` inside its transaction, the planner asks :func:`plan` what a
change would do, and so both follow the same rule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs


@attrs.frozen(kw_only=True)
class Exit:
    """An outbound proxy as a place to fill.

    ``max_accounts`` is how many accounts may go out by it, 0 for any number; one that is not ``usable`` (switched off,
    or down) takes no new ones. A higher ``priority`` is filled earlier.
    """

    id: int
    priority: int = 0
    max_accounts: int = 0
    usable: bool = True

    def has_room(self, taken: int) -> bool:
        """Whether one more fits beside those that are here."""
        return self.usable and (self.max_accounts == 0 or taken < self.max_accounts)


def choose(exits: Iterable[Exit], taken: Mapping[int, int]) -> int | None:
    """The id of the exit that takes the next account: by priority, then by id; None when every one is full."""
    free = [each for each in exits if each.has_room(taken.get(each.id, 0))]
    return min(free, key=lambda each: (-each.priority, each.id)).id if free else None


@attrs.frozen
class Move:
    """An account whose exit changes: ``before`` is None for one that had none, ``after`` for one that finds none."""

    account_id: str
    before: int | None
    after: int | None


@attrs.frozen
class Plan:
    """Who goes where: ``bindings`` once all ``moves`` are made."""

    bindings: Mapping[str, int]
    moves: tuple[Move, ...]

    @property
    def unplaced(self) -> tuple[str, ...]:
        """Accounts for which there is no room: they cannot be used until there is."""
        return tuple(move.account_id for move in self.moves if move.after is None)


def plan(accounts: Sequence[str], bindings: Mapping[str, int], exits: Sequence[Exit]) -> Plan:
    """Bind every account, moving only those that cannot stay.

    An account stays while its exit is usable and not over its limit; where a limit was lowered, those that come first
    in ``accounts`` stay. The others are placed in their order.
    """
    known = {each.id: each for each in exits}
    kept: dict[str, int] = {}
    taken: Counter[int] = Counter()
    for account in accounts:
        current = known.get(bindings.get(account, -1))
        if current is not None and current.has_room(taken[current.id]):
            kept[account] = current.id
            taken[current.id] += 1
    return _place([each for each in accounts if each not in kept], kept, bindings, exits)


def without(exit_id: int, accounts: Sequence[str], bindings: Mapping[str, int], exits: Sequence[Exit]) -> Plan:
    """What would become of the accounts of this exit were it taken away; nobody else moves."""
    stay = {account: proxy for account, proxy in bindings.items() if proxy != exit_id}
    leave = [account for account in accounts if bindings.get(account) == exit_id]
    return _place(leave, stay, bindings, [each for each in exits if each.id != exit_id])


def _place(homeless: Iterable[str], kept: Mapping[str, int], before: Mapping[str, int], exits: Sequence[Exit]) -> Plan:
    """Find a place for each of these beside those who keep theirs."""
    bindings = dict(kept)
    taken = Counter(bindings.values())
    moves = []
    for account in homeless:
        found = choose(exits, taken)
        moves.append(Move(account, before.get(account), found))
        if found is not None:
            bindings[account] = found
            taken[found] += 1
    return Plan(bindings, tuple(moves))
