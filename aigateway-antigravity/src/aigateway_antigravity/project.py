"""Finding the Cloud project that an account's requests belong to: ``loadCodeAssist``, ``onboardUser`` for who is new.

A login finds it and stores it with the account. Where it is missing, it is looked for before a request, once for all
requests of the account that wait, and stored as well; after a failure not again for a while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from aigateway_antigravity.config import AntigravityConfig
from aigateway_antigravity.methods import ask
from aigateway_core.plugin import ErrorKind, JsonObject, LoginNeededError, Upstream, UpstreamError

log = logging.getLogger(__name__)

METADATA: Mapping[str, str] = {"ideType": "ANTIGRAVITY"}
"""Who asks. All programs that speak this protocol say so, and the methods want to hear it."""

FREE = "free-tier"

COOLDOWN = 300.0
"""Seconds after a failure in which the same account does not ask again."""

_PATIENCE = 10.0
"""Seconds that a request waits for its project. Looking for it goes on without the request."""

_SOON = 5.0
_LONGEST_TEXT = 500
_LONGEST_URL = 2000


@attrs.frozen(kw_only=True)
class Discovery:
    """What was found out about an account: its project, and its tier as Google calls that."""

    project: str
    tier: str | None = None

    @property
    def metadata(self) -> dict[str, str]:
        """What is stored with the account."""
        return {"project": self.project, **({"tier": self.tier} if self.tier else {})}


@attrs.frozen
class _Failure:
    error: UpstreamError
    until: float


class Projects:
    """The projects of all accounts, as this process knows them.

    A new account's project is asked for at most ``polls`` times at a host, every ``interval`` seconds, and no search
    takes longer than ``longest`` seconds.
    """

    def __init__(
        self,
        config: AntigravityConfig,
        *,
        polls: int = 10,
        interval: float = 5.0,
        longest: float = 90.0,
        patience: float = _PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._polls = polls
        self._interval = interval
        self._longest = longest
        self._patience = patience
        self._clock = clock
        self._found: dict[str, str] = {}
        self._failed: dict[str, _Failure] = {}
        self._searches: dict[str, asyncio.Task[None]] = {}

    async def of(self, upstream: Upstream) -> str:
        """The project of this account: as stored, as found before, or as found now.

        Raises :class:`UpstreamError`, of which nothing was sent, when the account has none that is known.
        """
        stored = _trimmed(upstream.metadata.get("project"))
        found = stored or self._found.get(upstream.account_id)
        return found or await self._search(upstream)

    async def _search(self, upstream: Upstream) -> str:
        """Wait for the search that is under way, or begin one. Whoever stops waiting does not stop it."""
        account = upstream.account_id
        failure = self._failed.get(account)
        if failure is not None and self._clock() < failure.until:
            raise self._told(failure)
        task = self._searches.get(account)
        if task is None:
            task = self._searches[account] = asyncio.create_task(self._run(upstream), name=f"project of {account}")
        await asyncio.wait([task], timeout=self._patience)
        if (project := self._found.get(account)) is not None:
            return project
        if not task.done():
            message = "the account's project is being looked for"
            raise UpstreamError(ErrorKind.UNAVAILABLE, message, scope="account", retry_after=_SOON, dispatched=False)
        raise self._told(self._failed[account])

    async def _run(self, upstream: Upstream) -> None:
        account = upstream.account_id
        try:
            found = await self.discover(upstream)
            self._found[account] = found.project
            upstream.remember(found.metadata)
            self._failed.pop(account, None)
            log.info("the project of the account %s was found", account)
        except UpstreamError as error:
            self._fail(account, error)
        except Exception:
            log.exception("looking for the project of the account %s failed inside the gateway", account)
            self._fail(account, UpstreamError(ErrorKind.INTERNAL, "the gateway failed; its log says why"))
        finally:
            del self._searches[account]

    def _fail(self, account: str, error: UpstreamError) -> None:
        self._failed[account] = _Failure(error, self._clock() + _rest(error))
        log.warning("the account %s has no project: %s", account, error.message)

    def _told(self, failure: _Failure) -> UpstreamError:
        """For a call that waited: nothing of it was sent, and the account rests until it is worth another try."""
        error = failure.error
        if isinstance(error, LoginNeededError):
            return LoginNeededError(error.message, status=error.status, code=error.code)
        certain = error.remedy is not None or error.kind in (ErrorKind.BANNED, ErrorKind.CREDENTIAL)
        message = (
            f"the account has no project, without which Google answers nothing: {error.message}. "
            "Log in again, or store one as project in the account's metadata"
        )
        return UpstreamError(
            error.kind if certain else ErrorKind.UNAVAILABLE,
            message,
            scope="outbound_proxy" if error.scope == "outbound_proxy" else "account",
            retry_after=max(1.0, failure.until - self._clock()),
            dispatched=False,
            status=error.status,
            code=error.code,
            remedy=error.remedy,
        )

    # -- asking Google

    async def discover(self, upstream: Upstream) -> Discovery:
        """Ask for the project, and have one made for an account that is new.

        Raises :class:`UpstreamError`; with a ``remedy`` where the account's owner has to do something first.
        """
        try:
            async with asyncio.timeout(self._longest):
                return await self._discovered(upstream)
        except TimeoutError:
            message = f"Google did not name a project within {self._longest:g} seconds"
            raise UpstreamError(ErrorKind.TIMEOUT, message) from None

    async def _discovered(self, upstream: Upstream) -> Discovery:
        told = await ask(self._config, upstream, "loadCodeAssist", {"metadata": METADATA})
        if (project := named(told)) is not None:
            return Discovery(project=project, tier=shown_tier(told))
        if (refusal := _ineligible(told)) is not None:
            raise refusal
        tier = tier_to_join(told)
        if tier.get("userDefinedCloudaicompanionProject") is True and self._config.project is None:
            remedy = f"its tier {tier['id']} asks for a project of your own: set providers.antigravity.project"
            raise _unusable("the account has no project", remedy)
        project = await self._onboarded(upstream, str(tier["id"]))
        return Discovery(project=project, tier=shown_tier(told) or str(tier["id"]))

    async def _onboarded(self, upstream: Upstream, tier: str) -> str:
        """The project that Google makes for the account. The same question asks for it, and how far it has come."""
        question: JsonObject = {"tierId": tier, "metadata": METADATA}
        own = self._config.project if tier != FREE else None
        if own is not None:
            # With the free tier, which brings its own, this fails as "Precondition Failed".
            question["cloudaicompanionProject"] = own
        for number in range(self._polls):
            if number:
                await asyncio.sleep(self._interval)
            told = await ask(self._config, upstream, "onboardUser", question)
            if told.get("done") is True:
                return _made(told) or own or _nothing_came()
        raise UpstreamError(ErrorKind.TIMEOUT, "Google has not finished making a project for the account")


def _rest(error: UpstreamError) -> float:
    """How long nobody asks again, in seconds."""
    if error.scope == "outbound_proxy":
        # What never left the proxy troubles Google as little as it will next time.
        return 0.0
    if error.remedy is not None or error.kind is ErrorKind.BANNED:
        # The account is put out of use: whoever asks after this moment has mended it.
        return _SOON
    return max(COOLDOWN, error.retry_after or 0.0)


# -- what Google says


def named(told: JsonObject) -> str | None:
    """The project in an answer: a text, or an object with an ``id``, under one of three names."""
    for name in ("cloudaicompanionProject", "projectId", "project"):
        value = told.get(name)
        found = _trimmed(value.get("id") if isinstance(value, dict) else value)
        if found is not None:
            return found
    return None


def shown_tier(told: JsonObject) -> str | None:
    """The tier that a person would say the account has: what was paid for comes first."""
    tiers = (told.get("paidTier"), told.get("currentTier"), _default_tier(told))
    return next(filter(None, map(_id, tiers)), None)


def tier_to_join(told: JsonObject) -> JsonObject:
    """The tier that a new account joins, with its ``id``. One that is paid for is bought, not joined."""
    paid = _id(told.get("paidTier"))
    for tier in (_default_tier(told), told.get("currentTier")):
        if isinstance(tier, dict) and (name := _id(tier)) is not None and name != paid:
            return {**tier, "id": name}
    return {"id": FREE}


def _default_tier(told: JsonObject) -> Any:
    return next((tier for tier in _objects(told.get("allowedTiers")) if tier.get("isDefault") is True), None)


def _ineligible(told: JsonObject) -> UpstreamError | None:
    """Why the account may join no tier, in Google's words, if that is so."""
    if _objects(told.get("allowedTiers")) or _id(told.get("currentTier")):
        return None
    for tier in _objects(told.get("ineligibleTiers")):
        reason = _text(tier.get("reasonMessage")) or _text(tier.get("reasonCode")) or "Google names no reason"
        url = tier.get("validationUrl")
        return _unusable("Google does not admit the account", f"{reason} {url}" if _visitable(url) else reason)
    return None


