"""``GET /health`` and the root, for load balancers and for clients that knock first."""

from __future__ import annotations

from typing import ClassVar

from falcon.asgi import Request, Response

from aigateway_core.jsontext import dumps
from aigateway_core.resources.resource import Policy, Resource

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
