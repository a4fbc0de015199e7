"""``aigateway-core logs`` and ``stats``: what happened, through the same code as the admin API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, get_args

import attrs
import typer

from aigateway_core import bootstrap
from aigateway_core.administration import CallQuery, Span
from aigateway_core.administration.statistics import StatisticsAdministration
from aigateway_core.cli.options import AsJson, ConfigFile, print_json, print_table
from aigateway_core.logs import escape
from aigateway_core.records import Outcome
from aigateway_core.settings import load

_LOOK_SECONDS = 1.0
_WINDOW = timedelta(minutes=30)
"""A record is written when its call is over and dated when it began: new ones are among those of so long."""

_MOST = 1000
_OUTCOMES = ", ".join(get_args(Outcome))


def _known_outcome(outcome: str | None) -> str | None:
    if outcome is not None and outcome not in get_args(Outcome):
        raise typer.BadParameter(f"{outcome!r} is none of {_OUTCOMES}")
    return outcome


def logs(
    provider: Annotated[str | None, typer.Option(help="Those of this provider.")] = None,
    account: Annotated[str | None, typer.Option(help="Those of this account, by its id.")] = None,
    model: Annotated[str | None, typer.Option(help="Those that asked for this model.")] = None,
    key: Annotated[str | None, typer.Option(help="Those of this client key, by its public part.")] = None,
    outcome: Annotated[
        str | None, typer.Option(help=f"Those that ended so: {_OUTCOMES}.", callback=_known_outcome)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="How many at most.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with those that come.")] = False,
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one call a line.")] = False,
) -> None:
    """Show the last calls, oldest first."""
    query = CallQuery(
        provider_id=provider, account_id=account, model=model, client_key_id=key, outcome=outcome, limit=limit
    )

    async def run() -> None:
        async with bootstrap.administration(bootstrap.assemble(load(config))) as administration:
            async for call in _calls(administration.statistics, query, follow=follow):
                typer.echo(json.dumps(call, ensure_ascii=False) if as_json else _line(call))

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        raise typer.Exit from None


def stats(
    days: Annotated[int, typer.Option(min=1, max=3660, help="How many days back.")] = 1,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what calls add up to, in all and by provider, model, account and client key."""

    async def run() -> dict[str, Any]:
        async with bootstrap.administration(bootstrap.assemble(load(config))) as administration:
            return await administration.statistics.summary(Span(since=datetime.now(UTC) - timedelta(days=days)))

    found = asyncio.run(run())
    if as_json:
        print_json(found)
        return
    typer.echo(f"From {found['since']} on:")
    print_table(_COLUMNS, [_sums("all", found["total"])])
    for noun in ("provider", "model", "account", "key"):
        if rows := found[f"by_{noun}"]:
            typer.echo()
            print_table((noun.upper(), *_COLUMNS[1:]), [_sums(row["name"], row) for row in rows])
    if found["errors_by_kind"]:
        typer.echo()
        print_table(("ERROR", "REQUESTS"), [(kind, str(count)) for kind, count in found["errors_by_kind"].items()])


_COLUMNS = ("", "REQUESTS", "ERRORS", "TOKENS IN", "CACHED", "TOKENS OUT", "P50", "P95")


def _sums(name: str, row: dict[str, Any]) -> Sequence[str]:
    numbers = [str(row[each]) for each in ("requests", "errors", "input_tokens", "cached_tokens", "output_tokens")]
    return (name, *numbers, _milliseconds(row["latency_p50_ms"]), _milliseconds(row["latency_p95_ms"]))


def _milliseconds(value: int | None) -> str:
    return "-" if value is None else f"{value} ms"


async def _calls(
    statistics: StatisticsAdministration, query: CallQuery, *, follow: bool
) -> AsyncIterator[dict[str, Any]]:
    seen = {call["id"] for call in await _newest(statistics, query)} if follow else set()
    for call in reversed((await statistics.logs(query))["data"]):
        seen.add(call["id"])
        yield call
    while follow:
        await asyncio.sleep(_LOOK_SECONDS)
        newest = await _newest(statistics, query)
        for call in reversed(newest):
            if call["id"] not in seen:
                yield call
        seen = {call["id"] for call in newest}


async def _newest(statistics: StatisticsAdministration, query: CallQuery) -> Sequence[dict[str, Any]]:
    page = await statistics.logs(attrs.evolve(query, since=datetime.now(UTC) - _WINDOW, limit=_MOST))
    found: Sequence[dict[str, Any]] = page["data"]
    return found


def _line(call: dict[str, Any]) -> str:
    model = f"{call['provider_id'] or '-'}/{call['model'] or '-'}"
    tokens = f"{_number(call['input_tokens'])}>{_number(call['output_tokens'])}"
    parts = (call["created_at"][:19], str(call["status_code"]), call["outcome"], model, call["account_id"] or "-")
    told = (*parts, f"{call['latency_ms']} ms", tokens, call["error_kind"] or "", call["request_id"])
    return escape("  ".join(part for part in told if part))


def _number(count: int | None) -> str:
    return "?" if count is None else str(count)
