"""The choice of accounts against a plain model of it, over any order of picks, failures, changes and time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from core.dialects.profiles import budget
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aigateway_core.accounts import AccountSelector, Terms
from aigateway_core.affinity import Conversation
from aigateway_core.errors import ErrorKind, ForbiddenError, NoAccountError, UpstreamError
from aigateway_core.records import Account
from aigateway_core.routing import Route
from aigateway_core.snapshot import CurrentSnapshot, Snapshot
from aigateway_core.state import one_model
from aigateway_core.state.memory import MemoryState

NAMES = "abcde"
MODELS = ("m", "n")
ACCOUNTS = {name: Account(id=name, provider_id="p") for name in NAMES}
FAILURES = {
    "busy": UpstreamError(ErrorKind.RATE_LIMIT, "no", scope="model", retry_after=20),
    "key": UpstreamError(ErrorKind.CREDENTIAL, "no", scope="account"),
    "ban": UpstreamError(ErrorKind.BANNED, "no", scope="account"),
    "bill": UpstreamError(ErrorKind.QUOTA, "no", scope="account", status=402),
    "overload": UpstreamError(ErrorKind.OVERLOADED, "no", scope="request", retry_after=60),
    "malformed": UpstreamError(ErrorKind.INVALID_REQUEST, "no"),
}
REST = {"busy": 20.0, "key": 300.0, "ban": float("inf"), "bill": float("inf")}


def at_once(work: Coroutine[Any, Any, Account]) -> Account:
    """The result of what waits for nobody: with the state in memory a choice must not."""
    try:
        work.send(None)
    except StopIteration as done:
        found: Account = done.value
        return found
    raise AssertionError("it waits")


names = st.sampled_from(NAMES)
models = st.sampled_from(MODELS)
some_names = st.sets(names).map(frozenset)


class Selection(RuleBasedStateMachine):
    """``until`` is what each account was told about each model, ``home`` where each conversation lives."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000.0
        self.clock = patch("time.time", lambda: self.now)
        self.clock.start()
        self.snapshot = CurrentSnapshot()
        self.state = MemoryState()
        self.selector = AccountSelector(self.snapshot, self.state)
        self.until: dict[tuple[str, str], float] = {}
        self.home: dict[tuple[str, str], str] = {}
        self.streak: dict[str, list[str]] = {model: [] for model in MODELS}
        self.new_conversations = 0

    def teardown(self) -> None:
        self.clock.stop()

    @initialize(listed=st.sets(names, min_size=1))
    def begin(self, listed: set[str]) -> None:
        self.hold(listed)

    def hold(self, listed: set[str]) -> None:
        self.listed = listed
        self.snapshot.value = Snapshot(accounts={"p": tuple(ACCOUNTS[name] for name in sorted(listed))})
        self.forget_streaks()

    def forget_streaks(self) -> None:
        self.streak = {model: [] for model in MODELS}

    def healthy(self, model: str) -> set[str]:
        return {name for name in self.listed if self.until.get((name, model), 0.0) <= self.now}

    def pick(self, model: str, tried: frozenset[str] = frozenset(), **terms: Any) -> str | None:
        provider: Any = SimpleNamespace(id="p")
        try:
            chosen = at_once(self.selector.select(Route(provider, model, model), tried, Terms(**terms)))
        except NoAccountError as error:
            self.waits(error, model, terms.get("allowed"))
            return None
        except ForbiddenError:
            assert not self.listed & terms["allowed"]
            return None
        return chosen.id

    def waits(self, error: NoAccountError, model: str, allowed: frozenset[str] | None) -> None:
        """The wait that is told is that of the first account to be back: none, if none will be."""
        eligible = self.listed if allowed is None else self.listed & allowed
        ends = [self.until.get((name, model), 0.0) for name in eligible]
        if not ends or min(ends) <= self.now or min(ends) == float("inf"):
            assert error.retry_after is None
        else:
            assert error.retry_after is not None
            assert 0 <= error.retry_after - (min(ends) - self.now) < 1

    # -- what happens

    @rule(model=models)
    def picks_for_new_conversations_are_even(self, model: str) -> None:
        for _ in range(max(1, len(self.healthy(model)))):
            self.pick_for_a_new_one(model)

    def pick_for_a_new_one(self, model: str) -> None:
        self.new_conversations += 1
        name = f"new-{self.new_conversations}"
        chosen = self.pick(model, conversation=Conversation(name))
        healthy = self.healthy(model)
        assert (chosen is None) == (not healthy)
        if chosen is None:
            return
        assert chosen in healthy
        self.home[name, model] = chosen
        self.streak[model].append(chosen)
        counted = Counter(self.streak[model])
        assert max(counted.values()) - min(counted[each] for each in healthy) <= 1

    @precondition(lambda self: self.home)
    @rule(data=st.data())
    def a_conversation_stays_while_its_account_is_healthy_and_moves_once_when_not(self, data: st.DataObject) -> None:
        (name, model), home = data.draw(st.sampled_from(sorted(self.home.items())))
        chosen = self.pick(model, conversation=Conversation(name))
        healthy = self.healthy(model)
        assert (chosen is None) == (not healthy)
        if chosen is None:
            return
        assert chosen in healthy
        if home in healthy:
            assert chosen == home
            return
        self.forget_streaks()  # a move takes a turn as well
        self.home[name, model] = chosen
        assert self.pick(model, conversation=Conversation(name)) == chosen

    @rule(model=models, tried=some_names, allowed=st.none() | some_names)
    def nobody_gets_what_was_tried_or_is_not_allowed(
        self, model: str, tried: frozenset[str], allowed: frozenset[str] | None
    ) -> None:
        self.forget_streaks()
        chosen = self.pick(model, tried, allowed=allowed)
        left = self.healthy(model) - tried
        if allowed is not None:
            left &= allowed
        assert (chosen in left) if left else chosen is None

    @rule(name=names, model=models, what=st.sampled_from(sorted(FAILURES)))
    def a_call_fails(self, name: str, model: str, what: str) -> None:
        provider: Any = SimpleNamespace(id="p")
        self.selector.punish(Route(provider, model, model), ACCOUNTS[name], FAILURES[what])
        if name not in self.listed or what not in REST:
            return
        self.forget_streaks()
        hit = MODELS if FAILURES[what].scope == "account" else (model,)
        for each in hit:
            self.until[name, each] = max(self.until.get((name, each), 0.0), self.now + REST[what])

    @rule(seconds=st.sampled_from([0.5, 19.0, 21.0, 301.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.forget_streaks()

    @rule(name=names)
    def an_account_is_mended(self, name: str) -> None:
        self.state.clear(name)
        self.until = {key: end for key, end in self.until.items() if key[0] != name}
        self.forget_streaks()

    @rule(listed=st.sets(names, min_size=1))
    def accounts_come_and_go(self, listed: set[str]) -> None:
        self.hold(listed)

    @invariant()
    def what_rests_is_told(self) -> None:
        for model in MODELS:
            resting = set(self.state.resting(one_model(model)))
            assert resting == {name for name in NAMES if self.until.get((name, model), 0.0) > self.now}


TestSelection = Selection.TestCase
TestSelection.settings = settings(budget(40), stateful_step_count=50)
