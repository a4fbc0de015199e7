"""The plugin loader: finds plugins by their entry points, asks each of the three hooks once, and says who is to blame.

The built-in plugins come first and through the same hooks. A plugin that cannot be loaded stops the start, since a
gateway without half of its providers would fail later and further away. Every :class:`PluginError` is one line that
names the distribution, its version and the way out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from itertools import pairwise
from typing import Any, TypeVar

import attrs
import pluggy

from aigateway_core import __version__
from aigateway_core.builtin import auth, providers, stats
from aigateway_core.errors import PluginError
from aigateway_core.plugin import AuthStrategySpec, ProviderSpec, StatsSinkSpec, hookspecs
from aigateway_core.secret import scrub
from aigateway_core.settings import CORE_KEYS, PluginsSettings
from aigateway_core.startup_files import unknown
from aigateway_core.structuring import near

GROUP = hookspecs.PROJECT
"""The entry-point group of plugins."""

BUILTIN = {"builtin-auth": auth, "builtin-providers": providers, "builtin-stats": stats}
"""The plugins that the core brings, by name."""

_CORE = "aigateway-core"
_WAY_OUT = "mend or uninstall it, or list it under plugins.disabled"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")

SpecT = TypeVar("SpecT", ProviderSpec[Any], AuthStrategySpec[Any], StatsSinkSpec[Any])


@attrs.frozen(kw_only=True)
class PluginInfo:
    """A loaded plugin: the distribution it came with, and what it offers (``provider openai``)."""

    name: str
    distribution: str
    version: str
    offers: tuple[str, ...] = ()

    @property
    def is_builtin(self) -> bool:
        """Whether the core brings it."""
        return self.distribution == _CORE

    @property
    def title(self) -> str:
        """The plugin as a message names it."""
        return f"plugin {self.name!r} ({self.distribution} {self.version})"


@attrs.frozen(kw_only=True)
class LoadedPlugins:
    """What all plugins together offer, each by its name, and the plugins themselves in the order of loading."""

    providers: Mapping[str, ProviderSpec[Any]]
    strategies: Mapping[str, AuthStrategySpec[Any]]
    sinks: Mapping[str, StatsSinkSpec[Any]]
    plugins: tuple[PluginInfo, ...]


class PluginLoader:
    """Loads what is installed, as far as the settings let it, and what is registered by hand."""

    def __init__(self, settings: PluginsSettings | None = None) -> None:
        self._settings = settings or PluginsSettings()
        self._plugins = pluggy.PluginManager(GROUP)
        self._plugins.add_hookspecs(hookspecs)
        self._loaded: list[tuple[object, PluginInfo]] = []
        for name, plugin in BUILTIN.items():
            self.register(plugin, name)

    def register(self, plugin: object, name: str) -> None:
        """Add a plugin of the core's own: an object, or a module, with hook implementations."""
        self._register(plugin, PluginInfo(name=name, distribution=_CORE, version=__version__))

    def load(self) -> LoadedPlugins:
        """Import what is installed and ask every plugin. Raises :class:`PluginError` for the first that fails."""
        self._refuse_startup_files()
        for entry in self._wanted():
            info = _info(entry)
            with _blaming(info, "cannot be imported"):
                plugin = entry.load()
            self._register(plugin, info)
        offers = _Offers()
        for plugin, info in self._loaded:
            for hook, kind in _HOOKS.items():
                offers.add(info, kind, self._ask(plugin, info, hook))
        return offers.loaded([info for _, info in self._loaded])

    def _refuse_startup_files(self) -> None:
        if self._settings.startup_files is None:
            return
        if found := unknown(self._settings.startup_files):
            raise PluginError(
                f"{', '.join(map(str, found))}: runs code whenever Python starts, and plugins.startup_files does not "
                "name it; find out who brought it, then take it away or name it there"
            )

    def _wanted(self) -> list[EntryPoint]:
        entries = sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, _info(entry).distribution))
        wanted = [entry for entry in entries if self._is_wanted(_info(entry))]
        for first, second in pairwise(wanted):
            if first.name == second.name:
                one, other = (f"{info.distribution} {info.version}" for info in (_info(first), _info(second)))
                raise PluginError(
                    f"two distributions bring a plugin named {first.name!r}: {one} and {other}; "
                    "uninstall one of them, or list its distribution under plugins.disabled"
                )
        return wanted

    def _is_wanted(self, info: PluginInfo) -> bool:
        names = {_plain(info.name), _plain(info.distribution)}
        allowed = self._settings.allowed
        return names.isdisjoint(map(_plain, self._settings.disabled)) and (
            allowed is None or not names.isdisjoint(map(_plain, allowed))
        )

    def _register(self, plugin: object, info: PluginInfo) -> None:
        with _blaming(info, "cannot be registered"):
            _refuse_unmarked(self._plugins, plugin, info)
            self._plugins.register(plugin, info.name)
            self._refuse_unknown_hooks(info)
        self._loaded.append((plugin, info))

    def _refuse_unknown_hooks(self, info: PluginInfo) -> None:
        try:
            self._plugins.check_pending()
        except pluggy.PluginValidationError as error:
            unknown = [caller.name for caller in vars(self._plugins.hook).values() if not caller.has_spec()]
            raise PluginError(
                f"{info.title} implements {unknown[0]!r}, which is no hook{near(unknown[0], _HOOKS)}; {_WAY_OUT}"
            ) from error

    def _ask(self, plugin: object, info: PluginInfo, hook: str) -> list[Any]:
        """What this plugin alone answers, so that nobody else can be blamed for it."""
        others = [other for other in self._plugins.get_plugins() if other is not plugin]
        with _blaming(info, f"failed in {hook}"):
            answers = self._plugins.subset_hook_caller(hook, others)()
            return [spec for answer in answers for spec in answer]


