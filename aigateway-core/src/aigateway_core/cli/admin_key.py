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
from aigateway_core.errors import ConfigurationError, ConflictError
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


def file_of(settings: Settings) -> Path:
    """Where the key of a first start is kept for want of a terminal: beside the SQLite file."""
    return settings.database.path.with_name("admin-key")


def keep(key: Secret, settings: Settings) -> None:
    """Write the key to a file that only its owner can read.

    Raises :class:`ConfigurationError` when it cannot be written: nobody would ever have that key.
    """
    path = file_of(settings)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A file that is there holds a key that no longer counts, and may have other permissions.
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(key.reveal() + "\n")
    except OSError as error:
        raise ConfigurationError(
            f"a first admin key cannot be kept in {path} ({error.strerror}), so none was made; "
            "set AIGATEWAY_ADMIN_KEY, or database.path to a file in a folder that can be written to"
        ) from error


def kept_later(settings: Settings) -> Callable[[Secret], None]:
    """What keeps the key of a start that had to do without the database at first."""

    def keep_key(key: Secret) -> None:
        keep(key, settings)
        log.warning("the admin key is in %s", file_of(settings))

    return keep_key
