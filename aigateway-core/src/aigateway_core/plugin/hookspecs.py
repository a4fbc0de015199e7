"""The three hooks. Each is called once, at start, and returns specs without side effects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pluggy

from aigateway_core.plugin.auth import AuthStrategySpec
from aigateway_core.plugin.provider import ProviderSpec
from aigateway_core.plugin.stats import StatsSinkSpec

PROJECT = "aigateway"
"""The name of the entry-point group, and of the pluggy project."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function as the implementation of the hook of the same name."""


@hookspec
def aigateway_register_providers() -> Iterable[ProviderSpec[Any]]:
    """Offer providers.

    Called once, at start, before the configuration of any provider is read.

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def aigateway_register_auth_strategies() -> Iterable[AuthStrategySpec[Any]]:
    """Offer ways to authenticate at an upstream.

    Called once, at start.

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def aigateway_register_stats_sinks() -> Iterable[StatsSinkSpec[Any]]:
    """Offer receivers of call records.

    Called once, at start.

    .. versionadded:: 0.1
    """
    return ()
