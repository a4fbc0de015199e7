"""``aigateway-core keys``: the keys that clients call with, through the same code as the admin API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from aigateway_core import bootstrap
from aigateway_core.cli.administering import PAGE, administer, every, given
from aigateway_core.cli.options import AsJson, ConfigFile, print_json, print_table
from aigateway_core.errors import InvalidRequestError

app = typer.Typer(help="Create, list, change and revoke client keys.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `keys list` shows it.")]
Models = Annotated[
    list[str] | None, typer.Option("--model", metavar="MODEL", help="A model it may use, or gpt-*; say it for each.")
]
Providers = Annotated[
    list[str] | None, typer.Option("--provider", metavar="PROVIDER", help="A provider it may use; say it for each.")
]
Accounts = Annotated[
    list[str] | None, typer.Option("--account", metavar="ID", help="An account it may use; say it for each.")
]
PerMinute = Annotated[int | None, typer.Option(min=1, help="How many requests it may make in a minute.")]
Concurrency = Annotated[int | None, typer.Option(min=1, help="How many requests may be under way at a time.")]
Expires = Annotated[
    str | None, typer.Option(metavar="WHEN", help="In 30d, 12h or 15m from now, or at 2030-01-02T03:04:05Z.")
]


class Removable(StrEnum):
    """What a key may have, and need not."""

    EXPIRES = "expires"
    MODEL = "model"
    PROVIDER = "provider"
    ACCOUNT = "account"
    REQUESTS_PER_MINUTE = "requests-per-minute"
    CONCURRENCY = "concurrency"


_FIELDS: Mapping[Removable, str] = {
    Removable.EXPIRES: "expires_at",
    Removable.MODEL: "models",
    Removable.PROVIDER: "providers",
    Removable.ACCOUNT: "accounts",
    Removable.REQUESTS_PER_MINUTE: "requests_per_minute",
    Removable.CONCURRENCY: "concurrency",
}

_SPAN = re.compile(r"(\d{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="A name for yourself, like laptop.")] = "",
    expires: Expires = None,
    models: Models = None,
    providers: Providers = None,
    accounts: Accounts = None,
    requests_per_minute: PerMinute = None,
    concurrency: Concurrency = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Create a client key. It is shown this once: only its hash is kept."""
    body = given(
        name=name,
        expires_at=_moment(expires),
        models=models or None,
        providers=providers or None,
        accounts=accounts or None,
        requests_per_minute=requests_per_minute,
        concurrency=concurrency,
    )
    made = administer(config, lambda administration: administration.keys.create(body, bootstrap.COMMAND_LINE))
    if as_json:
        print_json(made)
        return
    typer.echo(made["key"])
    typer.echo(f"Keep it: it is shown this once. To end it: aigateway-core keys revoke {made['id']}", err=True)


@app.command("list")
def list_keys(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the client keys, those that have ended too; never the keys themselves."""
    found = administer(config, lambda each: every(lambda offset: each.keys.list(PAGE, offset)))
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("There are no client keys. To create one: aigateway-core keys create NAME")
        return
    rows = [
        (
            key["id"],
            f"{key['prefix']}…",
            key["name"],
            key["status"],
            key["expires_at"] or "-",
            _opens(key),
            _limits(key),
            key["last_used_at"] or "never",
        )
        for key in found
    ]
    print_table(("ID", "KEY", "NAME", "STATUS", "EXPIRES", "OPENS", "LIMITS", "LAST USED"), rows)


@app.command("set")
def change(
    key_id: Id,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    expires: Expires = None,
    models: Models = None,
    providers: Providers = None,
    accounts: Accounts = None,
    requests_per_minute: PerMinute = None,
    concurrency: Concurrency = None,
    without: Annotated[
        list[Removable] | None,
        typer.Option(
            "--without", help="What it is to have no more: it may then do all of it, for good; say it for each."
        ),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Change a client key. What is given takes the place of what was there; a list is replaced as a whole."""
    body = given(
        name=name,
        expires_at=_moment(expires),
        models=models or None,
        providers=providers or None,
        accounts=accounts or None,
        requests_per_minute=requests_per_minute,
        concurrency=concurrency,
    )
    for name in [_FIELDS[each] for each in without or ()]:
        if name in body:
            raise InvalidRequestError("is given and taken away at once", path=name)
        body[name] = None
    administer(config, lambda administration: administration.keys.update(key_id, body, bootstrap.COMMAND_LINE))
    typer.echo(f"Changed the key {key_id}.")


@app.command()
def revoke(key_id: Id, config: ConfigFile = None) -> None:
    """Revoke a client key. A running gateway refuses it within a second."""
    administer(config, lambda administration: administration.keys.revoke(key_id, bootstrap.COMMAND_LINE))
    typer.echo(f"Revoked the key {key_id}.")


def _moment(said: str | None) -> str | None:
    """A span from now as a moment; what is no span is left to be judged where all of it is."""
    if said is None or (span := _SPAN.fullmatch(said)) is None:
        return said
    return (datetime.now(UTC) + timedelta(**{_UNITS[span[2]]: int(span[1])})).isoformat()


def _opens(key: dict[str, Any]) -> str:
    lists = [f"{noun}: {', '.join(key[noun])}" for noun in ("providers", "models", "accounts") if key[noun]]
    return "; ".join(lists) or "everything"


def _limits(key: dict[str, Any]) -> str:
    per_minute, concurrency = key["requests_per_minute"], key["concurrency"]
    told = [f"{per_minute}/min"] if per_minute else []
    return ", ".join([*told, f"{concurrency} at a time"] if concurrency else told) or "-"
