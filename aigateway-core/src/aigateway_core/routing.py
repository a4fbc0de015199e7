"""Which provider serves a model."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import attrs

from aigateway_core.errors import ForbiddenError, GatewayError, InvalidRequestError, UnknownModelError
from aigateway_core.model import ModelInfo
from aigateway_core.records import Caller, Target
from aigateway_core.snapshot import CurrentSnapshot, ProviderEntry

_REMEMBERED = 4096
"""Distinct model names to remember a decision for; callers choose these names, so it is bounded."""

LONGEST_NAME = 255
"""Characters of a model's name: as many as the request log keeps."""


@attrs.frozen(eq=False)
class Route:
    """A provider, its own name for the model, the quota that it draws on, and the most tokens it answers with.

    A model of which no quota is known to be shared is a group of its own, by its own name: only ``shares_quota`` tells
    that apart from a group that has the name of a model.
    """

    provider: ProviderEntry
    model: str
    quota_group: str
    max_output_tokens: int | None = None
    shares_quota: bool = False


def permitted(caller: Caller, model: str, routes: Sequence[Route]) -> Sequence[Route]:
    """Those that this caller may take: by the name that was asked for or the vendor's own, of that provider.

    Raises :class:`ForbiddenError` when there is none.
    """
    if caller.providers is None and caller.models is None:
        return routes
    found = [route for route in routes if _refusal(caller, model, route) is None]
    if not found:
        raise ForbiddenError(_refusal(caller, model, routes[0]) or "")
    return found


def _refusal(caller: Caller, model: str, route: Route) -> str | None:
    if not caller.may_use_model(model, route.model):
        return f"this key may not use the model {model!r}"
    if caller.providers is not None and route.provider.id not in caller.providers:
        return f"this key may not use the provider {route.provider.id!r}"
    return None


def keep_names(caller: Caller, error: GatewayError) -> None:
    """Leave out of an error which models and providers there are, where the caller's key does not open all of them."""
    if isinstance(error, UnknownModelError) and not (caller.providers is None and caller.models is None):
        error.message = f"no provider that this key may use serves the model {error.model!r}"


class _Names:
    """What some providers serve: an exact known name, then ``provider/model``, then the longest pattern that fits.

    Where two providers are equal in that, the one that comes first among ``providers``.
    """

    def __init__(self, providers: Iterable[ProviderEntry]) -> None:
        self.by_id: dict[str, ProviderEntry] = {}
        self.known: dict[str, ProviderEntry] = {}
        patterns: list[tuple[str, ProviderEntry]] = []
        for entry in providers:
            self.by_id[entry.id] = entry
            for model in entry.provider.models:
                self.known.setdefault(model.id, entry)
            for pattern in entry.provider.model_patterns:
                if pattern.endswith("*"):
                    patterns.append((pattern[:-1], entry))
                else:
                    self.known.setdefault(pattern, entry)
        # Sorting is stable, so among equal lengths the order of priority stands.
        self._patterns = sorted(patterns, key=lambda pair: -len(pair[0]))

    def find(self, model: str) -> Route | None:
        """Where this name leads."""
        if (entry := self.known.get(model)) is not None:
            return _to(entry, model)
        prefix, slash, rest = model.partition("/")
        if slash and rest and (entry := self.by_id.get(prefix)) is not None:
            return _to(entry, rest)
        for start, entry in self._patterns:
            if model.startswith(start):
                return _to(entry, model)
        return None


class Router:
    """Decides by the name of a model: a mapping of the operator's, then what providers know it or a name like it.

    Where two providers are equal in that, the higher ``priority`` wins, then the name that sorts first.
    """

    def __init__(self, providers: Sequence[ProviderEntry], snapshot: CurrentSnapshot | None = None) -> None:
        self._providers = sorted(providers, key=lambda entry: (-entry.priority, entry.id))
        self._snapshot = snapshot or CurrentSnapshot()
        self._of = self._snapshot.value
        self._learn()

    @property
    def providers(self) -> Sequence[ProviderEntry]:
        """The providers that are switched on, the preferred first."""
        self._keep_up()
        return list(self._names.by_id.values())

    def route(self, model: str) -> Route:
        """Where this model is served first of all. Raises what :meth:`routes` raises."""
        return self.routes(model)[0]

    def routes(self, model: str) -> Sequence[Route]:
        """Where this model is served: at the first of these, else at the next, and so on.

        Raises :class:`UnknownModelError`, with near names, and :class:`InvalidRequestError` for what can be no name.
        """
        if self._of is not self._snapshot.value:
            self._keep_up()
        decided = self._decided.get(model)
        if decided is None:
            if len(model) > LONGEST_NAME or not model.isprintable():
                message = f"expected at most {LONGEST_NAME} characters, and none that cannot be printed"
                raise InvalidRequestError(message, path="model")
            decided = self._decide(model)
            if len(self._decided) < _REMEMBERED:
                self._decided[model] = decided
        return decided

    def _keep_up(self) -> None:
        """Forget what was decided when the operator has changed anything since."""
        if self._of is not self._snapshot.value:
            self._of = self._snapshot.value
            self._learn()

    def _learn(self) -> None:
        off = self._of.switched_off
        self._decided: dict[str, Sequence[Route]] = {}
        self._names = _Names(entry for entry in self._providers if entry.id not in off)
        self._off = _Names(entry for entry in self._providers if entry.id in off)

    def _decide(self, model: str) -> Sequence[Route]:
        targets = self._of.mappings.get(model)
        if targets is not None:
            return self._mapped(model, targets)
        found = self._names.find(model)
        if found is None:
            raise UnknownModelError(self._unknown(model), model=model[:100])
        return (found,)

    def _mapped(self, alias: str, targets: Iterable[Target]) -> Sequence[Route]:
        known = self._names.by_id
        found = [_to(known[target.provider], target.model) for target in targets if target.provider in known]
        if not found:
            names = ", ".join(target.provider for target in targets)
            message = f"the model {alias[:100]!r} leads to no provider that is switched on ({names})"
            raise UnknownModelError(message, model=alias[:100])
        return found

    def _unknown(self, model: str) -> str:
        shown = model if len(model) <= 100 else model[:100] + "…"
        if (off := self._off.find(model)) is not None:
            return f"the provider {off.provider.id!r}, which serves the model {shown!r}, is switched off"
        text = f"no provider serves the model {shown!r}"
        near = difflib.get_close_matches(model[:100], [*self._of.mappings, *self._names.known], n=3)
        if near:
            text += f"; did you mean {' or '.join(near)}?"
        installed = ", ".join(sorted(self._names.by_id)) or "none"
        return f"{text} (installed providers: {installed})"


def _to(entry: ProviderEntry, model: str) -> Route:
    if entry.describes is not None:
        known = entry.describes.describe_model(model)
    else:
        known = next((info for info in entry.provider.models if info.id == model), ModelInfo(id=model))
    group = known.quota_group
    return Route(entry, model, group or model, known.max_output_tokens, shares_quota=bool(group))
