"""What a plugin builds is looked at before the gateway starts, so that a mistake in it is one line and no traceback."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from aigateway_core import assembly
from aigateway_core.errors import PluginError, SettingsError
from aigateway_core.model import ModelInfo
from aigateway_core.plugin import AuthStrategySpec, ProviderSpec, Secret
from aigateway_core.plugin_settings import ConfiguredProvider
from aigateway_core.settings import PluginsSettings, ProviderSettings, ServerSettings, Settings


class Odd:
    """A type that no setting can fill."""


@attrs.frozen
class Config:
    """Nothing to say."""


@attrs.frozen
class Token:
    token: Secret


@attrs.frozen
class Unreadable:
    token: Odd


def configured(provider: object, strategy: object) -> ConfiguredProvider:
    return ConfiguredProvider(
        id="acme",
        spec=ProviderSpec(name="acme", config=Config, build=lambda _: provider),  # type: ignore[arg-type,return-value]
        config=Config(),
        strategy=AuthStrategySpec(name="odd", config=Config, build=lambda _: strategy),  # type: ignore[arg-type,return-value]
        strategy_config=Config(),
    )


def provider(models: Any = (), patterns: Any = ()) -> SimpleNamespace:
    return SimpleNamespace(models=models, model_patterns=patterns)


GOOD = SimpleNamespace(credential=Token)


@pytest.mark.parametrize(
    ("built", "strategy"),
    [
        (None, GOOD),
        (provider(models=None), GOOD),
        (provider(models=["m"]), GOOD),
        (provider(patterns=[5]), GOOD),
        (provider(), None),
        (provider(), SimpleNamespace(credential=None)),
        (provider(), SimpleNamespace(credential=dict)),
        (provider(), SimpleNamespace(credential=Unreadable)),
    ],
)
def test_a_plugin_that_builds_nonsense_is_named(built: object, strategy: object) -> None:
    with pytest.raises(PluginError, match="'acme'"):
        assembly._provider(configured(built, strategy))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8088/v1"),
        ("127.0.0.1", "http://localhost:8088/v1"),
        ("127.0.0.1", "http://LOCALHOST.:8088"),
        ("0.0.0.0", "http://127.0.0.9:8088/v1"),
        ("::", "http://[::1]:8088/v1"),
        ("gateway.internal", "https://gateway.internal:8088/"),
    ],
)
def test_u_31_a_base_url_that_leads_back_to_the_gateway_is_refused_at_start(host: str, url: str) -> None:
    section = ProviderSettings(kind="openai-compatible", options={"base_url": url})
    server = ServerSettings(host=host)
    alone = PluginsSettings(allowed=frozenset())
    with pytest.raises(SettingsError, match=r"^providers\.mine\.base_url: .* go round in a circle$"):
        assembly.assemble(Settings(server=server, plugins=alone, providers={"mine": section}))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8089/v1", "http://127.0.0.2:8088", "http://gateway.internal:8088", "http://localhost"]
)
def test_another_server_on_this_machine_is_none_of_that(url: str) -> None:
    section = ProviderSettings(kind="openai-compatible", options={"base_url": url})
    assembly.assemble(Settings(plugins=PluginsSettings(allowed=frozenset()), providers={"mine": section}))


def test_a_provider_with_several_hosts_tells_them_all_and_one_without_tells_none() -> None:
    @attrs.frozen
    class Hosts:
        base_urls: tuple[str, ...] = ("https://one.test", "https://two.test/v1")

    one = configured(provider(), GOOD)
    assert list(assembly.base_urls(attrs.evolve(one, config=Hosts())).values()) == list(Hosts().base_urls)
    assert assembly.base_urls(attrs.evolve(one, config=Config())) == {}


def test_a_plugin_that_builds_what_it_should_is_taken() -> None:
    entry = assembly._provider(configured(provider([ModelInfo(id="m")], ["m-*"]), GOOD))
    assert entry.id == "acme"


def test_a_constructor_that_echoes_a_secret_does_not_bring_it_to_the_screen() -> None:
    def build(_: object) -> Any:
        raise ValueError("no such key: sk-canary-0123456789")

    with pytest.raises(PluginError) as caught:
        assembly._built("the provider 'acme'", build, Config())
    assert "canary" not in str(caught.value)


def advising(advice: Any) -> ConfiguredProvider:
    plain = configured(provider(), GOOD)
    return attrs.evolve(plain, spec=attrs.evolve(plain.spec, advice=advice))


def test_what_a_plugin_has_to_say_of_a_configuration_is_kept() -> None:
    assert assembly._provider(configured(provider(), GOOD)).advice is None
    assert assembly._provider(advising(lambda config: f"{type(config).__name__} is short")).advice == "Config is short"
    assert assembly._provider(advising(lambda _: None)).advice is None


def test_advice_that_cannot_be_made_names_the_plugin() -> None:
    def broken(_: Config) -> str:
        raise RuntimeError("no advice")

    with pytest.raises(PluginError, match="'acme' cannot be built: RuntimeError: no advice"):
        assembly._provider(advising(broken))
