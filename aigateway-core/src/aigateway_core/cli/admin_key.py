"""``aigateway-core admin-key``: the key that opens ``/api/v1``."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

import typer

from aigateway_core import bootstrap
from aigateway_core.cli.options import ConfigFile
from aigateway_core.errors import ConflictError
from aigateway_core.secret import Secret
from aigateway_core.settings import Settings, load

log = logging.getLogger(__name__)

app = typer.Typer(help="The key that opens the admin API.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The key that opens the admin API."""


@app.command()
def reset(config: ConfigFile = None) -> None:
    """Make a new admin key and revoke the old ones. The key is printed once, alone on standard output."""
    settings = load(config)
    if settings.keys.admin is not None:
        raise ConflictError("AIGATEWAY_ADMIN_KEY is set, and then it is the only admin key: change it there")
    key = asyncio.run(bootstrap.reset_admin_key(settings))
    typer.echo("The admin key is shown this once; every older one has stopped working.", err=True)
    typer.echo(key.reveal())


def keep(key: Secret, settings: Settings) -> Path:
    """Write the key to a file that only its owner can read, beside the SQLite file, for want of a terminal."""
    path = settings.database.path.with_name("admin-key")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A file that is there holds a key that no longer counts, and may have other permissions.
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(key.reveal() + "\n")
    return path


def kept_later(settings: Settings) -> Callable[[bootstrap.FirstLook], None]:
    """What keeps the key of a start that had to do without the database at first."""

    def keep_key(look: bootstrap.FirstLook) -> None:
        if look.admin_key is not None:
            log.warning("the admin key is in %s", keep(look.admin_key, settings))

    return keep_key
