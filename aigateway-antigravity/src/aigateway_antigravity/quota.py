"""What an account has left, and which models it has: ``fetchAvailableModels``, and ``retrieveUserQuota`` beside it."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aigateway_antigravity.catalogue import Catalogue, is_a_model
from aigateway_antigravity.config import AntigravityConfig
from aigateway_antigravity.methods import ask
from aigateway_antigravity.project import Projects
from aigateway_core.plugin import ErrorKind, JsonObject, QuotaLeft, Upstream, UpstreamError

log = logging.getLogger(__name__)

_OFTEN = 6 * 3600.0
"""Seconds after which an account is asked again, unbidden, which models it has."""

_RARELY = 600.0
"""Seconds after which it is asked again when it did not answer."""

_LONGEST = 60.0
"""Seconds that this may take."""


class Quotas:
    """Asks, tells what is left, and lets the catalogue learn from every answer."""

    def __init__(
        self,
        config: AntigravityConfig,
        projects: Projects,
        catalogue: Catalogue,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._projects = projects
        self._catalogue = catalogue
        self._clock = clock
        self._due: dict[str, float] = {}
        self._glances: set[asyncio.Task[None]] = set()

    async def of(self, upstream: Upstream) -> Sequence[QuotaLeft]:
        """What this account has left of each of its models, by their names. Raises :class:`UpstreamError`."""
        told = await self._models(upstream)
        found = {name: model.get("quotaInfo") for name, model in _objects(told.get("models")).items()}
        if not any(isinstance(quota, dict) for quota in found.values()):
            found |= await self._buckets(upstream)
        return [self._left(name, quota) for name, quota in sorted(found.items()) if is_a_model(name)]

    def glance(self, upstream: Upstream) -> None:
        """See in the background which models this account has, unless that was done not long ago.

        For a moment at which the account has just answered. Nothing waits for it, and no failure of it is held against
        anybody.
        """
        account, now = upstream.account_id, self._clock()
        if now < self._due.get(account, -math.inf):
            return
        self._due[account] = now + _RARELY
        task = asyncio.create_task(self._glance(upstream), name=f"models of {account}")
        self._glances.add(task)
        task.add_done_callback(self._glances.discard)

    async def _glance(self, upstream: Upstream) -> None:
        try:
            async with asyncio.timeout(_LONGEST):
                await self._models(upstream)
        except (UpstreamError, TimeoutError) as error:
            log.info("the account %s does not tell its models: %s", upstream.account_id, error)
        except Exception:
            log.exception("asking for the models of the account %s failed inside the gateway", upstream.account_id)

    async def _models(self, upstream: Upstream) -> JsonObject:
        """The answer of ``fetchAvailableModels``, which the catalogue has learnt from."""
        project = await self._projects.of(upstream)
        try:
            told = await ask(self._config, upstream, "fetchAvailableModels", {"project": project})
        except UpstreamError as error:
            if error.status != 403 or error.kind is ErrorKind.BANNED:
                raise
            # Some accounts may not ask in the name of their project, and are told without.
            told = await ask(self._config, upstream, "fetchAvailableModels", {})
        self._catalogue.learn(told)
        self._due[upstream.account_id] = self._clock() + _OFTEN
        return told

    async def _buckets(self, upstream: Upstream) -> dict[str, Any]:
        """Quotas by model from ``retrieveUserQuota``: for accounts whose models are told without any."""
        project = await self._projects.of(upstream)
        try:
            told = await ask(self._config, upstream, "retrieveUserQuota", {"project": project})
        except UpstreamError as error:
            log.info("the account %s does not tell its quota: %s", upstream.account_id, error.message)
            return {}
        buckets = told.get("buckets")
        found = [each for each in buckets if isinstance(each, dict)] if isinstance(buckets, list) else []
        return {name: each for each in found if isinstance(name := each.get("modelId"), str)}

    def _left(self, name: str, quota: Any) -> QuotaLeft:
        group = self._catalogue.find(name).model.quota_group
        if not isinstance(quota, dict):
            # Of models without one nobody knows: that is not the same as nothing.
            return QuotaLeft(model=name, quota_group=group)
        resets_at = _moment(quota.get("resetTime"))
        return QuotaLeft(model=name, quota_group=group, fraction=_fraction(quota), resets_at=resets_at)


def _fraction(quota: JsonObject) -> float | None:
    """How much is left. Proto3 leaves a zero out: a quota that comes back and has no fraction is used up."""
    if "remainingFraction" not in quota:
        return 0.0 if "resetTime" in quota else None
    value = quota["remainingFraction"]
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return min(max(float(value), 0.0), 1.0) if is_number else None


def _moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _objects(value: Any) -> Mapping[str, JsonObject]:
    return {name: each for name, each in value.items() if isinstance(each, dict)} if isinstance(value, dict) else {}
