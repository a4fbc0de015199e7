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
from aigateway_core.server.link import WorkerEnd
from aigateway_core.server.run import serve
from aigateway_core.settings import Settings, load


def worker(
    number: Annotated[int, typer.Option(min=1)],
    link: Annotated[int, typer.Option(min=0)],
    listener: Annotated[list[int], typer.Option(min=0)],
    slot: Annotated[int, typer.Option(min=1)],
    metrics: Annotated[Path, typer.Option(file_okay=False)],
    config: ConfigFile = None,
    host: Annotated[str | None, typer.Option()] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535)] = None,
) -> None:
    """Serve on sockets that another process has bound. Not for people: ``aigateway-core server`` starts it."""
    settings = listening_on(load(config), host, port)
    share = bootstrap.Share(metrics, slot)
    house = bootstrap.House(bootstrap.assemble(settings), share, looked=admin_key.kept_later(settings))
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


def command(config: Path | None, host: str | None, port: int | None, metrics: Path) -> list[str]:
    """How to start a worker with what ``aigateway-core server`` was told; workers count in the folder ``metrics``."""
    said = {"--config": config, "--host": host, "--port": port, "--metrics": metrics}
    # Without the working directory in the path of imports, where anything may lie.
    python = [sys.executable, "-P", "-m", "aigateway_core", "worker"]
    return [*python, *(f"{name}={value}" for name, value in said.items() if value is not None)]


def listening_on(settings: Settings, host: str | None, port: int | None) -> Settings:
    """The settings with the address that the command line names."""
    said = settings.server
    return attrs.evolve(settings, server=attrs.evolve(said, host=host or said.host, port=port or said.port))
