"""Sections of the configuration matched with the plugins that are there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from aigateway_core.builtin.auth import ApiKeyOptions, NoOptions
from aigateway_core.converter import Reference
from aigateway_core.errors import PluginError, SettingsError
from aigateway_core.plugin import AuthStrategySpec, OpenAICompatibleConfig, ProviderSpec, StatsSinkSpec
from aigateway_core.plugin_settings import Configured, configure
from aigateway_core.plugins import LoadedPlugins, PluginLoader
from aigateway_core.secret import Secret
from aigateway_core.settings import PluginsSettings, ProviderSettings, Settings, SinkSettings


@attrs.frozen(kw_only=True)
class EchoConfig:
    delay: float = 0.0
    token: Secret | None = None


@attrs.frozen(kw_only=True)
class NeedyConfig:
    client_id: str
    client_secret: Secret


@attrs.frozen
class SinkConfig:
    url: str = ""


@attrs.frozen
class OddConfig:
    number: complex = 0j


INSTALL = "install its plugin, or say kind: openai-compatible"


def nothing(_: object) -> Any:
    """Builds nothing: configuring must not build."""
    raise AssertionError


LOADED = LoadedPlugins(
    providers={
        "echo": ProviderSpec(name="echo", config=EchoConfig, build=nothing, auth="none"),
        "needy": ProviderSpec(name="needy", config=NeedyConfig, build=nothing),
        "openai-compatible": ProviderSpec(name="openai-compatible", config=OpenAICompatibleConfig, build=nothing),
        "header": ProviderSpec(name="header", config=EchoConfig, build=nothing, auth_options={"header": "x-key"}),
    },
    strategies={
        "api_key": AuthStrategySpec(name="api_key", config=ApiKeyOptions, build=nothing),
        "bearer": AuthStrategySpec(name="bearer", config=NoOptions, build=nothing),
        "none": AuthStrategySpec(name="none", config=NoOptions, build=nothing),
    },
    sinks={
        "quiet": StatsSinkSpec(name="quiet", config=SinkConfig, build=nothing),
        "usual": StatsSinkSpec(name="usual", config=SinkConfig, build=nothing, default=True),
    },
    plugins=(),
)


def configured(
    providers: Mapping[str, ProviderSettings] | None = None,
    stats: Mapping[str, SinkSettings] | None = None,
    loaded: LoadedPlugins = LOADED,
) -> Configured:
    return configure(Settings(providers=providers or {}, stats=stats or {}, source=Path("config.yaml")), loaded)


def problems(
    providers: Mapping[str, ProviderSettings] | None = None, stats: Mapping[str, SinkSettings] | None = None
) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        configured(providers, stats)
    return caught.value.problems


def test_a_provider_that_needs_no_settings_runs_unasked_and_the_others_wait() -> None:
    found = configured()
    assert [provider.id for provider in found.providers] == ["echo", "header"]
    assert found.providers[0].config == EchoConfig()
    assert found.waiting == {
        "needy": ("providers.needy.client_id", "providers.needy.client_secret"),
        "openai-compatible": ("providers.openai-compatible.base_url",),
    }


def test_a_section_is_structured_into_the_class_of_its_plugin() -> None:
    section = ProviderSettings(
        options={"delay": 1, "token": Reference({"env": "X"}, "t")}, priority=4, api_key=Secret("k")
    )
    found = configured({"echo": section}).providers[0]
    assert found.config == EchoConfig(delay=1.0, token=Secret("t"))
    assert (found.id, found.priority, found.api_key) == ("echo", 4, Secret("k"))


def test_a_kind_may_run_under_several_names() -> None:
    found = configured(
        {
            name: ProviderSettings(kind="openai-compatible", options={"base_url": f"http://{name}"})
            for name in ("first", "second")
        }
    )
    named = {provider.id: (provider.spec.name, provider.config) for provider in found.providers}
    assert named["first"] == ("openai-compatible", OpenAICompatibleConfig(base_url="http://first"))
    assert named["second"] == ("openai-compatible", OpenAICompatibleConfig(base_url="http://second"))


def test_a_disabled_provider_does_not_run_and_its_section_is_not_judged() -> None:
    found = configured(
        {"echo": ProviderSettings(enabled=False, options={"wrong": 1}), "gone": ProviderSettings(enabled=False)}
    )
    assert [provider.id for provider in found.providers] == ["header"]


def test_all_problems_of_all_sections_are_told_at_once() -> None:
    assert problems(
        {
            "echo": ProviderSettings(options={"dealy": 1, "token": 5}),
            "needy": ProviderSettings(options={"client_id": 1}),
            "acme": ProviderSettings(),
            "header": ProviderSettings(auth_strategy="beerer"),
            "local": ProviderSettings(kind="openai-compatibel"),
            "other": ProviderSettings(kind="zzz"),
        },
        {"usual": SinkSettings(options={"uri": ""}), "nowhere": SinkSettings()},
    ) == [
        f"config.yaml: {problem}"
        for problem in (
            "providers.echo.token: expected a string: a secret is written in quotes, or as {env: NAME} or {file: PATH}",
            "providers.echo.dealy: unknown key; did you mean 'delay'?",
            "providers.needy.client_id: expected a string, got 1",
            "providers.needy.client_secret: is missing",
            f"providers.acme: no installed plugin offers this provider; {INSTALL}",
            "providers.header.auth_strategy: no plugin offers 'beerer'; did you mean 'bearer'?",
            "providers.local.kind: no installed plugin offers 'openai-compatibel'; did you mean 'openai-compatible'?",
            f"providers.other.kind: no installed plugin offers 'zzz'; there are: {', '.join(sorted(LOADED.providers))}",
            "stats.nowhere: no installed plugin offers this sink; there are: quiet, usual",
            "stats.usual.uri: unknown key; did you mean 'url'?",
        )
    ]


def test_the_options_of_a_strategy_are_the_plugins_unless_another_strategy_is_chosen() -> None:
    assert configured().providers[1].strategy_config == ApiKeyOptions(header="x-key")
    (_, header) = configured({"header": ProviderSettings(auth_strategy="bearer")}).providers
    assert header.strategy.name == "bearer"
    assert header.strategy_config == NoOptions()


@pytest.mark.parametrize(
    ("sections", "running"),
    [
        ({}, ["usual"]),
        ({"quiet": SinkSettings()}, ["quiet", "usual"]),
        ({"quiet": SinkSettings(options={"url": "u"})}, ["quiet", "usual"]),
        ({"quiet": SinkSettings(enabled=True), "usual": SinkSettings(enabled=False)}, ["quiet"]),
        ({"quiet": SinkSettings(enabled=False)}, ["usual"]),
    ],
)
def test_a_sink_runs_when_it_is_mentioned_or_when_its_plugin_says_so(
    sections: dict[str, SinkSettings], running: list[str]
) -> None:
    assert [sink.spec.name for sink in configured(stats=sections).sinks] == running


def test_a_config_class_that_no_setting_can_fill_is_the_plugins_fault() -> None:
    loaded = attrs.evolve(LOADED, providers={"odd": ProviderSpec(name="odd", config=OddConfig, build=nothing)})
    with pytest.raises(PluginError, match=r"^providers\.odd: the config class .*OddConfig has a field that no setting"):
        configured({"odd": ProviderSettings(options={"number": 1})}, loaded=loaded)


def test_what_is_configured_shows_no_secret() -> None:
    section = ProviderSettings(options={"token": "hunter2-hunter2"}, api_key=Secret("hunter2-hunter2"))
    assert "hunter2" not in repr(configured({"echo": section}))


def test_the_builtin_kinds_take_what_the_document_says() -> None:
    loaded = PluginLoader(PluginsSettings(allowed=frozenset())).load()
    options = {"base_url": "http://x", "models": ["a", "b*"], "headers": {"x-a": "b"}}
    sections = {kind: ProviderSettings(options=options) for kind in ("openai-compatible", "anthropic-compatible")}
    found = configured(sections, loaded=loaded).providers
    assert [provider.id for provider in found] == ["anthropic-compatible", "openai-compatible"]
    assert found[0].strategy_config == ApiKeyOptions(header="x-api-key", prefix="")
    assert found[1].strategy_config == ApiKeyOptions(header="authorization", prefix="Bearer ")
