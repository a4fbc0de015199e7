"""What vendors' refusals are held against: the check for a table of real ones, whichever vendor it is of."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, TypeAlias

import attrs

from aigateway_core.accounts import AccountSelector
from aigateway_core.errors import ErrorKind, Scope, UpstreamError, UpstreamFailure
from aigateway_core.records import Account
from aigateway_core.routing import Route
from aigateway_core.snapshot import CurrentSnapshot, Snapshot
from aigateway_core.state import one_model
from aigateway_core.state.memory import MemoryState

NOTHING = (0.0, 0.0)
FOR_GOOD = math.inf


def model(seconds: float) -> tuple[float, float]:
    """The account rests for this model alone."""
    return seconds, 0.0


def account(seconds: float) -> tuple[float, float]:
    """The account rests for every model."""
    return seconds, seconds


Verdict: TypeAlias = tuple[ErrorKind, Scope, tuple[float, float]]
INVALID: Verdict = (ErrorKind.INVALID_REQUEST, "request", NOTHING)
TOO_LONG: Verdict = (ErrorKind.CONTEXT_LENGTH, "request", NOTHING)
TOO_LARGE: Verdict = (ErrorKind.TOO_LARGE, "request", NOTHING)
FILTERED: Verdict = (ErrorKind.CONTENT_FILTER, "request", NOTHING)
NO_MODEL: Verdict = (ErrorKind.MODEL_NOT_FOUND, "request", NOTHING)
NO_PERMISSION: Verdict = (ErrorKind.CREDENTIAL, "request", NOTHING)
OVERLOADED: Verdict = (ErrorKind.OVERLOADED, "request", NOTHING)
BROKEN: Verdict = (ErrorKind.SERVER, "request", NOTHING)
BAD_KEY: Verdict = (ErrorKind.CREDENTIAL, "account", account(300))
BANNED: Verdict = (ErrorKind.BANNED, "account", account(FOR_GOOD))
NO_MONEY: Verdict = (ErrorKind.QUOTA, "account", account(1800))
UNPAID: Verdict = (ErrorKind.QUOTA, "account", account(FOR_GOOD))


def limited(seconds: float) -> Verdict:
    """A limit of this model that holds for so long."""
    return (ErrorKind.RATE_LIMIT, "model", model(seconds))


@attrs.frozen
class Refusal:
    """An answer, what it means, and for how many seconds the account rests: for this model, and for another."""

    title: str
    status: int
    body: Any
    verdict: Verdict
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def __str__(self) -> str:
        return self.title

    def check(self, classify: Callable[[UpstreamFailure], UpstreamError]) -> None:
        """Assert that it is judged, and costs the account, what stands here."""
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        error = classify(UpstreamFailure(self.status, self.headers, body))
        kind, scope, cooled = self.verdict
        assert (error.kind, error.scope) == (kind, scope), error
        for found, expected in zip(_rests(error), cooled, strict=True):
            assert found == expected or abs(found - expected) < 2, (found, expected)


def _rests(error: UpstreamError) -> tuple[float, float]:
    """How long an account rests after it, for the model that was asked for and for another."""
    snapshot, state = CurrentSnapshot(), MemoryState()
    asked = Account(id="a", provider_id="p")
    snapshot.value = Snapshot(accounts={"p": (asked,)})
    provider: Any = SimpleNamespace(id="p")
    AccountSelector(snapshot, state).punish(Route(provider, "m", "m"), asked, error)
    rests = (state.cooldown("a", one_model(name)) for name in ("m", "another"))
    this, other = (0.0 if rest is None else rest.until - time.time() for rest in rests)
    return this, other
