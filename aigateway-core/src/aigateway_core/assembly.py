"""What is known before anything is opened: plugins loaded, providers and sinks built from their sections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import attrs

from aigateway_core.builtin.stats import DatabaseSinkPlugin
from aigateway_core.errors import ConfigurationError, PluginError, SettingsError
from aigateway_core.ledger import CallLedger
from aigateway_core.plugin import AuthStrategy, Provider, StatsSink
from aigateway_core.plugin_settings import Configured, ConfiguredProvider, configure
from aigateway_core.plugins import LoadedPlugins, PluginLoader
from aigateway_core.records import Account
from aigateway_core.secret import Secret, scrub
from aigateway_core.settings import ServerSettings, Settings
from aigateway_core.snapshot import ProviderEntry
from aigateway_core.structuring import StructuringError, structure


@attrs.frozen(kw_only=True)
class Assembly:
    """What is known before anything is opened: plugins loaded, sections structured, providers built."""

    settings: Settings
    plugins: LoadedPlugins
    configured: Configured
    providers: tuple[ProviderEntry, ...]
    accounts: tuple[Account, ...]
    sinks: tuple[StatsSink, ...]
    ledger: CallLedger

    def marks(self, fingerprint: Callable[[str], str]) -> Mapping[str, str]:
        """What tells each account of the configuration from one with another key, and nothing else."""
        keys = {each.id: each.api_key for each in self.configured.providers}
        return {
            account.id: fingerprint(key.reveal() if (key := keys[account.provider_id]) is not None else "")
            for account in self.accounts
        }


def assemble(settings: Settings) -> Assembly:
    """Load the plugins and build what the settings ask for.

    Raises :class:`PluginError` and :class:`SettingsError`; does no I/O but importing.
    """
    ledger = CallLedger()
    loader = PluginLoader(settings.plugins)
    loader.register(DatabaseSinkPlugin(ledger), "builtin-database")
    plugins = loader.load()
    configured = configure(settings, plugins)
    if circles := [problem for each in configured.providers for problem in _circles(settings.server, each)]:
        raise SettingsError(circles)
    providers = tuple(_provider(each) for each in configured.providers)
    accounts = (_account(each, entry) for each, entry in zip(configured.providers, providers, strict=True))
    return Assembly(
        settings=settings,
        plugins=plugins,
        configured=configured,
        providers=providers,
        accounts=tuple(account for account in accounts if account is not None),
        sinks=tuple(
            _built(f"the stats sink {each.spec.name!r}", each.spec.build, each.config) for each in configured.sinks
        ),
        ledger=ledger,
    )


def _provider(configured: ConfiguredProvider) -> ProviderEntry:
    spec = configured.spec
    who = f"the provider {configured.id!r}"
    provider = _built(who, spec.build, configured.config)
    strategy = _built(f"the auth strategy of {who}", configured.strategy.build, configured.strategy_config)
    _built(who, lambda _: _look_over(provider, strategy), None)
    return ProviderEntry(
        id=configured.id,
        kind=spec.name,
        title=spec.title,
        provider=provider,
        strategy=strategy,
        strategy_name=configured.strategy.name,
        priority=configured.priority,
        risk=spec.risk,
        advice=_built(who, spec.advice, configured.config) if spec.advice else None,
    )


def _circles(server: ServerSettings, configured: ConfiguredProvider) -> Iterator[str]:
    """The provider's addresses at which this gateway itself listens, as far as they say so in plain words."""
    for name, url in base_urls(configured).items():
        if _is_ours(server, url):
            message = f"{url} is where this gateway listens itself: its requests would go round in a circle"
            yield f"providers.{configured.id}.{name}: {scrub(message)}"


def base_urls(configured: ConfiguredProvider) -> dict[str, str]:
    """Where the provider asks its vendor, by the name of the setting that says so."""
    single = {"base_url": getattr(configured.config, "base_url", None)}
    several = getattr(configured.config, "base_urls", None) or ()
    listed = {f"base_urls[{number}]": url for number, url in enumerate(several)}
    return {name: url for name, url in (single | listed).items() if url and isinstance(url, str)}


def _is_ours(server: ServerSettings, url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return False
    if port != server.port:
        return False
    ours = server.host.strip("[]").lower()
    everywhere = ours in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    here = host == "localhost" or host.startswith("127.") or host in {"::1", "0.0.0.0", "::"}  # noqa: S104
    return host == ours or (here and everywhere) or (host == "localhost" and server.is_loopback)


def _look_over(provider: Provider, strategy: AuthStrategy) -> None:
    """Read what the gateway will rely on: what is wrong with it shall be known before the first request."""
    if not all(isinstance(model.id, str) for model in provider.models):
        raise TypeError("a model's id is no text")
    _ = [pattern.endswith("*") for pattern in provider.model_patterns]
    attrs.fields(strategy.credential)
    with suppress(StructuringError):
        structure({}, strategy.credential)


def _built(what: str, build: Any, config: Any) -> Any:
    """What a plugin's constructor makes. It may raise anything, and the start shall still end in one line."""
    try:
        return build(config)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{what} cannot be built: {type(error).__name__}: {scrub(str(error))}") from error


def _account(configured: ConfiguredProvider, entry: ProviderEntry) -> Account | None:
    """The account that the configuration brings: its ``api_key``, or an empty one where no credential is needed."""
    if configured.api_key is not None:
        data = _single_secret(entry, configured.api_key)
    elif configured.strategy.name == "none":
        data = {}
    else:
        return None
    try:
        credential = structure(data, entry.strategy.credential, f"providers.{entry.id}.api_key")
    except StructuringError as error:
        raise ConfigurationError(str(error)) from error
    return Account(
        id=f"config:{entry.id}",
        provider_id=entry.id,
        label="config",
        credential=credential,
        egress=configured.egress,
    )


def _single_secret(entry: ProviderEntry, value: Secret) -> dict[str, str]:
    """``api_key`` in the configuration is the one secret that the strategy asks for, whatever it calls it."""
    fields = [field for field in attrs.fields(entry.strategy.credential) if field.default is attrs.NOTHING]
    if len(fields) != 1:
        raise ConfigurationError(
            f"providers.{entry.id}.api_key: the auth strategy {entry.strategy_name!r} asks for more than a key; "
            f"add an account instead: aigateway-core accounts add {entry.id}"
        )
    return {fields[0].name: value.reveal()}
