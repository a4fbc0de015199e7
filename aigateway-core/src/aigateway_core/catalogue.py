"""The models that can be asked now: those of providers that have an account."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from aigateway_core.errors import UnknownModelError
from aigateway_core.model import ModelInfo
from aigateway_core.records import Caller
from aigateway_core.routing import Router
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
        accounts = self._snapshot.value.accounts
        found: dict[str, ListedModel] = {}
        for entry in self._router.providers:
            if accounts.get(entry.id):
                for info in entry.provider.models:
                    found.setdefault(info.id, ListedModel(info, entry.id))
        return [found[name] for name in sorted(found) if _may_use(caller, found[name])]

    def model(self, name: str, caller: Caller) -> ListedModel:
        """The model with this id. Raises :class:`UnknownModelError`."""
        for model in self.models(caller):
            if model.info.id == name:
                return model
        raise UnknownModelError(f"there is no model {name[:100]!r} to be used", model=name[:100])


def _may_use(caller: Caller, model: ListedModel) -> bool:
    if caller.providers is not None and model.provider_id not in caller.providers:
        return False
    return caller.may_use_model(model.info.id)
