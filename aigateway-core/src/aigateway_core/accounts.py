"""Which account of a provider takes a call, and what a failure costs it."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping

from aigateway_core.errors import ErrorKind, NoAccountError, UpstreamError
from aigateway_core.records import Account
from aigateway_core.routing import Route
from aigateway_core.snapshot import CurrentSnapshot
from aigateway_core.state import EVERY_MODEL, Cooldown, State

COOLDOWNS: Mapping[ErrorKind, float] = {
    ErrorKind.RATE_LIMIT: 30.0,
    ErrorKind.QUOTA: 1800.0,
    ErrorKind.CREDENTIAL: 300.0,
}
"""Seconds that an account rests after a failure of this kind when the upstream named no time itself.

Kinds that are not listed rest only for as long as the upstream asked.
"""


class AccountSelector:
    """Round-robin over a provider's accounts that are not cooling, one counter for each provider and model."""

    def __init__(self, snapshot: CurrentSnapshot, state: State) -> None:
        self._snapshot = snapshot
        self._state = state

    async def select(self, route: Route, tried: Collection[str] = ()) -> Account:
        """The account to ask next, none of the ``tried`` ones. Raises :class:`NoAccountError`."""
        accounts = self._snapshot.value.accounts.get(route.provider.id, ())
        group = route.quota_group
        ready = [each for each in accounts if each.id not in tried and self._state.cooldown(each.id, group) is None]
        if not ready:
            raise self._none_left(route, accounts, group)
        if len(ready) == 1:
            return ready[0]
        # Picks after a failure take turns of their own: they must not shift the order of the first ones.
        turn = await self._state.take_turn(route.provider.id, f"{group} again" if tried else group)
        return ready[turn % len(ready)]

    def rest(self, route: Route) -> float:
        """Seconds until an account can be asked: 0 while one is ready, or there is none at all."""
        accounts = self._snapshot.value.accounts.get(route.provider.id, ())
        rests = [self._state.cooldown(each.id, route.quota_group) for each in accounts]
        return min((max(0.0, each.until - time.time()) if each else 0.0 for each in rests), default=0.0)

    def punish(self, route: Route, account: Account, error: UpstreamError) -> None:
        """Let the account rest as far as the scope of the error goes: not at all unless it speaks of the account."""
        if error.scope not in {"account", "model"} or self._has_changed(account):
            return
        seconds = error.retry_after if error.retry_after is not None else COOLDOWNS.get(error.kind, 0.0)
        if seconds > 0:
            model = EVERY_MODEL if error.scope == "account" else route.quota_group
            self._state.cool(account.id, model, Cooldown(time.time() + seconds, error.kind))

    def _has_changed(self, account: Account) -> bool:
        """Whether it was mended or removed while it was being asked: what it said then is not held against it."""
        return account not in self._snapshot.value.accounts.get(account.provider_id, ())

    def _none_left(self, route: Route, accounts: Collection[Account], group: str) -> NoAccountError:
        name = route.provider.id
        if not accounts:
            return NoAccountError(
                f"the provider {name!r} has no active account; add one with: aigateway-core accounts add {name}",
                kind=ErrorKind.UNAVAILABLE,
            )
        rests = [cooldown for each in accounts if (cooldown := self._state.cooldown(each.id, group)) is not None]
        if not rests:
            return NoAccountError(
                f"no other account of the provider {name!r} is left to try", kind=ErrorKind.UNAVAILABLE
            )
        soonest = min(rests, key=lambda cooldown: cooldown.until)
        wait = max(1, math.ceil(soonest.until - time.time()))
        return NoAccountError(
            f"every account of the provider {name!r} is resting ({soonest.reason}); try again in {wait} s",
            kind=ErrorKind.RATE_LIMIT,
            retry_after=wait,
        )
