"""``aigateway-core proxies``: the outbound proxies that accounts go out by, through the same code as the admin API."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer

from aigateway_core import bootstrap
from aigateway_core.administration import ProxyQuery
from aigateway_core.administration.proxies import ProxyAdministration
from aigateway_core.cli.administering import PAGE, administer, every, given
from aigateway_core.cli.options import AsJson, ConfigFile, print_json, print_table

app = typer.Typer(help="Add, list and remove outbound proxies, and see who goes where.", no_args_is_help=True)

T = TypeVar("T")
Number = Annotated[int, typer.Argument(metavar="NUMBER", help="The proxy's number, as `proxies list` shows it.")]
MaxAccounts = Annotated[int | None, typer.Option(min=0, help="How many accounts may go out by it; 0 for any number.")]
Priority = Annotated[int | None, typer.Option(help="A higher one is filled earlier.")]
MaxFailures = Annotated[int | None, typer.Option(min=1, help="Failures in a row until it is down.")]


def _run(config: ConfigFile, deed: Callable[[ProxyAdministration], Awaitable[T]]) -> T:
    return administer(config, lambda administration: deed(administration.proxies))


@app.command()
def add(
    url: Annotated[
        str, typer.Argument(help="Like socks5://user:password@host:1080; - reads it from standard input.")
    ] = "-",
    max_accounts: MaxAccounts = None,
    priority: Priority = None,
    max_failures: MaxFailures = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Add an outbound proxy. From then on every account goes out by the pool, unless it is marked `egress: direct`."""
    body = given(url=_said(url), max_accounts=max_accounts, priority=priority, max_failures=max_failures)
    proxy = _run(config, lambda proxies: proxies.create(body, bootstrap.COMMAND_LINE))
    if as_json:
        print_json(proxy)
    else:
        typer.echo(f"Added the outbound proxy {proxy['id']}: {proxy['url']}")


@app.command("list")
def list_proxies(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the outbound proxies, without their passwords."""
    found = _run(config, _all)
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("There are no outbound proxies: accounts go out direct. To add one: aigateway-core proxies add URL")
        return
    rows = [
        (
            str(proxy["id"]),
            proxy["url"] or f"({proxy['problem']})",
            proxy["health_status"] if proxy["is_active"] else "off",
            f"{proxy['current_accounts']}/{proxy['max_accounts'] or 'any'}",
            str(proxy["priority"]),
            "-" if proxy["avg_latency_ms"] is None else f"{proxy['avg_latency_ms']} ms",
        )
        for proxy in found
    ]
    print_table(("NUMBER", "URL", "HEALTH", "ACCOUNTS", "PRIORITY", "LATENCY"), rows)


@app.command("set")
def change(
    number: Number,
    url: Annotated[str | None, typer.Option(help="Another URL; - reads it from standard input.")] = None,
    active: Annotated[bool | None, typer.Option("--on/--off", help="Switch it on or off.")] = None,
    max_accounts: MaxAccounts = None,
    priority: Priority = None,
    max_failures: MaxFailures = None,
    config: ConfigFile = None,
) -> None:
    """Change an outbound proxy. Accounts stay bound to it."""
    body = given(
        url=None if url is None else _said(url),
        is_active=active,
        max_accounts=max_accounts,
        priority=priority,
        max_failures=max_failures,
    )
    _run(config, lambda proxies: proxies.update(number, body, bootstrap.COMMAND_LINE))
    typer.echo(f"Changed the outbound proxy {number}.")


@app.command()
def remove(number: Number, config: ConfigFile = None) -> None:
    """Remove an outbound proxy; its accounts go by the others, and it stays when there is no room for them."""
    _run(config, lambda proxies: proxies.delete(number, bootstrap.COMMAND_LINE))
    typer.echo(f"Removed the outbound proxy {number}.")


@app.command()
def assignments(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show which account goes out by which proxy."""
    found = _run(config, lambda proxies: proxies.assignments())
    if as_json:
        print_json(found)
        return
    rows = [(place["account_id"], _place(place["proxy_id"])) for place in found["data"]]
    print_table(("ACCOUNT", "PROXY"), rows)
    if found["unassigned"]:
        typer.echo(f"{found['unassigned']} of {found['total']} accounts have no outbound proxy yet.")


@app.command()
def plan(
    without: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="What would move if this proxy were gone.")
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what `proxies recalculate` would do: who goes where, what moves, what is missing. Nothing is changed."""
    _show(_run(config, lambda proxies: proxies.plan(without)), as_json=as_json)


@app.command()
def recalculate(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Bind every account, moving those whose proxy is off, down or over its limit."""
    _show(_run(config, lambda proxies: proxies.recalculate(bootstrap.COMMAND_LINE)), as_json=as_json)


async def _all(proxies: ProxyAdministration) -> list[dict[str, Any]]:
    return await every(lambda offset: proxies.list(ProxyQuery(limit=PAGE, offset=offset)))


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    places = "any number of" if found["places"] is None else found["places"]
    typer.echo(f"{found['accounts']} accounts, room for {places}, {found['missing']} without a place")
    rows = [
        (
            str(proxy["proxy_id"]) + ("" if proxy["usable"] else " (not usable)"),
            f"{proxy['accounts']}/{proxy['max_accounts'] or 'any'}",
        )
        for proxy in found["proxies"]
    ]
    if rows:
        print_table(("PROXY", "ACCOUNTS"), rows)
    if found["moves"]:
        moves = [(move["account_id"], _place(move["from"]), _place(move["to"])) for move in found["moves"]]
        print_table(("ACCOUNT", "FROM", "TO"), moves)


def _place(proxy_id: int | None) -> str:
    return "-" if proxy_id is None else str(proxy_id)


def _said(url: str) -> str:
    """The URL, or what standard input has: a password on the command line can be seen by others."""
    return sys.stdin.read().strip() if url == "-" else url
