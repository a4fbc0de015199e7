"""The command ``aigateway-core``."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Annotated

import typer

from aigateway_core import __version__
from aigateway_core.cli import (
    accounts,
    admin_key,
    config,
    db,
    keys,
    login,
    mappings,
    plugins,
    providers,
    proxies,
    secrets,
    server,
    statistics,
    worker,
)
from aigateway_core.errors import ConfigurationError, GatewayError, SettingsError
from aigateway_core.secret import scrub

PROGRAM = "aigateway-core"

app = typer.Typer(
    name=PROGRAM,
    help="A self-hosted gateway in front of AI providers.",
    no_args_is_help=True,
    add_completion=False,
    # An error is one line here; and a traceback with local variables would show secrets.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("server")(server.server)
app.command("worker", hidden=True)(worker.worker)
app.command("login")(login.login)
app.command("plugins")(plugins.plugins)
app.command("logs")(statistics.logs)
app.command("stats")(statistics.stats)
app.add_typer(config.app, name="config")
app.add_typer(accounts.app, name="accounts")
app.add_typer(proxies.app, name="proxies")
app.add_typer(keys.app, name="keys")
app.add_typer(mappings.app, name="mappings")
app.add_typer(providers.app, name="providers")
app.add_typer(db.app, name="db")
app.add_typer(secrets.app, name="secrets")
app.add_typer(admin_key.app, name="admin-key")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and stop.")
    ] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where in the code an error came from.")] = False,
) -> None:
    """A self-hosted gateway in front of AI providers: one URL, every dialect, a pool of accounts."""


def main() -> None:
    """Run the command. An error is one line on standard error for each thing to mend, never a traceback unasked.

    Exit codes: 0, 1 for an error, 2 for a wrong command line, 78 for a wrong configuration.
    """
    try:
        app(prog_name=PROGRAM)
    except Exception as error:
        if "--traceback" in sys.argv:
            raise
        # Where nobody can read what is wrong, the exit code is all that tells.
        with suppress(OSError):
            for line in _told(error):
                typer.echo(f"{PROGRAM}: {line}", err=True)
        sys.exit(ConfigurationError.exit_code if isinstance(error, ConfigurationError) else 1)


def _told(error: Exception) -> list[str]:
    """What to say of an error: text that no secret is in."""
    if isinstance(error, SettingsError):
        return error.problems
    if isinstance(error, GatewayError):
        return [error.message]
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, OSError):
        return [scrub(reason)]
    return [scrub(f"unexpected error: {reason}"), f"run {PROGRAM} --traceback … to see where it came from"]
