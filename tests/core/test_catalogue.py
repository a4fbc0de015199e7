"""What is listed, and to whom."""

from __future__ import annotations

import pytest
from core.gateway_house import Events, Strategy, account

from aigateway_core.catalogue import Catalogue
from aigateway_core.errors import UnknownModelError
from aigateway_core.model import ModelInfo
from aigateway_core.records import Caller
from aigateway_core.routing import Router
from aigateway_core.snapshot import CurrentSnapshot, ProviderEntry, Snapshot


def entry(name: str, *models: str, priority: int = 0) -> ProviderEntry:
    provider = Events()
    provider.models = tuple(ModelInfo(id=model) for model in models)
    return ProviderEntry(
        id=name,
        kind=name,
        title=name,
        provider=provider,
        strategy=Strategy(),
        strategy_name="bearer",
        priority=priority,
    )


@pytest.fixture
def catalogue() -> Catalogue:
    router = Router([entry("acme", "m-1", "x-1"), entry("beta", "m-1", "m-2", priority=1), entry("poor", "m-9")])
    snapshot = CurrentSnapshot()
    snapshot.value = Snapshot(version=1, accounts={"acme": (account("a"),), "beta": (account("b"),)})
    return Catalogue(router, snapshot)


def listed(catalogue: Catalogue, **limits: frozenset[str]) -> list[tuple[str, str]]:
    caller = Caller(id="k", role="client", **limits)  # type: ignore[arg-type]
    return [(model.info.id, model.provider_id) for model in catalogue.models(caller)]


def test_a_model_is_listed_once_by_the_provider_that_would_serve_it(catalogue: Catalogue) -> None:
    assert listed(catalogue) == [("m-1", "beta"), ("m-2", "beta"), ("x-1", "acme")]


def test_a_key_is_shown_what_it_opens(catalogue: Catalogue) -> None:
    assert listed(catalogue, providers=frozenset({"acme"})) == [("x-1", "acme")]
    assert listed(catalogue, models=frozenset({"m-*"})) == [("m-1", "beta"), ("m-2", "beta")]


def test_one_model_is_found_unless_it_is_not_to_be_used(catalogue: Catalogue) -> None:
    caller = Caller(id="k", role="client", models=frozenset({"m-1"}))
    assert catalogue.model("m-1", caller).provider_id == "beta"
    for name in ("m-2", "m-9", "nobody"):
        with pytest.raises(UnknownModelError):
            catalogue.model(name, caller)
