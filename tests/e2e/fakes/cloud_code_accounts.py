"""The accounts that a fake Cloud Code knows, and how they are let in."""

from __future__ import annotations

import time
from collections.abc import Iterator, Set
from typing import Protocol

import attrs
from e2e.fakes import chat_wire, cloud_code_models
from e2e.fakes.vendor import Exchange, JsonObject, Problem

FREE_TIER: JsonObject = {"id": "free-tier", "name": "Example free", "isDefault": True}
STANDARD_TIER: JsonObject = {"id": "standard-tier", "userDefinedCloudaicompanionProject": True}


class Tokens(Protocol):
    """Who knows the access tokens: an identity provider."""

    def identity_of(self, access_token: str) -> str | None:
        """The e-mail address of whom this token lets in now."""


@attrs.frozen
class Left:
    """What is left of a quota: a fraction (None: Google says only when it comes back), and when that is (seconds)."""

    fraction: float | None
    reset: float


@attrs.define(kw_only=True, eq=False)
class CloudAccount:
    """``project`` None: it has none until somebody has boarded it, which ``polls`` answers long is not yet done and
    then gives it ``grants``. ``as_object``: how the project is told. ``left`` is by quota group; of the others nothing
    has been used. ``strict_models``: its models are not told to those who name a project."""

    email: str
    project: str | None = None
    grants: str | None = "example-proj-granted"
    polls: int = 2
    as_object: bool = False
    current_tier: JsonObject | None = FREE_TIER
    paid_tier: JsonObject | None = None
    allowed_tiers: tuple[JsonObject, ...] = (FREE_TIER, STANDARD_TIER)
    ineligible_tiers: tuple[JsonObject, ...] = ()
    left: dict[str, Left] = attrs.field(factory=dict)
    strict_models: bool = False
    boarded_as: list[str] = attrs.field(factory=list)

    def exhaust(self, quota_group: str, seconds: float) -> None:
        """From now on nothing is left of this quota, for so many seconds: its models refuse, and it shows."""
        self.left[quota_group] = Left(None, time.time() + seconds)

    def quota(self, name: str) -> Left:
        """What is left for a model."""
        return self.left.get(cloud_code_models.model(name).quota_group, Left(1.0, time.time() + 5 * 3600))

    def exhausted_for(self, name: str) -> float:
        """For how many seconds nothing is left for a model; negative when something is."""
        left = self.quota(name)
        return round(left.reset - time.time(), 3) if left.fraction is None else -1.0


class Accounts(set[str]):
    """The tokens that are good now, and whose they are: those of ``identities``, and those that were given by hand."""

    def __init__(self, identities: Tokens | None = None) -> None:
        super().__init__()
        self._identities = identities
        self._given: dict[str, str] = {}
        self.by_email: dict[str, CloudAccount] = {}

    def put(self, account: CloudAccount, token: str | None) -> None:
        """Know an account, and a token that is good for ever."""
        self.by_email[account.email] = account
        if token is not None:
            self._given[token] = account.email

    def owner(self, token: str) -> str | None:
        """The e-mail address of whom a token lets in."""
        return self._given.get(token) or (self._identities.identity_of(token) if self._identities else None)

    def __contains__(self, token: object) -> bool:
        return isinstance(token, str) and self.owner(token) in self.by_email


def authenticate(exchange: Exchange, keys: Set[str]) -> Problem | None:
    """Why this token lets nobody in."""
    scheme, _, token = exchange.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or token not in keys:
        return Problem("Request had invalid authentication credentials.", status=401)
    return None


def header_problems(exchange: Exchange) -> Iterator[Problem]:
    """What is wrong with the headers of a request."""
    if "x-goog-user-project" in exchange.headers:
        project = exchange.headers["x-goog-user-project"]
        message = f"Cloud Code API has not been used in project {project} before or it is disabled."
        yield Problem(message, where="x-goog-user-project", code="SERVICE_DISABLED", status=403)
    foreign = ("x-api-key", "x-goog-api-key", "anthropic-version", "anthropic-beta", "openai-organization")
    yield from chat_wire.header_problems(exchange.headers, foreign)


def project_problems(shown: object, own: str | None) -> Iterator[Problem]:
    """Why a request may not be charged to the project that it names."""
    if not shown or not isinstance(shown, str):
        yield Problem("Invalid project resource name projects/", where="project")
    elif shown != own:
        yield Problem(f"Permission denied on resource project {shown}.", where="project", status=403)
