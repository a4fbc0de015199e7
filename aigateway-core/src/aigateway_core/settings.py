"""The settings: one frozen tree, loaded once at start and handed down in parts.

Every key is described in ``docs/configuration.md``. :func:`load` looks for the file, lays the environment over it and
structures the whole; what a plugin's own section means is settled later, in
:func:`aigateway_core.plugin_settings.configure`, since the plugins are not known yet.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
import platformdirs

from aigateway_core import sources
from aigateway_core.addresses import trouble_with_host, trouble_with_network, trouble_with_redis
from aigateway_core.converter import EnvironmentText, Range, Reference
from aigateway_core.environment_keys import KeySettings as KeySettings
from aigateway_core.environment_keys import keys_of
from aigateway_core.errors import SettingsError
from aigateway_core.secret import MASK, Secret, scrub
from aigateway_core.structuring import Problem, StructuringError, each, near, structure

Seconds = Annotated[float, Range(above=0)]
Port = Annotated[int, Range(at_least=1, at_most=65535)]
Count = Annotated[int, Range(at_least=1)]


@attrs.frozen(kw_only=True)
class ServerSettings:
    """Where the gateway listens, and how long and how large a request may be. Times are in seconds."""

    host: str = "127.0.0.1"
    port: Port = 8088
    workers: Count = 1
    client_auth: Literal["auto", "required", "open"] = "auto"
    max_body_bytes: Count = 20 << 20
    body_timeout: Seconds = 30.0
    send_timeout: Seconds = 60.0
    header_timeout: Seconds = 10.0
    keepalive_interval: Seconds = 15.0
    drain_timeout: Annotated[float, Range(at_least=0)] = 10.0
    max_concurrency: Annotated[int, Range(at_least=0)] = 0
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()

    @property
    def is_loopback(self) -> bool:
        """Whether it listens where only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def is_local(self) -> bool:
        """Whether it is there for this machine alone: on loopback, and before it no proxy that lets others in."""
        return self.is_loopback and not self.trusted_proxies


def _default_database() -> Path:
    return platformdirs.user_data_path(sources.APPLICATION, appauthor=False) / "aigateway.db"


@attrs.frozen(kw_only=True)
class DatabaseSettings:
    """Where accounts, keys and logs are kept. ``path`` is for SQLite, everything below it for MySQL."""

    engine: Literal["sqlite", "mysql"] = "sqlite"
    path: Path = attrs.field(factory=_default_database)
    host: str = "localhost"
    port: Port = 3306
    user: str = "aigateway"
    password: Secret | None = None
    database: str = "aigateway"


@attrs.frozen(kw_only=True)
class RedisSettings:
    """Where several gateways share their state, if they do. A ``url`` says it all at once, and beats the rest."""

    enabled: bool = False
    host: str = "localhost"
    port: Port = 6380
    password: Secret | None = None
    db: Annotated[int, Range(at_least=0)] = 0
    url: Secret | None = None
    prefix: str = ""


@attrs.frozen(kw_only=True)
class UpstreamSettings:
    """Deadlines of a call in seconds, the size of a whole answer in bytes, and how often a request is tried.

    ``patience`` is how many seconds a request waits at most for an account that is about to be ready. Of a vendor in
    trouble, ``retry_budget`` is the share of the requests that may be tried again, ``breaker_failures`` how many in a
    row may fail before it is left alone for a while (0: any number); ``retry_ambiguous`` is for lost answers.
    """

    connect_timeout: Seconds = 10.0
    first_byte_timeout: Seconds = 300.0
    idle_timeout: Seconds = 300.0
    total_timeout: Seconds = 3600.0
    max_response_bytes: Count = 64 << 20
    max_attempts: Count = 3
    patience: Annotated[float, Range(at_least=0)] = 2.0
    retry_budget: Annotated[float, Range(at_least=0)] = 0.2
    retry_ambiguous: bool = True
    breaker_failures: Annotated[int, Range(at_least=0)] = 5