class _Offers:
    """Collects specs, and refuses those that cannot be or that somebody else offers already."""

    def __init__(self) -> None:
        self._by_kind: dict[type, dict[str, tuple[Any, PluginInfo]]] = {kind: {} for kind in _HOOKS.values()}

    def add(self, info: PluginInfo, kind: type, specs: Iterable[Any]) -> None:
        known = self._by_kind[kind]
        for spec in specs:
            _refuse_bad_spec(info, kind, spec)
            if spec.name in known:
                other = known[spec.name][1]
                raise PluginError(
                    f"the {_WORDS[kind]} {spec.name!r} is offered by {other.title} and by {info.title}; "
                    "uninstall one of them, or list it under plugins.disabled"
                )
            known[spec.name] = (spec, info)

    def loaded(self, plugins: Iterable[PluginInfo]) -> LoadedPlugins:
        self._refuse_unknown_strategies()
        return LoadedPlugins(
            providers=self._specs(ProviderSpec),
            strategies=self._specs(AuthStrategySpec),
            sinks=self._specs(StatsSinkSpec),
            plugins=tuple(attrs.evolve(info, offers=self._offered(info)) for info in plugins),
        )

    def _specs(self, kind: type) -> dict[str, Any]:
        return {name: spec for name, (spec, _) in self._by_kind[kind].items()}

    def _offered(self, info: PluginInfo) -> tuple[str, ...]:
        return tuple(
            f"{_WORDS[kind]} {name}"
            for kind, known in self._by_kind.items()
            for name, (_, by) in known.items()
            if by is info
        )

    def _refuse_unknown_strategies(self) -> None:
        strategies = self._by_kind[AuthStrategySpec]
        for spec, info in self._by_kind[ProviderSpec].values():
            if spec.auth not in strategies:
                raise PluginError(
                    f"{info.title} offers the provider {spec.name!r} with the auth strategy {spec.auth!r}, "
                    f"which no plugin offers{near(spec.auth, strategies)}; {_WAY_OUT}"
                )


_HOOKS: dict[str, type] = {
    "aigateway_register_providers": ProviderSpec,
    "aigateway_register_auth_strategies": AuthStrategySpec,
    "aigateway_register_stats_sinks": StatsSinkSpec,
}
_WORDS: dict[type, str] = {ProviderSpec: "provider", AuthStrategySpec: "auth strategy", StatsSinkSpec: "stats sink"}


@contextmanager
def _blaming(info: PluginInfo, doing: str) -> Iterator[None]:
    """Whatever a plugin raises, ``SystemExit`` included, becomes one line about it."""
    try:
        yield
    except (KeyboardInterrupt, PluginError):
        raise
    except BaseException as error:
        said = " ".join(str(error).split())[:300]
        reason = scrub(f"{type(error).__name__}: {said}" if said else type(error).__name__)
        raise PluginError(f"{info.title} {doing}: {reason}; {_WAY_OUT}") from error


def _info(entry: EntryPoint) -> PluginInfo:
    distribution = entry.dist
    return PluginInfo(
        name=entry.name,
        distribution=(distribution and distribution.name) or "an unnamed distribution",
        version=(distribution and distribution.version) or "of unknown version",
    )


def _plain(name: str) -> str:
    """A name as package indexes compare it: https://packaging.python.org/en/latest/specifications/name-normalization/."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _refuse_unmarked(manager: pluggy.PluginManager, plugin: object, info: PluginInfo) -> None:
    """A hook's name without its mark does nothing, silently: nobody means that."""
    for name in _HOOKS:
        if callable(getattr(plugin, name, None)) and manager.parse_hookimpl_opts(plugin, name) is None:
            raise PluginError(f"{info.title} defines {name!r} without @hookimpl; {_WAY_OUT}")


def _refuse_bad_spec(info: PluginInfo, kind: type, spec: Any) -> None:
    for holds, complaint in _COMPLAINTS:
        if not holds(kind, spec):
            raise PluginError(f"{info.title} offers {complaint(kind, spec)}; {_WAY_OUT}")


def _named(kind: type, spec: Any) -> str:
    return f"the {_WORDS[kind]} {spec.name!r}"


def _reserved(kind: type, spec: Any) -> list[str]:
    taken = CORE_KEYS.get({ProviderSpec: "providers", StatsSinkSpec: "stats"}.get(kind, ""), frozenset())
    return [field.name for field in attrs.fields(spec.config) if field.name in taken]


_COMPLAINTS: list[tuple[Callable[[type, Any], bool], Callable[[type, Any], str]]] = [
    (
        lambda kind, spec: isinstance(spec, kind),
        lambda kind, spec: f"a value of type {type(spec).__name__!r} where a {kind.__name__} belongs",
    ),
    (
        lambda _, spec: isinstance(spec.name, str) and bool(_NAME.fullmatch(spec.name)),
        lambda kind, spec: f"{_named(kind, spec)}, whose name is more than a-z 0-9 . _ -",
    ),
    (
        lambda _, spec: isinstance(spec.config, type) and attrs.has(spec.config),
        lambda kind, spec: f"{_named(kind, spec)}, whose config is not an attrs class",
    ),
    (
        lambda kind, spec: not _reserved(kind, spec),
        lambda kind, spec: f"{_named(kind, spec)}, whose config has the core's own key {_reserved(kind, spec)[0]!r}",
    ),
    (
        lambda _, spec: callable(spec.build),
        lambda kind, spec: f"{_named(kind, spec)}, whose build cannot be called",
    ),
]
