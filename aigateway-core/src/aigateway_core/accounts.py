"""Which account of a provider takes a call, and what a failure costs it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import attrs

from aigateway_core.affinity import Conversation
from aigateway_core.errors import ErrorKind, ForbiddenError, NoAccountError, NotFoundError, UpstreamError
from aigateway_core.escalation import Escalation
from aigateway_core.records import Account
from aigateway_core.routing import Route
from aigateway_core.snapshot import CurrentSnapshot, Snapshot
from aigateway_core.state import EVERY_MODEL, NO_WAY_OUT, Cooldown, State, one_model, one_quota

_PAYMENT_REQUIRED = 402

_MOST_LISTS = 1024
"""Lists of ready accounts to keep; callers make up the names of models, so there is a bound."""


@attrs.frozen(kw_only=True)
class Terms:
    """What a call asks of its account, besides that it serves the model.

    ``conversation`` is the one it belongs to, ``allowed`` are the accounts that its key may use (None: all), ``named``
    is the only one that will do. What goes ``aside`` takes turns of its own and so shifts nobody else's.
    """

    conversation: Conversation | None = None
    allowed: frozenset[str] | None = None
    named: str | None = None
    aside: bool = False


ANY = Terms()


@attrs.frozen(eq=False)
class _Ready:
    """The accounts of ``pool`` that could be asked, as long as it and the state stay, and until the first is back.

    They come in the order of their turns, and by their ids.

    ``until`` is by the clock on the wall, ``within`` by the one that nobody sets; infinite while none of them rests.
    """

    accounts: Sequence[Account]
    by_id: Mapping[str, Account]
    pool: Sequence[Account]
    changes: int
    until: float
    within: float

    def stands(self) -> bool:
        """Whether none is back yet, by either clock: the one may be set, the other stops while a machine sleeps."""
        return time.monotonic() < self.within and time.time() < self.until


Note: TypeAlias = Callable[[Account, datetime | None, str, Cooldown], None]
"""Told of an account, when it was last changed (None: the configuration brings it), for what it rests, and how."""


class AccountSelector:
    """The conversation's own account while it is healthy, else round-robin over those that are not cooling.

    There is one round-robin for each provider and model (or group of models that share a quota). ``note`` is told of
    each rest that an account's own failure costs it.
    """

    def __init__(self, snapshot: CurrentSnapshot, state: State, note: Note = lambda *_: None) -> None:
        self.snapshot = snapshot
        self._state = state
        self._note = note
        self._escalation = Escalation()
        self._lists: dict[tuple[str, str, str, frozenset[str] | None], _Ready] = {}

    async def select(self, route: Route, tried: Collection[str] = (), terms: Terms = ANY) -> Account:
        """The account to ask next, none of the ``tried`` ones.

        Raises :class:`NoAccountError`, :class:`ForbiddenError` when the caller's key opens none of them, and
        :class:`NotFoundError` when there is none of that name.
        """
        if terms.named is not None:
            return self._named(route, terms.named, tried)
        found = self._ready(route, terms.allowed)
        ready = found.accounts
        if not ready or (tried and all(each.id in tried for each in ready)):
            raise self._none_left(route, terms.allowed)
        conversation = terms.conversation
        if conversation is None:
            return await self._next(route, ready, tried, aside=terms.aside)
        if len(ready) == 1 and len(found.pool) == 1:
            # There is nothing to ask, but there may be a second account one day.
            self._state.bind(conversation.key, route.provider.id, route.quota_group, ready[0].id)
            return ready[0]
        bound = None
        if tried or not conversation.begins:
            bound = await self._state.bound(conversation.key, route.provider.id, route.quota_group)
        healthy = None if bound is None else found.by_id.get(bound)
        if healthy is not None and healthy.id not in tried:
            return healthy
        chosen = await self._next(route, ready, tried)
        # An account that failed and is well all the same (an overload, a broken line) keeps its conversations.
        if healthy is None:
            self._state.bind(conversation.key, route.provider.id, route.quota_group, chosen.id)
        return chosen

    async def _next(
        self, route: Route, ready: Sequence[Account], tried: Collection[str], *, aside: bool = False
    ) -> Account:
        if len(ready) == 1:
            return ready[0]
        # Picks after a failure take turns of their own: they must not shift the order of the first ones.
        group = f"{route.quota_group} again" if aside or tried else route.quota_group
        for _ in range(len(tried) + 1):
            chosen = ready[await self._state.take_turn(route.provider.id, group) % len(ready)]
            if chosen.id not in tried:
                return chosen
        # Other requests take turns too, so that this one may have met only what it has tried.
        return next(each for each in ready if each.id not in tried)

    def _named(self, route: Route, name: str, tried: Collection[str]) -> Account:
        """The account that was named, even while it cools: whoever names it wants to know."""
        account = self.snapshot.value.by_id.get(name)
        if account is None or account.provider_id != route.provider.id:
            if (known := self._out_of_use(route, frozenset({name})).get(name)) is not None:
                raise _to_be_mended(name, known)
            raise NotFoundError(f"the provider {route.provider.id!r} has no active account {name!r}")
        cooldown = self._cooldown(route, name)
        if cooldown is not None and not cooldown.passes:
            raise _to_be_mended(name, cooldown)
        if name in tried:
            raise NoAccountError(f"the account {name!r} was tried", kind=ErrorKind.UNAVAILABLE)
        return account

    def _pool(self, route: Route) -> Sequence[Account]:
        return self.snapshot.value.accounts.get(route.provider.id, ())

    def _ready(self, route: Route, allowed: frozenset[str] | None) -> _Ready:
        """The accounts that could be asked; looked up anew only when something has changed."""
        pool = self.snapshot.value.accounts.get(route.provider.id, ())
        key = (route.provider.id, route.quota_group, route.model, allowed)
        kept, state = self._lists.get(key), self._state
        if (
            kept is not None
            and kept.pool is pool
            and kept.changes == state.changes
            and (kept.within == math.inf or kept.stands())
        ):
            return kept
        changes, resting = state.changes, self._resting(route)
        accounts = pool if allowed is None else [each for each in pool if each.id in allowed]
        if resting:
            accounts = [each for each in accounts if each.id not in resting]
        until = min((cooldown.until for cooldown in resting.values()), default=math.inf)
        within = time.monotonic() + until - time.time()
        if len(self._lists) >= _MOST_LISTS:
            self._lists.clear()
        by_id = {each.id: each for each in accounts}
        ready = self._lists[key] = _Ready(accounts, by_id, pool, changes, until, within)
        return ready

    def _resting(self, route: Route) -> Mapping[str, Cooldown]:
        """The accounts that rest for this model, or for all that share its quota."""
        resting = self._state.resting(one_model(route.model))
        if not route.shares_quota:
            return resting
        more = self._state.resting(one_quota(route.quota_group))
        both = resting.keys() & more.keys()
        return {**resting, **more, **{name: _longer(resting[name], more[name]) for name in both}}

    def _cooldown(self, route: Route, account_id: str) -> Cooldown | None:
        """What keeps this account from being asked for this model."""
        found = self._state.cooldown(account_id, one_model(route.model))
        if not route.shares_quota:
            return found
        more = self._state.cooldown(account_id, one_quota(route.quota_group))
        return _longer(found, more) if found and more else found or more

    def rest(self, route: Route, terms: Terms = ANY) -> float:
        """Seconds until an account can be asked: 0 while one is ready, or none will ever be by itself."""
        resting = self._resting(route)
        accounts = self._eligible(route, terms.allowed)
        if not accounts or any(each.id not in resting for each in accounts):
            return 0.0
        soonest = min(resting[each.id].until for each in accounts)
        return 0.0 if soonest == math.inf else max(0.0, soonest - time.time())

    def punish(self, route: Route, account: Account, error: UpstreamError, seen: Snapshot | None = None) -> None:
        """Let the account rest as far as the scope of the error goes: not at all unless it speaks of the account.

        ``seen`` is what stood when it was chosen, if that may have changed.
        """
        reach = _reach(route, error)
        if reach is None or self._has_changed(account, seen):
            return
        seconds = error.retry_after
        if seconds is None:
            seconds = self._escalation.seconds(account, reach, error)
        if (cooldown := cooldown_of(error, seconds)) is not None:
            cooldown = attrs.evolve(cooldown, edition=self._edition(account))
            self._state.cool(account.id, reach, cooldown)
            self._note(account, self.snapshot.value.revisions.get(account.id), reach, cooldown)

    def set_aside(self, account: Account, seconds: float | None, seen: Snapshot | None = None) -> None:
        """Let an account rest that has no way out: no fault of its own, and over as soon as there is one."""
        if seconds and not self._has_changed(account, seen):
            cooldown = Cooldown(time.time() + seconds, NO_WAY_OUT, edition=self._edition(account))
            self._state.cool(account.id, EVERY_MODEL, cooldown)

    def _edition(self, account: Account) -> str:
        return self.snapshot.value.editions.get(account.id, "")

    def _has_changed(self, account: Account, seen: Snapshot | None) -> bool:
        """Whether it was mended or removed while it was being asked: what it said then is not held against it.

        Whoever enables it changes nothing of it but its edition.
        """
        now = self.snapshot.value
        if seen is not None and seen.editions.get(account.id) != now.editions.get(account.id):
            return True
        return now.by_id.get(account.id) != account

    def _eligible(self, route: Route, allowed: frozenset[str] | None) -> Sequence[Account]:
        return [each for each in self._pool(route) if allowed is None or each.id in allowed]

    def _out_of_use(self, route: Route, allowed: frozenset[str] | None) -> Mapping[str, Cooldown]:
        """The accounts that would be eligible but for what is stored of them."""
        return {
            account_id: Cooldown.for_good(each.status, each.reason)
            for account_id, each in self.snapshot.value.out_of_use.items()
            if each.provider_id == route.provider.id and (allowed is None or account_id in allowed)
        }

    def _none_left(self, route: Route, allowed: frozenset[str] | None) -> NoAccountError | ForbiddenError:
        name = route.provider.id
        out_of_use = list(self._out_of_use(route, allowed).values())
        if out_of_use and not self._eligible(route, allowed):
            return _out_of_use(name, out_of_use)
        if not self._pool(route):
            return _unavailable(
                f"the provider {name!r} has no active account; add one with: aigateway-core accounts add {name}, "
                "or see what those that are there need: aigateway-core accounts list"
            )
        accounts = self._eligible(route, allowed)
        if not accounts:
            return ForbiddenError(f"this key may use no account of the provider {name!r}")
        resting = self._resting(route)
        rests = [resting[each.id] for each in accounts if each.id in resting]
        if len(rests) < len(accounts):
            return _unavailable(f"no other account of the provider {name!r} is left to try")
        if not any(cooldown.passes for cooldown in rests):
            return _out_of_use(name, [*rests, *out_of_use])
        soonest = min(rests, key=lambda cooldown: cooldown.until)
        wait = max(1, math.ceil(soonest.until - time.time()))
        if all(cooldown.reason == ErrorKind.MODEL_NOT_FOUND for cooldown in rests):
            message = f"no account of the provider {name!r} has the model {route.model!r}; asked again in {wait} s"
            return NoAccountError(message, kind=ErrorKind.MODEL_NOT_FOUND, retry_after=wait)
        return NoAccountError(
            f"every account of the provider {name!r} is resting ({soonest.reason}); try again in {wait} s",
            kind=ErrorKind.UNAVAILABLE if soonest.reason == NO_WAY_OUT else ErrorKind.RATE_LIMIT,
            retry_after=wait,
        )


def cooldown_of(error: UpstreamError, seconds: float) -> Cooldown | None:
    """What an error costs the account or the model that it speaks of: ``seconds``, or all; None for nothing.

    A ban, a bill that was not paid, and what its owner has to remedy do not pass by themselves: asking again could only
    make them worse (U-23).
    """
    if error.scope == "account" and error.kind is ErrorKind.BANNED:
        return Cooldown.for_good("banned", error.kind, error.remedy)
    if error.scope == "account" and error.remedy is not None:
        return Cooldown.for_good("disabled", error.kind, error.remedy)
    if error.scope == "account" and error.status == _PAYMENT_REQUIRED and error.kind is ErrorKind.QUOTA:
        return Cooldown.for_good("disabled", error.kind)
    return Cooldown(time.time() + seconds, error.kind) if seconds > 0 else None


def _reach(route: Route, error: UpstreamError) -> str | None:
    """How far the rest goes that an error costs; None for no rest."""
    if error.scope == "account":
        return EVERY_MODEL
    if error.scope == "quota_group" and route.shares_quota:
        return one_quota(route.quota_group)
    return one_model(route.model) if error.scope in ("model", "quota_group") else None


def _longer(one: Cooldown, other: Cooldown) -> Cooldown:
    return one if one.until >= other.until else other


def _unavailable(message: str) -> NoAccountError:
    return NoAccountError(message, kind=ErrorKind.UNAVAILABLE)


def _to_be_mended(name: str, cooldown: Cooldown) -> NoAccountError:
    return _unavailable(f"the account {name!r} is {cooldown.status} ({cooldown.reason}) until it is mended")


def _out_of_use(provider_id: str, rests: Sequence[Cooldown]) -> NoAccountError:
    """No account will be back by itself. Where money is all that lacks, clients that know the word stop asking."""
    counted = Counter(f"{cooldown.status} ({cooldown.reason})" for cooldown in rests)
    told = ", ".join(f"{number} {what}" for what, number in sorted(counted.items()))
    message = f"no account of the provider {provider_id!r} can be used until it is mended: {told}"
    unpaid = all(cooldown.reason == ErrorKind.QUOTA for cooldown in rests)
    return NoAccountError(message, kind=ErrorKind.QUOTA if unpaid else ErrorKind.UNAVAILABLE)