def _made(operation: JsonObject) -> str | None:
    """The project that a finished operation brought. Raises :class:`UpstreamError` when it failed."""
    failure = operation.get("error")
    if isinstance(failure, dict):
        reason = _text(failure.get("message")) or "without a reason"
        raise UpstreamError(ErrorKind.CREDENTIAL, f"Google made no project for the account: {reason}", scope="account")
    answer = operation.get("response")
    return named(answer) if isinstance(answer, dict) else None


def _nothing_came() -> str:
    message = "Google made no project for the account, and does not say why"
    raise UpstreamError(ErrorKind.CREDENTIAL, message, scope="account")


def _unusable(message: str, remedy: str) -> UpstreamError:
    return UpstreamError(ErrorKind.CREDENTIAL, message, scope="account", remedy=remedy)


def _objects(value: Any) -> Sequence[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _id(tier: Any) -> str | None:
    return _trimmed(tier.get("id")) if isinstance(tier, dict) else None


def _trimmed(value: Any) -> str | None:
    """Text that may go into a request."""
    text = value.strip() if isinstance(value, str) else ""
    return text if text and text.isprintable() and len(text) <= _LONGEST_TEXT else None


def _text(value: Any) -> str | None:
    """Text that may be shown to a person."""
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return "".join(filter(str.isprintable, text))[:_LONGEST_TEXT] or None


def _visitable(url: Any) -> bool:
    is_text = isinstance(url, str) and url.isascii() and url.isprintable() and " " not in url
    return is_text and url.startswith("https://") and len(url) <= _LONGEST_URL
