"""``aigateway-core db``: make the database, look at it, bring it up to date."""

from __future__ import annotations

import asyncio

import attrs
import typer

from aigateway_core import bootstrap, provisioning
from aigateway_core.cli.options import AsJson, ConfigFile, print_json
from aigateway_core.provisioning import Provisioned
from aigateway_core.settings import load

app = typer.Typer(help="The database: make it, look at it, bring it up to date.", no_args_is_help=True)


@app.command()
def init(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Make the database if it is not there, bring it up to date, and enter the installed providers.

    A start of the server does the last two by itself; on MySQL the database has to be there by then. What is done
    already stays as it is.
    """
    done = asyncio.run(provisioning.initialise(bootstrap.assemble(load(config))))
    if as_json:
        print_json(attrs.asdict(done))
        return
    if done.created:
        typer.echo(f"made the database {done.location}")
    _tell_migrations(done)
    typer.echo(f"providers entered: {', '.join(done.providers)}" if done.providers else "no provider is new")


@app.command()
def migrate(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Bring the tables up to date. Gateways that still run go on meanwhile."""
    done = provisioning.bring_up_to_date(load(config))
    if as_json:
        print_json({"location": done.location, "migrations": done.migrations})
    else:
        _tell_migrations(done)


@app.command()
def status(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Tell whether the database answers, is up to date, and fits the master key; 1 is the exit code when not."""
    found = provisioning.condition(load(config))
    if as_json:
        print_json({**attrs.asdict(found), "is_good": found.is_good})
    else:
        for label, text in {
            "database": f"{found.location}  ({found.engine} {found.version or '?'})",
            "reachable": "yes" if found.reachable else "no",
            "pending": ", ".join(found.pending) or ("nothing" if found.reachable and not found.problem else "?"),
            "master key": found.master_key,
            "problem": found.problem,
        }.items():
            if text is not None:
                typer.echo(f"{label:<12}{text}")
    if not found.is_good:
        raise typer.Exit(1)


def _tell_migrations(done: Provisioned) -> None:
    if done.migrations:
        typer.echo(f"migrated {done.location}: {', '.join(done.migrations)}")
    else:
        typer.echo(f"{done.location} is up to date")
