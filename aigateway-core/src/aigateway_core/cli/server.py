"""``aigateway-core server``: put the gateway together, say what it has, and serve."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import attrs
import typer
from rich.console import Console

from aigateway_core import bootstrap, logs
from aigateway_core.cli import admin_key, screen, worker
from aigateway_core.cli.options import ConfigFile
from aigateway_core.cli.plugins import waiting
from aigateway_core.errors import ConfigurationError, UnavailableError
from aigateway_core.plugins import PluginInfo
from aigateway_core.secret import Secret
from aigateway_core.server.run import serve
from aigateway_core.server.supervisor import supervise
from aigateway_core.settings import LogSettings, ServerSettings, load
from aigateway_core.snapshot import ProviderEntry

log = logging.getLogger(__name__)


def server(
    config: ConfigFile = None,
    host: Annotated[str | None, typer.Option(help="Listen here; wins over server.host.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Listen here; wins over server.port.")] = None,
) -> None:
    """Start the gateway. With no configuration at all it listens on 127.0.0.1:8088."""
    settings = worker.listening_on(load(config), host, port)
    console = Console(highlight=False)
    assembly = bootstrap.assemble(settings)
    house = bootstrap.House(assembly, keep=admin_key.kept_later(settings))
    logs.configure(_until_it_listens(settings.log, console), known=house.secrets)
    look = _look(assembly, console)
    logs.configure(settings.log, known=house.secrets)
    if settings.server.client_auth == "open":
        log.warning("server.client_auth is open: whoever can reach the gateway spends its accounts")
    page = screen.Page(_facts(assembly, look, console), console)
    try:
        if settings.server.workers > 1:
            _run_workers(config, settings.server, page.show)
        else:
            serve(
                house.app, settings.server, on_listening=page.show, on_stopping=house.stopping, on_stall=house.stalled
            )
    finally:
        page.show_unseen_key()


def _look(assembly: bootstrap.Assembly, console: Console) -> bootstrap.FirstLook:
    """What the start finds. A database that is away is waited for by whoever serves."""

    def keep(key: Secret) -> None:
        if not console.is_terminal:
            admin_key.keep(key, assembly.settings)

    try:
        return asyncio.run(bootstrap.first_look(assembly, keep))
    except UnavailableError:
        return bootstrap.blind_look(assembly)


def _run_workers(config: Path | None, settings: ServerSettings, on_listening: Callable[[], None]) -> None:
    """Supervise workers that count in one folder, which is gone afterwards."""
    try:
        folder = TemporaryDirectory(prefix="aigateway-metrics-")
    except OSError as error:
        raise ConfigurationError(
            f"server.workers: no folder can be made for what the workers count ({error.strerror}); "
            "set TMPDIR to one that can be written to, or use one worker"
        ) from error
    with folder as name:
        supervise(
            worker.command(config, settings, Path(name)),
            settings,
            on_listening=on_listening,
            on_gone=lambda slot: bootstrap.Share(Path(name), slot).leave(),
        )


def _until_it_listens(settings: LogSettings, console: Console) -> LogSettings:
    """At a terminal the screen comes first: what the start has to say is for log files."""
    return attrs.evolve(settings, level="warning") if console.is_terminal and settings.level == "info" else settings


def _facts(assembly: bootstrap.Assembly, look: bootstrap.FirstLook, console: Console) -> screen.Facts:
    settings = assembly.settings
    key = look.admin_key
    return screen.Facts(
        host=settings.server.host,
        port=settings.server.port,
        plugins=[f"{plugin.name}  ({plugin.distribution} {plugin.version})" for plugin in _installed(assembly)],
        providers=[_provider(entry, is_ready=entry.id in look.ready) for entry in assembly.providers],
        waiting=[f"{name} needs {', '.join(needs)}" for name, needs in waiting(assembly).items()],
        database=str(bootstrap.location(settings.database)) + (" (does not answer yet)" if look.is_blind else ""),
        config=settings.source,
        clients_need_a_key=look.clients_need_a_key,
        is_local=settings.server.is_local,
        is_open=settings.server.client_auth == "open",
        workers=settings.server.workers,
        admin_key=key if console.is_terminal else None,
        admin_key_file=None if key is None or console.is_terminal else admin_key.file_of(settings),
    )


def _installed(assembly: bootstrap.Assembly) -> list[PluginInfo]:
    return [plugin for plugin in assembly.plugins.plugins if not plugin.is_builtin]


def _provider(entry: ProviderEntry, *, is_ready: bool) -> screen.ShownProvider:
    return screen.ShownProvider(
        id=entry.id,
        title=entry.title,
        models=[model.id for model in entry.provider.models],
        has_account=is_ready,
        logs_in=entry.logs_in is not None,
        is_free=entry.strategy_name == "none",
        risk=entry.risk,
        advice=entry.advice,
    )
