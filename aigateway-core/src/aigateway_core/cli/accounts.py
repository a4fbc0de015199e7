"""``aigateway-core accounts``: the accounts that the gateway spends, through the same code as the admin API."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, get_args

import attrs
import typer

from aigateway_core import bootstrap
from aigateway_core.administration import AccountQuery, Administration
from aigateway_core.cli.administering import administer
from aigateway_core.cli.options import AsJson, ConfigFile, print_json, print_table
from aigateway_core.errors import InvalidRequestError, NotFoundError
from aigateway_core.secret import Secret
from aigateway_core.settings import load
from aigateway_core.snapshot import ProviderEntry
from aigateway_core.structuring import near

app = typer.Typer(help="Add, list, test, switch and remove accounts.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The account's id, as `accounts list` shows it.")]

_PAGE = 100
_FROM_STDIN = "-"


@app.command()
def add(
    provider: Annotated[str, typer.Argument(help="The provider's name in the configuration, like openai.")],
    label: Annotated[str, typer.Option(help="A name for yourself.")] = "",
    api_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The API key; - reads it from standard input.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="The token; - reads it from standard input.")
    ] = None,
    auth_data: Annotated[
        str | None, typer.Option(metavar="JSON", help="All fields as JSON; - reads it from standard input.")
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Add an account. Without an option its secrets are asked for and not shown while you type."""
    given = {"--api-key": api_key, "--token": token, "--auth-data": auth_data}
    chosen = [option for option, value in given.items() if value is not None]
    if len(chosen) > 1:
        raise InvalidRequestError(f"{' and '.join(chosen)} say the same thing: give one of them")
    assembly = bootstrap.assemble(load(config))
    entry = entry_of(assembly, provider)
    if auth_data is not None:
        data = _json(_said("--auth-data", auth_data))
    elif (secret := api_key if api_key is not None else token) is not None:
        data = {_only_field(entry, chosen[0]): _said(chosen[0], secret)}
    else:
        data = _asked(entry)
    body = {"provider_id": provider, "label": label, "auth_data": data}
    account = asyncio.run(_create(assembly, body))
    if as_json:
        print_json(account)
    else:
        typer.echo(f"Added the account {account['id']} to {provider}. A running gateway uses it within a second.")


