"""``/api/v1/proxies``: the pool of outbound proxies."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import falcon
from falcon.asgi import Request, Response

from aigateway_core.access import Access
from aigateway_core.administration import Administration, ProxyQuery
from aigateway_core.jsontext import loads_object
from aigateway_core.resources.admin.queries import answer, answer_one, boolean, choice, expected, limit, number, offset
from aigateway_core.resources.request import GatewayRequest
from aigateway_core.resources.resource import Policy, Resource, actor


class ProxyResource(Resource):
    """List, add, read, change and remove outbound proxies, and see who goes where."""

    policy: ClassVar[Policy] = "admin"

    def __init__(self, access: Access, administration: Callable[[], Administration]) -> None:
        super().__init__(access)
        self._administration = administration

    async def on_get(self, req: Request, resp: Response) -> None:
        """A page of proxies: ``?is_active=&health_status=&limit=&offset=``."""
        query = ProxyQuery(
            is_active=boolean(req, "is_active"),
            health_status=choice(req, "health_status", "healthy", "degraded", "down"),
            limit=limit(req),
            offset=offset(req),
        )
        answer(resp, await self._administration().proxies.list(query))

    async def on_post(self, req: GatewayRequest, resp: Response) -> None:
        """Add one."""
        body = loads_object(await req.read())
        answer_one(resp, await self._administration().proxies.create(body, actor(req)))
        resp.status = falcon.HTTP_201

    async def on_get_one(self, req: Request, resp: Response, proxy_id: int) -> None:
        """Read one."""
        answer_one(resp, await self._administration().proxies.get(proxy_id))

    async def on_put_one(self, req: GatewayRequest, resp: Response, proxy_id: int) -> None:
        """Change the fields that are given."""
        body = loads_object(await req.read())
        answer_one(resp, await self._administration().proxies.update(proxy_id, body, actor(req), expected(req)))

    async def on_delete_one(self, req: Request, resp: Response, proxy_id: int) -> None:
        """Remove one; its accounts go by the others."""
        await self._administration().proxies.delete(proxy_id, actor(req), expected(req))
        resp.status = falcon.HTTP_204

    async def on_get_assignments(self, req: Request, resp: Response) -> None:
        """Who goes out by what."""
        answer(resp, await self._administration().proxies.assignments())

    async def on_get_plan(self, req: Request, resp: Response) -> None:
        """What a recalculation would do, or with ``?without=`` the end of that proxy. Nothing is changed."""
        gone = number(req, "without", default=0, least=1, most=1 << 31) if req.get_param("without") else None
        answer(resp, await self._administration().proxies.plan(gone))

    async def on_post_recalculate(self, req: Request, resp: Response) -> None:
        """Bind every account, moving those that cannot stay."""
        answer(resp, await self._administration().proxies.recalculate(actor(req)))