@attrs.frozen(kw_only=True)
class ProxySettings:
    """The pool of outbound proxies: how accounts are bound to them and how their health is watched, in seconds.

    ``health_check_url`` is what the checks ask for; without it, the base URLs of the providers.
    """

    selection_strategy: Literal["fill_first"] = "fill_first"
    health_check_interval: Annotated[float, Range(at_least=0)] = 60.0
    health_check_url: str | None = None
    max_failures: Count = 3


@attrs.frozen(kw_only=True)
class PluginsSettings:
    """Which plugins are loaded, by the name of their entry point or of their distribution.

    ``startup_files`` names the files that may run code whenever Python starts; None leaves them alone.
    """

    disabled: frozenset[str] = frozenset()
    allowed: frozenset[str] | None = None
    startup_files: frozenset[str] | None = None


@attrs.frozen(kw_only=True)
class ProviderSettings:
    """One section of ``providers``: the keys that belong to the core, and the rest, which is the plugin's.

    ``kind`` is the plugin's name for the provider; None when it is the section's own. ``auth_options`` are options of
    the auth strategy, and win over the plugin's. ``egress`` is how the account goes out that the section brings.
    """

    enabled: bool = True
    kind: str | None = None
    auth_strategy: str | None = None
    api_key: Secret | None = None
    priority: int = 0
    egress: Literal["pool", "direct"] = "pool"
    auth_options: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class SinkSettings:
    """One section of ``stats``: whether the sink runs (None: as its plugin says), and the plugin's own keys."""

    enabled: bool | None = None
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class SecuritySettings:
    """What the guards let pass; wrong keys from one address, 0 for any number of them."""

    allow_private_hosts: frozenset[str] = frozenset()
    wrong_client_keys_per_minute: Annotated[int, Range(at_least=0)] = 20
    wrong_admin_keys_per_minute: Annotated[int, Range(at_least=0)] = 5


@attrs.frozen(kw_only=True)
class RecordingSettings:
    """The queue between the request path and the stats sinks, and how long what came through it is kept.

    ``spool_folder`` is where records wait while the database is away; without it, the folder of ``database.path``.
    ``vendor_messages`` keeps in them what vendors say of a failure, which may quote the prompt.
    """

    queue_size: Count = 10_000
    flush_interval: Seconds = 0.25
    batch_size: Count = 500
    spool_folder: Path | None = None
    spool_max_bytes: Annotated[int, Range(at_least=1 << 20)] = 256 << 20
    retention_days: Annotated[int, Range(at_least=0, at_most=36_500)] = 0
    vendor_messages: bool = False


@attrs.frozen(kw_only=True)
class LogSettings:
    """What is logged to standard error, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "text", "json"] = "auto"


@attrs.frozen(kw_only=True)
class Settings:
    """Everything that was said, and the defaults for what was not. ``source`` is the file, if there was one."""

    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = attrs.field(factory=DatabaseSettings)
    redis: RedisSettings = RedisSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    proxy: ProxySettings = ProxySettings()
    plugins: PluginsSettings = PluginsSettings()
    providers: Mapping[str, ProviderSettings] = attrs.field(factory=dict)
    security: SecuritySettings = SecuritySettings()
    recording: RecordingSettings = RecordingSettings()
    stats: Mapping[str, SinkSettings] = attrs.field(factory=dict)
    log: LogSettings = LogSettings()
    keys: KeySettings = attrs.field(factory=KeySettings)
    source: Path | None = None


def load(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process.

    ``config`` is the file that the command line named; else the first of the usual places counts. Raises
    :class:`SettingsError` with every problem there is.
    """
    environ = os.environ if environ is None else environ
    source = sources.find(config, environ)
    tree = sources.read(source) if source else {}
    problems = sources.overlay(tree, environ)
    problems += [str(problem) for problem in _unknown_sections(tree, source)]
    keys, wrong_keys = keys_of(environ)
    problems += wrong_keys
    try:
        settings = structure(_divided(sources.referring(_known(tree), environ)), Settings)
    except StructuringError as error:
        raise SettingsError([*told(error.problems, source), *problems]) from error
    problems += told(_refused(settings), source)
    if problems:
        raise SettingsError(problems)
    return attrs.evolve(settings, keys=keys, source=source)


