"""What storage takes and gives: frozen values. No database object ever leaves the package, and every time is aware."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

import attrs

from aigateway_core.storage.rows.mappings import MappingPatch as MappingPatch
from aigateway_core.storage.rows.mappings import NewMapping as NewMapping
from aigateway_core.storage.rows.mappings import StoredMapping as StoredMapping
from aigateway_core.storage.rows.rests import AccountRest as AccountRest
from aigateway_core.storage.rows.unset import UNSET as UNSET
from aigateway_core.storage.rows.unset import Unset as Unset

RowT = TypeVar("RowT")


Role: TypeAlias = Literal["client", "admin"]

Status: TypeAlias = Literal["active", "needs_login", "banned", "disabled"]
"""What is stored about an account's standing with its vendor, and is not told by anything else of it."""

EgressKind: TypeAlias = Literal["pool", "direct"]
"""How an account goes out: by an outbound proxy of the pool when there is one, or past it because somebody said so."""

ProxyProtocol: TypeAlias = Literal["http", "https", "socks5"]
HealthStatus: TypeAlias = Literal["healthy", "degraded", "down"]

Problem: TypeAlias = Literal["crypto_error"]
"""Why a row cannot be used: ``crypto_error``, its secrets do not open with this master key in this row."""


@attrs.frozen(kw_only=True)
class Actor:
    """Who makes a change, for the audit log: the public part of a key, ``cli`` or ``system``; and in which request."""

    id: str
    request_id: str | None = None


SYSTEM: Final = Actor(id="system")
"""The gateway itself."""


@attrs.frozen(kw_only=True)
class Page(Generic[RowT]):
    """Some of the rows that were asked for; ``total`` counts all of them."""

    rows: tuple[RowT, ...]
    total: int


@attrs.frozen(kw_only=True)
class StoredProvider:
    """What an operator stored about a provider. None and empty mean: as its plugin has it."""

    id: str
    name: str
    base_url: str | None
    auth_type: str | None
    auth_strategy: str | None
    supported_models: tuple[str, ...]
    is_active: bool
    config: Mapping[str, Any] = attrs.field(repr=False)
    created_at: datetime
    updated_at: datetime


@attrs.frozen(kw_only=True)
class ProviderPatch:
    """The fields of a provider to change."""

    name: str | Unset = UNSET
    base_url: str | Unset | None = UNSET
    auth_type: str | Unset | None = UNSET
    auth_strategy: str | Unset | None = UNSET
    supported_models: tuple[str, ...] | Unset = UNSET
    is_active: bool | Unset = UNSET
    config: Mapping[str, Any] | Unset = attrs.field(default=UNSET, repr=False)


@attrs.frozen(kw_only=True)
class StoredAccount:
    """An account with its secrets opened.

    When they do not open, ``problem`` says so, ``auth_data`` and ``proxy_url`` are None, and the account must not be
    used: it may have been bound to an outbound proxy that cannot be read any more. ``auth_generation`` counts how often
    ``auth_data`` was written. ``status_remedy`` is what its owner has to do, if somebody said.
    """

    id: str
    provider_id: str
    label: str
    auth_data: Mapping[str, Any] | None = attrs.field(repr=False)
    metadata: Mapping[str, Any] = attrs.field(repr=False)
    is_active: bool
    proxy_url: str | None = attrs.field(repr=False)
    proxy_id: int | None
    egress: EgressKind
    expires_at: datetime | None
    last_used_at: datetime | None
    usage_count: int
    created_at: datetime
    updated_at: datetime
    status: Status = "active"
    status_reason: str | None = None
    status_until: datetime | None = None
    status_remedy: str | None = None
    auth_generation: int = 0
    problem: Problem | None = None


@attrs.frozen(kw_only=True)
class NewAccount:
    """An account to be stored; ``id`` when it had to be known beforehand."""

    id: str | None = None
    provider_id: str
    auth_data: Mapping[str, Any] = attrs.field(repr=False)
    label: str = ""
    metadata: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    is_active: bool = True
    proxy_url: str | None = attrs.field(default=None, repr=False)
    egress: EgressKind = "pool"
    expires_at: datetime | None = None


@attrs.frozen(kw_only=True)
class AccountPatch:
    """The fields of an account to change."""

    label: str | Unset = UNSET
    auth_data: Mapping[str, Any] | Unset = attrs.field(default=UNSET, repr=False)
    metadata: Mapping[str, Any] | Unset = attrs.field(default=UNSET, repr=False)
    is_active: bool | Unset = UNSET
    proxy_url: str | Unset | None = attrs.field(default=UNSET, repr=False)
    egress: EgressKind | Unset = UNSET
    expires_at: datetime | Unset | None = UNSET