@app.command("list")
def list_accounts(
    provider: Annotated[str | None, typer.Option(help="Only accounts of this provider.")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the accounts; of a secret, its last four characters at most."""
    assembly = bootstrap.assemble(load(config))
    found = asyncio.run(_all(assembly, provider))
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("There are no accounts. To add one: aigateway-core accounts add PROVIDER")
        return
    secret = {entry.id: _secret_fields(entry) for entry in assembly.providers}
    rows = [
        (
            account["id"],
            account["provider_id"],
            account["label"],
            _status(account),
            _second(account["expires_at"]) if account["expires_at"] else "-",
            _secrets(account, secret.get(account["provider_id"])),
        )
        for account in found
    ]
    print_table(("ID", "PROVIDER", "LABEL", "STATUS", "TOKEN ENDS", "SECRETS"), rows)
    for account in found:
        for note in _notes(account):
            typer.echo(f"\n{note}")


@app.command()
def enable(account_id: Id, config: ConfigFile = None) -> None:
    """Let an account be used, also one that was switched off, shut out or not paid for: it has been mended."""
    _switch(config, account_id, on=True)
    typer.echo(f"Enabled the account {account_id}. A running gateway uses it within a second.")


@app.command()
def disable(account_id: Id, config: ConfigFile = None) -> None:
    """Let an account be used no more, until it is enabled."""
    _switch(config, account_id, on=False)
    typer.echo(f"Disabled the account {account_id}.")


@app.command()
def refresh(
    account_id: Id,
    config: ConfigFile = None,
) -> None:
    """Renew the tokens of an account that logged in, now."""
    asyncio.run(_refresh(bootstrap.assemble(load(config)), account_id))
    typer.echo(f"The tokens of the account {account_id} are new.")


@app.command("test")
def check(
    account_id: Id,
    model: Annotated[str | None, typer.Option(help="The model to ask; without it, the provider's first one.")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Ask an account's provider something small. Exit code 1 when that does not work."""
    told = asyncio.run(_test(bootstrap.assemble(load(config)), account_id, model))
    if as_json:
        print_json(told)
    elif told["ok"]:
        typer.echo(f"{told['model']} answered after {told['latency_ms']} ms.")
    else:
        typer.echo(f"{told['model']} did not answer: {told['error']['message']} ({told['error']['kind']})", err=True)
    if not told["ok"]:
        raise typer.Exit(1)


@app.command()
def quota(
    account_id: Annotated[str, typer.Argument(metavar="ID", help="The account's id, as `accounts list` shows it.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Ask an account's provider what the account has left."""
    told = asyncio.run(_quota(bootstrap.assemble(load(config)), account_id))["data"]
    if as_json:
        print_json(told)
    elif not told:
        typer.echo("The provider tells nothing of this account's quotas.")
    else:
        rows = [(each["model"] or "*", each["quota_group"] or "", _left(each), _reset(each)) for each in told]
        print_table(("MODEL", "GROUP", "LEFT", "RESETS AT"), rows)


@app.command()
def remove(
    account_id: Id,
    config: ConfigFile = None,
) -> None:
    """Remove an account and its secrets."""
    asyncio.run(_remove(bootstrap.assemble(load(config)), account_id))
    typer.echo(f"Removed the account {account_id}.")


async def _create(assembly: bootstrap.Assembly, body: dict[str, Any]) -> dict[str, Any]:
    async with bootstrap.administration(assembly) as administration:
        return await administration.accounts.create(body, bootstrap.COMMAND_LINE)


async def _all(assembly: bootstrap.Assembly, provider: str | None) -> list[dict[str, Any]]:
    async with bootstrap.administration(assembly) as administration:
        return await _pages(administration, provider)


async def _pages(administration: Administration, provider: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        query = AccountQuery(provider_id=provider, limit=_PAGE, offset=len(found))
        page = await administration.accounts.list(query)
        found += page["data"]
        if not page["data"] or len(found) >= page["total"]:
            return found


def _switch(config: ConfigFile, account_id: str, *, on: bool) -> None:
    body = {"is_active": on}
    administer(config, lambda each: each.accounts.update(account_id, body, bootstrap.COMMAND_LINE))


async def _refresh(assembly: bootstrap.Assembly, account_id: str) -> None:
    async with bootstrap.administration(assembly) as administration:
        await administration.checkup.refresh(account_id)


async def _test(assembly: bootstrap.Assembly, account_id: str, model: str | None) -> dict[str, Any]:
    async with bootstrap.administration(assembly) as administration:
        return await administration.checkup.test(account_id, bootstrap.COMMAND_LINE, model)


async def _quota(assembly: bootstrap.Assembly, account_id: str) -> dict[str, Any]:
    async with bootstrap.administration(assembly) as administration:
        return await administration.checkup.quota(account_id)


async def _remove(assembly: bootstrap.Assembly, account_id: str) -> None:
    async with bootstrap.administration(assembly) as administration:
        await administration.accounts.delete(account_id, bootstrap.COMMAND_LINE)


# -- what was said


def entry_of(assembly: bootstrap.Assembly, provider: str) -> ProviderEntry:
    """The provider of this name. Raises :class:`NotFoundError`, which says what there is."""
    known = {entry.id: entry for entry in assembly.providers}
    if provider in known:
        return known[provider]
    if needs := assembly.configured.waiting.get(provider):
        raise NotFoundError(f"the provider {provider!r} waits for its settings: {', '.join(needs)}")
    names = ", ".join(sorted(known)) or "none; install one, for example with pip install aigateway-openai"
    raise NotFoundError(f"there is no provider {provider!r}{near(provider, known) or f'; there are: {names}'}")


def _said(option: str, value: str) -> str:
    """The value of an option, or what standard input has when the option says so."""
    if value == _FROM_STDIN:
        return sys.stdin.read().strip()
    typer.echo(
        f"Note: other users of this machine may see a secret on the command line, and the shell keeps it. "
        f"Better: {option} - with the secret on standard input, or no option at all.",
        err=True,
    )
    return value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidRequestError(f"is not JSON: {error}", path="--auth-data") from None


def _required(entry: ProviderEntry) -> list[attrs.Attribute[Any]]:
    fields = attrs.fields(attrs.resolve_types(entry.strategy.credential))
    return [field for field in fields if field.default is attrs.NOTHING]


def _only_field(entry: ProviderEntry, option: str) -> str:
    """The one field that the strategy asks for, whatever it calls it: ``--api-key`` and ``--token`` both mean it."""
    required = _required(entry)
    if len(required) != 1:
        names = ", ".join(field.name for field in required) or "nothing"
        raise InvalidRequestError(
            f"the auth strategy {entry.strategy_name!r} asks for {names}: use --auth-data", path=option
        )
    return required[0].name


def _asked(entry: ProviderEntry) -> dict[str, str]:
    required = _required(entry)
    if required and not sys.stdin.isatty():
        raise InvalidRequestError("no secret was given, and there is no terminal to ask at: use --auth-data -")
    return {
        field.name: typer.prompt(field.name.replace("_", " "), hide_input=field.type is Secret) for field in required
    }


# -- what is shown


def _status(account: dict[str, Any]) -> str:
    status, reason, until = (account[name] for name in ("status", "status_reason", "status_until"))
    if status == "active" and (rests := account["resting"]):
        return _rest(rests[0]) if len(rests) == 1 else f"resting for {len(rests)} models, see below"
    told = status if reason in {None, status} else f"{status} ({reason})"
    return f"{told} until {_second(until)}" if until else str(told)


def _rest(rest: dict[str, Any]) -> str:
    return f"resting for {rest['name']} ({rest['reason']}) until {_second(rest['until'])}"


def _second(moment: str) -> str:
    """A time without its fraction."""
    return datetime.fromisoformat(moment).isoformat(timespec="seconds").replace("+00:00", "Z")


def _notes(account: dict[str, Any]) -> Iterator[str]:
    """What has no place in a row of a table."""
    shown_in_row = account["status"] == "active" and len(account["resting"]) == 1
    for rest in () if shown_in_row else account["resting"]:
        yield f"{account['id']} is {_rest(rest)}."
    if remedy := _remedy(account):
        yield f"{account['id']} is {account['status']}. What to do about it: {remedy}"


def _remedy(account: dict[str, Any]) -> str | None:
    """What its vendor said, or what is known without; nothing for one that an operator has switched off."""
    status, said = account["status"], account["status_remedy"]
    if status == "needs_login":
        return said or f"aigateway-core login {account['provider_id']}"
    if status not in {"banned", "disabled"} or (said is None and account["status_reason"] is None):
        return None
    known = "settle it with the vendor" if status == "banned" else "pay, or whatever else the vendor asks for"
    return f"{said or known}; then: aigateway-core accounts enable {account['id']}"


def _left(quota: dict[str, Any]) -> str:
    left = quota["fraction_left"]
    return "?" if left is None else f"{left:.0%}"


def _reset(quota: dict[str, Any]) -> str:
    return str(quota["resets_at"] or "")


def _secret_fields(entry: ProviderEntry) -> set[str]:
    """The fields of the provider's credential that hold a secret, or may."""
    fields = attrs.fields(attrs.resolve_types(entry.strategy.credential))
    return {field.name for field in fields if Secret in (field.type, *get_args(field.type))}


def _secrets(account: dict[str, Any], known: set[str] | None) -> str:
    """Their last characters; every field's, of a provider that is not installed."""
    fields = (account["auth_data"] or {}).items()
    shown = [(name, value) for name, value in fields if value["set"] and (known is None or name in known)]
    return ", ".join(f"{name} …{value['last4']}" for name, value in shown)
