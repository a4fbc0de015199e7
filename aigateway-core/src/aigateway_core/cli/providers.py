"""``aigateway-core providers``: the providers that run."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from aigateway_core import bootstrap
from aigateway_core.administration import Administration
from aigateway_core.cli.administering import administer
from aigateway_core.cli.options import AsJson, ConfigFile, print_json, print_table

app = typer.Typer(help="List the providers, and switch them on and off.", no_args_is_help=True)


@app.command("list")
def list_providers(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the providers that run."""
    found = administer(config, _all)
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("There are no providers. Install one, for example: pip install aigateway-openai")
        return
    rows = [
        (
            provider["id"],
            provider["name"],
            "on" if provider["is_active"] else "off",
            provider["auth_strategy"],
            str(len(provider["supported_models"])),
        )
        for provider in found
    ]
    print_table(("ID", "NAME", "STATUS", "AUTH", "MODELS"), rows)


@app.command("set")
def change(
    provider_id: Annotated[str, typer.Argument(metavar="ID", help="The provider's id, as `providers list` shows it.")],
    active: Annotated[bool, typer.Option("--on/--off", help="Switch it on or off.")],
    config: ConfigFile = None,
) -> None:
    """Switch a provider on or off. One that is off serves nothing; its accounts stay."""
    body = {"is_active": active}
    administer(config, lambda each: each.providers.update(provider_id, body, bootstrap.COMMAND_LINE))
    typer.echo(f"Switched the provider {provider_id} {'on' if active else 'off'}.")


async def _all(administration: Administration) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await administration.providers.list())["data"]
    return found
