"""``aigateway-core config``: what the configuration says, and what is wrong with it."""

from __future__ import annotations

import typer
import yaml

from aigateway_core import bootstrap
from aigateway_core.cli.options import AsJson, ConfigFile, print_json
from aigateway_core.errors import SettingsError
from aigateway_core.settings import describe, load

app = typer.Typer(help="Look at the configuration.", no_args_is_help=True)


@app.command()
def check(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Look for problems, also in the sections of plugins, and start nothing. The exit code is 78 when there are any."""
    try:
        settings = load(config)
        bootstrap.assemble(settings)
    except SettingsError as error:
        if as_json:
            print_json({"problems": error.problems})
            raise typer.Exit(error.exit_code) from error
        raise
    if as_json:
        print_json({"problems": []})
        return
    typer.echo(f"{settings.source or 'no configuration file: the defaults count'}: no problems")


@app.command()
def show(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Print the settings that count, defaults and environment included, with every secret masked."""
    described = describe(load(config))
    if as_json:
        print_json(described)
    else:
        typer.echo(yaml.safe_dump(described, sort_keys=False, allow_unicode=True), nl=False)
