"""Providers, as an operator sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aigateway_core.snapshot import ProviderEntry


class ProviderAdministration:
    """Shows the providers that run."""

    def __init__(self, providers: Sequence[ProviderEntry]) -> None:
        self._providers = sorted(providers, key=lambda entry: entry.id)

    def list(self) -> Sequence[dict[str, Any]]:
        """All of them, in the order of their names."""
        return [_view(entry) for entry in self._providers]


def _view(entry: ProviderEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.title or entry.id,
        "kind": entry.kind,
        "auth_strategy": entry.strategy_name,
        "supported_models": [model.id for model in entry.provider.models],
        "model_patterns": list(entry.provider.model_patterns),
        "is_active": True,
        "priority": entry.priority,
        "risk": entry.risk,
    }