@attrs.frozen(kw_only=True)
class StoredProxy:
    """An outbound proxy of the pool.

    ``max_accounts`` is how many accounts may be bound to it (0: any number) and ``current_accounts`` how many are;
    ``max_failures`` None means: as the settings have it. ``success_rate`` is a share of 1 and ``avg_latency_ms`` the
    time to a usable connection, both weighted towards the newest; None before anything was seen. When the URL does not
    open, ``problem`` says so and ``url`` is empty: nothing goes out by it then.
    """

    id: int
    url: str = attrs.field(repr=False)
    protocol: ProxyProtocol
    is_active: bool
    health_status: HealthStatus
    max_accounts: int
    current_accounts: int
    priority: int
    weight: int
    consecutive_failures: int
    max_failures: int | None
    success_rate: float | None
    avg_latency_ms: int | None
    last_checked_at: datetime | None
    last_used_at: datetime | None
    usage_count: int
    created_at: datetime
    updated_at: datetime
    problem: Problem | None = None


@attrs.frozen(kw_only=True)
class NewProxy:
    """An outbound proxy to be stored. ``weight`` is kept for strategies other than filling first, which ignores it."""

    url: str = attrs.field(repr=False)
    is_active: bool = True
    max_accounts: int = 0
    priority: int = 0
    weight: int = 1
    max_failures: int | None = None


@attrs.frozen(kw_only=True)
class ProxyPatch:
    """The fields of an outbound proxy to change."""

    url: str | Unset = attrs.field(default=UNSET, repr=False)
    is_active: bool | Unset = UNSET
    max_accounts: int | Unset = UNSET
    priority: int | Unset = UNSET
    weight: int | Unset = UNSET
    max_failures: int | Unset | None = UNSET


@attrs.frozen(kw_only=True)
class ProxyHealth:
    """What was seen of an outbound proxy."""

    health_status: HealthStatus
    consecutive_failures: int
    success_rate: float | None
    avg_latency_ms: int | None
    last_checked_at: datetime | None


@attrs.frozen(kw_only=True)
class KeyTerms:
    """What a key opens, and how often: None is everything, and as often as one likes.

    ``providers``, ``models`` and ``accounts`` are lists of ids; a model may end with ``*``. ``concurrency`` is how many
    requests may be under way at a time.
    """

    providers: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    accounts: tuple[str, ...] | None = None
    requests_per_minute: int | None = None
    concurrency: int | None = None


@attrs.frozen(kw_only=True)
class KeyPatch:
    """The fields of a key to change."""

    name: str | Unset = UNSET
    expires_at: datetime | Unset | None = UNSET
    providers: tuple[str, ...] | Unset | None = UNSET
    models: tuple[str, ...] | Unset | None = UNSET
    accounts: tuple[str, ...] | Unset | None = UNSET
    requests_per_minute: int | Unset | None = UNSET
    concurrency: int | Unset | None = UNSET


@attrs.frozen(kw_only=True)
class StoredKey:
    """A key of the gateway's own. ``id`` is its public part; the key itself is not stored, only ``hash``."""

    id: str
    name: str
    role: Role
    hash: str = attrs.field(repr=False)
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    expires_at: datetime | None
    updated_at: datetime
    terms: KeyTerms = KeyTerms()

    def is_valid(self, at: datetime) -> bool:
        """Whether the key opens anything at this time: neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


@attrs.frozen(kw_only=True)
class CallQuery:
    """Which call records to read, newest first.

    ``since`` is included and ``until`` is not; ``before`` is the id of a record that only older ones are to follow.
    """

    provider_id: str | None = None
    account_id: str | None = None
    model: str | None = None
    outcome: str | None = None
    client_key_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: str | None = None
    limit: int = 100
    offset: int = 0


@attrs.frozen(kw_only=True)
class CallSums:
    """What calls add up to. ``name`` is what they have in common; ``latencies`` counts them by bucket.

    Of the calls that are ``errors`` none was left by its client: that is nobody's fault.
    """

    name: str
    requests: int
    errors: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    latency_ms: int
    latencies: tuple[int, ...]


@attrs.frozen(kw_only=True)
class ProxyDay:
    """What an outbound proxy carried for a provider on one day (UTC); a request is an attempt that went by it."""

    proxy_id: int
    provider_id: str
    date: date
    request_count: int
    success_count: int
    error_count: int
    total_latency_ms: int


@attrs.frozen(kw_only=True)
class AuditEntry:
    """One change: who did what to which thing. ``detail`` shows secrets as fingerprints only."""

    id: int
    created_at: datetime
    actor: str
    action: str
    entity: str
    entity_id: str
    detail: Mapping[str, Any]
    request_id: str | None


@attrs.frozen(kw_only=True)
class SnapshotRows:
    """All that the request path needs to know, as it stood at one moment; ``keys`` are those valid at that moment.

    ``bindings`` say which outbound proxy an account goes out by, accounts of the configuration file included.
    ``client_keys_exist`` is true once there was a client key, be it that none is valid any more; ``mappings`` are those
    that are switched on, and ``rests`` those that hold.
    """

    version: int
    providers: tuple[StoredProvider, ...]
    accounts: tuple[StoredAccount, ...]
    keys: tuple[StoredKey, ...]
    proxies: tuple[StoredProxy, ...] = ()
    bindings: Mapping[str, int] = attrs.field(factory=dict)
    client_keys_exist: bool = False
    mappings: tuple[StoredMapping, ...] = ()
    rests: tuple[AccountRest, ...] = ()
