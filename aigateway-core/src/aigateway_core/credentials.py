"""A valid credential for an account: the auth flow that its strategy builds, kept while the account stays as it is.

Tokens that end are renewed ahead of that, while the old one still serves; whoever comes when it has ended waits, for
one renewal with everybody else. An upstream's 401 ends a token at once, whatever its time. What is asked for here with
a token that is good costs neither network nor database.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime

import attrs
import httpx
from typing_extensions import override

from aigateway_core.errors import ErrorKind, GatewayError, LoginNeededError, UpstreamError
from aigateway_core.plugin import RenewsTokens
from aigateway_core.records import Account
from aigateway_core.renewal import Renewals, Renewed, secrets_of
from aigateway_core.secret import Secret
from aigateway_core.signing import HeaderAuth, PlainAuth
from aigateway_core.snapshot import ProviderEntry

__all__ = ["Credential", "Credentials", "secrets_of"]

log = logging.getLogger(__name__)

_AHEAD = 300.0
"""Seconds before its end that a token is renewed; half its life if that is less."""

_YOUNG = 15.0
"""Seconds after a renewal within which another one would not help: a 401 is not the token's fault then, and a provider
that gives out tokens without any life (or whose clock is wrong) shall not be asked at every call."""

_LONGEST_PAUSE = 60.0
"""Seconds between two tries to renew, once many have failed."""

_LONGEST_WITHOUT_A_WAY = 8.0
"""The same where it was the outbound proxy that failed: others bring it back at any moment, and see to it meanwhile."""


@attrs.frozen(eq=False)
class Credential:
    """How an account's requests are signed, and the secrets that must not show in what comes back.

    ``secrets`` grows with the tokens that a renewal brings.
    """

    auth: httpx.Auth
    secrets: list[Secret] = attrs.field(repr=False)


class Credentials:
    """Builds each account's auth flow once, and keeps its tokens alive.

    ``renewals`` is set when there is a database to renew with; before, tokens are used as they are.
    """

    def __init__(self) -> None:
        self.renewals: Renewals | None = None
        self._built: dict[str, tuple[Account, Credential]] = {}
        self._living: dict[str, _Living] = {}
        self._tokens: tuple[Secret, ...] = ()

    @property
    def tokens(self) -> Sequence[Secret]:
        """Every secret that renewals have brought and that is in use; the same object while they are the same."""
        return self._tokens

    async def get(self, entry: ProviderEntry, account: Account) -> Credential:
        """The credential of this account, good now. Raises :class:`UpstreamError`, of which nothing was sent."""
        held = self._built.get(account.id)
        if held is None or held[0] is not account:
            held = (account, self._build(entry, account))
            self._built[account.id] = held
        living = self._living.get(account.id)
        if living is not None:
            await living.ready()
        return held[1]

    def forget(self, account_ids: set[str]) -> None:
        """Let go of accounts that are no longer there."""
        for account_id in account_ids:
            self._built.pop(account_id, None)
            self._living.pop(account_id, None)
        self._gather()

    async def aclose(self) -> None:
        """Wait for renewals under way: what they have spent is lost if they do not come to their end."""
        await asyncio.gather(*(living.settled() for living in self._living.values()))
        if self.renewals is not None:
            await self.renewals.aclose()

    def _build(self, entry: ProviderEntry, account: Account) -> Credential:
        if entry.renews is None or self.renewals is None:
            self._living.pop(account.id, None)
            return Credential(_auth(entry, account), list(secrets_of(account.credential)))
        try:
            living = _Living(entry, entry.renews, account, self.renewals, self._gather)
        except (Exception, SystemExit):
            log.exception("the auth strategy %s cannot tell the token's end of %s", entry.strategy_name, account.id)
            raise _unusable() from None
        self._living[account.id] = living
        return Credential(_LivingAuth(living), living.secrets)

    def _gather(self) -> None:
        self._tokens = tuple(secret for living in self._living.values() for secret in living.secrets)


class _Living:
    """One account's tokens, as this process holds them. Time is monotonic here: wall clocks jump."""

    def __init__(
        self,
        entry: ProviderEntry,
        strategy: RenewsTokens,
        account: Account,
        renewals: Renewals,
        changed: Callable[[], None],
    ) -> None:
        self.entry = entry
        self.secrets: list[Secret] = list(secrets_of(account.credential))
        self._renewals = renewals
        self._changed = changed
        self._task: asyncio.Task[None] | None = None
        self._failure: UpstreamError | None = None
        self._failures = 0
        self._again_at = -math.inf
        self._generation: int | None = None
        self._born = self._ends = self._due = -math.inf
        self._hold(account, strategy.expires_at(account.credential))

    async def ready(self) -> None:
        """Return once the token is good. Raises :class:`UpstreamError`."""
        now = time.monotonic()
        if now < self._due:
            return
        if now < self._ends:
            if now >= self._again_at:
                self._begin()
            return
        if now < self._again_at and self._failure is not None:
            raise self._told(self._failure)
        await self.renew()

    async def replace(self, used: Account) -> bool:
        """Whether there is another token than the one that ``used`` has, which an upstream has just refused."""
        if self.account is used and time.monotonic() - self._born > _YOUNG:
            try:
                await self.renew()
            except UpstreamError as error:
                if error.scope == "outbound_proxy":
                    # The refusal has come by the same way out, and the renewal has said of it what there is to say.
                    error.scope = "account"
                raise
        return self.account is not used

    async def renew(self) -> None:
        """Renew, or wait for the renewal that is under way. Whoever stops waiting does not stop it."""
        await asyncio.shield(self._begin())
        if self._failure is not None:
            raise self._told(self._failure)

    async def settled(self) -> None:
        """Wait for the renewal that is under way, if any."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def _begin(self) -> asyncio.Task[None]:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"renew {self.account.id}")
        return self._task

    async def _run(self) -> None:
        try:
            renewed = await self._renewals.renew(self.entry, self.account, self._generation)
            self._take(renewed)
        except UpstreamError as error:
            self._fail(error)
        except GatewayError as error:
            self._fail(UpstreamError(ErrorKind.UNAVAILABLE, f"the token cannot be renewed: {error.message}"))
        except (Exception, SystemExit):
            log.exception("renewing the token of the account %s failed", self.account.id)
            self._fail(UpstreamError(ErrorKind.UNAVAILABLE, "the token cannot be renewed"))

    def _take(self, renewed: Renewed) -> None:
        auth = _auth(self.entry, renewed.account)
        self._generation, self._born = renewed.generation, time.monotonic()
        self._failure, self._failures, self._again_at = None, 0, -math.inf
        fresh = secrets_of(renewed.account.credential)
        # Those before stay for one more round: calls are under way that were signed with them.
        self.secrets[:] = dict.fromkeys((*fresh, *secrets_of(self.account.credential)))
        self._hold(renewed.account, renewed.expires_at, auth)
        self._ends, self._due = max(self._ends, self._born + _YOUNG), max(self._due, self._born + _YOUNG)
        self._changed()

    def _hold(self, account: Account, expires_at: datetime | None, auth: httpx.Auth | None = None) -> None:
        self.account, self._flow = account, auth
        if expires_at is None:
            self._ends = self._due = math.inf
            return
        left = (expires_at - datetime.now(UTC)).total_seconds()
        self._ends = time.monotonic() + left
        # Not all processes at the same moment.
        self._due = self._ends - min(_AHEAD, max(left, 0) / 2) * random.uniform(0.8, 1.0)  # noqa: S311

    def auth(self) -> httpx.Auth:
        """The flow that signs with the token of now."""
        if self._flow is None:
            self._flow = _auth(self.entry, self.account)
        return self._flow

    def _fail(self, error: UpstreamError) -> None:
        self._failures += 1
        longest = _LONGEST_WITHOUT_A_WAY if error.scope == "outbound_proxy" else _LONGEST_PAUSE
        pause = min(longest, 2.0 ** min(self._failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311
        self._again_at = time.monotonic() + (error.retry_after or pause)
        self._failure = error
        log.warning("the token of the account %s was not renewed: %s", self.account.id, error.message)

    def _told(self, error: UpstreamError) -> UpstreamError:
        """For the call that waits: nothing of it was sent, and the account rests until it is worth another try."""
        if isinstance(error, LoginNeededError):
            return LoginNeededError(error.message, status=error.status, code=error.code)
        return UpstreamError(
            error.kind if error.retryable else ErrorKind.UNAVAILABLE,
            error.message,
            scope="outbound_proxy" if error.scope == "outbound_proxy" else "account",
            retry_after=max(1.0, self._again_at - time.monotonic()),
            dispatched=False,
            status=error.status,
            code=error.code,
        )


class _LivingAuth(PlainAuth):
    """Signs with the token of now, and once more with another one when that is refused."""

    def __init__(self, living: _Living) -> None:
        self._living = living

    @property
    @override
    def requires_response_body(self) -> bool:  # type: ignore[override]
        """As the strategy's own flow has it."""
        return self._living.auth().requires_response_body

    @override
    def plain(self) -> HeaderAuth | None:
        """The header with the token of now, if the strategy's own flow is no more than that."""
        auth = self._living.auth()
        return auth if isinstance(auth, HeaderAuth) else None

    @override
    async def replacement(self, refused: HeaderAuth) -> HeaderAuth | None:
        """The header with another token, if there is one."""
        living = self._living
        if living.auth() is refused and not await living.replace(living.account):
            return None
        return self.plain()

    @override
    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        for _ in range(2):
            used, status = self._living.account, 0
            async with aclosing(self._living.auth().async_auth_flow(request)) as flow:
                asked = await anext(flow)
                while True:
                    response = yield asked
                    status = response.status_code
                    try:
                        asked = await flow.asend(response)
                    except StopAsyncIteration:
                        break
            if status != 401 or not await self._living.replace(used):
                return


def _auth(entry: ProviderEntry, account: Account) -> httpx.Auth:
    """A strategy may raise anything; that is this account's trouble alone, and another one may take the call."""
    try:
        return entry.strategy.auth(account)
    except (Exception, SystemExit):
        log.exception("the auth strategy %s cannot use the account %s", entry.strategy_name, account.id)
        raise _unusable() from None


def _unusable() -> UpstreamError:
    message = "the credential of the account cannot be used"
    return UpstreamError(ErrorKind.CREDENTIAL, message, scope="account", dispatched=False)
