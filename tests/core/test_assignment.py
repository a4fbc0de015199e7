"""Fill-first, as examples and as laws."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.assignment import Exit, Move, Plan, choose, plan, without

ACCOUNTS = tuple(f"a{number}" for number in range(12))


def test_one_is_filled_before_the_next_is_begun() -> None:
    exits = [Exit(id=2, max_accounts=2), Exit(id=1, max_accounts=1)]
    assert plan(ACCOUNTS[:4], {}, exits) == Plan(
        {"a0": 1, "a1": 2, "a2": 2},
        (Move("a0", None, 1), Move("a1", None, 2), Move("a2", None, 2), Move("a3", None, None)),
    )


def test_a_higher_priority_is_filled_earlier() -> None:
    assert choose([Exit(id=1), Exit(id=2, priority=5)], {}) == 2


def test_none_means_any_number() -> None:
    assert choose([Exit(id=1, max_accounts=0)], {1: 10_000}) == 1


def test_one_that_is_down_takes_nobody_and_loses_its_own_when_it_is_recalculated() -> None:
    exits = [Exit(id=1, usable=False), Exit(id=2)]
    assert choose(exits, {}) == 2
    assert plan(["a0", "a1"], {"a0": 1, "a1": 2}, exits).moves == (Move("a0", 1, 2),)


def test_who_has_a_place_keeps_it_though_a_better_one_is_free() -> None:
    exits = [Exit(id=1, priority=9), Exit(id=2)]
    assert plan(["a0"], {"a0": 2}, exits).moves == ()


def test_where_a_limit_was_lowered_the_first_stay() -> None:
    exits = [Exit(id=1, max_accounts=1), Exit(id=2, max_accounts=1)]
    found = plan(["a0", "a1", "a2"], {"a0": 1, "a1": 1, "a2": 1}, exits)
    assert found.bindings == {"a0": 1, "a1": 2}
    assert found.unplaced == ("a2",)


def test_what_moves_when_one_dies_is_known_beforehand() -> None:
    exits = [Exit(id=1, max_accounts=2), Exit(id=2, max_accounts=2)]
    bound = {"a0": 1, "a1": 1, "a2": 2}
    found = without(1, list(bound), bound, exits)
    assert found.moves == (Move("a0", 1, 2), Move("a1", 1, None))
    assert found.bindings == {"a2": 2, "a0": 2}


_EXITS = st.lists(
    st.builds(
        Exit,
        id=st.integers(1, 6),
        priority=st.integers(-1, 2),
        max_accounts=st.integers(0, 4),
        usable=st.booleans(),
    ),
    unique_by=lambda each: each.id,
    max_size=6,
)
_BOUND = st.dictionaries(st.sampled_from(ACCOUNTS), st.integers(1, 7))


@given(_EXITS, _BOUND)
def test_a_plan_overfills_nothing_moves_nobody_without_need_and_is_final(
    exits: list[Exit], bound: dict[str, int]
) -> None:
    found = plan(ACCOUNTS, bound, exits)
    known = {each.id: each for each in exits}
    for exit_id, count in Counter(found.bindings.values()).items():
        assert known[exit_id].usable
        assert known[exit_id].max_accounts == 0 or count <= known[exit_id].max_accounts
    moved = {move.account_id for move in found.moves}
    assert all(found.bindings[account] == bound[account] for account in ACCOUNTS if account not in moved)
    if found.unplaced:
        assert choose(exits, Counter(found.bindings.values())) is None
    assert plan(ACCOUNTS, found.bindings, exits).bindings == found.bindings


@given(_EXITS, _BOUND, st.integers(1, 6))
def test_without_one_only_its_own_accounts_move(exits: list[Exit], bound: dict[str, int], gone: int) -> None:
    found = without(gone, list(bound), bound, exits)
    assert {move.account_id for move in found.moves} == {account for account, proxy in bound.items() if proxy == gone}
    assert gone not in found.bindings.values()
