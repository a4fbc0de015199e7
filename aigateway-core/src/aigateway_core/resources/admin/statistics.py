"""``/api/v1/stats``: what happened, and what it adds up to."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, get_args

from falcon.asgi import Request, Response

from aigateway_core.access import Access
from aigateway_core.administration import Administration, Dimension, Span
from aigateway_core.errors import InvalidRequestError
from aigateway_core.records import Outcome
from aigateway_core.resources.admin.queries import answer, choice, number, offset, time
from aigateway_core.resources.resource import Policy, Resource
from aigateway_core.storage.rows import CallQuery

MOST_LOGS = 1000
_DIMENSIONS: tuple[Dimension, ...] = ("provider", "model", "account", "key")


class StatisticsResource(Resource):
    """Read the request log and its sums."""

    policy: ClassVar[Policy] = "admin"

    def __init__(self, access: Access, administration: Callable[[], Administration]) -> None:
        super().__init__(access)
        self._administration = administration

    async def on_get_logs(self, req: Request, resp: Response) -> None:
        """Calls, newest first; ``before`` is the ``next`` of the page before."""
        query = CallQuery(
            provider_id=req.get_param("provider"),
            account_id=req.get_param("account"),
            model=req.get_param("model"),
            outcome=choice(req, "outcome", *get_args(Outcome)),
            client_key_id=req.get_param("key"),
            since=time(req, "since"),
            until=time(req, "until"),
            before=req.get_param("before"),
            limit=number(req, "limit", default=100, least=1, most=MOST_LOGS),
            offset=offset(req),
        )
        answer(resp, await self._administration().statistics.logs(query))

    async def on_get_summary(self, req: Request, resp: Response) -> None:
        """Requests, errors by kind, tokens and latencies, in all and by provider, model, account and key."""
        answer(resp, await self._administration().statistics.summary(_span(req)))

    async def on_get_timeseries(self, req: Request, resp: Response) -> None:
        """The same by hour or by day, for everything or for one provider, model, account or key."""
        by_day = choice(req, "interval", "hour", "day") == "day"
        said = [(name, value) for name in _DIMENSIONS if (value := req.get_param(name)) is not None]
        if len(said) > 1:
            raise InvalidRequestError(f"only one of {', '.join(_DIMENSIONS)} at a time", path=said[1][0])
        dimension, name = said[0] if said else ("all", "")
        statistics = self._administration().statistics
        answer(resp, await statistics.timeseries(_span(req), by_day=by_day, dimension=dimension, name=name))

    async def on_get_proxy(self, req: Request, resp: Response, proxy_id: int) -> None:
        """What an outbound proxy carried, by day and provider."""
        days = number(req, "days", default=7, least=1, most=366)
        answer(resp, await self._administration().statistics.of_proxy(proxy_id, days))


def _span(req: Request) -> Span:
    return Span(since=time(req, "since"), until=time(req, "until"))
