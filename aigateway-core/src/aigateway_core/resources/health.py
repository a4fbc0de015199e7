"""``GET /health``, ``/ready`` and ``/metrics``: for balancers, for monitoring, for clients that knock first."""

from __future__ import annotations

from typing import ClassVar

import falcon
from falcon.asgi import Request, Response

from aigateway_core.access import Access
from aigateway_core.errors import UnauthorizedError, UnavailableError
from aigateway_core.guesses import GuessLimitError
from aigateway_core.jsontext import dumps
from aigateway_core.metrics import CONTENT_TYPE, Metrics
from aigateway_core.readiness import Readiness
from aigateway_core.resources.resource import Policy, Resource, reader

_OK = dumps({"status": "ok", "service": "aigateway"})


class Health(Resource):
    """The process is alive. Asks nothing of the database. Claude Code sends ``HEAD /`` before its first request."""

    policy: ClassVar[Policy] = "open"

    async def on_get(self, req: Request, resp: Response) -> None:
        """Say so."""
        resp.content_type = "application/json"
        resp.data = _OK

    async def on_head(self, req: Request, resp: Response) -> None:
        """The same without a body."""
        resp.content_type = "application/json"


class Ready(Resource):
    """Whether requests may be sent here: 200, also while the database or Redis is away, and 503 before and after."""

    policy: ClassVar[Policy] = "open"

    def __init__(self, access: Access, readiness: Readiness) -> None:
        super().__init__(access)
        self._readiness = readiness

    async def on_get(self, req: Request, resp: Response) -> None:
        """One word for everybody; in full for those who may read more."""
        resp.content_type = "application/json"
        resp.set_header("cache-control", "no-store")
        resp.status = falcon.HTTP_200 if self._readiness.serves else falcon.HTTP_503
        try:
            await reader(req, self.access)
        except (UnauthorizedError, UnavailableError, GuessLimitError):
            resp.data = dumps({"status": self._readiness.standing})
        else:
            resp.data = dumps(self._readiness.in_full())


class MetricsPage(Resource):
    """What a Prometheus server scrapes."""

    policy: ClassVar[Policy] = "reader"

    def __init__(self, access: Access, metrics: Metrics) -> None:
        super().__init__(access)
        self._metrics = metrics

    async def on_get(self, req: Request, resp: Response) -> None:
        """All of it, as text."""
        resp.content_type = CONTENT_TYPE
        resp.set_header("cache-control", "no-store")
        resp.data = await self._metrics.page()
