"""``aigateway-core secrets``: the master key that stored secrets are sealed with."""

from __future__ import annotations

import asyncio

import attrs
import typer

from aigateway_core import bootstrap, provisioning
from aigateway_core.cli.options import AsJson, ConfigFile, print_json
from aigateway_core.settings import load

app = typer.Typer(help="The master key that stored secrets are sealed with.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The master key that stored secrets are sealed with."""


@app.command()
def rotate(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Seal every stored secret again, with the first of the master keys.

    Before: put the new key in front of the old one, in AIGATEWAY_MASTER_KEY (with a comma) or in the key file (on a
    line of its own), and restart every gateway, so that all of them know it. Afterwards the old key may go. When it is
    stopped on the way, run it again.
    """
    done = asyncio.run(provisioning.rotate(load(config), bootstrap.COMMAND_LINE))
    if as_json:
        print_json(attrs.asdict(done))
        return
    told = ", ".join(f"{count} of {table}" for table, count in done.rows.items() if count)
    typer.echo(f"sealed with the key {done.key}: {told or 'everything was already'}")
    for place in done.unreadable:
        typer.echo(f"no master key opens {place}: it was left as it is", err=True)
    for key in done.older_keys:
        typer.echo(f"needs the older master key until it is replaced: {key}", err=True)
