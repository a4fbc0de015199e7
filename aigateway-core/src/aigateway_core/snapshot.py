"""The hot path's view of what is stored: immutable, in memory, swapped as a whole when something changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias

import attrs

from aigateway_core.dialects.dialect import Classify
from aigateway_core.plugin.auth import AuthStrategy, LogsIn, RenewsTokens
from aigateway_core.plugin.provider import (
    ClassifiesErrors,
    CountsTokens,
    DeclaresLosses,
    DescribesModels,
    MendsRequests,
    Provider,
    ReportsQuota,
    SpeaksNatively,
)
from aigateway_core.records import Account, Caller, Target


@attrs.frozen(kw_only=True, eq=False)
class ProviderEntry:
    """A provider as configured and built: ``id`` is its name in the configuration, ``kind`` the plugin's name."""

    id: str
    kind: str
    title: str
    provider: Provider
    strategy: AuthStrategy
    strategy_name: str
    priority: int = 0
    risk: str | None = None
    advice: str | None = None
    # What the provider can do besides is asked once here: an isinstance check against a Protocol is slow.
    native: SpeaksNatively | None = attrs.field(init=False)
    errors: ClassifiesErrors | None = attrs.field(init=False)
    declares: DeclaresLosses | None = attrs.field(init=False)
    counts: CountsTokens | None = attrs.field(init=False)
    mends: MendsRequests | None = attrs.field(init=False)
    describes: DescribesModels | None = attrs.field(init=False)
    reports: ReportsQuota | None = attrs.field(init=False)
    renews: RenewsTokens | None = attrs.field(init=False)
    logs_in: LogsIn | None = attrs.field(init=False)
    classify: Classify | None = attrs.field(init=False)
    """How the provider judges a refusal, if it does."""

    @native.default
    def _native(self) -> SpeaksNatively | None:
        return self.provider if isinstance(self.provider, SpeaksNatively) else None

    @errors.default
    def _errors(self) -> ClassifiesErrors | None:
        return self.provider if isinstance(self.provider, ClassifiesErrors) else None

    @declares.default
    def _declares(self) -> DeclaresLosses | None:
        return self.provider if isinstance(self.provider, DeclaresLosses) else None

    @counts.default
    def _counts(self) -> CountsTokens | None:
        return self.provider if isinstance(self.provider, CountsTokens) else None

    @mends.default
    def _mends(self) -> MendsRequests | None:
        return self.provider if isinstance(self.provider, MendsRequests) else None

    @describes.default
    def _describes(self) -> DescribesModels | None:
        return self.provider if isinstance(self.provider, DescribesModels) else None

    @reports.default
    def _reports(self) -> ReportsQuota | None:
        return self.provider if isinstance(self.provider, ReportsQuota) else None

    @renews.default
    def _renews(self) -> RenewsTokens | None:
        return self.strategy if isinstance(self.strategy, RenewsTokens) else None

    @logs_in.default
    def _logs_in(self) -> LogsIn | None:
        return self.strategy if isinstance(self.strategy, LogsIn) else None

    @classify.default
    def _classify(self) -> Classify | None:
        return self.errors.classify_error if self.errors else None


@attrs.frozen(kw_only=True)
class KeyEntry:
    """A key that opens the gateway: its hash, until when (None: for good), and who calls with it."""

    hash: str = attrs.field(repr=False)
    caller: Caller
    expires_at: datetime | None = None


@attrs.frozen(kw_only=True)
class OutboundProxy:
    """An outbound proxy of the pool; its URL may hold a password and never shows.

    It is ``down`` when it let nobody through the last ``max_failures`` times.
    """

    id: int
    url: str = attrs.field(repr=False)
    is_active: bool = True
    health_status: Literal["healthy", "degraded", "down"] = "healthy"
    consecutive_failures: int = 0
    max_failures: int | None = None
    success_rate: float | None = None
    avg_latency_ms: int | None = None


@attrs.frozen(kw_only=True)
class OutOfUse:
    """An account that is not asked before somebody has mended it, and why."""

    provider_id: str
    status: Literal["needs_login", "banned", "disabled"]
    reason: str


Accounts: TypeAlias = Mapping[str, tuple[Account, ...]]


@attrs.frozen(kw_only=True)
class Snapshot:
    """Accounts that are active, by provider; keys that are valid, by their public part; outbound proxies, by number.

    ``client_keys_exist`` stays true when the last client key has ended: a key that opens nothing any more must not
    leave the door open to everybody. ``mappings`` are other names for models, ``switched_off`` are the ids of providers
    that serve nothing. ``out_of_use`` are accounts that would be active but for their status, by id; ``revisions`` are
    the times of the last change of stored accounts, ``editions`` what tells any account, and the way out that it is
    bound to, from what it was before a change.
    """

    version: int = -1
    accounts: Accounts = attrs.field(factory=dict)
    keys: Mapping[str, KeyEntry] = attrs.field(factory=dict)
    proxies: Mapping[int, OutboundProxy] = attrs.field(factory=dict)
    client_keys_exist: bool = False
    mappings: Mapping[str, tuple[Target, ...]] = attrs.field(factory=dict)
    switched_off: frozenset[str] = frozenset()
    out_of_use: Mapping[str, OutOfUse] = attrs.field(factory=dict)
    revisions: Mapping[str, datetime] = attrs.field(factory=dict)
    editions: Mapping[str, str] = attrs.field(factory=dict)
    by_id: Mapping[str, Account] = attrs.field(init=False, repr=False, eq=False)

    @by_id.default
    def _by_id(self) -> Mapping[str, Account]:
        return {account.id: account for accounts in self.accounts.values() for account in accounts}


class CurrentSnapshot:
    """Holds the one snapshot that counts now."""

    def __init__(self) -> None:
        self.value = Snapshot()

    def edition_of(self, account_id: str) -> str | None:
        """What tells this account from what it was before a change; None for one that is not there."""
        return self.value.editions.get(account_id)
