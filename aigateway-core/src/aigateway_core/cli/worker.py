"""One of several workers: what ``aigateway-core server`` starts for each when ``server.workers`` is more than 1."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Annotated

import attrs
import typer

from aigateway_core import bootstrap, logs
from aigateway_core.cli import admin_key
from aigateway_core.cli.options import ConfigFile
from aigateway_core.errors import SettingsError
from aigateway_core.server.link import WorkerEnd
from aigateway_core.server.run import serve
from aigateway_core.settings import ServerSettings, Settings, load


def worker(
    number: Annotated[int, typer.Option(min=1)],
    link: Annotated[int, typer.Option(min=0)],
    listener: Annotated[list[int], typer.Option(min=0)],
    slot: Annotated[int, typer.Option(min=1)],
    metrics: Annotated[Path, typer.Option(file_okay=False)],
    host: Annotated[str, typer.Option()],
    port: Annotated[int, typer.Option(min=1, max=65535)],
    workers: Annotated[int, typer.Option(min=2)],
    config: ConfigFile = None,
) -> None:
    """Serve on sockets that another process has bound. Not for people: ``aigateway-core server`` starts it."""
    settings = _one_of(workers, listening_on(load(config), host, port))
    share = bootstrap.Share(metrics, slot)
    house = bootstrap.House(bootstrap.assemble(settings), share, keep=admin_key.kept_later(settings))
    logs.configure(settings.log, known=house.secrets, worker=number)
    listeners = [socket.socket(fileno=each) for each in listener]
    end = WorkerEnd.inherited(link)
    serve(
        house.app,
        settings.server,
        on_stopping=house.stopping,
        on_stall=house.stalled,
        listeners=listeners,
        link=end,
    )


def command(config: Path | None, running: ServerSettings, metrics: Path) -> list[str]:
    """How to start a worker of a gateway that runs as ``running`` says; workers count in the folder ``metrics``.

    Where it listens and how many workers it has stays until it ends, whatever the configuration says meanwhile.
    """
    said = {"--config": config, "--host": running.host, "--port": running.port, "--workers": running.workers}
    said["--metrics"] = metrics
    # Without the working directory in the path of imports, where anything may lie.
    python = [sys.executable, "-P", "-m", "aigateway_core", "worker"]
    return [*python, *(f"{name}={value}" for name, value in said.items() if value is not None)]


def listening_on(settings: Settings, host: str | None, port: int | None) -> Settings:
    """The settings with the address that the command line names."""
    said = settings.server
    return attrs.evolve(settings, server=attrs.evolve(said, host=host or said.host, port=port or said.port))


def _one_of(workers: int, settings: Settings) -> Settings:
    """The settings with as many workers as there are. Raises :class:`SettingsError` where they could share nothing."""
    if not settings.redis.enabled:
        reason = f"redis.enabled: {workers} workers need Redis, and are as many until the gateway is ended and started"
        raise SettingsError([reason])
    return attrs.evolve(settings, server=attrs.evolve(settings.server, workers=workers))
