"""The plugin loader against real, if small, distributions: a package and its metadata on the import path."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from aigateway_core import __version__
from aigateway_core.errors import PluginError
from aigateway_core.plugin import AuthStrategySpec, ProviderSpec, StatsSinkSpec, hookimpl
from aigateway_core.plugins import LoadedPlugins, PluginInfo, PluginLoader
from aigateway_core.settings import PluginsSettings

Install = Callable[..., None]

GOOD = """
import attrs
from aigateway_core.plugin import ProviderSpec, hookimpl

@attrs.frozen
class Config:
    base_url: str = "http://vendor.test"

@hookimpl
def aigateway_register_providers():
    return [ProviderSpec(name="{name}", config=Config, build=print)]
"""
OUT = "mend or uninstall it, or list it under plugins.disabled"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """``install("acme", source, version="1.0")``: a distribution ``aigateway-acme`` with an entry point ``acme``."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def make(name: str, source: str, *, version: str = "1.0", distribution: str = "", target: str = "") -> None:
        distribution = distribution or f"aigateway-{name}"
        module = distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source.replace("{name}", name), "utf-8")
        metadata = tmp_path / f"{module}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (metadata / "entry_points.txt").write_text(f"[aigateway]\n{name} = {target or module}\n")

    yield make
    for name in set(sys.modules) - before:
        del sys.modules[name]


def load(*allowed: str, disabled: Sequence[str] = ()) -> LoadedPlugins:
    settings = PluginsSettings(allowed=frozenset(allowed), disabled=frozenset(disabled))
    return PluginLoader(settings).load()


def refusal(*allowed: str) -> str:
    with pytest.raises(PluginError) as caught:
        load(*allowed)
    assert "\n" not in caught.value.message
    return caught.value.message


def imported(name: str) -> bool:
    return f"aigateway_{name}" in sys.modules


def test_the_builtin_plugins_come_first_and_through_the_hooks() -> None:
    loaded = load()
    assert [plugin.name for plugin in loaded.plugins] == ["builtin-auth", "builtin-providers", "builtin-stats"]
    assert {plugin.distribution for plugin in loaded.plugins} == {"aigateway-core"}
    assert {plugin.version for plugin in loaded.plugins} == {__version__}
    assert set(loaded.strategies) == {"api_key", "bearer", "oauth", "none"}
    assert set(loaded.providers) == {"openai-compatible", "anthropic-compatible", "gemini-compatible"}
    assert set(loaded.sinks) == {"log"}


def test_installed_plugins_are_loaded_in_the_order_of_their_names(install: Install) -> None:
    install("zeta", GOOD)
    install("acme", GOOD, version="2.1")
    loaded = load("zeta", "acme")
    assert loaded.plugins[3:] == (
        PluginInfo(name="acme", distribution="aigateway-acme", version="2.1", offers=("provider acme",)),
        PluginInfo(name="zeta", distribution="aigateway-zeta", version="1.0", offers=("provider zeta",)),
    )
    assert loaded.providers["acme"].name == "acme"


def test_everything_that_is_installed_is_loaded_unless_the_settings_say_otherwise(install: Install) -> None:
    install("acme", GOOD)
    assert "acme" in PluginLoader().load().providers


def test_a_disabled_plugin_is_not_imported(install: Install) -> None:
    install("acme", "raise RuntimeError('imported')")
    install("other", GOOD)
    assert set(load("acme", "other", disabled=["acme"]).providers) >= {"other"}
    assert not imported("acme")


@pytest.mark.parametrize("name", ["aigateway-acme", "aigateway_acme", "AIGateway.Acme"])
def test_a_plugin_can_be_disabled_by_the_name_of_its_distribution(install: Install, name: str) -> None:
    install("acme", "raise RuntimeError('imported')")
    load("acme", disabled=[name])
    assert not imported("acme")


def test_x_05_only_what_is_allowed_is_imported(install: Install) -> None:
    install("acme", "raise RuntimeError('imported')")
    install("other", GOOD)
    assert "other" in load("aigateway-other").providers
    assert not imported("acme")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import asyncio; raise asyncio.CancelledError", "CancelledError"),
        ("class Odd(BaseException): pass\nraise Odd('two\\nlines')", "Odd: two lines"),
        ("raise ValueError('the key is sk-abcdefghijklmnop')", "ValueError: the key is ***"),
    ],
)
def test_x_07_a_plugin_that_cannot_be_imported_stops_the_start_with_one_line(
    install: Install, source: str, reason: str
) -> None:
    install("acme", source, version="1.2")
    assert refusal("acme") == f"plugin 'acme' (aigateway-acme 1.2) cannot be imported: {reason}; {OUT}"