def told(problems: Iterable[Problem], source: Path | None) -> list[str]:
    """Problems as lines; those that no environment variable caused are the file's."""
    named = str(source) if source else None
    return [str(attrs.evolve(problem, source=problem.source or named)) for problem in problems]


# -- from the untyped tree to the typed one

_SECTIONS = tuple(field.name for field in attrs.fields(Settings) if field.name not in ("keys", "source"))
CORE_KEYS: Mapping[str, frozenset[str]] = {
    "providers": frozenset({"enabled", "kind", "auth_strategy", "auth_options", "api_key", "priority", "egress"}),
    "stats": frozenset({"enabled"}),
}

_PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def _unknown_sections(tree: Mapping[Any, Any], source: Path | None) -> list[Problem]:
    strange = [key for key in tree if key not in _SECTIONS]
    return [Problem(str(key), f"unknown key{near(str(key), _SECTIONS)}", _said(tree[key], source)) for key in strange]


def _said(value: Any, source: Path | None) -> str | None:
    while isinstance(value, dict) and value:
        value = next(iter(value.values()))
    if isinstance(value, EnvironmentText):
        return value.variable
    return str(source) if source else None


def _known(tree: Mapping[Any, Any]) -> sources.Tree:
    """The sections that exist; one with nothing in it (all of it commented out) is an empty one."""
    return {key: {} if tree[key] is None else tree[key] for key in _SECTIONS if key in tree}


def _divided(tree: sources.Tree) -> sources.Tree:
    """The tree with the plugin's own keys of each provider and sink set apart, under ``options``."""
    divided = dict(tree)
    for name, core in CORE_KEYS.items():
        if isinstance(tree.get(name), dict):
            divided[name] = {key: _split(section, core) for key, section in tree[name].items()}
    return divided


def _split(section: Any, core: frozenset[str]) -> Any:
    if section is None:
        return {}
    if not isinstance(section, dict) or isinstance(section, Reference):
        return section
    own = {key: value for key, value in section.items() if key in core}
    return {**own, "options": {key: value for key, value in section.items() if key not in core}}


def _refused(settings: Settings) -> list[Problem]:
    """What has the right type and still cannot be."""
    problems = [
        Problem(f"providers.{name}", "a provider's name begins with a letter or digit and has only a-z 0-9 . _ -")
        for name in settings.providers
        if not _PROVIDER_NAME.fullmatch(name)
    ]
    if settings.server.workers > 1 and not settings.redis.enabled:
        reason = (
            "more than one worker needs Redis, through which they share their state: set redis.enabled, or workers: 1"
        )
        problems.append(Problem("server.workers", reason))
    if settings.redis.url is not None and (trouble := trouble_with_redis(settings.redis.url.reveal())):
        problems.append(Problem("redis.url", trouble))
    problems += each("server.trusted_proxies", settings.server.trusted_proxies, trouble_with_network)
    return problems + each("server.allowed_hosts", settings.server.allowed_hosts, trouble_with_host)


# -- for people

_SECRET_NAME = re.compile(r"(?i)secret|token|password|api[-_]?key|authorization|cookie|credential")


def describe(settings: Settings) -> dict[str, Any]:
    """The settings as plain data, in the shape of the file and with every secret masked."""
    tree = {name: _plain(getattr(settings, name)) for name in (*_SECTIONS, "source")}
    tree["keys"] = {name: "set" if getattr(settings.keys, name) else None for name in ("admin", "client", "master")}
    return tree


def _plain(value: Any, name: str = "") -> Any:
    if isinstance(value, Secret):
        return MASK
    if attrs.has(type(value)):
        section = {field.name: _plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
        options = section.pop("options", {})
        return {**section, **options}
    if isinstance(value, Reference):
        return dict(value)
    if isinstance(value, EnvironmentText):
        return f"(from {value.variable})"
    if isinstance(value, Mapping):
        return {key: _plain(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, list | tuple):
        return [_plain(element, name) for element in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str):
        return MASK if _SECRET_NAME.search(name) else scrub(value)
    return value
