"""The models that can be asked now: those of providers that have an account."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from aigateway_core.errors import ClientError, ForbiddenError, UnknownModelError
from aigateway_core.model import ModelInfo
from aigateway_core.records import Caller
from aigateway_core.routing import Route, Router, permitted
from aigateway_core.snapshot import CurrentSnapshot


@attrs.frozen
class ListedModel:
    """A model and the provider that serves it."""

    info: ModelInfo
    provider_id: str


class Catalogue:
    """Lists models as the router would serve them: a name that two providers have is listed once."""

    def __init__(self, router: Router, snapshot: CurrentSnapshot) -> None:
        self._router = router
        self._snapshot = snapshot

    def models(self, caller: Caller) -> Sequence[ListedModel]:
        """The models that this caller may use, sorted by id."""
        found = {model.info.id: model for model in (*self._known(), *self._mapped())}
        return [found[name] for name in sorted(found) if self._may_use(caller, name)]

    def _known(self) -> Iterator[ListedModel]:
        """The models of providers, those of the preferred one last."""
        for entry in reversed(self._router.providers):
            if self._snapshot.value.accounts.get(entry.id):
                yield from (ListedModel(info, entry.id) for info in entry.provider.models)

    def _mapped(self) -> Iterator[ListedModel]:
        """Other names of models, each as the first that it leads to and that has an account."""
        snapshot = self._snapshot.value
        for alias in snapshot.mappings:
            for route in self._routes(alias):
                if snapshot.accounts.get(route.provider.id):
                    known = next((info for info in route.provider.provider.models if info.id == route.model), None)
                    yield ListedModel(attrs.evolve(known or ModelInfo(id=alias), id=alias), route.provider.id)
                    break

    def _may_use(self, caller: Caller, name: str) -> bool:
        """Whether the router would let this caller through."""
        try:
            return bool(permitted(caller, name, self._routes(name)))
        except ForbiddenError:
            return False

    def _routes(self, name: str) -> Sequence[Route]:
        try:
            return self._router.routes(name)
        except ClientError:
            return ()

    def model(self, name: str, caller: Caller) -> ListedModel:
        """The model with this id. Raises :class:`UnknownModelError`."""
        for model in self.models(caller):
            if model.info.id == name:
                return model
        raise UnknownModelError(f"there is no model {name[:100]!r} to be used", model=name[:100])