def test_a_syntax_error_in_a_plugin_is_one_line_too(install: Install) -> None:
    install("acme", "def broken(:")
    assert refusal("acme").startswith("plugin 'acme' (aigateway-acme 1.0) cannot be imported: SyntaxError: ")


def test_a_keyboard_interrupt_is_the_operators_and_goes_through(install: Install) -> None:
    install("acme", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load("acme")


def test_x_04_two_distributions_with_one_plugin_name_are_refused_before_either_is_imported(install: Install) -> None:
    install("acme", GOOD)
    install("acme", "raise RuntimeError('imported')", distribution="evil-acme", version="9.9")
    assert refusal("acme") == (
        "two distributions bring a plugin named 'acme': aigateway-acme 1.0 and evil-acme 9.9; "
        "uninstall one of them, or list its distribution under plugins.disabled"
    )
    assert not imported("acme")
    assert "acme" in load("acme", disabled=["evil-acme"]).providers


@pytest.mark.parametrize(
    ("hook", "spec", "words"),
    [
        ("providers", "ProviderSpec(name='shared', config=Config, build=print)", "provider 'shared'"),
        ("auth_strategies", "AuthStrategySpec(name='shared', config=Config, build=print)", "auth strategy 'shared'"),
        ("stats_sinks", "StatsSinkSpec(name='shared', config=Config, build=print)", "stats sink 'shared'"),
    ],
)
def test_x_04_a_name_that_two_plugins_offer_is_refused_naming_both(
    install: Install, hook: str, spec: str, words: str
) -> None:
    source = f"""
import attrs
from aigateway_core.plugin import *

@attrs.frozen
class Config:
    pass

@hookimpl
def aigateway_register_{hook}():
    return [{spec}]
"""
    install("one", source)
    install("two", source, version="2.0")
    assert refusal("one", "two") == (
        f"the {words} is offered by plugin 'one' (aigateway-one 1.0) and by plugin 'two' (aigateway-two 2.0); "
        "uninstall one of them, or list it under plugins.disabled"
    )


def test_x_04_the_names_of_the_builtin_plugins_are_taken(install: Install) -> None:
    install("acme", GOOD.replace("{name}", "openai-compatible"))
    assert refusal("acme").startswith(
        f"the provider 'openai-compatible' is offered by plugin 'builtin-providers' (aigateway-core {__version__}) "
        "and by plugin 'acme' (aigateway-acme 1.0); "
    )


def test_a_misspelt_hook_is_refused_with_the_right_name(install: Install) -> None:
    install("acme", GOOD.replace("aigateway_register_providers", "aigateway_register_provider"))
    assert refusal("acme") == (
        "plugin 'acme' (aigateway-acme 1.0) implements 'aigateway_register_provider', which is no hook; "
        f"did you mean 'aigateway_register_providers'?; {OUT}"
    )


def test_a_hook_without_its_mark_is_refused(install: Install) -> None:
    install("acme", GOOD.replace("@hookimpl\n", ""))
    assert refusal("acme") == (
        f"plugin 'acme' (aigateway-acme 1.0) defines 'aigateway_register_providers' without @hookimpl; {OUT}"
    )


def test_a_hook_with_an_argument_that_nobody_passes_is_refused(install: Install) -> None:
    install("acme", GOOD.replace("providers():", "providers(app):"))
    message = refusal("acme")
    assert message.startswith("plugin 'acme' (aigateway-acme 1.0) cannot be registered: PluginValidationError: ")
    assert "app" in message


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("1 / 0", "failed in aigateway_register_providers: ZeroDivisionError: division by zero"),
        ("exit(1)", "failed in aigateway_register_providers: SystemExit: 1"),
        (
            "(1 / 0 for _ in 'x')",
            "failed in aigateway_register_providers: ZeroDivisionError: division by zero",
        ),
        ("7", "failed in aigateway_register_providers: TypeError: 'int' object is not iterable"),
        ("['acme']", "offers a value of type 'str' where a ProviderSpec belongs"),
        (
            "[ProviderSpec(name='A/B', config=Config, build=print)]",
            "offers the provider 'A/B', whose name is more than a-z 0-9 . _ -",
        ),
        (
            "[ProviderSpec(name='acme', config=dict, build=print)]",
            "offers the provider 'acme', whose config is not an attrs class",
        ),
        (
            "[ProviderSpec(name='acme', config=Config(), build=print)]",
            "offers the provider 'acme', whose config is not an attrs class",
        ),
        (
            "[ProviderSpec(name='acme', config=Config, build=None)]",
            "offers the provider 'acme', whose build cannot be called",
        ),
        (
            "[ProviderSpec(name='acme', config=attrs.make_class('C', ['api_key']), build=print)]",
            "offers the provider 'acme', whose config has the core's own key 'api_key'",
        ),
        (
            "[ProviderSpec(name='acme', config=Config, build=print, auth='bearr')]",
            "offers the provider 'acme' with the auth strategy 'bearr', which no plugin offers; did you mean 'bearer'?",
        ),
    ],
)
def test_what_a_hook_gives_back_is_checked(install: Install, answer: str, reason: str) -> None:
    install("acme", GOOD.replace('[ProviderSpec(name="{name}", config=Config, build=print)]', answer))
    assert refusal("acme") == f"plugin 'acme' (aigateway-acme 1.0) {reason}; {OUT}"


