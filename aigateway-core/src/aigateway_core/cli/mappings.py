"""``aigateway-core mappings``: other names for models, through the same code as the admin API."""

from __future__ import annotations

from typing import Annotated

import typer

from aigateway_core import bootstrap
from aigateway_core.cli.administering import PAGE, administer, every, given
from aigateway_core.cli.options import AsJson, ConfigFile, print_json, print_table
from aigateway_core.errors import InvalidRequestError

app = typer.Typer(help="Add, list, change and remove other names for models.", no_args_is_help=True)

Alias = Annotated[str, typer.Argument(help="The name that clients use.")]


@app.command()
def add(
    alias: Alias,
    targets: Annotated[
        list[str], typer.Argument(metavar="PROVIDER/MODEL...", help="Where it leads; the first that can answer does.")
    ],
    description: Annotated[str, typer.Option(help="A note for yourself.")] = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Add a mapping: clients that ask for ALIAS are answered by the first target that can."""
    body = {"alias": alias, "targets": [_target(target) for target in targets], "description": description}
    made = administer(config, lambda administration: administration.mappings.create(body, bootstrap.COMMAND_LINE))
    if as_json:
        print_json(made)
        return
    typer.echo(f"Added the mapping {made['alias']}. A running gateway uses it within a second.")
    for warning in made["warnings"]:
        typer.echo(f"Note: {warning}", err=True)


@app.command("list")
def list_mappings(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the mappings."""
    found = administer(config, lambda each: every(lambda offset: each.mappings.list(None, PAGE, offset)))
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("There are no mappings. To add one: aigateway-core mappings add ALIAS PROVIDER/MODEL")
        return
    rows = [
        (
            mapping["alias"],
            ", ".join(f"{target['provider']}/{target['model']}" for target in mapping["targets"]),
            "on" if mapping["is_active"] else "off",
            mapping["description"],
        )
        for mapping in found
    ]
    print_table(("ALIAS", "TARGETS", "STATUS", "DESCRIPTION"), rows)


@app.command("set")
def change(
    alias: Alias,
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="[PROVIDER/MODEL...]", help="Where it leads instead, all of them.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="Another note for yourself.")] = None,
    is_active: Annotated[bool | None, typer.Option("--on/--off", help="Whether clients may use it.")] = None,
    config: ConfigFile = None,
) -> None:
    """Change a mapping. What is given takes the place of what was there."""
    body = given(
        targets=[_target(target) for target in targets] if targets else None,
        description=description,
        is_active=is_active,
    )
    changed = administer(
        config, lambda administration: administration.mappings.update(alias, body, bootstrap.COMMAND_LINE)
    )
    typer.echo(f"Changed the mapping {alias}.")
    for warning in changed["warnings"]:
        typer.echo(f"Note: {warning}", err=True)


@app.command()
def remove(alias: Alias, config: ConfigFile = None) -> None:
    """Remove a mapping."""
    administer(config, lambda administration: administration.mappings.delete(alias, bootstrap.COMMAND_LINE))
    typer.echo(f"Removed the mapping {alias}.")


def _target(said: str) -> dict[str, str]:
    provider, slash, model = said.partition("/")
    if not (provider and slash and model):
        raise InvalidRequestError(f"expected PROVIDER/MODEL instead of {said!r}", path="TARGETS")
    return {"provider": provider, "model": model}
