"""``aigateway-core login``: an account by a login in the browser."""

from __future__ import annotations

import asyncio
import sys
import webbrowser
from typing import Annotated, Any

import typer

from aigateway_core import bootstrap
from aigateway_core.administration import Administration
from aigateway_core.cli.accounts import entry_of
from aigateway_core.cli.loopback import listening
from aigateway_core.cli.options import AsJson, ConfigFile, print_json
from aigateway_core.errors import ConflictError, InvalidRequestError, UnavailableError
from aigateway_core.logins import SECONDS, Answer
from aigateway_core.plugin import Redirect
from aigateway_core.settings import load
from aigateway_core.snapshot import ProviderEntry


def login(
    provider: Annotated[str, typer.Argument(help="The provider's name in the configuration.")],
    label: Annotated[str, typer.Option(help="A name for yourself; without it, who logged in.")] = "",
    account: Annotated[str | None, typer.Option(metavar="ID", help="Renew the login of this account alone.")] = None,
    proxy_url: Annotated[
        str | None, typer.Option("--proxy-url", metavar="URL", help="The account's outbound proxy, from the login on.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
    paste: Annotated[
        bool, typer.Option("--paste", help="Wait for no browser: paste the address that it ends at, from any machine.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Agree to what the provider warns of, without a question.")
    ] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Add an account by logging in, or renew the login of one that is there."""
    assembly = bootstrap.assemble(load(config))
    entry = entry_of(assembly, provider)
    if entry.risk and not yes:
        _agree(entry.risk)
    wish = {"label": label, "account_id": account, "proxy_url": proxy_url, "accept_risk": True}
    done = asyncio.run(_login(assembly, entry, wish, browser=browser and not paste, paste=paste))
    if as_json:
        print_json(done)
    else:
        name = done["label"] or done["id"]
        typer.echo(
            f"Logged in: the account {name} ({done['id']}) of {provider}. A running gateway uses it within a second."
        )


def _agree(risk: str) -> None:
    typer.echo(risk, err=True)
    if not sys.stdin.isatty():
        raise ConflictError("there is no terminal to ask at whether you agree to this: read it, then add --yes")
    typer.confirm("Do you want to go on?", abort=True, err=True)


async def _login(
    assembly: bootstrap.Assembly, entry: ProviderEntry, wish: dict[str, Any], *, browser: bool, paste: bool
) -> dict[str, Any]:
    redirect = entry.logs_in.redirect if entry.logs_in else Redirect()
    async with bootstrap.administration(assembly) as administration:
        if paste:
            port = redirect.ports[0] if redirect.ports else 8088
            address = f"http://{redirect.host}:{port}{redirect.path}"
            begun = await administration.logins.start(entry.id, wish, address, bootstrap.COMMAND_LINE)
            _show(begun["url"], browser=False)
            typer.echo("When the browser cannot show the page it ends at, that is as it should be.", err=True)
            return await _finish(administration, Answer.pasted(await asyncio.to_thread(_pasted), begun["state"]))
        async with listening(redirect) as loopback:
            begun = await administration.logins.start(entry.id, wish, loopback.redirect_uri, bootstrap.COMMAND_LINE)
            _show(begun["url"], browser=browser)
            try:
                answer = Answer.queried(await loopback.answer(begun["state"], SECONDS))
            except TimeoutError:
                raise UnavailableError("nobody logged in within ten minutes; on another machine, use --paste") from None
            return await _finish(administration, answer)


async def _finish(administration: Administration, answer: Answer) -> dict[str, Any]:
    try:
        return await administration.accounts.get(await administration.logins.complete(answer))
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{error.message}; nothing was stored") from error


def _pasted() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline()
    return str(typer.prompt("The address it ended at", err=True))


def _show(url: str, *, browser: bool) -> None:
    typer.echo("Open this address and log in:", err=True)
    typer.echo(url, err=True)
    if browser:
        webbrowser.open(url)