def test_a_plugin_may_be_an_object_in_its_module(install: Install) -> None:
    source = GOOD.replace("@hookimpl\ndef", "class Plugin:\n  @hookimpl\n  def").replace(
        "providers()", "providers(self)"
    )
    install("acme", source + "\nplugin = Plugin()\n", target="aigateway_acme:plugin")
    assert "acme" in load("acme").providers


def test_x_06_who_wants_to_be_first_is_given_nothing_and_changes_no_order(install: Install) -> None:
    """A hook takes no argument, so there is no token to see; strategies are found by name, whoever came first."""
    first = """
import attrs
from aigateway_core.plugin import AuthStrategySpec, hookimpl

@attrs.frozen
class Config:
    pass

SEEN = []

@hookimpl(tryfirst=True)
def aigateway_register_auth_strategies(*given, **named):
    SEEN.append((given, named))
    return [AuthStrategySpec(name="mine", config=Config, build=print)]
"""
    install("acme", first)
    assert set(load("acme").strategies) == {"api_key", "bearer", "oauth", "none", "mine"}
    assert sys.modules["aigateway_acme"].SEEN == [((), {})]
    install("beta", first.replace('"mine"', '"api_key"'))
    assert "the auth strategy 'api_key' is offered by" in refusal("beta")


def test_x_06_a_wrapper_sees_nothing_of_other_plugins(install: Install) -> None:
    """A plugin that wraps the hook could otherwise swap the specs of everybody."""
    install(
        "acme",
        """
from aigateway_core.plugin import hookimpl

@hookimpl(wrapper=True, tryfirst=True)
def aigateway_register_auth_strategies():
    result = yield
    return [()] * len(result)
""",
    )
    assert set(load("acme").strategies) == {"api_key", "bearer", "oauth", "none"}


@attrs.frozen
class Options:
    """Nothing to choose."""


class Extra:
    @hookimpl
    def aigateway_register_stats_sinks(self) -> list[StatsSinkSpec[Any]]:
        return [StatsSinkSpec(name="extra", config=Options, build=print)]  # type: ignore[arg-type]


def test_an_object_registered_by_hand_counts_as_a_plugin_of_the_core() -> None:
    loader = PluginLoader(PluginsSettings(allowed=frozenset()))
    loader.register(Extra(), "builtin-extra")
    loaded = loader.load()
    assert "extra" in loaded.sinks
    assert loaded.plugins[-1] == PluginInfo(
        name="builtin-extra", distribution="aigateway-core", version=__version__, offers=("stats sink extra",)
    )


def test_every_kind_of_spec_is_told_apart() -> None:
    loaded = load()
    assert {type(spec) for spec in loaded.providers.values()} == {ProviderSpec}
    assert {type(spec) for spec in loaded.strategies.values()} == {AuthStrategySpec}
    assert {type(spec) for spec in loaded.sinks.values()} == {StatsSinkSpec}


def test_loading_in_a_process_of_its_own_finds_the_plugin_by_its_metadata(install: Install, tmp_path: Path) -> None:
    install("acme", GOOD)
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from aigateway_core.plugins import PluginLoader\n"
        "print(*PluginLoader().load().providers)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "acme" in result.stdout.split()
