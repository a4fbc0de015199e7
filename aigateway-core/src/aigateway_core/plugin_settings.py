"""What the settings say about plugins: each section structured into the class of the plugin that it is for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

import attrs
from cattrs import StructureHandlerNotFoundError

from aigateway_core.errors import PluginError, SettingsError
from aigateway_core.plugin import AuthStrategySpec, ProviderSpec, StatsSinkSpec
from aigateway_core.plugins import LoadedPlugins
from aigateway_core.secret import Secret, scrub
from aigateway_core.settings import ProviderSettings, Settings, SinkSettings, told
from aigateway_core.structuring import Problem, StructuringError, near, structure

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class ConfiguredProvider:
    """A provider that shall run: everything that building it takes.

    ``id`` is its name in the configuration; ``api_key`` is there when the configuration brings an account of its own.
    """

    id: str
    spec: ProviderSpec[Any]
    config: Any = attrs.field(repr=False)
    strategy: AuthStrategySpec[Any]
    strategy_config: Any = attrs.field(repr=False)
    priority: int = 0
    egress: Literal["pool", "direct"] = "pool"
    api_key: Secret | None = None


@attrs.frozen(kw_only=True)
class ConfiguredSink:
    """A stats sink that shall run."""

    spec: StatsSinkSpec[Any]
    config: Any = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Configured:
    """What shall run. ``waiting`` has the providers that are installed and need settings first, with what they need."""

    providers: tuple[ConfiguredProvider, ...]
    sinks: tuple[ConfiguredSink, ...]
    waiting: Mapping[str, tuple[str, ...]]


def configure(settings: Settings, loaded: LoadedPlugins) -> Configured:
    """Match the settings with the plugins. Builds nothing.

    A provider that the configuration does not mention runs too, unless it needs settings. Raises
    :class:`SettingsError` with every problem of every section, and :class:`PluginError` for a plugin whose config class
    cannot be read.
    """
    return _Matching(settings, loaded).result()


class _Matching:
    def __init__(self, settings: Settings, loaded: LoadedPlugins) -> None:
        self._settings = settings
        self._loaded = loaded
        self._problems: list[Problem] = []
        self._waiting: dict[str, tuple[str, ...]] = {}

    def result(self) -> Configured:
        providers = [*self._mentioned_providers(), *self._other_providers()]
        sinks = list(self._sinks())
        if self._problems:
            raise SettingsError(told(self._problems, self._settings.source))
        return Configured(
            providers=tuple(sorted(providers, key=lambda provider: provider.id)),
            sinks=tuple(sinks),
            waiting=self._waiting,
        )

    def _mentioned_providers(self) -> Iterable[ConfiguredProvider]:
        for name, section in self._settings.providers.items():
            spec = self._loaded.providers.get(section.kind or name)
            if not section.enabled:
                continue
            if spec is None:
                self._problems.append(self._no_such_provider(name, section))
            elif (config := self._structured(section.options, spec.config, f"providers.{name}")) is not None:
                yield from self._with_strategy(name, section, spec, config)

    def _other_providers(self) -> Iterable[ConfiguredProvider]:
        for name, spec in self._loaded.providers.items():
            if name in self._settings.providers:
                continue
            try:
                config = _structured(spec.config, {}, f"providers.{name}")
            except StructuringError as error:
                self._waiting[name] = tuple(problem.path for problem in error.problems)
            else:
                yield from self._with_strategy(name, ProviderSettings(), spec, config)

    def _with_strategy(
        self, name: str, section: ProviderSettings, spec: ProviderSpec[Any], config: Any
    ) -> Iterable[ConfiguredProvider]:
        chosen = section.auth_strategy or spec.auth
        strategy = self._loaded.strategies.get(chosen)
        if strategy is None:
            known = self._loaded.strategies
            hint = near(chosen, known) or f"; there are: {', '.join(sorted(known))}"
            self._problems.append(Problem(f"providers.{name}.auth_strategy", f"no plugin offers {chosen!r}{hint}"))
            return
        # The plugin's options are for its own strategy: another one starts from its defaults.
        options = {**(_auth_options(spec, config) if chosen == spec.auth else {}), **section.auth_options}
        strategy_config = self._structured(options, strategy.config, f"providers.{name}.auth_options")
        if strategy_config is not None:
            yield ConfiguredProvider(
                id=name,
                spec=spec,
                config=config,
                strategy=strategy,
                strategy_config=strategy_config,
                priority=section.priority,
                egress=section.egress,
                api_key=section.api_key,
            )

    def _no_such_provider(self, name: str, section: ProviderSettings) -> Problem:
        known = self._loaded.providers
        if section.kind:
            hint = near(section.kind, known) or f"; there are: {', '.join(sorted(known))}"
            return Problem(f"providers.{name}.kind", f"no installed plugin offers {section.kind!r}{hint}")
        hint = near(name, known) or "; install its plugin, or say kind: openai-compatible"
        return Problem(f"providers.{name}", f"no installed plugin offers this provider{hint}")

    def _sinks(self) -> Iterable[ConfiguredSink]:
        for name in self._settings.stats:
            if name not in self._loaded.sinks:
                known = self._loaded.sinks
                hint = near(name, known) or f"; there are: {', '.join(sorted(known))}"
                self._problems.append(Problem(f"stats.{name}", f"no installed plugin offers this sink{hint}"))
        for name, spec in self._loaded.sinks.items():
            section = self._settings.stats.get(name, SinkSettings())
            if section.enabled is False or (section.enabled is None and not self._runs_unasked(name, spec)):
                continue
            config = self._structured(section.options, spec.config, f"stats.{name}")
            if config is not None:
                yield ConfiguredSink(spec=spec, config=config)

    def _runs_unasked(self, name: str, spec: StatsSinkSpec[Any]) -> bool:
        """A sink that the configuration mentions is wanted, whatever its default."""
        return spec.default or name in self._settings.stats

    def _structured(self, options: Mapping[str, Any], kind: type[T], path: str) -> T | None:
        try:
            return _structured(kind, options, path)
        except StructuringError as error:
            self._problems.extend(error.problems)
            return None


def _auth_options(spec: ProviderSpec[Any], config: Any) -> Mapping[str, Any]:
    """The plugin's options for its auth strategy. Raises :class:`PluginError`."""
    if isinstance(spec.auth_options, Mapping):
        return spec.auth_options
    try:
        return dict(spec.auth_options(config))
    except Exception as error:
        message = f"auth_options of the provider {spec.name!r} cannot be made: {type(error).__name__}: "
        raise PluginError(message + scrub(str(error))) from error


def _structured(kind: type[T], options: Mapping[str, Any], path: str) -> T:
    try:
        return structure(options, kind, path)
    except StructureHandlerNotFoundError as error:
        where = f"{kind.__module__}.{kind.__qualname__}"
        raise PluginError(f"{path}: the config class {where} has a field that no setting can fill: {error}") from error
