"""Which provider serves a model."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import attrs

from aigateway_core.errors import ForbiddenError, InvalidRequestError, UnknownModelError
from aigateway_core.model import ModelInfo
from aigateway_core.records import Caller
from aigateway_core.snapshot import ProviderEntry

_REMEMBERED = 4096
"""Distinct model names to remember a decision for; callers choose these names, so it is bounded."""

LONGEST_NAME = 255
"""Characters of a model's name: as many as the request log keeps."""


@attrs.frozen(eq=False)
class Route:
    """A provider, its own name for the model, the quota that it draws on, and the most tokens it answers with."""

    provider: ProviderEntry
    model: str
    quota_group: str
    max_output_tokens: int | None = None


def permit(caller: Caller, model: str, route: Route) -> None:
    """Let through who may use this model, by the name that was asked for or the vendor's own, of this provider.

    Raises :class:`ForbiddenError`.
    """
    if caller.providers is not None and route.provider.id not in caller.providers:
        raise ForbiddenError(f"this key may not use the provider {route.provider.id!r}")
    if not caller.may_use_model(model, route.model):
        raise ForbiddenError(f"this key may not use the model {model!r}")


class Router:
    """Decides by the name of a model: an exact known one, then ``provider/model``, then the longest pattern that fits.

    Where two providers are equal in that, the higher ``priority`` wins, then the name that sorts first.
    """

    def __init__(self, providers: Sequence[ProviderEntry]) -> None:
        self._providers = sorted(providers, key=lambda entry: (-entry.priority, entry.id))
        self._by_id = {entry.id: entry for entry in self._providers}
        self._known: dict[str, ProviderEntry] = {}
        patterns: list[tuple[str, ProviderEntry]] = []
        for entry in self._providers:
            for model in entry.provider.models:
                self._known.setdefault(model.id, entry)
            for pattern in entry.provider.model_patterns:
                if pattern.endswith("*"):
                    patterns.append((pattern[:-1], entry))
                else:
                    self._known.setdefault(pattern, entry)
        # Sorting is stable, so among equal lengths the order of priority stands.
        self._patterns = sorted(patterns, key=lambda pair: -len(pair[0]))
        self._decided: dict[str, Route] = {}

    @property
    def providers(self) -> Sequence[ProviderEntry]:
        """All providers, the preferred first."""
        return self._providers

    def route(self, model: str) -> Route:
        """Where this model is served.

        Raises :class:`UnknownModelError`, with near names, and :class:`InvalidRequestError` for what can be no name.
        """
        decided = self._decided.get(model)
        if decided is None:
            if len(model) > LONGEST_NAME or not model.isprintable():
                message = f"expected at most {LONGEST_NAME} characters, and none that cannot be printed"
                raise InvalidRequestError(message, path="model")
            decided = self._decide(model)
            if len(self._decided) < _REMEMBERED:
                self._decided[model] = decided
        return decided

    def _decide(self, model: str) -> Route:
        if (entry := self._known.get(model)) is not None:
            return self._to(entry, model)
        prefix, slash, rest = model.partition("/")
        if slash and rest and (entry := self._by_id.get(prefix)) is not None:
            return self._to(entry, rest)
        for start, entry in self._patterns:
            if model.startswith(start):
                return self._to(entry, model)
        raise UnknownModelError(self._unknown(model), model=model[:100])

    @staticmethod
    def _to(entry: ProviderEntry, model: str) -> Route:
        known = next((info for info in entry.provider.models if info.id == model), ModelInfo(id=model))
        return Route(entry, model, known.quota_group or model, known.max_output_tokens)

    def _unknown(self, model: str) -> str:
        shown = model if len(model) <= 100 else model[:100] + "…"
        text = f"no provider serves the model {shown!r}"
        near = difflib.get_close_matches(model[:100], list(self._known), n=3)
        if near:
            text += f"; did you mean {' or '.join(near)}?"
        installed = ", ".join(sorted(self._by_id)) or "none"
        return f"{text} (installed providers: {installed})"
