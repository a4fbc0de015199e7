"""Frozen values of the gateway's own that cross its layers: accounts, callers, and the record of a call."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

import attrs

from aigateway_core.errors import Scope

Operation: TypeAlias = Literal["chat", "count_tokens", "embeddings"]
"""What a client asks for: an answer, the size of a prompt, or texts as vectors."""

Outcome: TypeAlias = Literal["ok", "invalid_request", "gateway_error", "upstream_error", "client_gone", "truncated"]
"""How a call ended: answered; refused as the caller's mistake; failed inside the gateway (no account, shutting down);
failed upstream before anything was sent; left by its client; broken off after the answer had begun."""


@attrs.frozen(kw_only=True)
class Account:
    """An account as the request path and the plugins see it.

    ``credential`` is an instance of the auth strategy's own ``credential`` class; it never shows in a ``repr``.
    ``proxy_url`` is the account's own outbound proxy, if it has one; it may hold a password and never shows either.
    ``proxy_id`` is the one of the pool that it is bound to; with ``egress`` ``direct`` it goes past the pool.
    """

    id: str
    provider_id: str
    label: str = ""
    credential: Any = attrs.field(default=None, repr=False)
    metadata: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    proxy_url: str | None = attrs.field(default=None, repr=False)
    proxy_id: int | None = None
    egress: Literal["pool", "direct"] = "pool"


@attrs.frozen(kw_only=True)
class Caller:
    """Who calls, and what the key opens; ``id`` is the key's public part, ``-`` when none was needed.

    ``providers``, ``models`` and ``accounts`` are those that the key may use, by id; None is every one. A model may end
    with ``*``, which stands for whatever follows. ``requests_per_minute`` and ``concurrency`` are the key's limits.
    """

    id: str
    role: Literal["client", "admin"]
    providers: frozenset[str] | None = None
    models: frozenset[str] | None = None
    accounts: frozenset[str] | None = None
    requests_per_minute: int | None = None
    concurrency: int | None = None
    is_limited: bool = attrs.field(init=False, repr=False, eq=False)
    """Whether it may ask for so much and no more."""

    @is_limited.default
    def _is_limited(self) -> bool:
        return self.requests_per_minute is not None or self.concurrency is not None

    def may_use_model(self, *names: str) -> bool:
        """Whether the key opens a model that goes by these names."""
        if self.models is None or not self.models.isdisjoint(names):
            return True
        starts = [model[:-1] for model in self.models if model.endswith("*")]
        return any(name.startswith(start) for name in names for start in starts)


@attrs.frozen(kw_only=True)
class Target:
    """Where another name for a model leads: a provider, and that provider's own name for the model."""

    provider: str
    model: str


@attrs.frozen(kw_only=True)
class Attempt:
    """One try at an upstream. ``error_kind`` and ``scope`` are empty when it succeeded; times are in milliseconds.

    ``provider_id`` is who was asked, which may be another one than the call ended with; None in what was written down
    before attempts said so.
    """

    account_id: str
    latency_ms: int
    status_code: int | None = None
    error_kind: str | None = None
    scope: Scope | None = None
    dispatched: bool = True
    proxy_id: int | None = None
    provider_id: str | None = None


@attrs.frozen(kw_only=True)
class CallRecord:
    """What happened in one call to a client endpoint, once it is over.

    ``id`` is the gateway's own and unique, so that a batch written twice is stored once; ``request_id`` is what stands
    in the ``x-request-id`` header, which a client may choose (and repeat). Token fields follow OpenTelemetry's GenAI
    conventions (``gen_ai.usage.*``); they are None when nobody said. ``usage_source`` tells who counted.
    ``provider_id``, ``account_id`` and ``proxy_id`` are those of the last attempt. Times are in milliseconds.
    """

    id: str
    request_id: str
    created_at: datetime
    dialect: str
    client_key_id: str
    outcome: Outcome
    status_code: int
    latency_ms: int
    model: str | None = None
    upstream_model: str | None = None
    provider_id: str | None = None
    account_id: str | None = None
    proxy_id: int | None = None
    streamed: bool = False
    native: bool = False
    time_to_first_byte_ms: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    usage_source: Literal["upstream", "estimate"] | None = None
    finish_reason: str | None = None
    error_kind: str | None = None
    error: str | None = None
    attempts: tuple[Attempt, ...] = ()
    operation: Operation = "chat"


_ATTEMPT_FIELDS = frozenset(field.name for field in attrs.fields(Attempt))


def attempt_of(said: Mapping[str, Any]) -> Attempt:
    """An attempt as it was written down; fields that this version does not know are left out."""
    return Attempt(**{name: value for name, value in said.items() if name in _ATTEMPT_FIELDS})
